"""Where a stage starts: a pipeline folder of the right stage, its networks, and what its clips are to be."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from musedance.conditions.music import check_segment_length
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.models import MaskEncoder, MuseDanceNetworks, ReferenceNet
from musedance.timeline import Timeline
from musedance.training.config import ClipsConfig
from musedance.weights.check import check_folder
from musedance.weights.modules import built_modules, list_modules, load_unet
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


def check_modules(model: Path, modules: Collection[str]) -> None:
    """Check that stage 2 can train these modules from this folder, which `check_start` has passed; in milliseconds.

    From a stage 1 folder it trains any that are there. What has been through stage 2 goes on with the modules that it
    has: a new one would find the others trained without it, and one that is left out would have shaped the others.

    Args:
        model: pipeline folder.
        modules: some of `MODULES`.

    Raises:
        InputError: a module is not there, or of a stage 2 folder one would be left out.
    """
    found, asked = built_modules(model), frozenset(modules)
    stage = _read_json(model / "model_index.json")["stage"]
    if asked == found or (stage == 1 and asked < found):
        return
    what = f"has no {list_modules(asked - found)} modules" if asked - found else f"has {list_modules(found)} modules"
    raise InputError(
        f"{model} is of stage {stage} and {what}, but modules is [{list_modules(asked)}]: "
        f"go on with modules=[{list_modules(found)}], or start from a stage 1 folder that has them all"
    )


def load_networks(model: Path, modules: Collection[str] | None = None) -> MuseDanceNetworks:
    """The networks of a pipeline folder, in float32 whatever dtype it is saved in, on the CPU.

    Args:
        model: pipeline folder.
        modules: those of the UNet's `MODULES` that are wanted; the others are not built. All that it has unless given.

    Raises:
        InputError: weights or modules are missing, weights are left over, or no safetensors.
    """
    classes = {"reference_net": ReferenceNet, "mask_encoder": MaskEncoder}
    parts: dict[str, Any] = {
        name: load_model(part, str(model), name, subfolder=name, dtype=torch.float32, use_safetensors=True)[0]
        for name, part in classes.items()
    }
    unet = load_unet(model, built_modules(model) if modules is None else modules, torch.float32)
    return MuseDanceNetworks(unet, **parts)


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
