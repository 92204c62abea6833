"""The fourth stage: one fixed square or portrait crop a clip, around the dancer."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from PIL import Image

from musedance.prepare.rejection import Rejected

SHAPES = {  # width / height, tried in this order
    "auto": (Fraction(1), Fraction(3, 4), Fraction(9, 16)),
    "square": (Fraction(1),),
    "portrait": (Fraction(3, 4), Fraction(9, 16)),
}


@dataclass(frozen=True)
class Crop:
    """A part of the picture and the size it is scaled to; all in pixels, all even."""

    left: int
    top: int
    width: int
    height: int
    out_width: int
    out_height: int

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> (out_height, out_width, 3) uint8, by Lanczos' filter."""
        part = frame[self.top : self.top + self.height, self.left : self.left + self.width]
        return np.asarray(Image.fromarray(part).resize((self.out_width, self.out_height), Image.Resampling.LANCZOS))

    def place(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) boxes of the whole picture -> of the cropped and scaled one, cut to it."""
        scale = np.array([self.out_width / self.width, self.out_height / self.height])
        corners = boxes.reshape(-1, 2, 2) - (self.left, self.top)
        return (corners * scale).clip(0, (self.out_width, self.out_height)).reshape(-1, 4)


@dataclass(frozen=True)
class DancerCrop:
    """Crops to where the dancer goes during a clip.

    The first shape that holds all of it inside the picture is taken, with a margin as far as there is room; else
    that which holds most. All crops of one shape get the same size, with about size x size pixels.

    Args:
        size: side of a square clip in pixels.
        shape: square, portrait (3:4, else 9:16), or auto (square, else portrait).
        min_size: pixels; a crop with a shorter side is left out rather than enlarged.
        margin: on each side, as a share of the dancer's box.
        min_held: share of the dancer's box that the crop has to hold.
    """

    size: int
    shape: str = "auto"
    min_size: int = 0
    margin: float = 0.1
    min_held: float = 0.5

    def crop(self, width: int, height: int, boxes: np.ndarray) -> Crop:
        """The crop of a clip.

        Args:
            width: of the picture.
            height: of the picture.
            boxes: (n, 4), the dancer's on each of the clip's frames.

        Raises:
            Rejected: the dancer is too small, or moves too far for one crop.
        """
        limits = (width, height, width, height)
        whole = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)]).clip(0, limits)
        if np.any(whole[2:] <= whole[:2]):
            raise Rejected("dancer too small", "nothing of it is inside the picture")
        crops = [self._around(whole, width, height, ratio) for ratio in SHAPES[self.shape]]
        held = [_share_held(whole, crop) for crop in crops]
        best = int(np.argmax(np.array(held) > 0.999)) if max(held) > 0.999 else int(np.argmax(held))
        crop = crops[best]
        if held[best] < self.min_held:
            raise Rejected("dancer moves too far", f"a crop of {crop.width} x {crop.height} holds {held[best]:.0%}")
        if min(crop.width, crop.height) < self.min_size:
            raise Rejected(
                "dancer too small", f"{crop.width} x {crop.height} pixels, at least {self.min_size} are wanted"
            )
        return crop

    def _around(self, box: np.ndarray, width: int, height: int, ratio: Fraction) -> Crop:
        """The crop of one shape, moved and if need be shrunk until it is inside the picture."""
        wanted_width, wanted_height = (box[2:] - box[:2]) * (1 + 2 * self.margin)
        crop_height = min(max(wanted_height, wanted_width / float(ratio)), height, width / float(ratio))
        crop_width = _even(crop_height * float(ratio))
        crop_height = _even(crop_height)
        left, top = (box[:2] + box[2:] - (crop_width, crop_height)) / 2
        return Crop(
            left=_even(min(max(left, 0), width - crop_width)),
            top=_even(min(max(top, 0), height - crop_height)),
            width=crop_width,
            height=crop_height,
            out_width=_multiple_of_8(self.size * float(ratio) ** 0.5),
            out_height=_multiple_of_8(self.size / float(ratio) ** 0.5),
        )


def _share_held(box: np.ndarray, crop: Crop) -> float:
    inner = np.minimum(box[2:], (crop.left + crop.width, crop.top + crop.height)) - np.maximum(
        box[:2], (crop.left, crop.top)
    )
    return float(np.prod(inner.clip(0)) / np.prod(box[2:] - box[:2]))


def _even(value: float) -> int:
    """Rounded down; a hair's breadth below an even number is that number."""
    return max(0, 2 * int((value + 1e-6) // 2))


def _multiple_of_8(value: float) -> int:
    return max(8, 8 * round(value / 8))
