"""A pipeline folder from Stable Diffusion 1.5, AnimateDiff's motion modules and the Audio Spectrogram Transformer."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, ModelMixin

from musedance.errors import InputError
from musedance.files import check_new_folder
from musedance.latents import scale_factor
from musedance.models import MaskEncoder, MuseDanceUNet, MusicEncoder, ReferenceNet
from musedance.pipeline import MuseDancePipeline

from .folder import save_folder
from .init import load_sections, parse_dtype, seeded
from .loading import load_exactly
from .pretrained import source_kind
from .report import AssembleReport, ReportRow, row
from .sources import Motion, MusicSource, StableDiffusion, read_ast, read_motion, read_stable_diffusion

_MOTION = ".motion_modules."
_NEW = re.compile(r"(?:^|\.)(music_modules|beat_modules|music_projection|beat_embedding)\.")


def assemble(
    sd: str,
    motion: str,
    ast: str,
    output: str | Path,
    *,
    tokenizer: str | None = None,
    num_frames: int = 48,
    motion_frames: int = 2,
    fps: int = 12,
    size: int = 640,
    dtype: str | torch.dtype = "float32",
    seed: int = 0,
    sections: Mapping[str, Any] | None = None,
) -> AssembleReport:
    """Write a pipeline folder that starts from upstream weights (stage 0: not trained as MuseDance).

    ReferenceNet and MuseDanceUNet both start from Stable Diffusion's UNet; the music and beat modules and the mask
    encoder are new. The scheduler is Stable Diffusion's own (epsilon).

    Args:
        sd: Stable Diffusion 1.5: diffusers folder, hub id, or single file (`.safetensors`, `.ckpt`).
        motion: AnimateDiff's motion modules: `MotionAdapter` folder or hub id, or original file (v1.4 to v3).
        ast: Audio Spectrogram Transformer: folder or hub id.
        output: folder to make; it may exist if it is empty.
        tokenizer: folder or hub id of CLIP's tokenizer; by default Stable Diffusion's own, and for a single file, which
            holds no vocabulary, that of the hub's `openai/clip-vit-large-patch14`.
        num_frames: K, frames of a segment.
        motion_frames: M, frames of the previous segment that the next one sees.
        fps: frames per second.
        size: pixels of a side; a multiple of the VAE's scale factor (8).
        dtype: of the weights; `float32`, `bfloat16` or `float16`.
        seed: of the new modules' weights.
        sections: of a `model.yaml`: the architecture of a single file that is not Stable Diffusion 1.5's size.

    Returns:
        What was loaded, what is new, and what was left out.

    Raises:
        InputError: a source cannot be read, a tensor is missing, left over or of another shape, an argument cannot be
            used, or the folder cannot be written. Nothing is written then.
    """
    output, dtype = check_new_folder(output), parse_dtype(dtype)
    if not (1 <= motion_frames <= num_frames and fps >= 1):
        raise InputError(f"needed: 1 <= motion_frames ({motion_frames}) <= num_frames ({num_frames}), fps ({fps}) >= 1")
    for source in (sd, motion, ast):
        source_kind(source)  # a mistyped name is told before the minutes that reading the others takes
    defaults = load_sections("sd15")

    _say(f"reading AST from {ast}")
    music = read_ast(ast, dtype)
    _say(f"reading motion modules from {motion}")
    motion_modules = read_motion(motion)
    _say(f"reading Stable Diffusion from {sd}")
    stable_diffusion = read_stable_diffusion(sd, tokenizer, sections or defaults, dtype)
    factor = scale_factor(len(stable_diffusion.vae.config.block_out_channels), 1)
    if size <= 0 or size % factor:
        raise InputError(f"size has to be a multiple of {factor}, not {size}")

    _say("building the networks")
    own = {"num_frames": num_frames, "num_motion_frames": motion_frames, "fps": fps, "sample_size": size // factor}
    with seeded(seed, dtype):
        networks, rows = _build_networks(own, stable_diffusion, motion_modules, music)
    pipeline = MuseDancePipeline(
        vae=stable_diffusion.vae,
        text_encoder=stable_diffusion.text_encoder,
        tokenizer=stable_diffusion.tokenizer,
        **networks,
        feature_extractor=music.feature_extractor,
        scheduler=DDIMScheduler(
            **{**defaults["scheduler"], "prediction_type": "epsilon", "rescale_betas_zero_snr": False}
        ),
        stage=0,
        provenance=f"assembled from {_short(sd)}, {_short(motion)} and {_short(ast)}; music and beat modules are new",
    )
    _say(f"writing {output}")
    save_folder(pipeline, output)
    return AssembleReport(output, tuple(rows))


def _build_networks(
    own: dict[str, Any], stable_diffusion: StableDiffusion, motion: Motion, music: MusicSource
) -> tuple[dict[str, ModelMixin], list[ReportRow]]:
    """The four networks of ours, and what became of every tensor."""
    unet, unet_rows = _build_unet(own, stable_diffusion, motion, music.config["hidden_size"])
    reference_net, reference_rows = _build_reference_net(own["sample_size"], stable_diffusion)
    mask_encoder = MaskEncoder(latent_channels=stable_diffusion.vae.config.latent_channels)
    music_encoder = MusicEncoder(music.config)
    load_exactly(music_encoder, {f"ast.{key}": tensor for key, tensor in music.state.items()}, "AST")
    rows = [
        row("vae", "Stable Diffusion", stable_diffusion.vae.state_dict().values()),
        row("text_encoder", "Stable Diffusion", stable_diffusion.text_encoder.state_dict().values()),
        *unet_rows,
        *reference_rows,
        *(row("(single file)", "left out", tensors, why) for why, tensors in stable_diffusion.left_out.items()),
        row("mask_encoder", "new", mask_encoder.state_dict().values()),
        row("music_encoder", "AST", music.state.values()),
        ReportRow("music_encoder", "left out", len(music.left_out), None, "classifier"),
    ]
    networks = {
        "unet": unet,
        "reference_net": reference_net,
        "mask_encoder": mask_encoder,
        "music_encoder": music_encoder,
    }
    return networks, [entry for entry in rows if entry.tensors]


def _build_unet(
    own: dict[str, Any], source: StableDiffusion, motion: Motion, music_dim: int
) -> tuple[MuseDanceUNet, list[ReportRow]]:
    """MuseDanceUNet with Stable Diffusion's and AnimateDiff's weights; new modules keep their initialisation.

    Built from the config, not loaded, because `from_pretrained` would leave new modules as uninitialised memory.
    """
    try:
        unet = MuseDanceUNet.from_config(
            source.unet_config,
            **own,
            music_dim=music_dim,
            condition_dim=music_dim,
            use_motion_mid_block=motion.has_mid_block,
            motion_num_attention_heads=motion.num_attention_heads,
        )
    except ValueError as error:
        raise InputError(f"this UNet is not of Stable Diffusion 1.x's kind: {error}") from error
    groups = unet.config.norm_num_groups
    if motion.norm_num_groups != groups:
        raise InputError(
            f"the motion modules normalise in {motion.norm_num_groups} groups, the UNet in {groups}: "
            "they do not belong together"
        )
    keys = list(unet.state_dict())
    new = [key for key in keys if _NEW.search(key)]
    temporal = [key for key in keys if _MOTION in key]
    spatial = set(keys) - set(new) - set(temporal)
    load_exactly(unet, source.unet_state, "the UNet of Stable Diffusion", spatial)
    load_exactly(unet, motion.state, "the motion modules", temporal)
    state = unet.state_dict()
    modules = sorted({found[1] for found in map(_NEW.search, new) if found})
    return unet, [
        row("unet", "Stable Diffusion", source.unet_state.values()),
        row("unet", "AnimateDiff", motion.state.values(), "" if motion.has_mid_block else "no middle block"),
        row("unet", "left out", motion.position_tables, "position tables: computed to the length needed"),
        row("unet", "new", (state[key] for key in new), ", ".join(modules)),
    ]


def _build_reference_net(sample_size: int, source: StableDiffusion) -> tuple[ReferenceNet, list[ReportRow]]:
    """ReferenceNet with Stable Diffusion's weights, of which it has no use for the tail.

    That the source holds no tensor too many has been seen when it was loaded into MuseDanceUNet.
    """
    network = ReferenceNet.from_config(source.unet_config, sample_size=sample_size)
    keys = network.state_dict().keys()
    state = {key: tensor for key, tensor in source.unet_state.items() if key in keys}
    load_exactly(network, state, "the UNet of Stable Diffusion")
    tail = {key: tensor for key, tensor in source.unet_state.items() if key not in keys}
    return network, [
        row("reference_net", "Stable Diffusion", state.values()),
        row("reference_net", "left out", tail.values(), "the tail after the last feature"),
    ]


def _short(source: str) -> str:
    """A source without the folders it lies in: provenance names no place on somebody's machine."""
    path = Path(source)
    return path.resolve().name if path.exists() else source


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
