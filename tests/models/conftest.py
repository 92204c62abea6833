"""Small networks in the shapes of the real ones, with no weight left at zero."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from musedance.models import MaskEncoder, MuseDanceNetworks, MuseDanceUNet, ReferenceNet

SPATIAL = {
    "sample_size": 8,
    "in_channels": 5,  # not 4: nothing may count on Stable Diffusion's number of latent channels
    "out_channels": 5,
    "block_out_channels": (16, 32),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 2,
    "cross_attention_dim": 12,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
TEMPORAL = {
    "num_frames": 6,
    "num_motion_frames": 2,
    "music_dim": 20,
    "condition_dim": 24,
    "motion_num_attention_heads": 4,
}


def wake(module: torch.nn.Module, seed: int = 0, scale: float = 0.2) -> torch.nn.Module:
    """Give every weight that starts at zero a random value, so that every path shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 0 and not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return module


def make_unet(awake: bool = True, **changes: object) -> MuseDanceUNet:
    torch.manual_seed(0)
    unet = MuseDanceUNet(**{**TEMPORAL, **SPATIAL, **changes}).eval()
    return wake(unet) if awake else unet


def make_networks(**changes: object) -> MuseDanceNetworks:
    unet = make_unet(**changes)
    torch.manual_seed(1)
    networks = MuseDanceNetworks(unet, ReferenceNet(**SPATIAL), MaskEncoder(3, SPATIAL["in_channels"], (4, 8, 8, 8)))
    return wake(networks, seed=1).eval()


def make_plain_unet() -> UNet2DConditionModel:
    torch.manual_seed(2)
    return UNet2DConditionModel(**SPATIAL).eval()


def make_batch(
    batch: int = 2, frames: int = 6, height: int = 8, width: int = 12, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Everything `MuseDanceNetworks.forward` takes, with all conditions present."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "noisy_latents": randn(batch, 5, frames, height, width),
        "timestep": torch.randint(0, 1000, (batch,), generator=generator),
        "text": randn(batch, 7, 12),
        "reference_latents": randn(batch, 5, height, width),
        "empty_text": randn(1, 7, 12).expand(batch, -1, -1),
        "densepose": torch.rand((batch, 3, height * 8, width * 8), generator=generator),
        "music": randn(batch, 9, 20),
        "music_positions": torch.cat([torch.tensor([torch.nan, torch.nan]), torch.linspace(0.3, frames - 0.7, 7)]),
        "beats": torch.randint(0, 2, (batch, frames), generator=generator),
        "motion_latents": randn(batch, 5, 2, height, width),
    }


@pytest.fixture(scope="module")
def networks() -> MuseDanceNetworks:
    return make_networks()


@pytest.fixture
def tiny() -> object:
    """The functions above, for tests that build their own."""

    class Tiny:
        spatial, temporal = SPATIAL, TEMPORAL
        wake = staticmethod(wake)
        unet = staticmethod(make_unet)
        networks = staticmethod(make_networks)
        plain_unet = staticmethod(make_plain_unet)
        batch = staticmethod(make_batch)

    return Tiny
