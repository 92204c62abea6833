"""Raw videos -> a dataset folder."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from musedance.errors import InputError
from musedance.prepare.finishing import finish
from musedance.prepare.on_ray import run_on_ray
from musedance.prepare.records import Record, WorkFolder
from musedance.prepare.rejection import Hopeless
from musedance.prepare.report import make_report, summary, write_report
from musedance.prepare.sources import Source, find_files, identify
from musedance.prepare.stages import Stages, make_stages
from musedance.prepare.steps import AnnotateStep, CutStep, WholeStep, failure
from musedance.prepare.workers import run_in_processes


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        report: what `OUTPUT/report.json` holds.
        lines: the same for people.
        num_given: videos, duplicates left aside.
        num_new: of these, how many were worked on; 0 if everything had been done before.
        num_failed: of these, how many could not be read or ended in an error.
    """

    report: dict[str, Any]
    lines: list[str]
    num_given: int
    num_new: int
    num_failed: int


def prepare(
    inputs: Iterable[str | Path],
    output: str | Path,
    *,
    stages: Stages | None = None,
    workers: int | None = None,
    ray: str | None = None,
    seed: int = 0,
    validation: float = 0.05,
    test: float = 0.05,
    patience: float = 900.0,
    progress: bool = True,
) -> Outcome:
    """Prepare videos and write a dataset folder, or add to one that was made with the same stages.

    Scripts that call this need `if __name__ == "__main__":`, as with all of Python's spawned processes.

    Args:
        inputs: video files, folders of them, `.txt` files with a path a line.
        output: folder to make.
        stages: what is done with each video; None is `make_stages()`.
        workers: processes; None is one for each core.
        ray: address of a Ray cluster to work on instead, or "local".
        seed: of the splits.
        validation: share of the clips.
        test: share of the clips.
        patience: seconds after which a video that makes no progress is given up.
        progress: show a bar.

    Raises:
        InputError: bad arguments, no videos, a folder that holds something else, a model or key that does not work.
    """
    _check(workers, validation, test, patience)
    stages = stages or make_stages()
    work = WorkFolder(output)
    files = find_files(inputs, work.output)
    with work.locked(stages.describe()):
        sources, duplicates, unreadable = identify(files)
        waiting = [source for source in sources if work.load(source.digest) is None]
        steps = CutStep(stages, work.output.resolve()), AnnotateStep(stages, work.output.resolve())
        if ray is None:
            running = run_in_processes(waiting, WholeStep(*steps), workers or os.cpu_count() or 1, patience)
        else:
            running = run_on_ray(waiting, *steps, ray, workers, patience)
        failures = [Record(name, name, "", "error", "cannot be read", why) for name, why in unreadable.items()]
        failures += _watch(running, len(waiting), progress) if waiting else []
        records = {record.digest: record for record in work.load_all()}
        clips = finish(work, list(records.values()), stages.fps, {"validation": validation, "test": test}, seed)
        report = make_report([*records.values(), *failures], clips, duplicates)
        write_report(work.output, report)
    found = [records[source.digest] for source in sources if source.digest in records]
    num_failed = len(failures) + sum(record.status == "failed" for record in found)
    return Outcome(report, summary(report), len(sources) + len(unreadable), len(waiting), num_failed)


def _check(workers: int | None, validation: float, test: float, patience: float) -> None:
    if min(validation, test) < 0 or validation + test >= 1:
        raise InputError("the shares of validation and test have to be from 0 on, and below 1 together")
    if workers is not None and workers < 1:
        raise InputError(f"there has to be at least one worker, not {workers}")
    if not patience > 0:
        raise InputError(f"timeout has to be above 0 s, not {patience:g}")


def _watch(running: Iterator[tuple[Source, Record | Exception]], count: int, progress: bool) -> list[Record]:
    """Wait for all videos; the records of those that are to be tried again next time."""
    failures = []
    try:
        for source, outcome in tqdm(running, total=count, desc="prepare", unit="video", disable=not progress):
            if isinstance(outcome, Hopeless):
                raise InputError(str(outcome))
            if isinstance(outcome, Exception):
                outcome = failure(Record(source.id, source.name, source.digest), outcome)
            if outcome.status == "error":
                failures.append(outcome)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on from here") from None
    return failures
