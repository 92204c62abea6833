"""The order of batches: over ranks, epochs, workers and interruptions."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from musedance.datasets.loader import make_loader
from musedance.datasets.sampler import BucketBatchSampler

BUCKETS = st.lists(st.integers(1, 30), min_size=1, max_size=4)


def make_buckets(sizes: Iterable[int]) -> list[list[int]]:
    buckets, first = [], 0
    for size in sizes:
        buckets.append(list(range(first, first + size)))
        first += size
    return buckets


@given(sizes=BUCKETS, batch_size=st.integers(1, 7), world_size=st.integers(1, 5), epoch=st.integers(0, 3))
def test_an_epoch_on_all_ranks(sizes: list[int], batch_size: int, world_size: int, epoch: int) -> None:
    buckets = make_buckets(sizes)
    samplers = [
        BucketBatchSampler(buckets, batch_size, seed=1, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    batches = [sampler.epoch(epoch) for sampler in samplers]
    assert {len(rank) for rank in batches} == {samplers[0].batches_per_epoch}
    for together in zip(*batches, strict=True):  # what the ranks have at one moment
        assert len({len(batch) for batch in together}) == 1 and 1 <= len(together[0]) <= batch_size
        clips = {key.clip for batch in together for key in batch}
        assert any(clips <= set(bucket) for bucket in buckets)
    keys = [key for rank in batches for batch in rank for key in batch]
    assert len(set(keys)) == len(keys) and {key.epoch for key in keys} == {epoch}
    for bucket in buckets:
        own = [key for key in keys if key.clip in set(bucket)]
        assert {key.clip for key in own if key.repeat == 0} == set(bucket)  # nothing is dropped
        assert len(own) - len(bucket) < world_size  # and little seen twice
        counts = Counter(key.clip for key in own)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    buckets = make_buckets([20, 11])

    def order(seed: int, epoch: int) -> list:
        return BucketBatchSampler(buckets, 3, seed=seed).epoch(epoch)

    first = order(0, 0)
    np.random.seed(5)
    torch.manual_seed(5)
    assert order(0, 0) == first
    assert order(0, 1) != first and order(1, 0) != first
    kinds = [batch[0].clip < 20 for batch in first]
    assert kinds != sorted(kinds) and kinds != sorted(kinds, reverse=True)  # the buckets are mixed


@given(start=st.integers(0, 40), rank=st.integers(0, 1))
def test_it_goes_on_where_it_stopped(start: int, rank: int) -> None:
    buckets = make_buckets([13, 6])
    whole = BucketBatchSampler(buckets, 2, seed=3, rank=rank, world_size=2)
    resumed = BucketBatchSampler(buckets, 2, seed=3, rank=rank, world_size=2, start=start)
    assert list(islice(resumed, 15)) == list(islice(whole, start, start + 15))


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"rank": 2, "world_size": 2}, {"rank": -1}, {"start": -1}, {"seed": -1}]
)
def test_arguments_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no batches"):
        BucketBatchSampler([[1]], **({"batch_size": 1} | wrong))
    with pytest.raises(ValueError, match="without clips"):
        BucketBatchSampler([[], []], 1)


def test_workers_and_interruptions_change_nothing(dataset_folder: Path, tiny_folder: Path) -> None:
    options = {"stage": 1, "batch_size": 2, "seed": 4}
    whole = list(islice(make_loader(dataset_folder, tiny_folder, **options), 7))  # two epochs and a bit
    before = torch.random.get_rng_state()
    with_workers = list(islice(make_loader(dataset_folder, tiny_folder, num_workers=2, **options), 7))
    resumed = list(islice(make_loader(dataset_folder, tiny_folder, num_workers=2, start=4, **options), 3))
    for expected, batch in zip(whole + whole[4:], with_workers + resumed, strict=True):
        assert_same(expected, batch)
    assert torch.equal(torch.random.get_rng_state(), before)  # nor does loading change what is drawn in training


def test_persistent_workers_of_any_kind_need_not_be_told_the_epoch(dataset_folder: Path, tiny_folder: Path) -> None:
    """The parts in torch's own loader, sent to workers that share no memory with this process."""
    ours = make_loader(dataset_folder, tiny_folder, stage=2, batch_size=3)
    loader = DataLoader(
        ours.samples,
        batch_sampler=ours.sampler,
        collate_fn=ours.collator,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    expected = list(islice(ours, 4))
    batches = list(islice(loader, 2))
    ours.sampler.start = 2
    batches += list(islice(loader, 2))
    for one, other in zip(expected, batches, strict=True):
        assert other.pop("failures") == {}
        assert_same(one, other)


def test_ranks_see_different_clips(dataset_folder: Path, tiny_folder: Path) -> None:
    seen = []
    for rank in range(2):
        loader = make_loader(dataset_folder, tiny_folder, stage=1, batch_size=1, rank=rank, world_size=2)
        seen.append([clip for batch in islice(loader, 3) for clip in batch["ids"]])
    assert len(seen[0]) == len(seen[1]) == 3
    assert set(seen[0]) | set(seen[1]) == {f"clip-0{i}" for i in range(6)}


def test_accelerate_leaves_it_alone_and_moves_its_batches(dataset_folder: Path, tiny_folder: Path) -> None:
    """Its own sharding on top of ours would leave out batches."""
    loader = make_loader(dataset_folder, tiny_folder, stage=1, batch_size=2)
    assert Accelerator(cpu=True).prepare(loader) is loader
    batch = next(iter(loader))
    assert_same(batch, send_to_device(batch, torch.device("cpu")))


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name], name
