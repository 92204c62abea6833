"""`musedance puppets`: the built-in world as a dataset folder."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from itertools import count
from pathlib import Path

from tqdm import tqdm

from musedance.datasets.clip import SPLITS, Clip
from musedance.datasets.folder import write_dataset
from musedance.errors import InputError
from musedance.files import appearing_folder
from musedance.processes import end_with_parent
from musedance.puppets.clip_files import FOLDERS, write_clip, write_portrait
from musedance.puppets.performance import CLIPS_PER_SOURCE, World, perform

MAX_CLIPS = 10_000_000
HELD_OUT_EVERY = 20  # of 20 sources one is for validation and one for the test


def write_puppets(
    output: str | Path, world: World, *, clips: int, split: str | None = None, workers: int | None = None
) -> Path:
    """Write a dataset folder of drawn dancers; its files depend on the world alone, not on the number of workers.

    N clips of a world are the first N of more. Splits are cut by whole sources.

    Args:
        output: the folder to make; nothing or an empty folder now. It appears when everything is in it.
        world: what the clips are like.
        clips: how many; portraits are not counted.
        split: the one that all clips are in; the usual three if not given.
        workers: processes; as many as there are cores if not given.

    Raises:
        InputError: there is something at `output` already, or a number is out of range.
    """
    output = Path(output)
    if not 1 <= clips <= MAX_CLIPS:
        raise InputError(f"clips has to lie between 1 and {MAX_CLIPS}, not {clips}")
    if split is not None and split not in SPLITS:
        raise InputError(f"split has to be one of {', '.join(SPLITS)}, not {split!r}")
    if workers is not None and workers < 1:
        raise InputError(f"there has to be at least 1 worker, not {workers}")
    sources = -(-clips // CLIPS_PER_SOURCE)
    splits = [split or split_of(index) for index in range(sources)]
    counts = [min(CLIPS_PER_SOURCE, clips - CLIPS_PER_SOURCE * index) for index in range(sources)]
    with appearing_folder(output) as folder:
        for part in set(splits):
            for name in FOLDERS:
                (folder / part / name).mkdir(parents=True)
        rows: list[Clip] = []
        with tqdm(total=clips, unit="clip", desc="puppets") as bar:
            for done in _in_processes(folder, world, splits, counts, min(workers or os.cpu_count() or 1, sources)):
                rows += done
                bar.update(sum(not row.portrait for row in done))
        write_dataset(folder, _info(world, clips), rows)
    return output


def split_of(index: int) -> str:
    """The split of a source: 90, 5 and 5 of 100, from three sources on at least one of each."""
    return {1: SPLITS[1], 2: SPLITS[2]}.get(index % HELD_OUT_EVERY, SPLITS[0])


def _write_source(folder: Path, world: World, index: int, split: str, clips: int) -> list[Clip]:
    performance = perform(world, index)
    source = f"puppet-{index:06d}"
    rows = [write_clip(folder / split, split, source, performance, number) for number in range(clips)]
    return [*rows, write_portrait(folder / split, split, source, performance)] if world.portraits else rows


def _in_processes(
    folder: Path, world: World, splits: list[str], counts: list[int], workers: int
) -> Iterator[list[Clip]]:
    """The rows of each source, as they are done; with one worker in this process."""
    if workers == 1:
        yield from (_write_source(folder, world, *source) for source in zip(count(), splits, counts, strict=False))
        return
    # Not forked: a copy of a process with threads may wait for a lock that nobody holds.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    try:
        sources = zip(count(), splits, counts, strict=False)
        jobs = [pool.submit(_write_source, folder, world, *source) for source in sources]
        for job in as_completed(jobs):
            yield job.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """The first process alone decides when to end: Ctrl-C goes to all of them, a kill to that one only."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _info(world: World, clips: int) -> dict[str, object]:
    return {
        "name": f"puppets, seed {world.seed}",
        "description": "Drawn dancers of the built-in world: musedance puppets",
        "license": "CC0-1.0",
        "fps": world.fps,
        "puppets": {"clips": clips, **asdict(world)},
    }
