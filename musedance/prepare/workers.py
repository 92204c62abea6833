"""Work on many things in processes of their own, so that one that hangs or crashes takes nothing else with it."""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from musedance.processes import end_with_parent

Task = TypeVar("Task")
Result = TypeVar("Result")
Alive = Callable[[], None]

_SPAWN = multiprocessing.get_context("spawn")  # forked processes inherit the locks of threads they do not have


class WorkerLostError(RuntimeError):
    """A worker died, or was ended because it gave no sign of life."""


def run_in_processes(
    tasks: Sequence[Task], work: Callable[[Task, Alive], Result], workers: int, patience: float
) -> Iterator[tuple[Task, Result | Exception]]:
    """Run `work(task, alive)` for every task; pairs of task and outcome come as they are finished.

    What `work` raises is an outcome, and so is a `WorkerLostError`. All workers are ended when the iterator is closed,
    and end by themselves when this process does.

    Args:
        tasks: what to do; picklable.
        work: called in the workers, each of which unpickles it once; its results and errors are picklable too. It
            calls `alive` from time to time.
        workers: how many at a time.
        patience: seconds without a sign of life after which a worker is ended.
    """
    waiting = deque(tasks)
    workers = min(workers, len(waiting))
    busy: dict[Connection, Worker] = {}
    idle: list[Worker] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = idle.pop() if idle else Worker(work, patience, workers)
                worker.give(waiting.popleft())
                busy[worker.connection] = worker
            ready = wait(list(busy), timeout=1.0)
            for connection, worker in list(busy.items()):
                outcome = worker.outcome(connection in ready)
                if outcome is None:
                    continue
                del busy[connection]
                if not worker.is_lost:
                    idle.append(worker)
                yield worker.task, outcome[0]
    finally:
        for worker in [*idle, *busy.values()]:
            worker.end()


class Worker:
    """A process that does one task after another, and this side of the pipe to it.

    Args:
        work: see `run_in_processes`.
        patience: see there.
        share: how many workers share the cores.
    """

    def __init__(self, work: Callable[..., Any], patience: float, share: int) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        threads = max(1, (os.cpu_count() or 1) // share)
        self._process = _SPAWN.Process(target=_serve, args=(theirs, threads), daemon=True)
        self._process.start()
        theirs.close()
        self._patience = patience
        self.task: Any = None
        self.is_lost = False
        self._send(work)

    def run(self, task: Any) -> Any:
        """Do one task and wait for its outcome: what `work` returned or raised, or a `WorkerLostError`."""
        self.give(task)
        while (outcome := self.outcome(self.connection.poll(1.0))) is None:
            pass
        return outcome[0]

    def give(self, task: Any) -> None:
        """Begin a task."""
        self.task, self._last_sign = task, time.monotonic()
        self._send(task)

    def outcome(self, has_message: bool) -> tuple[Any] | None:
        """What came of the task, in a tuple; None if it goes on."""
        if has_message:
            self._last_sign = time.monotonic()
            try:
                return self.connection.recv()
            except (EOFError, OSError):
                self.end()
                return (WorkerLostError(f"the worker died (exit code {self._process.exitcode})"),)
        if time.monotonic() - self._last_sign < self._patience:
            return None
        self.end()
        return (WorkerLostError(f"nothing happened for {self._patience:g} s"),)

    def end(self) -> None:
        """Kill the process if it is alive."""
        self.is_lost = True
        self._process.join(0.1)  # if it died by itself its exit code tells why
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _send(self, message: Any) -> None:
        with suppress(BrokenPipeError):  # a dead process is noticed when its answer is read
            self.connection.send(message)


def _serve(connection: Connection, threads: int) -> None:
    """What a worker does until it is ended: receive `work`, then a task at a time; None is a sign of life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt goes to the whole group; the parent ends its workers
    end_with_parent()
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before numpy and torch come with `work`
    work = connection.recv()
    while True:
        task = connection.recv()
        outcome: Any
        try:
            outcome = work(task, lambda: connection.send(None))
        except Exception as error:
            outcome = error
        connection.send((outcome,))
