"""The kinds of dancers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from musedance.puppets import creatures, toys
from musedance.puppets.figure import Character
from musedance.puppets.people import person

_CREATURES: dict[str, Callable[[np.random.Generator], Character]] = {
    "cat": creatures.cat,
    "bear": creatures.bear,
    "bird": creatures.bird,
    "robot": creatures.robot,
    "cactus": creatures.cactus,
    "carrot": creatures.carrot,
    "teapot": creatures.teapot,
}
KINDS: dict[str, Callable[[np.random.Generator], Character]] = {
    "person": person,
    **_CREATURES,
    "doll": toys.doll,
    "teddy": toys.teddy,
}


def random_character(rng: np.random.Generator, kind: str | None = None) -> Character:
    """A character of that kind; else a person half of the time, or a creature: toys only dance where they are named."""
    others = tuple(_CREATURES)
    chosen = "person" if rng.random() < 0.5 else others[int(rng.integers(len(others)))]
    return KINDS[kind or chosen](rng)
