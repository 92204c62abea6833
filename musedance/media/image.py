"""Picture files to RGB, and pictures onto the canvas of a video."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from musedance.errors import InputError

MAX_PIXELS = 100_000_000
MAX_ASPECT = 3.0


def read_image(source: str | Path | Image.Image) -> Image.Image:
    """A picture as RGB, upright.

    The first frame of an animation; transparency over white; 16-bit grey scaled to 8; CMYK, palette and grey
    converted; EXIF orientation applied.

    Raises InputError for anything that is not a whole picture, and for one of over 100 megapixels or over PIL's own
    limit (89 by default) before its pixels are decoded.
    """
    if isinstance(source, Image.Image):
        with _pil_errors_as_input_errors("the picture"):
            return _upright_rgb(source, "the picture")
    path = Path(source)
    if not path.exists():
        raise InputError(f"there is no image file {path}")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give an image file")
    with _pil_errors_as_input_errors(str(path)), Image.open(path) as image:
        return _upright_rgb(image, str(path))


def canvas_size(image_size: tuple[int, int], pixels: int, multiple: int) -> tuple[int, int]:
    """The canvas for a picture: (width, height) -> (height, width) with about `pixels` pixels and the same aspect.

    Both sides are multiples of `multiple`; the aspect is kept between 1:3 and 3:1.
    """
    width, height = image_size
    if min(width, height, pixels, multiple) <= 0:
        raise InputError(f"no canvas for a {width} x {height} picture, {pixels} pixels and multiples of {multiple}")
    aspect = min(max(width, height) / min(width, height), MAX_ASPECT)
    # In units of `multiple`. The short side first, so that rounding cannot carry the long one past the largest aspect.
    short = max(1, round(math.sqrt(pixels / aspect) / multiple))
    long = min(max(short, round(math.sqrt(pixels * aspect) / multiple)), int(short * MAX_ASPECT))
    return (short * multiple, long * multiple) if width >= height else (long * multiple, short * multiple)


def fit_image(
    image: Image.Image,
    height: int,
    width: int,
    fit: Literal["letterbox", "crop"],
    *,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
    fill: tuple[int, int, int] = (0, 0, 0),
) -> Image.Image:
    """Bring a picture to `height` x `width` without distorting it.

    "letterbox" shows the whole picture, centred between bars of `fill`; "crop" fills the canvas and cuts off what
    stands out on both sides. A picture of that size already keeps every pixel.
    """
    if min(height, width, image.height, image.width) <= 0:
        raise InputError(f"cannot fit a {image.width} x {image.height} picture into {width} x {height}")
    if fit == "crop":
        return ImageOps.fit(image, (width, height), resample)
    if fit != "letterbox":
        raise InputError(f'fit must be "letterbox" or "crop", not "{fit}"')
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new(image.mode, (width, height), fill)
    canvas.paste(image.resize(inner, resample), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


@contextmanager
def _pil_errors_as_input_errors(name: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except InputError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(f"{name} is too large to open safely: {error}") from error
    except Exception as error:  # on broken files PIL's decoders raise nearly everything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot read {name} as an image, it may be damaged: {reason}") from error


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.width * image.height == 0:
        raise InputError(f"{name} has no pixels ({image.width} x {image.height})")
    if image.width * image.height > MAX_PIXELS:
        raise InputError(
            f"{name} is too large ({image.width} x {image.height}): at most {MAX_PIXELS // 10**6} megapixels"
        )
    image.load()
    return _rgb(ImageOps.exif_transpose(image), name)


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        raise InputError(f"{name} has floating-point pixels: save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # PIL's own conversion clips at 255 instead of scaling.
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise InputError(f"{name} has more than 16 bits: save it with 8 or 16 bits")
        return Image.fromarray(np.rint(grey / 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
