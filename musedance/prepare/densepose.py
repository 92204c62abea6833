"""DensePose: which part of the body each pixel of a dancer belongs to. What its two backends share."""

from pathlib import Path
from typing import Protocol

import numpy as np


class DensePoseAnnotator(Protocol):
    """Finds the body parts of one person in frames. Backends: `densepose_torchscript`, `densepose_detectron2`."""

    def annotate(self, frames: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
        """Label every pixel.

        Args:
            frames: (n, height, width, 3) uint8 RGB.
            boxes: where the dancer is, (n, 4) or one for all frames (4,): x0, y0, x1, y1 in pixels. The person found
                there is labelled (largest intersection over union, none if nobody touches the box). Without boxes,
                the person with the largest box in each frame.

        Returns:
            (n, height, width) uint8: DensePose's patches 1..24, 0 where the person is not.
        """
        ...


def load_annotator(weights: str | Path, config: str | Path | None = None, device: str = "auto") -> DensePoseAnnotator:
    """The backend that the files call for: with a detectron2 config that one, else TorchScript.

    The model itself is loaded when the first frame comes; annotators can be pickled and then load it anew.

    Args:
        weights: a TorchScript archive, or the weights that `config` describes (.pkl, .pth).
        config: detectron2's yaml.
        device: as in `musedance.device.choose_device`.

    Raises:
        InputError: a file is not there, or detectron2 is needed and not installed.
    """
    if config is None:
        from musedance.prepare.densepose_torchscript import TorchScriptDensePose

        return TorchScriptDensePose(Path(weights), device)
    from musedance.prepare.densepose_detectron2 import Detectron2DensePose

    return Detectron2DensePose(Path(weights), Path(config), device)


def person_boxes(boxes: np.ndarray | None, count: int) -> list[np.ndarray | None]:
    """What `annotate` was told, one entry for each of `count` frames.

    Raises:
        ValueError: neither (4,) nor (count, 4).
    """
    if boxes is None:
        return [None] * count
    return list(np.broadcast_to(np.asarray(boxes, np.float64), (count, 4)))


def choose_person(found: np.ndarray, wanted: np.ndarray | None) -> int | None:
    """Which of the people found is meant.

    Args:
        found: (k, 4) x0, y0, x1, y1.
        wanted: (4,) the same, or None for the largest.

    Returns:
        An index into `found`; None if there is nobody, or nobody who touches `wanted`.
    """
    if len(found) == 0:
        return None
    area = _area(found)
    if wanted is None:
        return int(area.argmax())
    overlap = _area(np.concatenate([np.maximum(found[:, :2], wanted[:2]), np.minimum(found[:, 2:], wanted[2:])], 1))
    score = overlap / np.maximum(area + _area(wanted[None]) - overlap, 1e-9)
    return int(score.argmax()) if score.max() > 0 else None


def paste(labels: np.ndarray, part: np.ndarray, left: int, top: int) -> None:
    """Write the labels of a box into the picture's, in place; what lies outside the picture is left out.

    Args:
        labels: (height, width), written to.
        part: (h, w), whose first pixel belongs at column `left` and row `top` (may be negative).
    """
    height, width = labels.shape
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + part.shape[1], width), min(top + part.shape[0], height)
    if x0 < x1 and y0 < y1:
        labels[y0:y1, x0:x1] = part[y0 - top : y1 - top, x0 - left : x1 - left]


def _area(boxes: np.ndarray) -> np.ndarray:
    """(k, 4) -> (k,), 0 for a box inside out."""
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
