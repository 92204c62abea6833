"""Stable Diffusion 1.x in one file of the original layout -> weights under the names of diffusers and transformers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor

from .checkpoint_file import read_checkpoint
from .loading import check_complete

_UNET, _VAE, _TEXT_ENCODER = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
_LEFT_OUT = {
    "EMA copies": r"model_ema\.",
    "noise schedule": r"(betas|alphas_cumprod|alphas_cumprod_prev|(sqrt|log|posterior)_\w+|lvlb_weights|logvar)$",
    "position ids": r"cond_stage_model\..*\.position_ids$",
}


def read_single_file(
    path: Path, unet_config: Mapping[str, Any], vae_config: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], dict[str, list[Tensor]]]:
    """Read and convert; needs no network.

    Args:
        path: `.safetensors`, or `.ckpt`.
        unet_config: `UNet2DConditionModel`'s arguments; the converter takes the number of layers per block from it.
        vae_config: `AutoencoderKL`'s.

    Returns:
        The weights of the UNet, the VAE and the text encoder; and what was left out on purpose, by reason.

    Raises:
        InputError: the file cannot be read, or holds tensors that belong to none of the three.
    """
    tensors = read_checkpoint(path)
    reasons = {key: reason for key in tensors for reason, pattern in _LEFT_OUT.items() if re.match(pattern, key)}
    unet, vae, text_encoder = (
        {key: tensor for key, tensor in tensors.items() if key.startswith(prefix) and key not in reasons}
        for prefix in (_UNET, _VAE, _TEXT_ENCODER)
    )
    check_complete(
        f"{path} as Stable Diffusion 1.5",
        left_over=tensors.keys() - reasons.keys() - unet.keys() - vae.keys() - text_encoder.keys(),
    )
    left_out: dict[str, list[Tensor]] = {}
    for key, reason in reasons.items():
        left_out.setdefault(reason, []).append(tensors[key])
    return (
        _all_used(path, unet, convert_ldm_unet_checkpoint(unet, unet_config)),
        _all_used(path, vae, convert_ldm_vae_checkpoint(vae, vae_config)),
        {key.removeprefix(_TEXT_ENCODER).removeprefix("text_model."): t for key, t in text_encoder.items()},
        left_out,
    )


def _all_used(path: Path, original: dict[str, Tensor], converted: dict[str, Tensor | None]) -> dict[str, Tensor]:
    """Check that diffusers' converter, which skips keys that it does not know, has used every tensor."""
    state = {key: tensor for key, tensor in converted.items() if tensor is not None}
    used = {tensor.data_ptr() for tensor in state.values()}  # it renames and squeezes, but never copies
    left_over = [key for key, tensor in original.items() if tensor.data_ptr() not in used]
    check_complete(f"{path} as Stable Diffusion 1.5", left_over=left_over)
    return state
