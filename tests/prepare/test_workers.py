"""Workers do what they are given, and end however they end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from musedance.prepare.workers import WorkerLostError, run_in_processes

WORK = '''
import os, signal, time

class Work:
    """What a task says; counts how often it came over to a worker."""
    def __setstate__(self, state):
        self.__dict__.update(state)
        with open(self.path + "/starts", "a") as file:
            file.write("x")

    def __call__(self, task, alive):
        if task == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if task == "hang":
            time.sleep(600)
        if task == "slow":
            for _ in range(10):
                time.sleep(0.5)
                alive()
        if task == "raise":
            raise ValueError("no such luck")
        if task == "pid":
            with open(self.path + "/pid", "w") as file:
                file.write(str(os.getpid()))
            time.sleep(600)
        return f"{task} done by {os.environ['OMP_NUM_THREADS']}"

def make(path):
    work = Work()
    work.path = path
    return work
'''


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Lies in a module of its own, as a user's would, so that workers can import it."""
    (tmp_path / "some_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield import_module("some_work").make(str(tmp_path))
    del sys.modules["some_work"]


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has asked for its exit code has."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_for(happened: Any) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_every_task_is_done_once(work: Any, tmp_path: Path) -> None:
    tasks = [f"task {number}" for number in range(20)]
    outcomes = dict(run_in_processes(tasks, work, workers=2, patience=60))
    assert outcomes == {task: f"{task} done by 1" for task in tasks}
    assert (tmp_path / "starts").read_text() == "xx"  # each worker got the work once


def test_a_crash_an_error_and_a_worker_that_hangs_cost_one_task_each(work: Any) -> None:
    tasks = ["a", "crash", "raise", "hang", "b", "c"]
    outcomes = dict(run_in_processes(tasks, work, workers=1, patience=4))
    assert [outcomes[name] for name in "abc"] == [f"{name} done by 1" for name in "abc"]
    assert isinstance(outcomes["crash"], WorkerLostError) and "died (exit code -11)" in str(outcomes["crash"])
    assert isinstance(outcomes["raise"], ValueError) and str(outcomes["raise"]) == "no such luck"
    assert isinstance(outcomes["hang"], WorkerLostError) and "nothing happened for 4 s" in str(outcomes["hang"])


def test_who_gives_signs_of_life_may_take_long(work: Any) -> None:
    """5 s with a patience of 4 s."""
    assert list(run_in_processes(["slow"], work, workers=1, patience=4)) == [("slow", "slow done by 1")]


def test_nothing_to_do() -> None:
    assert list(run_in_processes([], print, workers=4, patience=1)) == []


def test_workers_end_with_who_stops_listening(work: Any, tmp_path: Path) -> None:
    with closing(run_in_processes(["a", "pid"], work, workers=2, patience=60)) as running:
        assert next(running)[0] == "a"
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_workers_end_when_their_parent_is_killed(work: Any, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom some_work import make\nfrom musedance.prepare.workers import run_in_processes\n"
        "if __name__ == '__main__':\n    list(run_in_processes(['pid'], make(sys.argv[1]), 1, 600))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    try:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    pid = int((tmp_path / "pid").read_text())
    try:
        wait_for(lambda: is_gone(pid))
        assert is_gone(pid)
    finally:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)
