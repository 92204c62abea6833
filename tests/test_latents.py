"""Packed latents: with four times the VAE's channels a UNet has a quarter of the positions, and nothing is lost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from musedance import MuseDancePipeline
from musedance.datasets.cache_key import CacheKey
from musedance.datasets.encode import Encoders
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.latents import decode_latents, encode_pixels, packing, scale_factor


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        latent_channels=5,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        scaling_factor=0.25,
    )


@pytest.fixture(scope="module")
def packed_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with UNet, ReferenceNet and mask encoder for twice as long sides of latents."""
    pipe = MuseDancePipeline.from_pretrained(tiny_folder)
    side = 2 * pipe._packing
    channels = side**2 * pipe.vae.config.latent_channels
    own = {"in_channels": channels, "out_channels": channels, "sample_size": 128 // scale_factor(4, side)}
    pipe.unet = type(pipe.unet).from_config({**pipe.unet.config, **own})
    pipe.reference_net = type(pipe.reference_net).from_config({**pipe.reference_net.config, **own})
    widths = [*pipe.mask_encoder.config.block_out_channels, 16]
    pipe.mask_encoder = type(pipe.mask_encoder)(latent_channels=channels, block_out_channels=widths)
    folder = tmp_path_factory.mktemp("packed")
    pipe.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("unet", "side"), [(4, 1), (16, 2), (36, 3)])
def test_the_channels_say_how_latents_are_packed(unet: int, side: int) -> None:
    assert packing(unet, 4) == side
    assert scale_factor(4, side) == 8 * side


@pytest.mark.parametrize("unet", [1, 3, 5, 8, 12, 17])
def test_channels_that_are_no_square_times_the_vaes_are_refused(unet: int) -> None:
    with pytest.raises(InputError, match=f"4 latent channels, the UNet {unet}: these do not belong together"):
        packing(unet, 4)


@torch.no_grad()
def test_packing_keeps_every_value_beside_its_neighbours(vae: AutoencoderKL) -> None:
    pixels = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain, packed = encode_pixels(vae, pixels, 1), encode_pixels(vae, pixels, 2)
    assert torch.equal(plain, vae.encode(pixels).latent_dist.mode() * 0.25)
    assert packed.shape == (2, 20, 4, 6)
    assert torch.equal(packed[1, :, 3, 2].view(5, 2, 2), plain[1, :, 6:8, 4:6])
    assert torch.equal(decode_latents(vae, packed, 2), decode_latents(vae, plain, 1))
    assert torch.equal(decode_latents(vae, plain, 1), vae.decode(plain / 0.25).sample.clamp(-1, 1))


def test_a_packed_model_makes_a_video(packed_folder: Path, tiny_folder: Path) -> None:
    pipe = MuseDancePipeline.from_pretrained(packed_folder)
    plain = MuseDancePipeline.from_pretrained(tiny_folder)
    assert pipe.vae_scale_factor == 2 * plain.vae_scale_factor
    pipe.set_progress_bar_config(disable=True)
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (128, 128, 3), dtype=np.uint8))
    music = (random.uniform(-0.5, 0.5, 16000).astype(np.float32), 16000)
    made = {"num_frames": 3, "num_inference_steps": 1, "bpm": 120}
    assert pipe(picture, music, "waves", **made).frames[0].size == (128, 128)
    latents = pipe(picture, music, "waves", **made, output_type="latent").frames
    side = 128 // pipe.vae_scale_factor
    assert latents.shape[-2:] == (side, side)
    with pytest.raises(InputError, match=f"multiple of {pipe.vae_scale_factor} "):
        pipe(picture, music, "waves", **made, height=128 + plain.vae_scale_factor, width=128)


@torch.no_grad()
def test_training_reads_what_the_pipeline_makes(packed_folder: Path, tiny_folder: Path) -> None:
    pipe = MuseDancePipeline.from_pretrained(packed_folder)
    encoders = Encoders.from_folder(packed_folder, 12, torch.device("cpu"), torch.float32)
    frames = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    latents = encoders.latents(frames)
    pixels = frames.permute(0, 3, 1, 2).float() / 255 * 2 - 1
    assert torch.equal(latents[1:], encode_pixels(pipe.vae, pixels[1:], pipe._packing))
    assert latents.shape[1:] == (pipe.unet.config.in_channels, 64 // pipe.vae_scale_factor, 96 // pipe.vae_scale_factor)
    spec, before = (ClipSpec.of_model(folder) for folder in (packed_folder, tiny_folder))
    assert (spec.pixels, spec.multiple) == (before.pixels, 2 * before.multiple)


def test_features_of_another_packing_are_others(packed_folder: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """Also where the canvases are the same, and the frozen encoders are."""
    spec = ClipSpec.of_model(tiny_folder, multiple=32)
    keys = [CacheKey.of_model(folder, spec) for folder in (tiny_folder, packed_folder)]
    assert [difference.split()[0] for difference in keys[1].differences(keys[0])] == ["packing"]
    odd = tmp_path / "odd"
    shutil.copytree(tiny_folder, odd)
    config = json.loads((odd / "unet" / "config.json").read_text())
    (odd / "unet" / "config.json").write_text(json.dumps({**config, "in_channels": config["in_channels"] + 1}))
    with pytest.raises(InputError, match="do not belong together"):
        ClipSpec.of_model(odd)
