"""What a run writes down and shows: a row of numbers every few steps, and a progress bar."""

import json
import math
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from tqdm import tqdm

from musedance.errors import InputError
from musedance.failures import complain
from musedance.files import appearing
from musedance.training.config import LogConfig
from musedance.training.objective import Losses

METRICS = "metrics.jsonl"  # in the folder of a run
TIMESTEPS, WIDTH = 1000, 200  # of the noise schedule, and of a bucket of it
BUCKETS = [f"loss_t/{start:03d}-{start + WIDTH - 1:03d}" for start in range(0, TIMESTEPS, WIDTH)]
QUIET = 60.0  # seconds between two lines of progress where there is no terminal to draw a bar on


@dataclass
class _Window:
    """A rank's losses and gradients since the last row. Sums run over passes and samples in their order, in Python's
    floats, so that one that is saved and gone on with ends in the same digits."""

    loss: float = 0.0
    passes: int = 0
    bucket_losses: list[float] = field(default_factory=lambda: [0.0] * len(BUCKETS))
    bucket_samples: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    grad_norms: list[float] = field(default_factory=list)
    skipped: int = 0


@dataclass
class _Pace:
    """A rank's speed since the last row."""

    since: float = field(default_factory=lambda: time.perf_counter())
    steps: int = 0
    samples: int = 0
    waited: float = 0.0

    def measure(self, accelerator: Accelerator) -> dict[str, float]:
        return {
            "seconds": time.perf_counter() - self.since,
            "samples": self.samples,
            "waited": self.waited,
            "memory": _take_peak_memory(accelerator.device),
        }


class TrainingLog:
    """Rows of `metrics.jsonl`, handed to the trackers too, and a progress bar.

    Rows after `step`, of a run that was cut off and goes on here, are removed, so that the file reads as one run.

    Args:
        accelerator: the run's, with its trackers started.
        folder: of the run; it exists.
        config: see `LogConfig`.
        step: steps done already.
        steps: of the whole run.

    Raises:
        InputError: the rows that are there cannot be read, or the file cannot be written.
    """

    def __init__(self, accelerator: Accelerator, folder: Path, config: LogConfig, *, step: int, steps: int) -> None:
        self.accelerator, self.path, self.config, self.steps = accelerator, folder / METRICS, config, steps
        self._passes: list[tuple[Tensor, Tensor, Tensor]] = []  # on the device: nothing waits for it until a row is due
        self._window, self._pace, self._lr, self._told = _Window(), _Pace(), math.nan, -math.inf
        main = accelerator.is_main_process
        if main:
            _keep_rows(self.path, step)
        self._bar = tqdm(total=steps, initial=step, unit="step", desc="training", disable=None if main else True)

    def add_pass(self, losses: Losses) -> None:
        """Note a forward pass, without waiting for the device."""
        self._passes.append((losses.weighted.detach(), losses.per_sample, losses.timesteps))
        self._pace.samples += len(losses.per_sample)

    def add_step(self, step: int, *, grad_norm: float | None, lr: float, data_wait: float, skipped: bool) -> None:
        """Note an optimiser step.

        Args:
            step: how many are done.
            grad_norm: before clipping; `None` if there was no gradient.
            lr: learning rate.
            data_wait: seconds that this rank waited for its batches.
            skipped: the weights stayed as they were.
        """
        if grad_norm is not None:
            self._window.grad_norms.append(grad_norm)
        self._window.skipped += skipped
        self._pace.steps += 1
        self._pace.waited += data_wait
        self._lr = lr
        self._bar.update(step - self._bar.n)

    def due(self, step: int) -> bool:
        """Whether a row is written at this step: every `config.every`, and at the last."""
        return step % self.config.every == 0 or step == self.steps

    def write(self, step: int) -> dict[str, float]:
        """Write a row on the steps since the last one; every rank calls this.

        Returns:
            `step`; `loss`, the mean over passes and ranks; `loss_t/000-199` and so on, the mean of the unweighted
            loss of the samples with these timesteps; `grad_norm` and `grad_norm_max`, mean and largest; `lr`;
            `samples_per_s` of all ranks together; `step_s`; `data_wait_share` (0 to 1) and `peak_memory_gib` (GPU
            memory since the last row; on a CPU the process's memory since its start) of the rank where they are
            largest; `skipped`, how many steps were. What there is no sample for is not there; what is not finite is
            null in the file. The row is empty, and not written, if no step was done since the last one.

        Raises:
            InputError: the file cannot be written.
        """
        self._drain()
        steps = self._pace.steps
        if not steps:
            return {}
        ranks = gather_object([(self._window, self._pace.measure(self.accelerator))])
        windows, paces = zip(*ranks, strict=True)
        row = {"step": step, **_losses(windows), **_gradients(self._window), "lr": self._lr}
        row |= _speed(paces, steps) | {"skipped": self._window.skipped}
        self._window, self._pace = _Window(), _Pace()
        if self.accelerator.is_main_process:
            self._append(row)
            self._show(row)
        self.accelerator.log({name: value for name, value in row.items() if name != "step"}, step=step)
        return row

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens within (validation, a checkpoint) does not count as training time."""
        started = time.perf_counter()
        yield
        self._pace.since += time.perf_counter() - started

    def state_dict(self) -> dict[str, Any]:
        """What the next row will need of the steps so far, as plain JSON; every rank calls this."""
        self._drain()
        return {"ranks": [asdict(window) for window in gather_object([self._window])]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with that; with another number of ranks the first one takes it all."""
        windows, rank = [_Window(**window) for window in deepcopy(state["ranks"])], self.accelerator.process_index
        if len(windows) == self.accelerator.num_processes:
            self._window = windows[rank]
        else:
            self._window = _fold(windows if rank == 0 else [])
            self._window.grad_norms, self._window.skipped = windows[0].grad_norms, windows[0].skipped

    def close(self) -> None:
        """Leave the progress bar as it is."""
        self._bar.close()

    def _drain(self) -> None:
        """Bring the passes' losses over from the device, and add them up."""
        if not self._passes:
            return
        weighted, errors, timesteps = zip(*self._passes, strict=True)
        self._passes = []
        for loss in torch.stack(weighted).tolist():
            self._window.loss += loss
            self._window.passes += 1
        for error, timestep in zip(torch.cat(errors).tolist(), torch.cat(timesteps).tolist(), strict=True):
            self._window.bucket_losses[timestep // WIDTH] += error
            self._window.bucket_samples[timestep // WIDTH] += 1

    def _append(self, row: dict[str, float]) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(row))
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}") from error

    def _show(self, row: dict[str, float]) -> None:
        shown = {"loss": row.get("loss", math.nan), "lr": row["lr"], "samples/s": row["samples_per_s"]}
        self._bar.set_postfix(shown)
        if self._bar.disable and time.perf_counter() - self._told > QUIET:
            self._told = time.perf_counter()
            left = tqdm.format_interval((self.steps - row["step"]) * row["step_s"])
            numbers = ", ".join(f"{name} {value:.3g}" for name, value in shown.items())
            complain(f"step {row['step']} of {self.steps}: {numbers}, {left} left")


def read_rows(path: Path) -> list[dict[str, float | None]]:
    """The rows of a run's `metrics.jsonl`; a last line that a kill cut off is left out.

    Raises:
        InputError: another line is no row.
    """
    rows = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise InputError(f"line {number} of {path} is no row of numbers: remove it") from error
    return rows


def _keep_rows(path: Path, step: int) -> None:
    try:
        rows = read_rows(path) if path.exists() else []
        with appearing(path) as temporary:
            temporary.write_text("".join(_line(row) for row in rows if (row["step"] or 0) <= step), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def _line(row: dict[str, Any]) -> str:
    """JSON knows no infinity; Python writes as many digits as make the float again."""
    finite = {name: value if value is not None and math.isfinite(value) else None for name, value in row.items()}
    return json.dumps(finite) + "\n"


def _fold(windows: Sequence[_Window]) -> _Window:
    """The ranks' losses together, added in their order."""
    total = _Window()
    for window in windows:
        total.loss += window.loss
        total.passes += window.passes
        for bucket in range(len(BUCKETS)):
            total.bucket_losses[bucket] += window.bucket_losses[bucket]
            total.bucket_samples[bucket] += window.bucket_samples[bucket]
    return total


def _losses(windows: Sequence[_Window]) -> dict[str, float]:
    total = _fold(windows)
    row = {"loss": total.loss / total.passes} if total.passes else {}
    buckets = zip(BUCKETS, total.bucket_losses, total.bucket_samples, strict=True)
    return row | {name: loss / samples for name, loss, samples in buckets if samples}


def _gradients(window: _Window) -> dict[str, float]:
    """The norm is the same on all ranks."""
    norms = window.grad_norms
    return {"grad_norm": sum(norms) / len(norms), "grad_norm_max": max(norms)} if norms else {}


def _speed(paces: Sequence[dict[str, float]], steps: int) -> dict[str, float]:
    seconds = max(pace["seconds"] for pace in paces)
    return {
        "samples_per_s": sum(pace["samples"] for pace in paces) / seconds,
        "step_s": seconds / steps,
        "data_wait_share": max(pace["waited"] / pace["seconds"] for pace in paces),
        "peak_memory_gib": max(pace["memory"] for pace in paces),
    }


def _take_peak_memory(device: torch.device) -> float:
    """GiB."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return peak / 2**30
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
