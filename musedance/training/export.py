"""From trained weights to a pipeline folder."""

import json
import math
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import DDIMScheduler
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers.utils import logging as transformers_logging

from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.models import MuseDanceNetworks
from musedance.noise_schedule import noise_schedule_of
from musedance.pipeline import MuseDancePipeline
from musedance.training.config import LoraConfig
from musedance.training.lora import add_lora, merge_lora, save_lora
from musedance.training.moving_average import free_gathered
from musedance.training.trainable import select_stage1, select_stage2, trained_parameters
from musedance.weights.check import check_folder
from musedance.weights.folder import save_folder
from musedance.weights.init import parse_dtype
from musedance.weights.loading import check_complete
from musedance.weights.modules import built_modules, load_unet


def trained_weights(accelerator: Accelerator, networks: MuseDanceNetworks) -> dict[str, Tensor]:
    """Copies of what is trained, whole and in float32 on the CPU; every rank calls this together.

    Under FSDP2 one tensor after the other is gathered. Under DeepSpeed with bf16 or fp16 they are the 16-bit weights.

    Args:
        accelerator: the run's.
        networks: prepared, wrapped or not.

    Returns:
        By the names of `MuseDanceNetworks`; empty on all ranks but the main one.
    """
    plain = accelerator.unwrap_model(networks)
    free_gathered(plain)
    weights: dict[str, Tensor] = {}
    for name, parameter in trained_parameters(plain).items():
        tensor = parameter.detach()
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if accelerator.is_main_process:
            weights[name] = whole.to("cpu", torch.float32, copy=True)
    return weights


def export_folder(
    source: Path,
    weights: Mapping[str, Tensor],
    scheduler: DDIMScheduler,
    *,
    stage: int,
    spec: ClipSpec,
    dtype: str,
    provenance: str,
    lora: LoraConfig | None,
    output: Path,
    modules: Collection[str] | None = None,
    freeze_spatial: bool = True,
) -> Path:
    """Write the trained pipeline folder, whole or not at all; the main process alone calls this.

    Everything that is not trained is the source's. The source is in memory once, in float32, with `weights` in place of
    its own; what is there at `output` stays until the new folder is complete.

    Args:
        source: pipeline folder that the stage started from.
        weights: of everything that the stage trains, float32, as `trained_weights` gives them.
        scheduler: what was trained on.
        stage: 1 or 2.
        spec: what the clips were brought to; the folder says it then.
        dtype: of all weights: float32, bfloat16 or float16.
        provenance: one line on where the weights come from. A number of steps in it may differ from that of a folder
            that is replaced, nothing else.
        lora: with a rank, the weights are LoRA's. They are merged, and kept alone in `lora` beside the folder.
        output: folder to make. One that this run has written before, with fewer steps, is replaced.
        modules: those of the UNet's modules that were in the trained network, and will be in the folder; all that the
            source has unless given.
        freeze_spatial: see `select_stage2`.

    Returns:
        The folder.

    Raises:
        InputError: something else is at `output`, the weights do not fit, or the disk is full.
    """
    modules = built_modules(source) if modules is None else frozenset(modules)
    _check_replaceable(output, source, stage, provenance, modules)
    precision = parse_dtype(dtype)
    pipeline = _load(source, modules)
    networks = MuseDanceNetworks(pipeline.unet, pipeline.reference_net, pipeline.mask_encoder)
    _select(networks, stage, lora, freeze_spatial)
    _put(networks, weights)
    if _has_rank(lora):
        try:
            save_lora(pipeline.unet, output.parent / "lora")
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot write {output.parent / 'lora'}: {error}") from error
        merge_lora(pipeline.unet)
    pipeline.register_modules(scheduler=scheduler)
    pipeline.register_to_config(stage=stage, provenance=provenance, noise_schedule=noise_schedule_of(scheduler))
    _describe(pipeline, spec, ClipSpec.of_model(source))
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            nn.Module.to(part, precision)  # diffusers' own warns of modules to keep in float32, of which there are none
    return _write(pipeline, output)


def _has_rank(lora: LoraConfig | None) -> bool:
    return lora is not None and lora.rank is not None


def _load(source: Path, modules: Collection[str]) -> MuseDancePipeline:
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    unet = load_unet(source, modules, torch.float32)
    return MuseDancePipeline.from_pretrained(source, unet=unet, dtype=torch.float32, use_safetensors=True)


def _select(networks: MuseDanceNetworks, stage: int, lora: LoraConfig | None, freeze_spatial: bool) -> None:
    """As the stage does it, so that what requires a gradient is what was trained."""
    if stage == 1:
        select_stage1(networks)
    else:
        select_stage2(networks, freeze_spatial)
    if lora is not None and lora.rank is not None:
        add_lora(networks.unet, lora)


def _put(networks: MuseDanceNetworks, weights: Mapping[str, Tensor]) -> None:
    trained = trained_parameters(networks)
    check_complete(
        "the trained weights",
        missing=trained.keys() - weights.keys(),
        left_over=weights.keys() - trained.keys(),
        misshapen=[name for name in trained.keys() & weights.keys() if trained[name].shape != weights[name].shape],
    )
    networks.load_state_dict(weights, strict=False, assign=True)  # taken as they are: no second copy


def _describe(pipeline: MuseDancePipeline, spec: ClipSpec, before: ClipSpec) -> None:
    """Size, frame rate and K that the model was trained at, where they are not what its folder said."""
    if spec.pixels != before.pixels:
        size = math.isqrt(spec.pixels) // pipeline.vae_scale_factor
        pipeline.unet.register_to_config(sample_size=size)
        pipeline.reference_net.register_to_config(sample_size=size)
    if (spec.fps, spec.num_frames) != (before.fps, before.num_frames):
        pipeline.unet.register_to_config(fps=spec.fps, num_frames=spec.num_frames)


def _check_replaceable(output: Path, source: Path, stage: int, provenance: str, modules: Collection[str]) -> None:
    """Nothing, an empty folder, or one that this run wrote when it had done fewer steps."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    index: dict[str, Any] = {}
    if output.is_dir() and output.resolve() != source.resolve():
        try:
            check_folder(output)
            index = json.loads((output / "model_index.json").read_text(encoding="utf-8"))
        except InputError:
            pass
    same = index.get("stage") == stage and _without_steps(index.get("provenance", "")) == _without_steps(provenance)
    if not same or built_modules(output) != modules:
        raise InputError(f"{output} exists already and is not of this run; choose another output or move it away first")


def _without_steps(provenance: str) -> str:
    return re.sub(r"\d+ steps", "steps", provenance)


def _write(pipeline: MuseDancePipeline, output: Path) -> Path:
    """Complete under another name first; then the old folder, if there is one, goes."""
    new, old = output.with_name(f".new-{output.name}"), output.with_name(f".old-{output.name}")
    shutil.rmtree(new, ignore_errors=True)  # of a run that was killed while it wrote
    save_folder(pipeline, new)
    if output.exists():
        shutil.rmtree(old, ignore_errors=True)
        output.rename(old)
    try:
        new.rename(output)
    except OSError:
        old.rename(output)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return output
