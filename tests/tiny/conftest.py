"""Networks of the tiny model, much smaller still."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import ASTFeatureExtractor

from musedance.puppets.performance import World, perform
from musedance.weights.init import load_sections, seeded
from tests.conftest import small_sections


def tiny_sections() -> dict[str, Any]:
    """`small_sections` with a VAE of one norm group and no attention, as the tiny model's."""
    sections = small_sections()
    sections["vae"] |= {"norm_num_groups": 1, "mid_block_add_attention": False, "scaling_factor": 1.0}
    return sections


@pytest.fixture
def make_vae() -> Callable[..., AutoencoderKL]:
    """One with random weights: two resolutions, 4 latent channels, unless told otherwise."""

    def make(seed: int = 0, **changes: Any) -> AutoencoderKL:
        blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
        sizes = {"block_out_channels": (8, 16), "latent_channels": 4, "norm_num_groups": 1, "layers_per_block": 1}
        with seeded(seed, torch.float32):
            return AutoencoderKL(**(blocks | sizes | {"mid_block_add_attention": False} | changes))

    return make


@pytest.fixture(scope="session")
def drawn_frames() -> Tensor:
    """Two frames of each of eight dancers, `(16, 3, 64, 64)` uint8; not to be changed."""
    pictures = []
    for index in range(8):
        performance = perform(World(seed=3, width=64, height=64), index)
        for first in performance.starts[:2]:
            pictures.append(performance.scene.draw(performance.choreography.pose(first / 12)).picture)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="session")
def extractor() -> ASTFeatureExtractor:
    """The tiny model's: 64 mel bins."""
    return ASTFeatureExtractor(**load_sections("tiny")["feature_extractor"])
