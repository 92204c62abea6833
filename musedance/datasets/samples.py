"""Clips -> samples, with another clip in the place of one that cannot be read."""

import warnings
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from musedance.datasets.chance import Purpose, SampleKey, sample_generator
from musedance.datasets.clip import Clip
from musedance.datasets.failures import MAX_FAILURE_SHARE, FailureLog, UnreadableClip
from musedance.datasets.reader import Reader
from musedance.errors import InputError


@dataclass
class Sample:
    """One sample, its conditions complete.

    Attributes:
        key: which one it is.
        clip_id: the clip it was made of; empty if none could be read.
        content: what the stage's `read` returns.
        failures: the clips that could not be read on the way, with the reasons.
    """

    key: SampleKey
    clip_id: str = ""
    content: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class ClipSamples(Dataset[Sample], ABC):
    """The samples of one split; `samples[key]` depends on the seed and the key alone.

    A clip that cannot be read is replaced by another of the same canvas size, drawn from the key, so that batches stay
    full and ranks in step. `Sample.failures` names it.

    Args:
        reader: reads the clips.
        split: "train", "validation" or "test".
        seed: 0 or more.
        max_failure_share: with more clips than this unreadable, no more replacements are tried: the run has to stop.

    Raises:
        InputError: no clip is long enough, or one has another frame rate than the model. Clips that are too short are
            left out with a warning that names them.
    """

    def __init__(
        self, reader: Reader, split: str = "train", seed: int = 0, max_failure_share: float = MAX_FAILURE_SHARE
    ) -> None:
        self.reader, self.seed = reader, seed
        self.clips = reader.dataset.dances(split)
        self.portraits = reader.dataset.portraits(split)
        self.max_failures = FailureLog(len(self.clips), max_failure_share).most
        if not self.clips:
            raise InputError(f"{reader.dataset.path} has no clips in its split {split!r}")
        for clip in self.clips:
            if abs(clip.fps - reader.spec.fps) > 1e-3:
                raise InputError(
                    f"clip {clip.id} has {clip.fps:g} frames per second, the model {reader.spec.fps:g}: "
                    f"prepare the dataset for this model"
                )
            portrait = self.portraits.get(clip.source, clip)
            if reader.spec.canvas(portrait) != reader.spec.canvas(clip):
                raise InputError(f"portrait {portrait.id} has another shape than clip {clip.id}: crop one of them")
        self.buckets = self._buckets()

    @property
    @abstractmethod
    def min_frames(self) -> int:
        """How many frames a clip needs."""

    @abstractmethod
    def read(self, clip: Clip, generator: np.random.Generator) -> dict[str, Any]:
        """Draw a sample of the clip and read it.

        Raises:
            UnreadableClip: a file cannot be read.
        """

    def draw_portrait(self, clip: Clip, generator: np.random.Generator) -> tuple[Clip, int]:
        """The portrait of the clip's dancer and any of its frames."""
        portrait = self.portraits[clip.source]
        return portrait, int(generator.integers(portrait.num_frames))

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self.buckets.values())

    def __getitem__(self, key: SampleKey) -> Sample:
        failures: dict[str, str] = {}
        for attempt, index in enumerate(self._candidates(key)):
            clip = self.clips[index]
            try:
                content = self.read(clip, sample_generator(self.seed, Purpose.CONTENT, key, attempt))
                return Sample(key, clip.id, content, failures)
            except UnreadableClip as error:
                failures[error.clip_id] = error.reason
            if len(failures) > self.max_failures:
                break
        return Sample(key, failures=failures)

    def _candidates(self, key: SampleKey) -> Iterator[int]:
        """The key's clip, then the others of its bucket in an order of their own."""
        yield key.clip
        bucket = self.buckets[self.reader.spec.canvas(self.clips[key.clip])]
        order = sample_generator(self.seed, Purpose.REPLACEMENT, key).permutation(bucket).tolist()
        yield from (index for index in order if index != key.clip)

    def _buckets(self) -> dict[tuple[int, int], list[int]]:
        """The clips' numbers by the size of their canvas, (height, width)."""
        buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
        short = []
        for index, clip in enumerate(self.clips):
            if clip.num_frames < self.min_frames:
                short.append(f"{clip.id} ({clip.num_frames})")
            else:
                buckets[self.reader.spec.canvas(clip)].append(index)
        named = ", ".join(short[:5] + ["..."] * (len(short) > 5))
        if not buckets:
            raise InputError(f"no clip has the {self.min_frames} frames that are needed: {named}")
        if short:
            warnings.warn(
                f"{len(short)} clips are shorter than {self.min_frames} frames and left out: {named}", stacklevel=3
            )
        return dict(sorted(buckets.items()))
