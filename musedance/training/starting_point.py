"""Where a stage starts: a pipeline folder of the right stage, its networks, and what its clips are to be."""

import json
from pathlib import Path
from typing import Any

import torch

from musedance.conditions.music import check_segment_length
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.models import MaskEncoder, MuseDanceNetworks, MuseDanceUNet, ReferenceNet
from musedance.timeline import Timeline
from musedance.training.config import ClipsConfig
from musedance.weights.check import check_folder
from musedance.weights.pretrained import load_model

_REFUSALS = {  # (stage of the folder, stage to train)
    (0, 2): "is of stage 0, random or assembled weights: train stage 1 first, then start stage 2 from its result",
    (2, 1): "is of stage 2 and cannot go back to stage 1: its motion modules were trained on its spatial weights as "
    "they are; start from the stage 1 folder that it came from",
}


def check_start(model: Path, stage: int) -> None:
    """Check that a stage can start from this folder, in milliseconds: no weights are read.

    Stage 1 starts from a folder of stage 0 (random or assembled) or goes on from one of stage 1; stage 2 starts from
    one of stage 1 or goes on from one of stage 2.

    Args:
        model: pipeline folder.
        stage: to be trained, 1 or 2.

    Raises:
        InputError: it is no whole pipeline folder, or of the wrong stage.
    """
    check_folder(model)
    found = _read_json(model / "model_index.json").get("stage")
    if found not in (0, 1, 2):
        raise InputError(f"{model} does not say which stage it is of: `stage` in its model_index.json is {found!r}")
    if (found, stage) in _REFUSALS:
        raise InputError(f"{model} {_REFUSALS[found, stage]}")


def load_networks(model: Path) -> MuseDanceNetworks:
    """The networks of a pipeline folder, in float32 whatever dtype it is saved in, on the CPU.

    Raises:
        InputError: weights are missing, left over, or no safetensors.
    """
    classes = {"unet": MuseDanceUNet, "reference_net": ReferenceNet, "mask_encoder": MaskEncoder}
    parts: dict[str, Any] = {
        name: load_model(part, str(model), name, subfolder=name, dtype=torch.float32, use_safetensors=True)[0]
        for name, part in classes.items()
    }
    return MuseDanceNetworks(**parts)


def training_spec(model: Path, clips: ClipsConfig) -> ClipSpec:
    """What the clips are brought to: what the model was made for, with the config's values where there are some.

    Raises:
        InputError: a value cannot be, or the music encoder cannot hear so long a segment.
    """
    spec = ClipSpec.of_model(model)
    try:
        spec = spec.changed(size=clips.size, fps=clips.fps, num_frames=clips.num_frames)
    except InputError as error:
        raise InputError(f"clips.{error}") from error
    segment = Timeline(0.0, spec.num_frames, spec.fps, spec.num_frames)
    check_segment_length(segment, _read_json(model / "music_encoder" / "config.json")["ast_config"])
    return spec


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
