"""A model small enough to be trained in a second, and drawn clips to train it on."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from musedance.training.config import Stage1Config, Stage2Config
from musedance.training.script import run_script

ROOT = Path(__file__).resolve().parents[2]
SMALL_RUN = ["batch_size=2", "optim.lr=0.001", "memory.precision=no", "memory.gradient_checkpointing=false"]
SMALL_RUN += ["data.workers=0", "log.every=1", "clips.size=null", "clips.fps=null", "clips.num_frames=null"]


@pytest.fixture(scope="session")
def run_training() -> Callable[..., subprocess.CompletedProcess]:
    """Runs `train_stageN.py` with overrides as a user does, in a process of its own."""

    def run(stage: int, *arguments: str, launcher: Sequence[str] = (), **kwargs: Any) -> subprocess.CompletedProcess:
        command = [sys.executable, *launcher, str(ROOT / f"train_stage{stage}.py"), *SMALL_RUN, *arguments]
        return subprocess.run(command, text=True, capture_output=True, timeout=300, **kwargs)

    return run


@pytest.fixture
def start_training() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts one in the background; it does not outlive the test."""
    started: list[subprocess.Popen] = []

    def start(stage: int, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, str(ROOT / f"train_stage{stage}.py"), *SMALL_RUN, *arguments]
        started.append(subprocess.Popen(command, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def call_training() -> Iterator[Callable[..., int]]:
    """The same in this process, which saves the seconds that imports take; its exit code."""

    def call(stage: int, *arguments: str) -> int:
        AcceleratorState._reset_state(reset_partial_state=True)  # accelerate has one for each process
        spec = importlib.util.spec_from_file_location(f"train_stage{stage}", ROOT / f"train_stage{stage}.py")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        schema = Stage1Config if stage == 1 else Stage2Config
        described = {"config": f"stage{stage}.yaml", "description": script.__doc__}
        return run_script(script.train, schema, arguments=[*SMALL_RUN, *arguments], **described)

    yield call
    AcceleratorState._reset_state(reset_partial_state=True)
