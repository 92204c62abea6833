"""One noise schedule for training and sampling: what a model was trained on, and which schedulers keep to it."""

from typing import Any

import torch
from diffusers import DDIMScheduler

from musedance.errors import InputError

_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
    "prediction_type",
)
_ADVICE = "build it with from_config(pipe.scheduler.config)"


def noise_schedule_of(scheduler: Any) -> dict[str, Any]:
    """The part of a scheduler's config that a model is trained on."""
    return {key: scheduler.config[key] for key in _KEYS if key in scheduler.config}


def check_scheduler(scheduler: Any, noise_schedule: dict[str, Any]) -> None:
    """Check that a scheduler samples on the schedule that the model was trained on, and ends on clean latents.

    Looks at what the scheduler computed, not only at its config: PNDM, Heun, LMS, DEIS and KDPM2 take a config with
    zero terminal SNR and ignore it.

    Args:
        scheduler: any diffusers scheduler.
        noise_schedule: `noise_schedule_of(...)` at training.

    Raises:
        InputError: naming the scheduler and what it would break.
    """
    name, config = type(scheduler).__name__, scheduler.config
    expected = DDIMScheduler(**noise_schedule).alphas_cumprod
    found = getattr(scheduler, "alphas_cumprod", None)
    zero_snr = bool(noise_schedule.get("rescale_betas_zero_snr", False))
    if zero_snr and noise_schedule["prediction_type"] == "epsilon":
        raise InputError(
            "epsilon prediction is undefined at zero terminal SNR; the model's schedule contradicts itself"
        )
    if found is None or len(found) != len(expected):
        raise InputError(f"{name} has no noise schedule of {len(expected)} steps, which this model was trained on")
    if zero_snr and found[-1] > 1e-6:
        raise InputError(
            f"{name} ignores rescale_betas_zero_snr, with which this model was trained: it starts from alpha-bar "
            f"{float(found[-1]):.4f} instead of 0. Use DDIM, DPMSolverMultistep, UniPC or Euler"
        )
    if not torch.allclose(found.double(), expected.double(), rtol=0, atol=1e-5):
        raise InputError(f"{name} has other betas than this model was trained with; {_ADVICE}")
    if config.get("prediction_type", "epsilon") != noise_schedule["prediction_type"]:
        raise InputError(
            f"{name} expects {config.get('prediction_type', 'epsilon')}, this model predicts "
            f"{noise_schedule['prediction_type']}; {_ADVICE}"
        )
    if config.get("clip_sample", False) or config.get("thresholding", False):
        raise InputError(f"{name} has clip_sample or thresholding on, which distorts latents; set both to False")
    if not config.get("set_alpha_to_one", True) or config.get("final_sigmas_type", "zero") != "zero":
        raise InputError(
            f"{name} leaves noise in the last latents, which become motion frames; "
            "set set_alpha_to_one=True and final_sigmas_type='zero'"
        )
    if zero_snr and config.get("timestep_spacing", "trailing") == "leading":
        raise InputError(f"{name} with timestep_spacing='leading' never visits the last step; set it to 'trailing'")
