"""Pictures as people have them: rotated, transparent, animated, broken, enormous."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from musedance.errors import InputError
from musedance.media.image import canvas_size, fit_image, read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quadrants(width: int = 40, height: int = 24) -> Image.Image:
    """Red, green / blue, white."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(WHITE, (width // 2, height // 2, width, height))
    return image


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """The middles of the four quadrants, read like a page."""
    x, y = image.width // 4, image.height // 4
    return [image.getpixel(p) for p in ((x, y), (3 * x, y), (x, 3 * y), (3 * x, 3 * y))]


def file_property(path: Path, name: str) -> object:
    with Image.open(path) as image:
        return getattr(image, name)


def assert_close(image: Image.Image, expected: list[tuple[int, ...]], tolerance: int = 3) -> None:
    assert image.mode == "RGB"
    assert np.abs(np.subtract(corners(image), expected)).max() <= tolerance


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises width x height pixels and holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))


def message(source: object) -> str:
    with pytest.raises(InputError) as caught:
        read_image(source)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tiff", "a.gif"])
def test_ordinary_files(tmp_path: Path, name: str) -> None:
    quadrants().save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    image = read_image(str(tmp_path / name))
    assert image.size == (40, 24)
    assert_close(image, [RED, GREEN, BLUE, WHITE], tolerance=0)


def test_a_picture_in_memory_is_not_changed() -> None:
    image = quadrants()
    read = read_image(image)
    read.putpixel((0, 0), (1, 2, 3))
    assert image.getpixel((0, 0)) == RED


def test_cmyk_jpeg(tmp_path: Path) -> None:
    quadrants().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert file_property(tmp_path / "a.jpg", "mode") == "CMYK"
    assert_close(read_image(tmp_path / "a.jpg"), [RED, GREEN, BLUE, WHITE], tolerance=12)


def test_palette_and_grey(tmp_path: Path) -> None:
    quadrants().quantize(8).save(tmp_path / "p.png")
    assert file_property(tmp_path / "p.png", "mode") == "P"
    assert_close(read_image(tmp_path / "p.png"), [RED, GREEN, BLUE, WHITE])
    Image.new("L", (8, 8), 77).save(tmp_path / "l.png")
    assert_close(read_image(tmp_path / "l.png"), [(77, 77, 77)] * 4, tolerance=0)


def test_transparency_shows_white(tmp_path: Path) -> None:
    alpha = Image.new("L", (40, 24), 255)
    alpha.paste(0, (0, 0, 20, 12))
    alpha.paste(128, (20, 0, 40, 12))
    expected = [WHITE, (127, 255, 127), BLUE, WHITE]
    rgba = quadrants()
    rgba.putalpha(alpha)
    rgba.save(tmp_path / "rgba.png")
    assert_close(read_image(tmp_path / "rgba.png"), expected)
    assert_close(read_image(rgba), expected)

    grey = Image.new("L", (40, 24), 50)
    grey.putalpha(alpha)
    grey.save(tmp_path / "la.png")
    assert file_property(tmp_path / "la.png", "mode") == "LA"
    assert_close(read_image(tmp_path / "la.png"), [WHITE, (152, 152, 152), (50, 50, 50), (50, 50, 50)])

    palette = quadrants().quantize(8)
    index = palette.getpixel((0, 0))
    palette.save(tmp_path / "p.png", transparency=index)  # red becomes transparent
    assert file_property(tmp_path / "p.png", "mode") == "P"
    assert_close(read_image(tmp_path / "p.png"), [WHITE, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_16_bit_grey_is_scaled(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    assert file_property(tmp_path / name, "mode") == "I;16"
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / name))[0, :, 0], [0, 1, 128, 255])
    as_int32 = Image.fromarray(values.astype(np.int32))
    assert as_int32.mode == "I"
    np.testing.assert_array_equal(np.asarray(read_image(as_int32))[0, :, 2], [0, 1, 128, 255])


def test_more_than_16_bits_is_refused() -> None:
    assert "16 bits" in message(Image.fromarray(np.array([[0, 70000]], np.int32)))
    assert "floating-point" in message(Image.new("F", (4, 4)))


@pytest.mark.parametrize(("name", "options"), [("a.gif", {}), ("a.png", {}), ("a.webp", {"lossless": True})])
def test_an_animation_gives_its_first_frame(tmp_path: Path, name: str, options: dict[str, bool]) -> None:
    others = [Image.new("RGB", (40, 24), color) for color in ((9, 9, 9), (200, 9, 200))]
    quadrants().save(tmp_path / name, save_all=True, append_images=others, duration=100, **options)
    assert file_property(tmp_path / name, "n_frames") == 3
    assert_close(read_image(tmp_path / name), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [  # EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored picture are
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, expected: list[tuple[int, ...]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    quadrants().save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    image = read_image(tmp_path / "a.jpg")
    assert image.size == ((40, 24) if orientation < 5 else (24, 40))
    assert_close(image, expected, tolerance=12)


def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "there is no image file" in message(tmp_path / "none.png")
    assert "is a folder" in message(tmp_path)
    for name, data in {"a.png": b"", "b.jpg": b"hello\nworld", "c.webp": bytes(1000)}.items():
        (tmp_path / name).write_bytes(data)
        assert "cannot read" in message(tmp_path / name)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_picture_is_refused(tmp_path: Path, format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format)
    (tmp_path / "cut").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
    assert "cannot read" in message(tmp_path / "cut")
    if format not in ("WEBP", "TIFF"):  # which fail in open() already
        with Image.open(tmp_path / "cut") as unread:
            assert "cannot read" in message(unread)


@pytest.mark.parametrize("side", [9_700, 12_000, 100_000])  # PIL: warns, warns, raises
def test_a_bomb_is_refused_before_decoding(tmp_path: Path, side: int) -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    assert "too large" in message(tmp_path / "bomb.png")
    assert limit == Image.MAX_IMAGE_PIXELS and filters == warnings.filters


def test_our_own_limit_holds_where_pil_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "bomb.png").write_bytes(png_header(10_001, 10_000))
    assert "too large (10001 x 10000)" in message(tmp_path / "bomb.png")
    (tmp_path / "large.png").write_bytes(png_header(10_000, 10_000))
    assert "cannot read" in message(tmp_path / "large.png")  # allowed, and then found to be empty


def test_a_picture_without_pixels_is_refused() -> None:
    assert "no pixels" in message(Image.new("RGB", (0, 5)))


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    pixels=st.integers(1, 2_000_000),
    multiple=st.sampled_from([1, 2, 8, 16, 64]),
)
def test_canvas_size_properties(width: int, height: int, pixels: int, multiple: int) -> None:
    h, w = canvas_size((width, height), pixels, multiple)
    assert h % multiple == 0 and w % multiple == 0 and h >= multiple and w >= multiple
    assert 1 / 3 <= w / h <= 3
    assert (w >= h) == (width >= height) or w == h
    aspect = min(max(width / height, 1 / 3), 3)
    # Each side is off by at most half a multiple, unless the largest aspect or the smallest size holds it back.
    if min(h, w) > multiple:
        assert abs(w - np.sqrt(pixels * aspect)) <= 2 * multiple
        assert abs(h - np.sqrt(pixels / aspect)) <= 2 * multiple


@pytest.mark.parametrize(
    ("size", "pixels", "multiple", "expected"),
    [
        ((640, 640), 640 * 640, 8, (640, 640)),
        ((1080, 1920), 512 * 512, 8, (680, 384)),
        ((1920, 1080), 512 * 512, 8, (384, 680)),
        ((10, 1000), 3 * 64 * 64, 64, (192, 64)),
        ((500, 400), 1, 8, (8, 8)),
    ],
)
def test_canvas_size_examples(size: tuple[int, int], pixels: int, multiple: int, expected: tuple[int, int]) -> None:
    assert canvas_size(size, pixels, multiple) == expected


@pytest.mark.parametrize("arguments", [((0, 5), 100, 8), ((5, 0), 100, 8), ((5, 5), 0, 8), ((5, 5), 100, 0)])
def test_impossible_canvases_are_refused(arguments: tuple[tuple[int, int], int, int]) -> None:
    with pytest.raises(InputError):
        canvas_size(*arguments)


def test_letterbox_shows_the_whole_picture_between_bars() -> None:
    fitted = np.asarray(fit_image(quadrants(40, 24), 80, 80, "letterbox", fill=(9, 8, 7)))
    assert fitted.shape == (80, 80, 3)
    assert (fitted[:16] == (9, 8, 7)).all() and (fitted[64:] == (9, 8, 7)).all()
    inner = Image.fromarray(fitted[16:64])
    assert_close(inner, [RED, GREEN, BLUE, WHITE], tolerance=0)
    tall = np.asarray(fit_image(quadrants(24, 40), 80, 80, "letterbox"))
    assert not tall[:, :16].any() and not tall[:, 64:].any() and tall[:, 16:64].any(axis=2).all()


def test_crop_fills_the_canvas_with_the_middle() -> None:
    stripes = Image.new("RGB", (90, 30), RED)
    stripes.paste(GREEN, (30, 0, 60, 30))
    stripes.paste(BLUE, (60, 0, 90, 30))
    fitted = fit_image(stripes, 60, 60, "crop")
    assert fitted.size == (60, 60)
    assert_close(fitted, [GREEN] * 4, tolerance=0)
    assert_close(fit_image(stripes.transpose(Image.Transpose.ROTATE_90), 60, 60, "crop"), [GREEN] * 4, tolerance=0)


@pytest.mark.parametrize("fit", ["letterbox", "crop"])
@given(width=st.integers(1, 60), height=st.integers(1, 60), to_width=st.integers(1, 60), to_height=st.integers(1, 60))
def test_fitting_always_gives_the_canvas(fit: str, width: int, height: int, to_width: int, to_height: int) -> None:
    fitted = fit_image(Image.new("RGB", (width, height), WHITE), to_height, to_width, fit)  # type: ignore[arg-type]
    assert fitted.size == (to_width, to_height)
    assert np.asarray(fitted).any()
    if fit == "crop":
        assert (np.asarray(fitted) == 255).all()


@pytest.mark.parametrize("fit", ["letterbox", "crop"])
def test_a_picture_of_the_right_size_is_not_touched(fit: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    fitted = fit_image(Image.fromarray(noise), 24, 40, fit)  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(fitted), noise)


def test_masks_can_be_fitted_without_new_colours() -> None:
    fitted = fit_image(quadrants(), 50, 70, "letterbox", resample=Image.Resampling.NEAREST, fill=BLUE)
    assert {color for _, color in fitted.getcolors()} == {RED, GREEN, BLUE, WHITE}


def test_impossible_fits_are_refused() -> None:
    for image, height, width in ((quadrants(), 0, 8), (quadrants(), 8, -1), (Image.new("RGB", (0, 5)), 8, 8)):
        with pytest.raises(InputError):
            fit_image(image, height, width, "crop")
    with pytest.raises(InputError, match="letterbox"):
        fit_image(quadrants(), 8, 8, "stretch")  # type: ignore[arg-type]
