"""The kinds of dancers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from musedance.puppets import creatures
from musedance.puppets.figure import Character
from musedance.puppets.people import person

KINDS: dict[str, Callable[[np.random.Generator], Character]] = {
    "person": person,
    "cat": creatures.cat,
    "bear": creatures.bear,
    "bird": creatures.bird,
    "robot": creatures.robot,
    "cactus": creatures.cactus,
    "carrot": creatures.carrot,
    "teapot": creatures.teapot,
}


def random_character(rng: np.random.Generator, kind: str | None = None) -> Character:
    """A character of that kind, or of any: a person half of the time."""
    others = tuple(KINDS)[1:]
    chosen = "person" if rng.random() < 0.5 else others[int(rng.integers(len(others)))]
    return KINDS[kind or chosen](rng)
