"""The noise schedule of a training run, and of whatever samples from the model that it gives."""

import json
from pathlib import Path
from typing import Any

from diffusers import DDIMScheduler

from musedance.errors import InputError
from musedance.noise_schedule import check_scheduler, noise_schedule_of
from musedance.training.config import ObjectiveConfig

PREDICTION_TYPES = ("v_prediction", "epsilon")


def training_scheduler(model: Path, config: ObjectiveConfig) -> DDIMScheduler:
    """The scheduler to train with, and to save with the trained model.

    The betas are those that the model was trained on; what is predicted and whether the last step is pure noise, the
    config says. A model that was made for another prediction, as Stable Diffusion 1.5 was, learns this one in stage 1.

    Args:
        model: pipeline folder; its configs are read, not its weights.
        config: `prediction_type` and `zero_terminal_snr` count.

    Raises:
        InputError: the folder has no noise schedule, or the config asks for one that cannot be.
    """
    if config.prediction_type not in PREDICTION_TYPES:
        raise InputError(f"objective.prediction_type is {' or '.join(PREDICTION_TYPES)}, not {config.prediction_type}")
    if config.zero_terminal_snr and config.prediction_type == "epsilon":
        raise InputError(
            "objective.prediction_type=epsilon cannot be learned where a step is pure noise: "
            "set objective.zero_terminal_snr=false, or predict v_prediction"
        )
    changes: dict[str, Any] = {
        "prediction_type": config.prediction_type,
        "rescale_betas_zero_snr": config.zero_terminal_snr,
        "clip_sample": False,
        "thresholding": False,
        "set_alpha_to_one": True,
    }
    if config.zero_terminal_snr:
        changes["timestep_spacing"] = "trailing"  # else sampling would not start at the step that is pure noise
    found = _read(model, "scheduler/scheduler_config.json") | _trained_schedule(model)
    scheduler = DDIMScheduler.from_config(found, **changes)
    check_scheduler(scheduler, noise_schedule_of(scheduler))
    return scheduler


def check_same_schedule(model: Path, config: ObjectiveConfig) -> None:
    """Check that the config keeps to the schedule of a model whose spatial weights are to stay as they are: stage 2.

    Raises:
        InputError: naming the keys that have to change.
    """
    trained = _trained_schedule(model)
    found = {
        "prediction_type": trained.get("prediction_type", "epsilon"),
        "zero_terminal_snr": bool(trained.get("rescale_betas_zero_snr", False)),
    }
    wrong = [f"objective.{key}={str(value).lower()}" for key, value in found.items() if getattr(config, key) != value]
    if wrong:
        raise InputError(
            f"stage 2 keeps what stage 1 has learned, and with it the noise schedule: set {' '.join(wrong)}, "
            f"which {model} was trained with"
        )


def _trained_schedule(model: Path) -> dict[str, Any]:
    """Not the scheduler's, which may be another by now."""
    try:
        return _read(model, "model_index.json")["noise_schedule"]
    except KeyError as error:
        raise InputError(f"{model} does not say which noise schedule it was trained on: assemble it anew") from error


def _read(model: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads((model / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{model} is no model folder: its {name} cannot be read") from error
