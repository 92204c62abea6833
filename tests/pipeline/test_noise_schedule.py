"""One noise schedule: schedulers that keep it recover a known video exactly, the others are refused by name."""

import diffusers
import pytest
import torch
from diffusers import DDIMScheduler

from musedance.errors import InputError
from musedance.noise_schedule import check_scheduler, noise_schedule_of

KEEPING = [
    "DDIMScheduler",
    "DDPMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
    "UniPCMultistepScheduler",
]
IGNORING = [
    "PNDMScheduler",
    "HeunDiscreteScheduler",
    "LMSDiscreteScheduler",
    "DEISMultistepScheduler",
    "KDPM2DiscreteScheduler",
]


class Oracle(torch.nn.Module):
    """Predicts the velocity that belongs to a known clean video, whatever it is given."""

    dtype = torch.float32

    def __init__(self, clean, alphas_cumprod):
        super().__init__()
        self.clean, self.alphas_cumprod = clean, alphas_cumprod

    def forward(self, sample, timestep, **_):
        alpha = self.alphas_cumprod[int(timestep.round())].to(torch.float64)
        noise = (sample.double() - alpha.sqrt() * self.clean) / (1 - alpha).sqrt()
        return diffusers.utils.BaseOutput(sample=(alpha.sqrt() * noise - (1 - alpha).sqrt() * self.clean).float())


def sample_with_oracle(pipe, scheduler):
    from musedance.sampling import Sampling

    clean = torch.randn((1, 5, 6, 4, 4), generator=torch.Generator().manual_seed(1)).double() * 3
    exact = DDIMScheduler(**pipe.config.noise_schedule).alphas_cumprod
    pipe.register_modules(scheduler=scheduler)
    object.__setattr__(pipe, "unet", Oracle(clean, exact))
    sampling = Sampling(10, 1.0, None, 0.0, 0.0, torch.Generator().manual_seed(0), None, ())
    pipe._interrupt = False
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    with pipe.progress_bar(total=10) as bar:
        result = pipe._denoise(noise, {"all": {}}, sampling, bar, 0)
    return (result - clean).pow(2).mean().sqrt().item()


@pytest.mark.parametrize("name", KEEPING)
def test_schedulers_that_keep_the_schedule_end_on_the_clean_video(pipe, name):
    scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config)
    check_scheduler(scheduler, pipe.config.noise_schedule)
    assert sample_with_oracle(pipe, scheduler) < 0.02


@pytest.mark.parametrize("name", KEEPING)
def test_they_work_in_the_pipeline(make, pipe, name):
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config)
    assert make(num_frames=8).frames.shape[0] == 8


@pytest.mark.parametrize("name", IGNORING)
def test_schedulers_that_ignore_zero_terminal_snr_are_refused_by_name(make, pipe, name):
    config = {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")}
    pipe.scheduler = getattr(diffusers, name).from_config(config)
    with pytest.raises(InputError, match=rf"{name} ignores rescale_betas_zero_snr"):
        make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta_schedule": "linear"}, "other betas"),
        ({"rescale_betas_zero_snr": False}, "ignores rescale_betas_zero_snr"),
        ({"prediction_type": "epsilon"}, "this model predicts v_prediction"),
        ({"clip_sample": True}, "clip_sample"),
        ({"set_alpha_to_one": False}, "leaves noise"),
        ({"timestep_spacing": "leading"}, "leading"),
        ({"num_train_timesteps": 500}, "no noise schedule of 1000 steps"),
    ],
)
def test_a_config_that_breaks_the_schedule_is_refused_by_what_breaks_it(make, pipe, changes, message):
    pipe.scheduler = DDIMScheduler.from_config({**pipe.scheduler.config, **changes})
    with pytest.raises(InputError, match=message):
        make()


def test_the_refused_settings_do_harm(pipe):
    """The reason for refusing them, measured as the design notes did: clipping, and noise left in the latents."""
    good = sample_with_oracle(pipe, DDIMScheduler.from_config(pipe.scheduler.config))
    for changes in ({"clip_sample": True}, {"set_alpha_to_one": False}, {"beta_schedule": "linear"}):
        scheduler = DDIMScheduler.from_config({**pipe.scheduler.config, **changes})
        assert sample_with_oracle(pipe, scheduler) > 10 * good


def test_the_schedule_a_model_was_trained_on_outlives_a_swapped_scheduler(pipe, saved_pipeline, tmp_path):
    from musedance import MuseDancePipeline

    other = MuseDancePipeline.from_pretrained(saved_pipeline, scheduler=DDIMScheduler())
    assert other.config.noise_schedule == pipe.config.noise_schedule
    other.save_pretrained(tmp_path)
    again = MuseDancePipeline.from_pretrained(tmp_path)
    assert again.config.noise_schedule == pipe.config.noise_schedule
    with pytest.raises(InputError, match="DDIMScheduler"):
        check_scheduler(again.scheduler, again.config.noise_schedule)


def test_epsilon_without_zero_snr_takes_more_schedulers_but_never_epsilon_with_it(pipe):
    epsilon = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
    scheduler = DDIMScheduler.from_config({**pipe.scheduler.config, **epsilon})
    schedule = noise_schedule_of(scheduler)
    for name in (*KEEPING, "HeunDiscreteScheduler", "DEISMultistepScheduler"):
        check_scheduler(getattr(diffusers, name).from_config(scheduler.config), schedule)
    with pytest.raises(InputError, match="contradicts itself"):
        check_scheduler(scheduler, {**schedule, "rescale_betas_zero_snr": True})


def test_a_scheduler_without_a_discrete_schedule_is_refused(pipe):
    with pytest.raises(InputError, match="FlowMatchEulerDiscreteScheduler has no noise schedule"):
        check_scheduler(diffusers.FlowMatchEulerDiscreteScheduler(), pipe.config.noise_schedule)
