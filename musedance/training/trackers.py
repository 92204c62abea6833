"""accelerate's trackers, such as TensorBoard: started with the run's config, and gone on with when it is."""

import json
from collections.abc import Sequence
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from omegaconf import OmegaConf

from musedance.errors import InputError
from musedance.training.config import TrainingConfig


def check_trackers(names: Sequence[str]) -> None:
    """Whether accelerate can start them.

    Raises:
        InputError: one is unknown or not installed.
    """
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise InputError(f"log.trackers: no tracker is named {name}; there are {', '.join(LOGGER_TYPE_TO_CLASS)}")
        if name not in [str(tracker) for tracker in get_available_trackers()]:
            package = '"musedance[train]"' if name == "tensorboard" else name
            raise InputError(f"log.trackers: {name} is not installed: pip install {package}, or set log.trackers=[]")


def init_trackers(accelerator: Accelerator, config: TrainingConfig, *, step: int) -> None:
    """Start the accelerator's trackers; every rank calls this. TensorBoard's files go to `musedance` in `logging_dir`.

    Args:
        accelerator: made with `config.log.trackers`, after `check_trackers`.
        config: its values are handed to the trackers when a run starts, as `optim.lr` and so on.
        step: steps done already: TensorBoard forgets what it was told of later ones.
    """
    accelerator.init_trackers(
        "musedance",
        config=None if step else _flatten(OmegaConf.to_container(OmegaConf.structured(config))),
        init_kwargs={"tensorboard": {"purge_step": step + 1}} if step else {},
    )


def _flatten(values: Any, prefix: str = "") -> dict[str, bool | int | float | str]:
    """Dotted names and plain values: TensorBoard takes neither lists nor null."""
    flat: dict[str, bool | int | float | str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, bool | int | float | str) else json.dumps(value)
    return flat
