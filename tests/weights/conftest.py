"""Tiny upstream models with random weights, saved as their projects publish them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    CLIPTextConfig,
    CLIPTextModel,
)

from musedance.weights.byte_tokenizer import byte_tokenizer

UNET = {
    "in_channels": 4,
    "out_channels": 4,
    "sample_size": 8,
    "block_out_channels": [32, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 2,
    "cross_attention_dim": 32,
    "attention_head_dim": 4,
}
VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": [32, 32, 64, 64],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "scaling_factor": 0.18215,
}
TEXT_ENCODER = {
    "vocab_size": 514,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
}


@dataclass(frozen=True)
class Upstream:
    """The models, and the folders that hold them in diffusers' and transformers' layouts."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    adapter: MotionAdapter
    ast: ASTForAudioClassification
    sd_folder: Path
    motion_folder: Path
    ast_folder: Path
    sections: dict[str, Any]

    @property
    def tokenizer_folder(self) -> Path:
        return self.sd_folder / "tokenizer"


def randomise(model: Any) -> Any:
    """Make every weight random, also those that are zero at the start."""
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("upstream")
    tokenizer = byte_tokenizer(77)
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 513}
    ast_config = ASTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_length=512,
        num_mel_bins=32,
        num_labels=5,
    )
    models = Upstream(
        unet=randomise(UNet2DConditionModel(**UNET)),
        vae=randomise(AutoencoderKL(**VAE)),
        text_encoder=randomise(CLIPTextModel(CLIPTextConfig(**TEXT_ENCODER, **special))),
        adapter=randomise(MotionAdapter(block_out_channels=(32, 64))),
        ast=randomise(ASTForAudioClassification(ast_config)),
        sd_folder=root / "stable-diffusion-v1-5",
        motion_folder=root / "animatediff-motion-adapter-v1-5-2",
        ast_folder=root / "ast-finetuned-audioset",
        sections={"unet": UNET, "vae": VAE, "text_encoder": TEXT_ENCODER},
    )
    models.unet.save_pretrained(models.sd_folder / "unet")
    models.vae.save_pretrained(models.sd_folder / "vae")
    models.text_encoder.save_pretrained(models.sd_folder / "text_encoder")
    tokenizer.save_pretrained(models.tokenizer_folder)
    models.adapter.save_pretrained(models.motion_folder)
    models.ast.save_pretrained(models.ast_folder)
    ASTFeatureExtractor(num_mel_bins=32, max_length=512).save_pretrained(models.ast_folder)
    return models
