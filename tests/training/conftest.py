"""A model small enough to be trained in a second, and drawn clips to train it on."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

import musedance.weights.init
from musedance.puppets.performance import World
from musedance.puppets.world import write_puppets
from musedance.training.config import Stage1Config, Stage2Config
from musedance.training.script import run_script
from musedance.weights.init import init_folder, load_sections

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 16


def small_sections() -> dict:
    """The tiny size, with fewer of everything: K = 4 and M = 2 frames of 32 x 32 pixels."""
    sections = load_sections("tiny")
    sections["vae"] |= {"block_out_channels": [8, 8, 8, 8], "norm_num_groups": 4, "latent_channels": 5}
    sections["text_encoder"] |= {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1}
    sections["text_encoder"]["projection_dim"] = WIDTH
    sections["unet"] |= {"num_frames": 4, "sample_size": 4, "in_channels": 5, "out_channels": 5}
    sections["unet"] |= {"block_out_channels": [WIDTH, 2 * WIDTH], "norm_num_groups": 4}
    sections["unet"] |= {"music_dim": WIDTH, "condition_dim": WIDTH, "cross_attention_dim": WIDTH}
    sections["mask_encoder"] |= {"latent_channels": 5, "block_out_channels": [4, 8, 8, 8]}
    ast = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": WIDTH}
    sections["music_encoder"]["ast_config"] |= ast
    return sections


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder of stage 0 with random weights, see `small_sections`; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musedance.weights.init, "load_sections", lambda size: small_sections())
        return init_folder(tmp_path_factory.mktemp("models") / "small", seed=0)


@pytest.fixture(scope="session")
def puppet_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 clips of 50 frames of 64 x 64 at 12 fps, eight of them in train, four in validation; not to be changed."""
    world = World(seed=0, width=64, height=64, fps=12.0, num_frames=50)
    return write_puppets(tmp_path_factory.mktemp("puppets") / "data", world, clips=16, workers=1)


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
