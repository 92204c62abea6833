"""Runs that are killed, stopped or moved to other machines go on as if nothing had happened."""

import json
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

STEPS = 6
TWO = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]
TWO += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]  # a free port
OPTIONS = [f"steps={STEPS}", "checkpoint.every=2", "validation.every=0", "data.workers=1"]


@pytest.fixture(scope="module")
def stage1_model(tmp_path_factory, small_model, puppet_data, run_training) -> Path:
    """A folder that stage 2 can start from."""
    output = tmp_path_factory.mktemp("stage1") / "run"
    ran = run_training(
        1, f"model={small_model}", f"output={output}", f"data.root={puppet_data}", "steps=1", "validation.every=0"
    )
    assert ran.returncode == 0, ran.stderr
    return output / "model"


@pytest.fixture(scope="module")
def arguments(stage1_model, puppet_data) -> list[str]:
    return [f"model={stage1_model}", f"data.root={puppet_data}", *OPTIONS]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, arguments, run_training) -> Path:
    """A run of stage 2 that nothing happens to."""
    output = tmp_path_factory.mktemp("unbroken") / "run"
    ran = run_training(2, f"output={output}", *arguments)
    assert ran.returncode == 0, ran.stderr
    return output


def losses(run: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())]


def assert_equal_runs(run: Path, other: Path) -> None:
    """The same losses at the same steps and the same weights, to the last bit."""
    assert losses(run) == losses(other)
    assert [step for step, _ in losses(run)] == list(range(1, STEPS + 1))
    name = "unet/diffusion_pytorch_model.safetensors"
    found, expected = load_file(run / "model" / name), load_file(other / "model" / name)
    assert all(found[key].equal(expected[key]) for key in expected)


def written(run: Path, step: int) -> Callable[[], bool]:
    """Whether a row of this step is there."""
    return lambda: (run / "metrics.jsonl").is_file() and any(s >= step for s, _ in read_rows(run))


def read_rows(run: Path) -> list[tuple[int, float]]:
    whole = [line for line in (run / "metrics.jsonl").read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [(row["step"], row["loss"]) for row in map(json.loads, whole)]


def writing_a_checkpoint(run: Path) -> Callable[[], bool]:
    return lambda: any((run / "checkpoints").glob(".writing-*"))


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, f"the run ended too early:\n{process.stderr.read()}"
        assert time.monotonic() < end
        time.sleep(0.001)


def test_killed_at_several_points(arguments, unbroken, start_training, run_training, tmp_path):
    """SIGKILL before the first checkpoint, between two, and while one is being written."""
    run = tmp_path / "run"
    for reached in (written(run, 1), written(run, 3), writing_a_checkpoint(run)):
        process = start_training(2, f"output={run}", "--resume", "latest", *arguments)
        wait_until(reached, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (run / "model").exists()
    ran = run_training(2, f"output={run}", "--resume", "latest", *arguments)
    assert ran.returncode == 0, ran.stderr
    assert_equal_runs(run, unbroken)
    assert not list((run / "checkpoints").glob(".*"))


def test_pre_empted(arguments, unbroken, start_training, call_training, tmp_path):
    """SIGTERM: the step is finished and saved, and the exit code is 0."""
    run = tmp_path / "run"
    process = start_training(2, f"output={run}", *arguments, "checkpoint.every=1000")
    wait_until(written(run, 2), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert not (run / "model").exists()
    (checkpoint,) = (run / "checkpoints").iterdir()
    assert checkpoint.name == f"step-{read_rows(run)[-1][0]:08d}"
    assert call_training(2, f"output={run}", "--resume", str(checkpoint), *arguments) == 0
    assert_equal_runs(run, unbroken)


def test_a_full_disk_leaves_the_last_checkpoint(arguments, unbroken, run_training, call_training, tmp_path, capsys):
    """The file size limit is what a process can have of a full disk without a disk."""
    run = tmp_path / "run"
    assert call_training(2, f"output={run}", *arguments, "steps=2") == 0

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    ran = run_training(2, f"output={run}", "--resume", "latest", *arguments, preexec_fn=limit)
    assert ran.returncode == 2
    line = ran.stderr.strip().splitlines()[-1]
    assert "step-00000004 could not be written" in line and "step-00000002 is intact" in line
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000002"]
    assert call_training(2, f"output={run}", "--resume", "latest", *arguments) == 0
    assert_equal_runs(run, unbroken)


def test_another_number_of_processes(arguments, call_training, run_training, tmp_path):
    """Two processes take every sample once between them, and one goes on where they were."""
    run = tmp_path / "run"
    few = [f"output={run}", *arguments, "batch_size=1", "ema_decay=0.9"]
    ran = run_training(2, *few, "steps=2", launcher=TWO)
    assert ran.returncode == 0, ran.stderr
    assert call_training(2, *few, "steps=4", "accumulation=2", "--resume", "latest") == 0
    states = [json.loads((run / "checkpoints" / f"step-{step:08d}" / "training.json").read_text()) for step in (2, 4)]
    assert [(state["batches"], state["world_size"]) for state in states] == [(2, 2), (8, 1)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["optim.lr=0.5"], ["optim.lr", "0.5"]),
        (["objective.noise_offset=0", "seed=7"], ["objective.noise_offset", "seed"]),
    ],
)
def test_another_config_is_named(arguments, unbroken, call_training, capsys, changes, named):
    before = (unbroken / "metrics.jsonl").read_bytes()
    assert call_training(2, f"output={unbroken}", *arguments, *changes, "--resume", "latest") == 2
    message = capsys.readouterr().err
    assert all(name in message for name in named)
    assert (unbroken / "metrics.jsonl").read_bytes() == before
