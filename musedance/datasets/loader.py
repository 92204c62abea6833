"""The way from a dataset to training batches, put together."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader
from transformers import ASTFeatureExtractor

from musedance.datasets.cached_reader import CachedReader
from musedance.datasets.collator import Collator, DropRates
from musedance.datasets.failures import MAX_FAILURE_SHARE, FailureLog, summary
from musedance.datasets.reader import FileReader
from musedance.datasets.sampler import BucketBatchSampler
from musedance.datasets.samples import ClipSamples
from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.datasets.stage1 import WINDOW, Stage1Samples
from musedance.datasets.stage2 import Stage2Samples
from musedance.errors import InputError
from musedance.media.video import Backend

TIMEOUT = 600.0  # seconds for one batch: a file system that hangs ends the run


class ClipLoader:
    """A `DataLoader` that keeps count of the clips that cannot be read. Iterating gives batches without end.

    Args:
        samples: the split's samples.
        sampler: this rank's batches.
        collator: drops conditions, stacks.
        num_workers: processes that read; the batches are the same for any number of them.
        max_failure_share: the share of the split's clips that may be unreadable.
        timeout: seconds to wait for a batch from a worker.
    """

    def __init__(
        self,
        samples: ClipSamples,
        sampler: BucketBatchSampler,
        collator: Collator,
        *,
        num_workers: int = 0,
        max_failure_share: float = MAX_FAILURE_SHARE,
        timeout: float = TIMEOUT,
    ) -> None:
        self.samples, self.sampler, self.collator = samples, sampler, collator
        self.failures = FailureLog(len(samples.clips), max_failure_share)
        self._loader = DataLoader(
            samples,
            batch_sampler=sampler,
            collate_fn=collator,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            worker_init_fn=partial(_start_worker, last=not torch.cuda.is_available()),
            timeout=timeout if num_workers else 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else each pass would take a number from the global one
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Batches from `sampler.start` on.

        Raises:
            InputError: too many clips cannot be read, or a bucket has none left that can.
            RuntimeError: a worker died, or was waited for too long.
        """
        for batch in self._batches():
            failures = batch.pop("failures")
            self.failures.add(failures)
            if "ids" not in batch:
                raise InputError(f"no clip of its size is left to take the place of {summary(failures)}")
            yield batch

    def _batches(self) -> Iterator[dict[str, Any]]:
        batches = iter(self._loader)
        while True:
            try:
                batch = next(batches)
            except (OSError, EOFError, RuntimeError) as error:  # in whichever call the worker is missed first
                if not self._loader.num_workers or "worker" in str(error):
                    raise
                raise RuntimeError(f"a worker that loads batches died ({type(error).__name__}: {error})") from error
            yield batch


def _start_worker(_: int, last: bool) -> None:
    """First thing in a worker: one thread for numpy, a process group of its own, and on a CPU the last place in line.

    With more threads, as torch limits its own, two workers are slower than one. SIGTERM and Ctrl-C are sent to whole
    groups (by torchrun, Slurm, a terminal): training then finishes its step and saves, and a worker that dies before
    would be an error. Ignoring SIGTERM here would not do: with it a worker that waits is ended when training is.

    Training on a CPU takes every core, and all its threads wait for one that a worker has pushed aside.
    """
    os.setpgid(0, 0)
    threadpool_limits(1)
    if last:
        os.nice(10)


def make_loader(
    data: str | Path,
    model: str | Path,
    *,
    stage: int,
    batch_size: int,
    cache: str | Path | None = None,
    split: str = "train",
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    start: int = 0,
    num_workers: int = 0,
    window: int = WINDOW,
    music_shift: float = 0.0,
    rates: DropRates | None = None,
    spec: ClipSpec | None = None,
    video_backend: Backend = "pyav",
    max_failure_share: float = MAX_FAILURE_SHARE,
) -> ClipLoader:
    """Training batches of a dataset for a model.

    Args:
        data: the dataset, a folder or shards.
        model: pipeline folder; its configs are read, not its weights.
        stage: 1 (pairs of frames) or 2 (windows with music).
        batch_size: samples a batch and rank.
        cache: the model's feature cache of this dataset, from `musedance dataset cache`.
        split: "train", "validation" or "test".
        seed: of the order, of what is drawn of a clip, and of the conditions that are dropped.
        rank: of this process.
        world_size: how many processes there are.
        start: batches already taken: see `BucketBatchSampler`.
        num_workers: processes that read.
        window: stage 1's w, frames.
        music_shift: stage 2's share of samples with another window's music.
        rates: how often conditions are dropped.
        spec: canvas and windows, where they are not to be the model's.
        video_backend: "pyav" or "decord": see `FileReader`.
        max_failure_share: see `ClipLoader`.

    Raises:
        InputError: dataset, model or cache cannot be used, or do not belong together.
    """
    if stage not in (1, 2):
        raise InputError(f"there are batches for stage 1 and stage 2, not {stage}")
    dataset, spec = open_dataset(data), spec or ClipSpec.of_model(model)
    reader: FileReader | CachedReader
    if cache is not None:
        reader = CachedReader(dataset, cache, model, spec)
    else:
        extractor = ASTFeatureExtractor.from_pretrained(Path(model) / "feature_extractor") if stage == 2 else None
        reader = FileReader(dataset, spec, extractor, video_backend)
    shared: dict[str, Any] = {"split": split, "seed": seed, "max_failure_share": max_failure_share}
    samples: ClipSamples = (
        Stage1Samples(reader, window=window, **shared)
        if stage == 1
        else Stage2Samples(reader, music_shift=music_shift, **shared)
    )
    return ClipLoader(
        samples,
        BucketBatchSampler(
            samples.buckets.values(), batch_size, seed=seed, rank=rank, world_size=world_size, start=start
        ),
        Collator(seed, rates, reader.shared),
        num_workers=num_workers,
        max_failure_share=max_failure_share,
    )
