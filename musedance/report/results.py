"""What an evaluation found, as plain data: `report.json` holds it, and the page is drawn from it."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from musedance.files import appearing

FORMAT, VERSION = "musedance-report", 1

THESE_ARE_TRUE = "these are the true videos"  # the reason that their own column has no such number

Interval = tuple[float, float]


@dataclass(frozen=True)
class Null:
    """A score of the same videos against music that is not theirs, and what the right music adds.

    Attributes:
        kind: "other music" or "its music half a beat late".
        value: mean over the videos.
        lift: the score minus that.
        interval: of the lift, 95 %, bootstrap over tracks; `None` if there are fewer than 6.
        p_value: share of shuffles that score as well as the right music; `None` where nothing is shuffled.
    """

    kind: str
    value: float
    lift: float
    interval: Interval | None
    p_value: float | None


@dataclass(frozen=True)
class Result:
    """One number of the tables.

    Attributes:
        measure: a key of `musedance.report.catalog.MEASURES`.
        value: may be infinite (PSNR); `None` if it is undefined or was not computed.
        interval: 95 %, bootstrap over videos (those of one track together); `None` where there is none.
        n: videos that it rests on.
        reason: why there is no value; else empty.
        warnings: what to bear in mind, a sentence each.
        nulls: for scores of music.
        excluded: videos that were left out of this number, with the reason for each.
    """

    measure: str
    value: float | None
    interval: Interval | None
    n: int
    reason: str = ""
    warnings: tuple[str, ...] = ()
    nulls: tuple[Null, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """Something over time, the mean over videos.

    Attributes:
        title: of the plot.
        unit: of the values.
        times: seconds.
        mean: a value for each time.
        low: end of the 95 % interval; empty where there is none.
        high: the same.
        n: videos.
        marks: times worth a line, such as the seams of segments.
    """

    title: str
    unit: str
    times: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    n: int
    marks: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class VideoRow:
    """One video of a system.

    Attributes:
        id: the same in all systems.
        file: where the video is, relative to the report or absolute.
        prompt: what the model was told; may be empty.
        groups: such as {"genre": "waltz", "kind": "cat"}.
        scores: by measure; `None` = undefined or not computed.
        notes: what was found wrong with it, or left out, a sentence each.
        beats: seconds, by kind: "music", "kinematic", "onsets", "flow peaks".
        speed: motion over time, `[seconds, value]` pairs, for the picture of the beats.
    """

    id: str
    file: str
    prompt: str
    groups: Mapping[str, str]
    scores: Mapping[str, float | None]
    notes: tuple[str, ...]
    beats: Mapping[str, list[float]]
    speed: list[tuple[float, float]]


@dataclass(frozen=True)
class System:
    """A set of videos that was scored as a whole.

    Attributes:
        name: "generated", "ground truth", or what the user called it.
        description: one line: what made these videos.
        results: by measure.
        groups: results by group: {"genre": {"waltz": {measure: Result}}}.
        curves: by name: "identity", "colour", ...
        videos: those that were scored.
        failed: id (or file) and why nothing of it could be scored.
    """

    name: str
    description: str
    results: Mapping[str, Result]
    groups: Mapping[str, Mapping[str, Mapping[str, Result]]]
    curves: Mapping[str, Curve]
    videos: tuple[VideoRow, ...]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """Everything a report shows.

    Attributes:
        title: heading of the page.
        summary: sentences at the top.
        systems: a column of the tables each, the first is what was evaluated.
        provenance: command, seeds, settings, versions, fingerprints of model, data and weights; nested plain data.
        tables: more tables, such as an ablation: title, column heads, rows of cells (text) and a note.
    """

    title: str
    summary: tuple[str, ...]
    systems: tuple[System, ...]
    provenance: Mapping[str, Any]
    tables: tuple["Table", ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: over it.
        head: of the columns.
        rows: cells.
        note: under it; may be empty.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def write_json(report: Report, path: Path) -> None:
    """Write `report.json`: strict JSON, infinity as the text "inf"."""
    content = {"format": FORMAT, "version": VERSION, **asdict(report)}
    with appearing(path) as temporary:
        temporary.write_text(json.dumps(plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """The same without what strict JSON cannot hold: tuples are lists, infinity is the text "inf"."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
