"""Splits of groups of any sizes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from musedance.prepare.splits import assign_splits, name_groups

sizes = st.dictionaries(st.text("abcdef0123456789", min_size=4, max_size=12), st.integers(1, 40), max_size=60)
shares = st.fixed_dictionaries({"validation": st.floats(0, 0.4), "test": st.floats(0, 0.4)})


@given(sizes, shares, st.integers(0, 5))
def test_shares_are_met_to_half_of_the_largest_group(
    groups: dict[str, int], asked: dict[str, float], seed: int
) -> None:
    splits = assign_splits(groups, asked, seed)
    assert splits.keys() == groups.keys()
    total = sum(groups.values())
    for split, share in asked.items():
        got = sum(count for name, count in groups.items() if splits[name] == split)
        assert abs(got - share * total) <= max(groups.values(), default=0) / 2 + 1e-6
        assert got == 0 or share > 0
    assert set(splits.values()) <= {"train", "validation", "test"}


@given(sizes, shares, st.randoms())
def test_the_order_in_which_groups_come_does_not_matter(
    groups: dict[str, int], asked: dict[str, float], random: np.random.Generator
) -> None:
    names = list(groups)
    random.shuffle(names)
    assert assign_splits({name: groups[name] for name in names}, asked, 0) == assign_splits(groups, asked, 0)


def test_the_seed_draws_another_lot() -> None:
    groups = {f"track{number}": 1 for number in range(100)}
    asked = {"validation": 0.1, "test": 0.1}
    first, second = assign_splits(groups, asked, 0), assign_splits(groups, asked, 1)
    assert first != second
    assert sorted(first.values()) == sorted(second.values()) == ["test"] * 10 + ["train"] * 80 + ["validation"] * 10


def test_groups_are_named_after_their_first_member() -> None:
    named = name_groups(["d", "a", "c", "b"], [0, 1, 0, 1])
    assert named == {"d": "track-c", "c": "track-c", "a": "track-a", "b": "track-a"}
