"""Stage 2 starts where stage 1 ended: a video is predicted frame by frame until something is learned about time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from musedance import MuseDancePipeline
from musedance.datasets.collator import DropRates
from musedance.datasets.encode import Encoders, encode_batch
from musedance.datasets.loader import make_loader
from musedance.models import MuseDanceNetworks
from musedance.training.config import ObjectiveConfig
from musedance.training.scheduler import training_scheduler

CPU = torch.device("cpu")
STAGE_1 = ("text", "empty_text", "reference_latents", "reference_mask")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On latents this small, threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def pipe(small_model: Path) -> MuseDancePipeline:
    return MuseDancePipeline.from_pretrained(small_model)


def wake(networks: MuseDanceNetworks, output_projections: bool) -> None:
    """Random values for what is zero at the start; for the temporal modules' last layers only if asked."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in networks.named_parameters():
            last = "_modules." in name and ".proj_out." in name
            if not parameter.any() and (output_projections or not last):
                parameter.normal_(std=0.2, generator=generator)


@pytest.mark.parametrize("config", [ObjectiveConfig(), ObjectiveConfig("epsilon", zero_terminal_snr=False)])
@pytest.mark.parametrize("dropped", [(), ("reference",), ("motion",)])
def test_with_the_output_projections_at_zero_a_video_is_predicted_frame_by_frame(
    config: ObjectiveConfig, dropped: tuple[str, ...], puppet_data: Path, small_model: Path, pipe: MuseDancePipeline
) -> None:
    """The same latents, noise and t, through both stages; stage 2 is told music, beats and motion frames."""
    encoders = Encoders(pipe.vae, pipe.text_encoder, pipe.tokenizer, pipe.music_encoder, fps=12)
    networks = MuseDanceNetworks(pipe.unet, pipe.reference_net, pipe.mask_encoder)
    wake(networks, output_projections=False)
    rates = DropRates(0, 0, 0, 0, 0, 0, 0)
    loader = make_loader(puppet_data, small_model, stage=2, batch_size=2, rates=rates)
    inputs: dict[str, Any] = encode_batch(next(iter(loader)), CPU, encoders)
    latents: Tensor = inputs.pop("latents")
    inputs["motion_latents"] = torch.randn(2, 5, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    inputs["motion_mask"] = torch.tensor([True, "motion" not in dropped])
    inputs["reference_mask"] = torch.tensor([True, "reference" not in dropped])

    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    timestep = torch.tensor([999, 400])
    noisy = training_scheduler(small_model, config).add_noise(latents, noise, timestep)
    stage_1 = {name: inputs[name] for name in STAGE_1}
    with torch.no_grad():
        video = networks(noisy, timestep, **inputs)
        frames = [networks(noisy[:, :, k], timestep, **stage_1) for k in range(latents.shape[2])]
        torch.testing.assert_close(video, torch.stack(frames, dim=2), rtol=0, atol=1e-5)
        assert video.std() > 0.1

        wake(networks, output_projections=True)  # and then no longer
        moved = networks(noisy, timestep, **inputs)
        assert (moved - video).abs().amax(dim=(1, 2, 3, 4)).min() > 1e-2
