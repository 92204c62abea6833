"""Where the time of a training step goes in the real trainer: forward and backward, and everything else.

    musedance puppets DATA --clips 64 --seed 0
    musedance init MODEL --size tiny
    musedance dataset cache DATA --model MODEL --device cpu --dtype float32
    python benchmarks/training_overhead.py --data DATA --model MODEL --cache DATA/cache

Both stages with the settings of configs/tiny/ and the overrides; stage 2 starts from random weights, which costs the
same. Without --cache the frozen encoders run in each step. Validation and checkpoints are left out: how often they come
is a choice. "rest" is what is left of the time from one step to the next: health checks, the stop signal, the loop.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from accelerate.state import AcceleratorState

from musedance.training import trainer as trainer_module
from musedance.training.accelerator import make_accelerator
from musedance.training.config import Stage1Config, Stage2Config, TrainingConfig
from musedance.training.config_file import load_config
from musedance.training.log import TrainingLog
from musedance.training.starting_point import load_networks
from musedance.training.trainable import select_stage1, select_stage2
from musedance.training.trainer import Trainer

WORK = ("forward", "backward")
PARTS = (*WORK, "data wait", "encoding", "clipping", "optimizer", "moving average", "log")


class Clock:
    """Seconds by name, with the device's work done."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, defaultdict[str, float](float)

    def now(self) -> float:
        """Seconds."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose time goes under `name`."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = self.now()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += self.now() - start

        return call


class TimedLoader:
    """A loader whose batches are waited for under "data wait"."""

    def __init__(self, loader: Any, clock: Clock) -> None:
        self.loader, self.clock = loader, clock

    def __iter__(self) -> Iterator[Any]:
        following = self.clock.timed("data wait", iter(self.loader).__next__)
        while True:
            yield following()


def make_trainer(stage: int, options: argparse.Namespace, output: Path) -> Trainer:
    """As the scripts make it, but from any folder."""
    schema: type[TrainingConfig] = Stage1Config if stage == 1 else Stage2Config
    steps = options.warm_up + options.steps + 1
    settings = [
        f"model={options.model}",
        f"data.root={options.data}",
        f"output={output / str(stage)}",
        f"steps={steps}",
    ]
    settings += ["validation.every=0", f"checkpoint.every={steps}", "optim.warmup_steps=0"]
    settings += [f"data.cache={options.cache}"] if options.cache else []
    with as_file(files("musedance.configs") / "tiny" / f"stage{stage}.yaml") as path:
        config = load_config(schema, path, [*settings, *options.overrides])
    networks = load_networks(options.model)
    if isinstance(config, Stage2Config):
        select_stage2(networks, config.freeze_spatial)
    else:
        select_stage1(networks)
    AcceleratorState._reset_state(reset_partial_state=True)  # there is one a process, and this is its second run
    return Trainer(config, make_accelerator(config), networks, stage=stage)


def measure(trainer: Trainer, warm_up: int) -> tuple[dict[str, float], float]:
    """Seconds by part and in all, of the steps after the first ones."""
    clock, begun = Clock(trainer.accelerator.device), []
    step = trainer._step

    def first_note_the_time(*args: Any) -> None:
        begun.append((clock.now(), clock.seconds.copy()))
        step(*args)

    trainer.loader = TimedLoader(trainer.loader, clock)  # type: ignore[assignment]
    trainer.objective = clock.timed("forward", trainer.objective)  # type: ignore[assignment]
    places = [
        (trainer_module, "encode_batch", "encoding"),
        (trainer.accelerator, "backward", "backward"),
        (trainer, "_clip", "clipping"),
        (trainer.optimizer, "step", "optimizer"),
        (trainer.average, "step", "moving average"),
        (TrainingLog, "write", "log"),
        (TrainingLog, "add_pass", "log"),
        (TrainingLog, "add_step", "log"),
    ]
    with ExitStack() as stack:
        stack.enter_context(patch.object(trainer, "_step", first_note_the_time))
        for place, name, part in places:
            if place is not None:
                stack.enter_context(patch.object(place, name, _method(clock.timed(part, getattr(place, name)))))
        trainer.fit()
    (start, before), (end, after) = begun[warm_up], begun[-1]
    parts = {part: after[part] - before[part] for part in PARTS}
    return parts | {"rest": end - start - sum(parts.values())}, end - start


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: function(*args, **kwargs)


def main() -> None:
    """Read the options, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--stages", type=int, nargs="+", choices=[1, 2], default=[1, 2])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the configs, e.g. batch_size=1")
    options = parser.parse_intermixed_args()
    lines = ["| stage | s a step | " + " | ".join((*PARTS, "rest")) + " | outside forward and backward |"]
    lines.append("|" + "---|" * (len(PARTS) + 4))
    with TemporaryDirectory() as output:
        for stage in options.stages:
            parts, total = measure(make_trainer(stage, options, Path(output)), options.warm_up)
            outside = 1 - sum(parts[part] for part in WORK) / total
            shares = " | ".join(f"{seconds / total:.1%}" for seconds in parts.values())
            lines.append(f"| {stage} | {total / options.steps:.3f} | {shares} | {outside:.1%} |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
