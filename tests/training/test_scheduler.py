"""One noise schedule: what the config says of the prediction, what the model's folder says of the betas."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UniPCMultistepScheduler

from musedance.errors import InputError
from musedance.noise_schedule import check_scheduler, noise_schedule_of
from musedance.training.config import ObjectiveConfig
from musedance.training.scheduler import check_same_schedule, training_scheduler

EPSILON = ObjectiveConfig(prediction_type="epsilon", zero_terminal_snr=False)
STABLE_DIFFUSION = {  # its own scheduler's config, as far as it counts; for DDIM clip_sample is then True
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}


@pytest.fixture
def folder_with(small_model: Path, tmp_path: Path) -> Callable[..., Path]:
    """The configs of a model that was trained on a schedule."""

    def make(scheduler: dict[str, Any], noise_schedule: dict[str, Any]) -> Path:
        model = tmp_path / "model"
        shutil.copytree(small_model / "scheduler", model / "scheduler")
        index = json.loads((small_model / "model_index.json").read_text())
        (model / "model_index.json").write_text(json.dumps(index | {"noise_schedule": noise_schedule}))
        (model / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
        return model

    return make


@pytest.fixture
def stable_diffusion(folder_with: Callable[..., Path]) -> Path:
    keys = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
    return folder_with(STABLE_DIFFUSION, {key: STABLE_DIFFUSION[key] for key in keys} | {"prediction_type": "epsilon"})


def scaled_linear() -> torch.Tensor:
    """abar of Stable Diffusion, float64."""
    return (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0)


def test_a_model_made_for_epsilon_gets_velocity_and_a_last_step_of_pure_noise(stable_diffusion: Path) -> None:
    scheduler = training_scheduler(stable_diffusion, ObjectiveConfig())
    roots = scaled_linear().sqrt()
    rescaled = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])  # Lin et al. 2023, algorithm 1
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), rescaled**2, rtol=1e-3, atol=1e-6)
    assert scheduler.alphas_cumprod[-1] == 0
    assert scheduler.config.prediction_type == "v_prediction"
    scheduler.set_timesteps(25)
    assert scheduler.timesteps[0] == 999
    assert scheduler.final_alpha_cumprod == 1 and not scheduler.config.clip_sample


def test_epsilon_stays_what_stable_diffusion_had(stable_diffusion: Path) -> None:
    scheduler = training_scheduler(stable_diffusion, EPSILON)
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), scaled_linear(), rtol=1e-4, atol=0)
    assert scheduler.config.prediction_type == "epsilon" and scheduler.config.steps_offset == 1
    assert scheduler.final_alpha_cumprod == 1


@pytest.mark.parametrize("config", [ObjectiveConfig(), EPSILON, ObjectiveConfig(zero_terminal_snr=False)])
def test_the_pipeline_takes_it(config: ObjectiveConfig, stable_diffusion: Path) -> None:
    scheduler = training_scheduler(stable_diffusion, config)
    again = DDIMScheduler.from_config(json.loads(scheduler.to_json_string()))
    check_scheduler(again, noise_schedule_of(scheduler))
    check_scheduler(UniPCMultistepScheduler.from_config(scheduler.config), noise_schedule_of(scheduler))


def test_the_betas_are_those_of_training_when_the_sampler_was_swapped(folder_with: Callable[..., Path]) -> None:
    trained = noise_schedule_of(DDIMScheduler(beta_start=0.002, beta_end=0.03, prediction_type="v_prediction"))
    model = folder_with(STABLE_DIFFUSION, trained)
    found = training_scheduler(model, ObjectiveConfig(zero_terminal_snr=False)).alphas_cumprod
    assert torch.equal(found, DDIMScheduler(**trained).alphas_cumprod)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ObjectiveConfig(prediction_type="epsilon"), "objective.zero_terminal_snr=false"),
        (ObjectiveConfig(prediction_type="sample"), "objective.prediction_type is v_prediction or epsilon, not sample"),
    ],
)
def test_what_cannot_be_is_refused(config: ObjectiveConfig, message: str, small_model: Path) -> None:
    with pytest.raises(InputError, match=message):
        training_scheduler(small_model, config)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no model folder: its scheduler/scheduler_config.json"):
        training_scheduler(tmp_path, ObjectiveConfig())


def test_stage_2_keeps_to_what_stage_1_learned(small_model: Path, stable_diffusion: Path) -> None:
    check_same_schedule(small_model, ObjectiveConfig())
    check_same_schedule(stable_diffusion, EPSILON)
    with pytest.raises(InputError, match=r"set objective\.zero_terminal_snr=true, which"):
        check_same_schedule(small_model, ObjectiveConfig(zero_terminal_snr=False))
    both = r"set objective\.prediction_type=epsilon objective\.zero_terminal_snr=false, which"
    with pytest.raises(InputError, match=both):
        check_same_schedule(stable_diffusion, ObjectiveConfig())
