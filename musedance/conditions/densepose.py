"""DensePose labels <-> the pictures that the mask encoder reads."""

import numpy as np

# Body part I of 24 as viridis at I / 24, background as viridis at 0: what DensePose's own visualiser draws.
PART_COLOURS = np.array(
    [
        [68, 1, 84], [71, 16, 99], [72, 31, 112], [71, 44, 122], [68, 57, 131], [64, 70, 136], [59, 81, 139],
        [54, 93, 141], [49, 104, 142], [44, 113, 142], [40, 124, 142], [37, 133, 142], [33, 144, 141], [31, 154, 138],
        [32, 163, 134], [39, 173, 129], [53, 183, 121], [70, 192, 111], [92, 200, 99], [115, 208, 86], [142, 214, 69],
        [170, 220, 50], [197, 224, 33], [226, 228, 24], [253, 231, 37],
    ],
    np.uint8,
)  # fmt: skip


def draw_densepose(labels: np.ndarray) -> np.ndarray:
    """Labels of any shape, uint8 from 0 (background) to 24, to RGB with a last axis of 3, uint8.

    Raises:
        ValueError: there are no such labels.
    """
    if labels.dtype != np.uint8 or (labels.size and labels.max() >= len(PART_COLOURS)):
        raise ValueError(f"DensePose labels are uint8 from 0 to 24, not {labels.dtype} up to {labels.max(initial=0)}")
    return PART_COLOURS[labels]


def read_densepose_labels(picture: np.ndarray) -> np.ndarray:
    """The inverse of `draw_densepose`: `(..., 3)` uint8 to labels; other colours become the nearest part's."""
    if picture.dtype != np.uint8 or picture.shape[-1:] != (3,):
        raise ValueError(f"DensePose pictures are (..., 3) uint8, not {picture.shape} {picture.dtype}")
    packed = picture.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)  # one number a pixel: sorts faster
    numbers, inverse = np.unique(packed, return_inverse=True)
    colours = numbers[:, None] >> np.array([16, 8, 0]) & 255
    distances = np.abs(colours[:, None] - PART_COLOURS).sum(axis=-1)
    return distances.argmin(axis=1).astype(np.uint8)[inverse]
