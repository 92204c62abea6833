"""A whole pipeline with small random networks: 6 frames a segment at 12 fps, 64 x 64 pixels, 5 latent channels."""

import json
import warnings

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from PIL import Image
from transformers import ASTFeatureExtractor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from musedance import MaskEncoder, MuseDancePipeline, MuseDanceUNet, MusicEncoder, ReferenceNet

SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
}
SPATIAL = {
    "sample_size": 8,
    "in_channels": 5,
    "out_channels": 5,
    "block_out_channels": (16, 32),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 16,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}


def make_tokenizer(folder) -> CLIPTokenizer:
    """Letters only, each a token of its own."""
    letters = [chr(i) for i in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=20)


@pytest.fixture(scope="session")
def saved_pipeline(tmp_path_factory):
    """Its folder. No weight is left at zero, so that every condition shows."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=20,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    ast = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        latent_channels=5,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    unet = MuseDanceUNet(num_frames=6, music_dim=16, condition_dim=16, motion_num_attention_heads=4, **SPATIAL)
    networks = [unet, ReferenceNet(**SPATIAL), MaskEncoder(3, 5, (4, 8, 8, 8))]
    with torch.no_grad():
        for parameter in (p for network in networks for p in network.parameters()):
            if not parameter.any():
                parameter.normal_(std=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor = ASTFeatureExtractor()
    music = MusicEncoder(ast)
    pipe = MuseDancePipeline(
        vae, CLIPTextModel(text), tokenizer, *networks, music, extractor, DDIMScheduler(**SCHEDULE), stage=2
    )
    folder = tmp_path_factory.mktemp("pipeline")
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture
def pipe(saved_pipeline):
    """A fresh one for each test, since tests change it."""
    pipe = MuseDancePipeline.from_pretrained(saved_pipeline)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """Colours that change everywhere, 64 x 64."""
    y, x = np.mgrid[0:64, 0:64]
    return Image.fromarray(np.stack([x * 4, y * 4, (x + y) * 2], axis=-1).astype(np.uint8))


@pytest.fixture(scope="session")
def clicks() -> tuple[np.ndarray, int]:
    """3 s at 22.05 kHz, a click every 0.5 s, stereo with the channels apart."""
    rate = 22050
    samples = np.zeros((2, 3 * rate), np.float32)
    burst = np.sin(np.arange(400) * 0.6) * np.exp(-np.arange(400) / 80)
    for beat in range(6):
        samples[0, beat * rate // 2 : beat * rate // 2 + 400] = burst
        samples[1, beat * rate // 2 : beat * rate // 2 + 400] = 0.5 * burst
    return samples, rate


@pytest.fixture
def make(pipe, picture, clicks):
    """Generate with few steps and a fixed seed; what a test is about is passed in."""

    def make(**changes):
        arguments = {"image": picture, "music": clicks, "prompt": "she waves", "num_inference_steps": 2}
        arguments |= {"generator": torch.Generator().manual_seed(0), "output_type": "np"}
        return pipe(**(arguments | changes))

    return make
