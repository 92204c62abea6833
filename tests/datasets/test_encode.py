"""Live encoders: what they give is what the pipeline's own code gives, and is the same in any batch."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from musedance import MuseDancePipeline
from musedance.conditions.music import mel_spectrogram
from musedance.conditions.reference import picture_pixels
from musedance.datasets.encode import Encoders, encode_batch
from musedance.datasets.loader import make_loader
from musedance.datasets.spec import ClipSpec
from musedance.latents import encode_pixels
from musedance.models import MuseDanceNetworks

SPEC = ClipSpec(pixels=64 * 64, multiple=16, fps=12, num_frames=24, num_motion_frames=2)
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On pictures this small, threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pipe(tiny_folder: Path) -> MuseDancePipeline:
    return MuseDancePipeline.from_pretrained(tiny_folder)


@pytest.fixture(scope="module")
def encoders(tiny_folder: Path) -> Encoders:
    return Encoders.from_folder(tiny_folder, 12, CPU, torch.float32)


@torch.no_grad()
def test_the_encoders_agree_with_the_pipeline(pipe: MuseDancePipeline, encoders: Encoders) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    latents = encoders.latents(torch.from_numpy(frames))
    for frame, latent in zip(frames, latents, strict=True):
        pixels = picture_pixels(Image.fromarray(frame), 48, 64, "crop")
        assert torch.equal(latent[None], encode_pixels(pipe.vae, pixels, pipe._packing))
    waveform = np.random.default_rng(0).uniform(-1, 1, 32000).astype(np.float32)
    music, positions = pipe._encode_music(waveform, 12)
    mel = mel_spectrogram(pipe.feature_extractor, waveform)
    assert torch.equal(encoders.music(mel), music)
    assert torch.equal(encoders.music_positions(198).nan_to_num(-1), positions.nan_to_num(-1))
    assert torch.equal(
        encoders.text(["she waves", ""]), torch.cat([pipe._encode_prompt("she waves"), pipe._encode_prompt("")])
    )


def test_nothing_depends_on_the_rest_of_the_batch(encoders: Encoders) -> None:
    frames = torch.randint(0, 256, (8, 128, 128, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoders.latents(frames)[7:], encoders.latents(frames[7:]))
    mel = torch.randn(3, 198, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoders.music(mel)[2], encoders.music(mel[2:])[0])
    assert not any(parameter.requires_grad for parameter in encoders.vae.parameters())


@pytest.mark.parametrize("stage", [1, 2])
def test_the_networks_take_what_comes(
    stage: int, dataset_folder: Path, tiny_folder: Path, pipe: MuseDancePipeline, encoders: Encoders
) -> None:
    loader = make_loader(dataset_folder, tiny_folder, stage=stage, batch_size=2, spec=SPEC)
    inputs = encode_batch(next(iter(loader)), CPU, encoders)
    latents, channels = inputs.pop("latents"), pipe.unet.config.in_channels
    side = 64 // pipe.vae_scale_factor
    assert latents.shape == ((2, channels, side, side) if stage == 1 else (2, channels, 24, side, side))
    networks = MuseDanceNetworks(pipe.unet, pipe.reference_net, pipe.mask_encoder)
    with torch.no_grad():
        assert networks(latents, torch.tensor([10, 900]), **inputs).shape == latents.shape
    if stage == 1:
        assert inputs["densepose"].shape == (2, 3, 64, 64) and inputs["densepose"].max() <= 1
    else:
        motion = inputs["motion_latents"]
        assert motion.shape == (2, channels, 2, side, side)
        assert [bool(one.any()) for one in motion] == inputs["motion_mask"].tolist()


def test_motion_latents_are_the_previous_windows_last(
    dataset_folder: Path, tiny_folder: Path, encoders: Encoders
) -> None:
    loader = make_loader(dataset_folder, tiny_folder, stage=2, batch_size=3, spec=SPEC)
    for batch in islice(loader, 3):
        inputs = encode_batch(batch, CPU, encoders)
        for sample in torch.nonzero(batch["motion_mask"]).flatten().tolist():
            expected = encoders.latents(batch["motion_frames"][sample])
            assert torch.equal(inputs["motion_latents"][sample].transpose(0, 1), expected)
        assert torch.equal(inputs["latents"][0, :, 5], encoders.latents(batch["frames"][0, 5:6])[0])


def test_frames_without_encoders_are_refused(dataset_folder: Path, tiny_folder: Path) -> None:
    batch = next(iter(make_loader(dataset_folder, tiny_folder, stage=1, batch_size=1, spec=SPEC)))
    with pytest.raises(ValueError, match="needs encoders"):
        encode_batch(batch, CPU)
