"""Trained folders with and without their music, beat and motion modules: what an ablation is made of."""

import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from musedance.errors import InputError
from musedance.pipeline import MuseDancePipeline
from musedance.weights.check import COMPONENTS, check_folder
from musedance.weights.fingerprint import BLOCK
from musedance.weights.modules import MODULES, WEIGHTS, built_modules, list_modules, load_unet
from musedance.weights.pretrained import quiet_libraries
from musedance.weights.safetensors_header import read_header

_MODULE_KEY = re.compile("|".join(WEIGHTS.values()))


def stage_of(folder: Path) -> int:
    """0, 1 or 2: how far the model in a pipeline folder is trained.

    Raises:
        InputError: it is no whole pipeline folder, or does not say.
    """
    check_folder(folder)
    stage = json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get("stage")
    if stage not in (0, 1, 2):
        raise InputError(f"{folder} does not say which stage it is of: `stage` in its model_index.json is {stage!r}")
    return stage


def modules_of(folder: Path) -> frozenset[str]:
    """Those of `MODULES` that the UNet of a pipeline folder has and uses.

    A folder of stage 0 or 1 has them, but not trained: none.

    Raises:
        InputError: it is no whole pipeline folder.
    """
    return built_modules(folder) if stage_of(folder) == 2 else frozenset()


def load_without(
    folder: Path, left_out: Collection[str], dtype: torch.dtype, device: torch.device | str
) -> MuseDancePipeline:
    """The pipeline of a folder, its UNet built without some modules; all else is as it was trained.

    It counts as stage 2 and makes videos. From a stage 1 folder, of which all three have to be left out, every frame of
    a video is denoised by itself: the row without modules of the paper's table 3. The provenance says what is left out.

    Args:
        folder: pipeline folder.
        left_out: some of `MODULES`; those that the folder does not have anyway do not matter.
        dtype: of the weights.
        device: to run on.

    Raises:
        InputError: it is no whole pipeline folder, there is no such module, or modules that are not trained would be
            left in.
    """
    unknown = set(left_out) - set(MODULES)
    if unknown:
        raise InputError(f"there are no {', '.join(sorted(unknown))} modules; possible: {', '.join(MODULES)}")
    stage, found = stage_of(folder), built_modules(folder)
    kept = found.difference(left_out)
    if stage != 2 and kept:
        raise InputError(
            f"{folder} is of stage {stage}, its {list_modules(kept)} modules are not trained: leave them out too"
        )
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    unet = load_unet(folder, kept, dtype)
    with quiet_libraries():
        pipeline = MuseDancePipeline.from_pretrained(folder, unet=unet, dtype=dtype, use_safetensors=True)
    without = f"; without its {list_modules(found - kept)} modules" if kept != found else ""
    pipeline.register_to_config(stage=2, provenance=f"{pipeline.config.provenance}{without}")
    return pipeline.to(device)


def spatial_fingerprint(folder: Path) -> str:
    """16 hexadecimal digits, the same for all that was trained in stage 2 from one folder, saved in one dtype.

    SHA-256 over all tensors of a pipeline folder but those of the UNet's modules: names, dtypes, shapes, and of each
    the 4 KiB in its middle, however they are spread over files.

    Raises:
        InputError: a safetensors file is damaged.
    """
    digest = hashlib.sha256()
    for component in sorted(COMPONENTS):
        parts: dict[str, bytes] = {}
        for path in (folder / component).glob("*.safetensors"):
            parts |= _samples(path)
        for name in sorted(parts):
            if component != "unet" or not _MODULE_KEY.match(name):
                digest.update(f"{component}/{name}\0".encode() + parts[name])
    return digest.hexdigest()[:16]


def _samples(path: Path) -> dict[str, bytes]:
    """Of each tensor in a file what tells it from another."""
    tensors, start = read_header(path)
    samples = {}
    with path.open("rb") as file:
        for name, tensor in tensors.items():
            begin, end = tensor["data_offsets"]
            file.seek(start + max(begin, (begin + end - BLOCK) // 2))
            content = file.read(min(BLOCK, end - begin))
            samples[name] = f"{tensor['dtype']} {tensor['shape']}".encode() + hashlib.sha256(content).digest()
    return samples
