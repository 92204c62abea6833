"""DensePose through detectron2, for those who have built it. It is not on PyPI."""

import importlib.util
import pickle
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from musedance.errors import InputError
from musedance.prepare.densepose import choose_person, paste, person_boxes

MIN_SCORE = 0.5  # detections below are not people
# What a pickle of numpy arrays is made of, under numpy 1's and 2's names. Anything else in a weights file is code.
_ARRAY_PARTS = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("collections", "OrderedDict")} | {
    (f"numpy.{core}.{name}", function)
    for core in ("core", "_core")
    for name, function in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
}


@dataclass(frozen=True)
class Detectron2DensePose:
    """A chart-based DensePose model of detectron2's model zoo, or one trained like it.

    Args:
        weights: `.pkl` as in the model zoo, or `.pth`. Only arrays are read from it, no code is run.
        config: the yaml that belongs to it; the files it names under `_BASE_` lie where it says.
        device: as in `musedance.device.choose_device`.

    Raises:
        InputError: a file or a package is missing.
    """

    weights: Path
    config: Path
    device: str = "auto"

    def __post_init__(self) -> None:
        for path in (self.config, self.weights):
            if not path.is_file():
                raise InputError(f"there is no DensePose file {path}; docs/annotators.md says where to find one")
        missing = [name for name in ("detectron2", "densepose") if importlib.util.find_spec(name) is None]
        if missing:
            raise InputError(
                f"{' and '.join(missing)} not installed (not on PyPI): build it as docs/annotators.md says, "
                "or leave the config out and give TorchScript weights"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), astuple(self)  # without the model

    def annotate(self, frames: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
        """See `DensePoseAnnotator.annotate`. The frames go through one by one, as the predictor takes one picture."""
        from densepose.vis.extractor import DensePoseResultExtractor

        labels = np.zeros(frames.shape[:3], np.uint8)
        for frame, wanted, target in zip(frames, person_boxes(boxes, len(frames)), labels, strict=True):
            instances = self._predictor(np.ascontiguousarray(frame[:, :, ::-1]))["instances"]  # takes BGR
            label_person(instances, wanted, DensePoseResultExtractor(), target)
        return labels

    @cached_property
    def _predictor(self) -> Any:
        from densepose import add_densepose_config
        from detectron2.config import get_cfg
        from detectron2.engine import DefaultPredictor

        from musedance.device import choose_device

        config = get_cfg()
        add_densepose_config(config)
        try:
            config.merge_from_file(str(self.config), allow_unsafe=False)
        except Exception as error:  # yaml's, yacs's and detectron2's own
            raise InputError(f"cannot use {self.config}: {_first_line(error)}") from error
        config.MODEL.WEIGHTS = ""  # read below: detectron2 would unpickle whatever it holds
        config.MODEL.DEVICE = str(choose_device(self.device))
        config.MODEL.ROI_HEADS.SCORE_THRESH_TEST = MIN_SCORE
        predictor = DefaultPredictor(config)
        _load_weights(predictor.model, self.weights)
        return predictor


def label_person(instances: Any, wanted: np.ndarray | None, extract: Callable[[Any], Any], labels: np.ndarray) -> None:
    """Write the labels of one person into a picture's, in place.

    Args:
        instances: detectron2's `Instances` with `pred_boxes` and `pred_densepose`.
        wanted: as in `choose_person`.
        extract: densepose's `DensePoseResultExtractor()`.
        labels: (height, width) uint8.
    """
    person = choose_person(instances.pred_boxes.tensor.cpu().numpy(), wanted)
    if person is None:
        return
    (result,), boxes = extract(instances[person])
    left, top = boxes[0, :2].tolist()
    paste(labels, result.labels.cpu().numpy().astype(np.uint8), int(left), int(top))


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f"it holds code ({module}.{name}), which is never run")
        return super().find_class(module, name)


def _load_weights(model: Any, path: Path) -> None:
    """Load every parameter of `model`.

    Raises:
        InputError: the file is damaged, holds code, or does not fit the model.
    """
    import torch

    try:
        if path.suffix == ".pkl":
            with path.open("rb") as file:
                content = _ArrayUnpickler(file, encoding="latin1").load()
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
        arrays = content.get("model", content)
        state = {name: torch.as_tensor(array) for name, array in arrays.items() if not name.startswith("__")}
        keys = model.load_state_dict(state, strict=False)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, AttributeError, TypeError, OSError) as error:
        raise InputError(f"cannot use the weights {path}: {_first_line(error)}") from error
    missing = sorted(set(keys.missing_keys) & {name for name, _ in model.named_parameters()})
    if missing:
        raise InputError(f"the weights {path} do not fit the config: {len(missing)} missing, first {missing[0]}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
