"""What a loader's workers do with the cores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    """Also says how many threads numpy has where it runs."""

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Any]:
        threads = [pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]
        return super().__call__(samples) | {"threads": threads}


def test_each_worker_has_one_thread(dataset_folder: Path) -> None:
    """With as many as there are cores, two workers read more slowly than one."""
    samples = Stage1Samples(FileReader(open_dataset(dataset_folder), SPEC))
    sampler = BucketBatchSampler(list(samples.buckets.values()), 2)
    with threadpool_limits(2):
        assert 2 in Telling()([samples[next(iter(sampler))[0]]])["threads"]
        loader = ClipLoader(samples, sampler, Telling(), num_workers=1)
        threads = next(iter(loader))["threads"]
    assert threads and set(threads) == {1}
