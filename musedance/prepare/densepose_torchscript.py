"""DensePose from a TorchScript archive: no detectron2 needed."""

from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from musedance.errors import InputError
from musedance.prepare.densepose import choose_person, paste, person_boxes

MIN_SIDE = 512  # smaller frames are enlarged: the models were trained on pictures of 640 to 800 pixels


@dataclass(frozen=True)
class TorchScriptDensePose:
    """A chart-based DensePose R-CNN exported as TorchScript, such as `densepose_r50_fpn_dl.torchscript`.

    The archive maps a (3, height, width) uint8 BGR picture to boxes (k, 4) in its pixels, coarse segmentation
    (k, 2, s, s), fine segmentation (k, 25, s, s), u and v. Its code is TorchScript, which cannot reach files or
    Python; take archives from a source you trust nevertheless.

    Args:
        weights: the archive.
        device: as in `musedance.device.choose_device`; "auto" means the CPU on Apple's GPU, for which exports fail.

    Raises:
        InputError: there is no such file.
    """

    weights: Path
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.weights.is_file():
            raise InputError(f"there is no DensePose file {self.weights}; docs/annotators.md says where to find one")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), astuple(self)  # without the model

    def annotate(self, frames: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
        """See `DensePoseAnnotator.annotate`. The frames go through one by one, as the archive takes one picture."""
        labels = np.zeros(frames.shape[:3], np.uint8)
        for frame, wanted, target in zip(frames, person_boxes(boxes, len(frames)), labels, strict=True):
            self._annotate_frame(frame, wanted, target)
        return labels

    def _annotate_frame(self, frame: np.ndarray, wanted: np.ndarray | None, labels: np.ndarray) -> None:
        """Write the labels of one (height, width, 3) frame into `labels` (height, width)."""
        import torch

        height, width = frame.shape[:2]
        picture = torch.from_numpy(np.ascontiguousarray(frame[:, :, ::-1].transpose(2, 0, 1))).to(self._device)
        picture = _enlarge(picture)
        with torch.no_grad():
            output = self._model(picture)
        if not (isinstance(output, tuple | list) and len(output) >= 3):
            raise InputError(
                f"{self.weights} is no DensePose export: it returns no boxes, coarse and fine segmentation"
            )
        scale = np.array([picture.shape[2] / width, picture.shape[1] / height] * 2)
        found = output[0].float().cpu().numpy() / scale
        person = choose_person(found, wanted)
        if person is None:
            return
        x0, y0, x1, y1 = found[person].tolist()
        size = (max(int(y1 - y0), 1), max(int(x1 - x0), 1))
        part = box_labels(output[1][person].float(), output[2][person].float(), size)
        paste(labels, part, int(x0), int(y0))

    @cached_property
    def _device(self) -> Any:
        import torch

        from musedance.device import choose_device

        device = choose_device(self.device)
        return torch.device("cpu") if self.device == "auto" and device.type == "mps" else device

    @cached_property
    def _model(self) -> Any:
        import torch

        from musedance.prepare.densepose_ops import provide_torchvision_ops

        provide_torchvision_ops()
        try:
            return torch.jit.load(str(self.weights), map_location=self._device).eval()
        except (RuntimeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise InputError(f"{self.weights} cannot be loaded as TorchScript: {reason}") from error


def box_labels(coarse: Any, fine: Any, size: tuple[int, int]) -> np.ndarray:
    """The label of every pixel of a person's box: the best patch where the coarse segmentation sees a person.

    Both are resized to the box before the best is taken, as detectron2's DensePose does.

    Args:
        coarse: (2 or more, s, s) tensor of scores, background first.
        fine: (25, s, s) tensor of scores, background first.
        size: (height, width) of the box in pixels.

    Returns:
        (height, width) uint8, 0..24.
    """
    from torch.nn.functional import interpolate

    def best(scores: Any) -> Any:
        return interpolate(scores[None], size, mode="bilinear", align_corners=False)[0].argmax(dim=0)

    return (best(fine) * (best(coarse) > 0)).cpu().numpy().astype(np.uint8)


def _enlarge(picture: Any) -> Any:
    """A (3, height, width) uint8 picture with its short side at least `MIN_SIDE`."""
    from torch.nn.functional import interpolate

    height, width = picture.shape[1:]
    scale = MIN_SIDE / min(height, width)
    if scale <= 1:
        return picture
    size = (round(height * scale), round(width * scale))
    return interpolate(picture[None].float(), size, mode="bilinear", align_corners=False)[0].round().byte()
