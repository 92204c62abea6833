"""The same work on a Ray cluster: Ray Data streams the videos through actors, those with models on GPUs."""

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from musedance.errors import InputError
from musedance.prepare.records import Record
from musedance.prepare.sources import Source
from musedance.prepare.steps import AnnotateStep, CutStep, WholeStep
from musedance.prepare.workers import Worker

CONNECT_TIMEOUT = 10.0  # seconds


class StepActor:
    """Does one step for one video after another in a process of its own, as the process pool does.

    Args:
        step: pickled.
        patience: see `run_in_processes`.
        share: how many such actors share a machine.
    """

    def __init__(self, step: bytes, patience: float, share: int) -> None:
        self._step, self._patience, self._share = pickle.loads(step), patience, share
        self._worker: Worker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch of one pickled task -> a batch of its pickled outcome; an error goes through as it is."""
        (packed,) = batch["item"]
        task = pickle.loads(packed)
        if not isinstance(task, Exception):
            if self._worker is None or self._worker.is_lost:
                self._worker = Worker(self._step, self._patience, self._share)
            task = self._worker.run(task)
        return {"item": [pickle.dumps(task)], "number": batch["number"]}


def run_on_ray(
    tasks: Sequence[Source], cut: CutStep, annotate: AnnotateStep, address: str, workers: int | None, patience: float
) -> Iterator[tuple[Source, Record | Exception]]:
    """As `run_in_processes`, on a cluster.

    Every machine of it has to see the videos and the output under the same paths.

    Args:
        tasks: the videos.
        cut: the first step.
        annotate: the second step; it has actors of its own if there is anything for it to do but to save.
        address: of the cluster; "local" starts one on this machine.
        workers: actors of each step at most; None is as many as the cluster has cores.
        patience: see `run_in_processes`.

    Raises:
        InputError: Ray is not installed, or no cluster answers at that address.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError('--ray needs Ray: pip install "musedance[data]"') from error
    started = not ray.is_initialized()
    if started:
        try:
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"no Ray cluster answers at {address}: {error}") from error
    try:
        yield from _stream(tasks, cut, annotate, workers, patience)
    finally:
        if started:
            ray.shutdown()


def _stream(
    tasks: Sequence[Source], cut: CutStep, annotate: AnnotateStep, workers: int | None, patience: float
) -> Iterator[tuple[Source, Record | Exception]]:
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False  # there is one of ours
    resources = ray.cluster_resources()
    cores, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    count = max(1, min(workers or cores, cores, len(tasks)))
    share = max(1, min(count, os.cpu_count() or 1))
    stages = cut.stages
    has_annotators = stages.densepose is not None or stages.captioner is not None
    steps = [(cut, _wants_gpu(stages.dancer)), (annotate, _wants_gpu(stages.densepose, stages.captioner))]
    if not has_annotators:
        steps = [(WholeStep(cut, annotate), steps[0][1])]

    items = [{"item": pickle.dumps(task), "number": number} for number, task in enumerate(tasks)]
    rows: Any = ray.data.from_items(items, override_num_blocks=len(items))
    for number, (step, wants_gpu) in enumerate(steps):
        on_gpu = bool(gpus and wants_gpu)
        rows = rows.map_batches(
            StepActor,
            batch_size=1,
            fn_constructor_args=(pickle.dumps(step), patience, share),
            compute=ray.data.ActorPoolStrategy(size=min(count, gpus) if on_gpu else count),
            # The second step's actors take no core, so that a small machine has room for both; two on a GPU share it.
            num_cpus=1 if number == 0 else 0,
            num_gpus=1 / sum(gpu for _, gpu in steps) if on_gpu else 0,
        )
    _quieten()
    for row in rows.iter_rows():
        yield tasks[row["number"]], pickle.loads(row["item"])


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at `host:port`: Ray itself would try on for many minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT).close()


def _quieten() -> None:
    """Leave Ray Data's account of its plans out."""
    logger = logging.getLogger("ray.data")
    for handler in logger.handlers:
        if type(handler) is not logging.FileHandler:
            handler.setLevel(logging.ERROR)


def _wants_gpu(*stages: Any) -> bool:
    """Whether any of them, or the detector in it, holds a model: such have a `device`."""
    return any(hasattr(part, "device") for stage in stages for part in (stage, getattr(stage, "detector", None)))
