"""Random numbers that depend on the seed and on what is drawn, never on who draws it or when."""

import hashlib
from enum import IntEnum
from typing import NamedTuple

import numpy as np


class SampleKey(NamedTuple):
    """Which sample of an epoch it is, wherever it is made.

    Attributes:
        clip: the clip's place in its split.
        epoch: from 0.
        repeat: 0, or more where a clip is seen more than once in an epoch because a last batch was filled up.
    """

    clip: int
    epoch: int
    repeat: int = 0


class Purpose(IntEnum):
    """What the numbers are for: each has a stream of its own, so that one draw more leaves the others as they were."""

    ORDER = 0
    CONTENT = 1
    CONDITIONS = 2
    REPLACEMENT = 3
    NOISE = 4


def sample_generator(seed: int, purpose: Purpose, key: SampleKey, attempt: int = 0) -> np.random.Generator:
    """The numbers for one sample; `attempt` counts the clips that took the place of one that cannot be read."""
    return _generator(seed, purpose, key.epoch, key.clip, key.repeat, attempt)


def noise_seed(seed: int, key: SampleKey) -> int:
    """What the sample's training noise is drawn from: 0 to 2^63 - 1, which `torch.Generator` takes."""
    return int(sample_generator(seed, Purpose.NOISE, key).integers(2**63))


def video_noise_seed(seed: int, name: str) -> int:
    """What a generated video's noise is drawn from, by its name: 0 to 2^63 - 1, whatever else is made beside it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big") >> 1


def order_generator(seed: int, epoch: int) -> np.random.Generator:
    """The numbers for an epoch's order: the same in every process."""
    return _generator(seed, Purpose.ORDER, epoch)


def _generator(seed: int, *spawn_key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=spawn_key)))
