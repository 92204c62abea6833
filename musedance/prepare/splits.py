"""Which music goes to training, validation and test."""

import hashlib
from collections.abc import Mapping, Sequence


def assign_splits(clips_of: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each group of videos: the same for the same groups, in whatever order they come.

    Groups are taken in an order drawn by lot (a hash of seed and name). Each goes to test if that comes closer
    to its share with it than without, else to validation by the same rule, else to training. So neither is off its
    share by more than half of the largest group.

    Args:
        clips_of: how many clips each group has, by the group's name.
        shares: of validation and test, each from 0 on and together below 1; training gets the rest.
        seed: of the lot.
    """
    total = sum(clips_of.values())
    lacking = {split: total * shares[split] for split in ("test", "validation")}
    splits = {}
    for name in sorted(clips_of, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        splits[name] = next((split for split in lacking if lacking[split] > clips_of[name] / 2), "train")
        if splits[name] in lacking:
            lacking[splits[name]] -= clips_of[name]
    return splits


def name_groups(members: Sequence[str], groups: Sequence[int]) -> dict[str, str]:
    """Name each group of music after its first member: member -> group.

    Args:
        members: the videos' digests.
        groups: a number for each, the same for those of one group.
    """
    first: dict[int, str] = {}
    for member, group in sorted(zip(members, groups, strict=True)):
        first.setdefault(group, f"track-{member[:12]}")
    return {member: first[group] for member, group in zip(members, groups, strict=True)}
