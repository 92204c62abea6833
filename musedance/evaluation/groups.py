"""Videos and results by what dances or to what music: by the entries of `VideoRow.groups`."""

from collections.abc import Mapping, Sequence

from musedance.report.results import Result, System, VideoRow

ALL = "all"  # of those that belong to no group
Rows = Sequence[VideoRow]


def by_group(videos: Rows, grouping: str) -> dict[str, Rows]:
    """Videos by their group, sorted.

    Args:
        videos: all.
        grouping: "kind" or "genre".
    """
    found: dict[str, list[VideoRow]] = {}
    for row in videos:
        found.setdefault(group_of(row, grouping), []).append(row)
    return dict(sorted(found.items()))


def group_of(row: VideoRow, grouping: str) -> str:
    """The group of a video."""
    return row.groups.get(grouping, ALL)


def group_results(system: System, grouping: str, group: str) -> Mapping[str, Result]:
    """Of a group, by measure; of all videos where there are no two groups."""
    return system.groups[grouping].get(group, {}) if grouping in system.groups else system.results


def has_value(system: System, measure: str) -> bool:
    """Whether a measure of all videos together has one."""
    result = system.results.get(measure)
    return result is not None and result.value is not None
