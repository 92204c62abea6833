"""Pixels to the latents that the networks work on, and back."""

import math

from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from musedance.errors import InputError


def packing(unet_channels: int, vae_channels: int) -> int:
    """The side of the square of the VAE's latents that is one position for the UNet.

    1 in Stable Diffusion. Where the UNet has four times the VAE's channels it is 2: four times fewer positions, each
    with all that the four held, as FLUX.1 packs its latents (Black Forest Labs 2024).

    Raises:
        InputError: the UNet's channels are no square times the VAE's.
    """
    side = math.isqrt(unet_channels // vae_channels)
    if side**2 * vae_channels != unet_channels:
        raise InputError(
            f"the VAE has {vae_channels} latent channels, the UNet {unet_channels}: these do not belong together"
        )
    return side


def scale_factor(vae_levels: int, side: int) -> int:
    """Pixels along one position of the UNet's latents: 8 in Stable Diffusion, whose VAE has 4 levels."""
    return 2 ** (vae_levels - 1) * side


def encode_pixels(vae: AutoencoderKL, pixels: Tensor, side: int) -> Tensor:
    """`(n, 3, H, W)` in [-1, 1] -> the posterior's mode, packed and scaled: `(n, channels * side ** 2, h, w)`."""
    latents = vae.encode(pixels.to(vae.dtype)).latent_dist.mode() * vae.config.scaling_factor
    return functional.pixel_unshuffle(latents, side)


def decode_latents(vae: AutoencoderKL, latents: Tensor, side: int) -> Tensor:
    """The inverse: `(n, channels * side ** 2, h, w)` -> `(n, 3, H, W)` float32 in [-1, 1]."""
    latents = functional.pixel_shuffle(latents, side) / vae.config.scaling_factor
    return vae.decode(latents.to(vae.dtype), return_dict=False)[0].float().clamp(-1, 1)
