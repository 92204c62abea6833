"""The report of an evaluation as a web page: one file, which needs no network and no others."""

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from musedance.errors import InputError
from musedance.files import appearing
from musedance.media.video import VideoReader
from musedance.report.catalog import MEASURES
from musedance.report.markup import ARROWS, data_uri, dot, escaped, fold_out, mode_of, number, plain_table
from musedance.report.paper_tables import PAPERS, PaperTable
from musedance.report.plots import beat_picture, curve_plot, lift_plot
from musedance.report.results import Report, Result, System, VideoRow
from musedance.report.score_tables import Family, left_out_table, notices, score_table, video_table
from musedance.report.side_by_side import SideBySide

FAMILIES: dict[Family, str] = {
    "image": "Pictures, against the true video",
    "video": "Videos as a set, against the true ones",
    "music": "Music",
    "consistency": "Consistency",
}
MUSIC_NOTE = (
    "Scores of music mean nothing by themselves: what counts is the lift, by which a score with the right music "
    "exceeds that of the same videos with music that is not theirs. Where its interval holds 0, no lift is shown."
)


def write_page(report: Report, path: Path, videos: Sequence[SideBySide]) -> Path:
    """Draw the report. All text of the data is escaped, and the page's policy lets nothing run and nothing load.

    Args:
        report: with results of measures that are in the catalog.
        path: of the page.
        videos: those to show, in this order, embedded.

    Raises:
        InputError: the page cannot be written there, or one of the videos is none.
        ValueError: the report has a measure that is not in the catalog.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: name a file in a folder that exists")
    unknown = {key for system in report.systems for key in system.results} - MEASURES.keys()
    if unknown:
        raise ValueError(f"not in the catalog of measures: {', '.join(sorted(unknown))}")
    sections = {
        "answer": ("Answer", _extra_tables(report)),
        "scores": ("Scores", _scores(report)),
        "time": ("Over time", _curves(report)),
        "videos": ("Videos", _videos(report, videos)),
        "groups": ("By group", _groups(report)),
        "rows": ("Each video", _each_video(report)),
        "papers": ("The papers' numbers beside ours", _papers(report)),
        "provenance": ("Provenance", _provenance(report.provenance)),
    }
    shown = {anchor: section for anchor, section in sections.items() if section[1]}
    template = (files("musedance.report") / "page.html").read_text(encoding="utf-8")
    page = Template(template).substitute(
        title=escaped(report.title),
        summary="".join(f"<p>{escaped(sentence)}</p>" for sentence in report.summary),
        systems="".join(_system(place, system) for place, system in enumerate(report.systems)),
        notices=_notices(report),
        links="".join(f'<a href="#{anchor}">{name}</a>' for anchor, (name, _) in shown.items()),
        sections="\n".join(f'<section id="{a}"><h2>{name}</h2>{body}</section>' for a, (name, body) in shown.items()),
    )
    with appearing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _system(place: int, system: System) -> str:
    failed = f", {len(system.failed)} could not be scored" if system.failed else ""
    return (
        f"<p>{dot(place)}<b>{escaped(system.name)}</b> {escaped(system.description)} "
        f"<small>{_count(len(system.videos), 'video')} scored{failed}</small></p>"
    )


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _columns(report: Report) -> dict[str, Mapping[str, Result]]:
    return {system.name: system.results for system in report.systems}


def _notices(report: Report) -> str:
    """Everything to bear in mind before a number is believed."""
    lines = [
        f"<b>{escaped(system.name)}:</b> {_count(len(system.failed), 'video')} could not be scored at all."
        for system in report.systems
        if system.failed
    ]
    lines += notices(_columns(report))
    return f'<div class="notices"><h2>Bear in mind</h2><ul>{_items(lines)}</ul></div>' if lines else ""


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{line}" for line in lines)


def _scores(report: Report) -> str:
    """The headline tables, the lifts as a plot, and what was left out."""
    parts = []
    for family, title in FAMILIES.items():
        table = score_table(_columns(report), [family], dots=True)
        if table:
            note = f"<p>{MUSIC_NOTE}</p>" if family == "music" else ""
            parts.append(f"<h3>{title}</h3>{note}{table}{_lift_plots(report) if family == 'music' else ''}")
    if parts:
        parts.append(
            "<p><small>[a, b]: 95 % interval by bootstrap. n: videos that the number rests on. "
            "↑ higher is better, ↓ lower is better. Under the pointer a value shows all its digits.</small></p>"
        )
    parts += [fold_out(f"Left out: {system.name}", left_out_table(system)) for system in report.systems]
    return "".join(parts)


def _lift_plots(report: Report) -> str:
    results = [result for system in report.systems for result in system.results.values()]
    kinds = dict.fromkeys(null.kind for result in results for null in result.nulls)
    plots = "".join(lift_plot(kind, report.systems) for kind in kinds)
    return f'<div class="plots">{plots}</div>' if plots else ""


def _curves(report: Report) -> str:
    colours = {system.name: place for place, system in enumerate(report.systems)}
    names = dict.fromkeys(name for system in report.systems for name in system.curves)
    plots = "".join(
        curve_plot({system.name: system.curves[name] for system in report.systems if name in system.curves}, colours)
        for name in names
    )
    return f'<p>Means over videos, with 95 % bands.</p><div class="plots">{plots}</div>' if plots else ""


def _videos(report: Report, videos: Sequence[SideBySide]) -> str:
    if not videos:
        return ""
    total = len(report.systems[0].videos)
    which = "all of them" if len(videos) == total else "spread evenly over the list, not chosen by their scores"
    names = ", ".join(escaped(video.id) for video in videos)
    articles = "".join(_article(report, video) for video in videos)
    return f"<p>{len(videos)} of {_count(total, 'video')}, {which}: {names}.</p>{articles}"


def _article(report: Report, video: SideBySide) -> str:
    """One video, and beside it the beats of each system's version of it."""
    content = video.video if isinstance(video.video, bytes) else video.video.read_bytes()
    poster = data_uri("image/jpeg", _poster(content))
    facts = "".join(f"<span>{escaped(fact)}</span>" for fact in video.facts)
    rows = [(system.name, row) for system in report.systems for row in system.videos if row.id == video.id]
    duration = max((_last_time(row) for _, row in rows), default=0.0)
    beats = "".join(
        f"<h4>{escaped(name)}</h4>{beat_picture(row, duration)}" for name, row in rows if _last_time(row) > 0
    )
    return (
        f"<article><header><h3>{escaped(video.id)}</h3>{facts}</header>"
        f"<p>{escaped(video.prompt) or '<em>no prompt</em>'}</p><div><div>"
        f'<video controls loop preload="metadata" poster="{poster}" src="{data_uri("video/mp4", content)}"></video>'
        f'<img class="printed" alt="" src="{poster}">'
        f"<p><small>{escaped(video.scores)}</small></p></div><div>{beats}</div></div></article>"
    )


def _poster(video: bytes) -> bytes:
    """The middle frame as JPEG: what is seen before the video plays, and what is printed."""
    with VideoReader(io.BytesIO(video)) as reader:
        (frame,) = reader.frames_at([reader.info.duration / 2])
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=80)
    return content.getvalue()


def _last_time(row: VideoRow) -> float:
    """Of all that the picture of beats shows; 0 if there is nothing."""
    return max([0.0, *(time for time, _ in row.speed), *itertools.chain(*row.beats.values())])


def _groups(report: Report) -> str:
    """For each way of grouping and each system a table with a column per group."""
    parts = []
    known = set(notices(_columns(report)))
    for grouping in dict.fromkeys(name for system in report.systems for name in system.groups):
        for system in report.systems:
            columns = system.groups.get(grouping, {})
            lines = [line for line in notices(columns) if line not in known]
            notes = f'<ul class="notes">{_items(lines)}</ul>' if lines else ""
            parts.append(fold_out(f"By {grouping}: {system.name}", score_table(columns, list(FAMILIES)) + notes))
    return "".join(parts)


def _extra_tables(report: Report) -> str:
    return "".join(
        f"<h3>{escaped(table.title)}</h3>{plain_table(table.head, table.rows)}"
        f"<p><small>{escaped(table.note)}</small></p>"
        for table in report.tables
    )


def _each_video(report: Report) -> str:
    return "".join(
        fold_out(f"{system.name}: {_count(len(system.videos), 'video')}", video_table(system))
        for system in report.systems
    )


def _papers(report: Report) -> str:
    """The published tables with our systems as further rows, and the reasons not to compare them lightly."""
    parts = ["<p>Other videos, other sizes, often other definitions: read this first.</p>"]
    for paper in PAPERS:
        parts.append(f"<h3>{escaped(paper.title)}</h3>{_caveats(paper.caveats)}")
        parts += [_paper_table(table, report.systems) for table in paper.tables]
    return "".join(parts)


def _paper_table(table: PaperTable, systems: Sequence[System]) -> str:
    heads = "".join(f"<th>{escaped(MEASURES[key].title)} {ARROWS[MEASURES[key].better]}" for key in table.measures)
    rows = [f"<tr><th>{escaped(name)}" + "".join(map(_printed, values)) for name, values in table.rows]
    modes = dict.fromkeys(mode_of(key) for key in table.measures if mode_of(key))
    mode = f"<br><small>{', '.join(modes)} mode</small>" if modes else ""
    for system in systems:
        cells = "".join(f"<td>{_beside(system.results.get(key))}" for key in table.measures)
        rows.append(f'<tr class="ours"><th>ours: {escaped(system.name)}{mode}{cells}')
    return (
        f"<h4>Table {table.number}: {escaped(table.title)}</h4>"
        f'<div class="wide"><table class="papers"><thead><tr><th>{heads}<tbody>{"".join(rows)}</table></div>'
        f"{_caveats(table.caveats)}"
    )


def _caveats(caveats: Sequence[str]) -> str:
    lines = _items([escaped(caveat) for caveat in caveats])
    return f'<ul class="notes">{lines}</ul>' if lines else ""


def _printed(value: float) -> str:
    """A cell as in the papers."""
    return f"<td>{number(value, 3 if value < 1 else 2)}"


def _beside(result: Result | None) -> str:
    if result is None or result.value is None:
        return "<small>no value</small>"
    return f"{number(result.value)} <small>n = {result.n}</small>"


def _provenance(provenance: Mapping[str, Any]) -> str:
    rows = list(_flat(provenance))
    table = plain_table(("what", "value"), rows, "text facts") if rows else ""
    return fold_out("Command, seeds, versions, fingerprints", table)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested plain data as lines of dotted names and values."""
    entries: list[tuple[Any, Any]]
    if isinstance(value, Mapping):
        entries = list(value.items())
    elif isinstance(value, list | tuple) and any(isinstance(entry, Mapping | list | tuple) for entry in value):
        entries = list(enumerate(value))
    else:
        entries = []
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    for key, entry in entries:
        yield from _flat(entry, f"{name}.{key}" if name else str(key))
