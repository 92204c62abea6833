"""What a loader's workers do with the cores."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from musedance.datasets.collator import Collator
from musedance.datasets.loader import ClipLoader
from musedance.datasets.reader import FileReader
from musedance.datasets.sampler import BucketBatchSampler
from musedance.datasets.samples import Sample
from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.datasets.stage1 import Stage1Samples

SPEC = ClipSpec(pixels=64 * 64, multiple=8, fps=12, num_frames=24, num_motion_frames=2)


class Telling(Collator):
    """Also says how many threads numpy has where it runs, and how nice that process is."""

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Any]:
        threads = [pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]
        return super().__call__(samples) | {"threads": threads, "nice": os.nice(0)}


@pytest.fixture
def samples(dataset_folder: Path) -> Stage1Samples:
    return Stage1Samples(FileReader(open_dataset(dataset_folder), SPEC))


def one_batch(samples: Stage1Samples, num_workers: int) -> dict[str, Any]:
    sampler = BucketBatchSampler(list(samples.buckets.values()), 2)
    return next(iter(ClipLoader(samples, sampler, Telling(), num_workers=num_workers)))


def test_each_worker_has_one_thread(samples: Stage1Samples) -> None:
    """With as many as there are cores, two workers read more slowly than one."""
    with threadpool_limits(2):
        assert 2 in one_batch(samples, 0)["threads"]
        threads = one_batch(samples, 1)["threads"]
    assert threads and set(threads) == {1}


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.filterwarnings("ignore:.*pin_memory")
def test_workers_step_back_where_training_takes_every_core(
    samples: Stage1Samples, monkeypatch: pytest.MonkeyPatch, gpu: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    own = one_batch(samples, 0)["nice"]
    assert one_batch(samples, 1)["nice"] == (own if gpu else min(own + 10, 19))
