"""Where the dancers are: any object detection model of transformers."""

from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Detections:
    """What was found in one frame, the most certain first.

    Attributes:
        boxes: (k, 4) float32: x0, y0, x1, y1 in pixels, inside the frame.
        scores: (k,) float32 between 0 and 1.
        labels: k names, in the model's own words ("person", "cat", ...).
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]

    def of(self, label: str | None) -> "Detections":
        """Those of one label; all of them for None."""
        kept = [index for index, name in enumerate(self.labels) if label is None or name == label]
        return Detections(self.boxes[kept], self.scores[kept], tuple(self.labels[index] for index in kept))


class Detector(Protocol):
    """Finds objects in frames."""

    def detect(self, frames: np.ndarray) -> list[Detections]:
        """One entry for each of the (n, height, width, 3) uint8 RGB frames."""
        ...


@dataclass(frozen=True)
class TransformersDetector:
    """A model of `AutoModelForObjectDetection`: DETR, RT-DETR, YOLOS, ...

    Pictures are prepared by transformers' PIL backend, so that torchvision is not needed.

    Args:
        model: folder or hub id.
        device: as in `musedance.device.choose_device`.
        min_score: detections below are left out.
        batch_size: frames that go through the model together.
    """

    model: str
    device: str = "auto"
    min_score: float = 0.5
    batch_size: int = 8

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), astuple(self)  # without the model

    def detect(self, frames: np.ndarray) -> list[Detections]:
        """See `Detector.detect`.

        Raises:
            InputError: the model cannot be loaded.
        """
        starts = range(0, len(frames), self.batch_size)
        return [found for start in starts for found in self._detect_batch(frames[start : start + self.batch_size])]

    def _detect_batch(self, frames: np.ndarray) -> list[Detections]:
        import torch

        processor, model = self._loaded
        height, width = frames.shape[1:3]
        inputs = processor(images=list(frames), input_data_format="channels_last", return_tensors="pt")
        with torch.inference_mode():
            outputs = model(**inputs.to(model.device))
        results = processor.post_process_object_detection(
            outputs, threshold=self.min_score, target_sizes=[(height, width)] * len(frames)
        )
        return [_detections(result, model.config.id2label, width, height) for result in results]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The image processor and the model, on its device."""
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        from musedance.device import choose_device
        from musedance.weights.pretrained import load_model, load_part

        device = choose_device(self.device)
        safely = {"trust_remote_code": False}  # not even after a question on the terminal
        processor = load_part(AutoImageProcessor, self.model, "the detector's image processor", backend="pil", **safely)
        model, _ = load_model(
            AutoModelForObjectDetection,
            self.model,
            "the detector",
            may_be_left_over=".*",
            ignore_mismatched_sizes=True,
            **safely,
        )
        return processor, model.to(device).eval()


def _detections(result: dict[str, Any], names: dict[int, str], width: int, height: int) -> Detections:
    """What transformers found in one frame, sorted, inside the frame, with words for labels."""
    order = result["scores"].argsort(descending=True, stable=True)
    boxes = result["boxes"][order].float().cpu().numpy().clip(0, [width, height, width, height]).astype(np.float32)
    scores = result["scores"][order].float().cpu().numpy()
    return Detections(boxes, scores, tuple(names[label] for label in result["labels"][order].tolist()))
