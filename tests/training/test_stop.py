"""SIGTERM, sent for real: to this process, to a run with workers, to one of two ranks."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from musedance.datasets.loader import make_loader
from musedance.training.stop import StopSignal

PATIENCE = 60.0  # seconds


def wait_for(path: Path, is_running: Callable[[], bool]) -> str:
    """What a child writes once it is ready."""
    end = time.monotonic() + PATIENCE
    while not path.exists() or not path.read_text().endswith("\n"):
        assert is_running() and time.monotonic() < end
        time.sleep(0.02)
    return path.read_text().strip()


def test_within_it_is_a_request_and_afterwards_what_it_was() -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("ours"))
    try:
        with StopSignal() as stop:
            assert not stop.requested and not stop.agreed(Accelerator(cpu=True))
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.requested and stop.agreed(Accelerator(cpu=True))
            os.kill(os.getpid(), signal.SIGTERM)  # as torchrun and Slurm each do
            assert stop.requested and not seen
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == ["ours"]
        with pytest.raises(KeyError), StopSignal():
            raise KeyError
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == ["ours", "ours"]
    finally:
        signal.signal(signal.SIGTERM, before)


# A whole run is sent SIGTERM: this process and the two that load its batches.

in_use = []  # when the process ends, as batches are whenever it ends with an error


def load_batches(data: Path, model: Path, folder: Path) -> None:
    """What a training process does with its batches, in a process group of its own."""
    os.setsid()
    os.dup2(os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT), 2)
    torch.set_num_threads(1)
    batches = iter(make_loader(data, model, stage=1, batch_size=2, num_workers=2))
    in_use.append(batches)
    with StopSignal() as stop:
        next(batches), next(batches)  # one from each worker
        workers = [child.pid for child in multiprocessing.active_children()]
        (folder / "ready").write_text(" ".join(map(str, workers)) + "\n")
        while not stop.requested:
            time.sleep(0.01)
        time.sleep(0.3)  # the rest of the step, in which dead workers would be noticed
        for _ in range(12):  # more than were loaded ahead
            next(batches)
        (folder / "saved").touch()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_live_on_until_the_run_ends(puppet_data: Path, small_model: Path, tmp_path: Path) -> None:
    run = multiprocessing.get_context("fork").Process(target=load_batches, args=(puppet_data, small_model, tmp_path))
    run.start()
    try:
        workers = [int(pid) for pid in wait_for(tmp_path / "ready", run.is_alive).split()]
        assert len(workers) == 2 and all(map(alive, workers))
        os.killpg(run.pid, signal.SIGTERM)
        run.join(PATIENCE)
        assert (run.exitcode, (tmp_path / "stderr").read_text()) == (0, "")
        assert (tmp_path / "saved").exists() and not any(map(alive, workers))
    finally:
        run.kill()


# One of two ranks is sent SIGTERM.

RANKS = """
import os, sys, time
from pathlib import Path
from accelerate import Accelerator
from musedance.training.stop import StopSignal

folder, accelerator = Path(sys.argv[1]), Accelerator(cpu=True)
rank = accelerator.process_index
with StopSignal() as stop:
    for step in range(1, 10_000):
        if step == 5:
            (folder / f"ready-{rank}").write_text(f"{os.getpid()}\\n")
        time.sleep(0.01)
        if stop.agreed(accelerator):
            break
    (folder / f"stopped-{rank}").write_text(f"{step} {stop.requested}\\n")
accelerator.end_training()
"""


def test_all_ranks_stop_after_the_same_step(tmp_path: Path) -> None:
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = subprocess.Popen([*command, str(script), str(tmp_path)], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(tmp_path / "ready-0", lambda: run.poll() is None)
        os.kill(int(wait_for(tmp_path / "ready-1", lambda: run.poll() is None)), signal.SIGTERM)
        complained = run.communicate(timeout=PATIENCE)[1]
        assert run.returncode == 0, complained
    finally:
        if run.poll() is None:
            run.terminate()
    (first, asked), (second, asked_too) = ((tmp_path / f"stopped-{rank}").read_text().split() for rank in range(2))
    assert first == second and int(first) < 9_999
    assert (asked, asked_too) == ("False", "True")
