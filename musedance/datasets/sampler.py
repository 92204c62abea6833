"""Which clips make up which batch, for every rank and epoch."""

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from musedance.datasets.chance import SampleKey, order_generator


class BucketBatchSampler(Sampler[list[SampleKey]]):
    """This rank's batches, epoch after epoch without end; all clips of a batch are of one bucket.

    In each epoch every bucket is shuffled and cut into batches for all ranks together, each of these is dealt out to
    the ranks, and the order over buckets is shuffled. Nothing is dropped: what is left over of a bucket makes a
    smaller batch. Where that does not go up into the ranks, up to `world_size - 1` clips of the bucket are seen once
    more. So every rank has the same number of batches, and at any moment the ranks' batches are of one size and one
    bucket.

    The order depends on the seed and the epoch alone. The place in it is one number, that of the batches taken so
    far: set `start` to it, and the order goes on there.

    Args:
        buckets: the clips' numbers, by bucket.
        batch_size: clips a batch and rank.
        seed: 0 or more.
        rank: of this process.
        world_size: how many processes there are.
        start: batches already taken, over all epochs.
    """

    def __init__(
        self,
        buckets: Collection[Sequence[int]],
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size or min(start, seed) < 0:
            raise ValueError(f"no batches of {batch_size} for rank {rank} of {world_size} from {start}, seed {seed}")
        self.buckets = [np.asarray(bucket) for bucket in buckets if len(bucket)]
        if not self.buckets:
            raise ValueError("no batches without clips")
        self.batch_size = batch_size
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.start = start

    @property
    def batches_per_epoch(self) -> int:
        """The same in every epoch and on every rank."""
        return sum(math.ceil(len(bucket) / (self.batch_size * self.world_size)) for bucket in self.buckets)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch, first = divmod(self.start, self.batches_per_epoch)
        while True:
            yield from self.epoch(epoch)[first:]
            epoch, first = epoch + 1, 0

    def epoch(self, epoch: int) -> list[list[SampleKey]]:
        """All batches of one epoch."""
        generator = order_generator(self.seed, epoch)
        batches: list[list[SampleKey]] = []
        for bucket in self.buckets:
            shuffled = generator.permutation(bucket).tolist()
            batches += self._deal(shuffled, epoch)
        return [batches[i] for i in generator.permutation(len(batches))]

    def _deal(self, clips: list[int], epoch: int) -> list[list[SampleKey]]:
        """A shuffled bucket -> this rank's batches."""
        total = math.ceil(len(clips) / self.world_size) * self.world_size
        keys = [SampleKey(clips[i % len(clips)], epoch, i // len(clips)) for i in range(total)]
        size = self.batch_size * self.world_size
        return [keys[first : first + size][self.rank :: self.world_size] for first in range(0, total, size)]
