"""Checkpoints: everything that a run needs to go on, written whole or not at all."""

import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors.torch import load_file, save_file
from torch import nn

from musedance.errors import InputError
from musedance.training.moving_average import MovingAverage
from musedance.training.trainable import trained_parameters

_NAME = re.compile(r"step-([0-9]{8,})")
STATE, CONFIG, WEIGHTS = "training.json", "config.yaml", "trained.safetensors"


@dataclass
class TrainingState:
    """Where a run is.

    Attributes:
        step: optimiser steps done.
        batches: batches that each rank has taken.
        world_size: how many ranks there were.
        batch_size: samples a rank and batch.
        start: fingerprint of the folder that the run started from, whose frozen weights are not in the checkpoint.
        schedule: the learning rate's.
        health: of the watch over the loss.
        log: of the row of numbers that is being gathered.
    """

    step: int = 0
    batches: int = 0
    world_size: int = 1
    batch_size: int = 1
    start: str = ""
    schedule: dict[str, Any] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of a run: `FOLDER/step-00001000`, ...

    Weights, optimizer, loss scale and each rank's random numbers are accelerate's business (`save_state`, which knows
    DDP, FSDP2 and DeepSpeed). Where all ranks have the same weights only those that are trained are written.

    Args:
        accelerator: with the prepared networks and optimizer.
        folder: where they lie.
        config: the run's, as yaml; each checkpoint keeps it.
        total_limit: how many are kept, the newest ones.
    """

    def __init__(self, accelerator: Accelerator, folder: Path, config: str, total_limit: int) -> None:
        self.accelerator, self.folder, self.config, self.total_limit = accelerator, folder, config, total_limit
        if accelerator.distributed_type not in (DistributedType.FSDP, DistributedType.DEEPSPEED):
            accelerator.register_save_state_pre_hook(self._save_trained)
            accelerator.register_load_state_pre_hook(self._load_trained)

    def save(self, state: TrainingState, average: MovingAverage | None) -> Path:
        """Write one under another name and rename it; every rank calls this. Older ones go when it is there.

        Raises:
            InputError: it cannot be written (the disk is full, ...). The older ones are as they were.
        """
        final, main = self.folder / f"step-{state.step:08d}", self.accelerator.is_main_process
        temporary = self.folder / f".writing-step-{state.step:08d}"
        if main:
            for left in self.folder.glob(".writing-*"):  # by a run that was killed
                shutil.rmtree(left)
            temporary.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        problem = ""
        try:
            self._write(temporary, state, average)
        except Exception as error:  # torch, safetensors and the file system each have their own for a full disk
            problem = f"{type(error).__name__}: {error}"
        if self._anywhere(bool(problem)):
            if main:
                shutil.rmtree(temporary, ignore_errors=True)
            raise InputError(self._explain(final, problem))
        if main:
            temporary.rename(final)
            self._remove_old()
        self.accelerator.wait_for_everyone()
        return final

    def load(self, path: Path, average: MovingAverage | None) -> TrainingState:
        """Bring networks, optimizer, random numbers and moving average back; every rank calls this.

        Raises:
            InputError: the checkpoint is not whole, or was written by a run that this one cannot follow.
        """
        state = read_state(path)
        if state.world_size != self.accelerator.num_processes and self.accelerator.distributed_type in (
            DistributedType.FSDP,
            DistributedType.DEEPSPEED,
        ):
            raise InputError(
                f"{path} was written by {state.world_size} processes, here are {self.accelerator.num_processes}: each "
                f"has a share of the weights in its own file, so resume with {state.world_size}"
            )
        self.accelerator.wait_for_everyone()
        try:
            self.accelerator.load_state(str(path))
            if average is not None:
                average.load(self._average_path(path, average))
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise InputError(f"{path} cannot be loaded: {error}") from error
        return state

    def _write(self, folder: Path, state: TrainingState, average: MovingAverage | None) -> None:
        main = self.accelerator.is_main_process
        self.accelerator.save_state(str(folder))
        if average is not None and (main or average.is_sharded):
            average.save(self._average_path(folder, average))
        if main:
            (folder / CONFIG).write_text(self.config, encoding="utf-8")
            (folder / STATE).write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")

    def _average_path(self, folder: Path, average: MovingAverage) -> Path:
        rank = f"-{self.accelerator.process_index}" if average.is_sharded else ""
        return folder / f"average{rank}.safetensors"

    def _save_trained(self, models: list[nn.Module], weights: list[dict], folder: str) -> None:
        """Called by `save_state`: instead of all weights, those that are trained."""
        weights.clear()
        if self.accelerator.is_main_process:
            networks = self.accelerator.unwrap_model(models[0])
            trained = {name: p.detach().cpu().contiguous() for name, p in trained_parameters(networks).items()}
            save_file(trained, Path(folder) / WEIGHTS)

    def _load_trained(self, models: list[nn.Module], folder: str) -> None:
        networks = self.accelerator.unwrap_model(models.pop())
        found, parameters = load_file(Path(folder) / WEIGHTS), trained_parameters(networks)
        if found.keys() != parameters.keys():
            names = sorted(found.keys() ^ parameters.keys())
            raise InputError(f"{folder} holds other weights than this run trains: {', '.join(names[:3])}, ...")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(found[name])

    def _anywhere(self, here: bool) -> bool:
        return bool(self.accelerator.gather(torch.tensor([here], device=self.accelerator.device)).any())

    def _explain(self, final: Path, problem: str) -> str:
        good = latest_checkpoint(self.folder)
        kept = f"{good.name} is intact" if good else "there is no older one"
        free = shutil.disk_usage(self.folder).free / 2**30
        return (
            f"checkpoint {final} could not be written ({problem or 'on another rank'}; {free:.1f} GiB are free there); "
            f"{kept}: make room and go on with --resume latest"
        )

    def _remove_old(self) -> None:
        """Renamed first, so that a kill in between leaves no half checkpoint under a good name."""
        for left in self.folder.glob(".removing-*"):
            shutil.rmtree(left, ignore_errors=True)
        for path in all_checkpoints(self.folder)[: -self.total_limit]:
            leaving = path.with_name(f".removing-{path.name}")
            path.rename(leaving)
            shutil.rmtree(leaving, ignore_errors=True)


def all_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, the oldest first."""
    found = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name) and (path / STATE).is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest one, if there is any."""
    return (all_checkpoints(folder) or [None])[-1]  # type: ignore[list-item]


def read_state(path: Path) -> TrainingState:
    """Where the run was.

    Raises:
        InputError: `path` is no checkpoint, or not whole.
    """
    try:
        return TrainingState(**json.loads((path / STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no checkpoint of this version: its {STATE} cannot be used ({error})") from error
