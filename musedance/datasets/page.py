"""A web page that shows a dataset's clips: one file, which needs no network and no others, except to play the clips."""

import base64
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
from tqdm import tqdm

from musedance.datasets.clip import SPLITS, Clip, Span
from musedance.datasets.folder import Dataset, DatasetFolder
from musedance.datasets.page_pictures import ClipPictures, draw_pictures
from musedance.datasets.statistics import statistics_of
from musedance.errors import InputError
from musedance.files import appearing

PAGE_FILE = "index.html"


def write_page(dataset: Dataset, output: str | Path | None = None, num_clips: int = 60) -> Path:
    """Draw up to `num_clips` clips, spread over the sources; a clip that cannot be read is shown with the reason.

    All text of the dataset is escaped, and the page's policy lets no script run but its own.

    Args:
        dataset: from `open_dataset`.
        output: the page; `index.html` in the dataset's folder if not given. From there it plays the clips of a plain
            folder.
        num_clips: at most so many, at least 1.

    Raises:
        InputError: the output cannot be written, or `num_clips` is below 1.
    """
    path = Path(output) if output else dataset.path / PAGE_FILE
    if num_clips < 1:
        raise InputError(f"a page has to show at least 1 clip, not {num_clips}")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: name a file in a folder that exists")
    shown = spread(dataset.clips, num_clips)
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        drawn = pool.map(lambda clip: _article(dataset, clip, path), shown)
        articles = list(tqdm(drawn, total=len(shown), unit="clip", disable=None))
    finally:
        pool.shutdown(cancel_futures=True)
    with appearing(path) as temporary:
        temporary.write_text(_page(dataset, shown, articles), encoding="utf-8")
    return path


def spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Up to `count` clips, in their order: one of each source, then a second of each, ... ."""
    by_source: dict[str, list[Clip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source, []).append(clip)
    chosen: list[Clip] = []
    for turn in itertools.zip_longest(*by_source.values()):
        dealt = [clip for clip in turn if clip is not None]
        missing = count - len(chosen)
        if len(dealt) > missing:  # the first, the last and evenly between: no split may be left out
            dealt = [dealt[round(place)] for place in np.linspace(0, len(dealt) - 1, missing)]
        chosen += dealt
    order = {clip.id: number for number, clip in enumerate(clips)}
    return sorted(chosen, key=lambda clip: order[clip.id])


def _page(dataset: Dataset, shown: Sequence[Clip], articles: Sequence[str]) -> str:
    template = (files("musedance.datasets") / "page.html").read_text(encoding="utf-8")
    script = template.split("<script>")[1].split("</script>")[0]
    name = _text(dataset.info.get("name") or dataset.path.resolve().name)
    about = [str(dataset.info[key]) for key in ("description", "license") if dataset.info.get(key)]
    count = f"{len(shown)} clips" if len(shown) == len(dataset.clips) else f"{len(shown)} of {len(dataset.clips)} clips"
    return Template(template).substitute(
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        name=name,
        about="".join(f"<p>{_text(line)}</p>" for line in about),
        numbers=_numbers(dataset.clips),
        splits=_choices(split for split in SPLITS if any(clip.split == split for clip in shown)),
        sources=_choices(dict.fromkeys(clip.source for clip in shown)),
        count=count,
        articles="\n".join(articles),
    )


def _numbers(clips: Sequence[Clip]) -> str:
    """The table at the top."""
    numbers = statistics_of(clips)
    head = "".join(f"<th>{title}" for title in ("", "clips", "sources", "tracks", "minutes", "DensePose", "timeline"))
    rows = []
    for name, row in numbers["splits"].items():
        cells = [row["clips"], row["sources"], row["tracks"], f"{60 * row['hours']:.1f}"]
        cells += [f"{row[key]:.0%}" for key in ("densepose", "timeline")]
        rows.append(f"<tr><th>{name}" + "".join(f"<td>{cell}" for cell in cells))
    tempo = numbers["tempo"]
    facts = [f"{size} px" for size in list(numbers["sizes"])[:3]] + [f"{fps} fps" for fps in list(numbers["fps"])[:3]]
    facts += [f"{tempo['min']:.0f} to {tempo['max']:.0f} beats a minute"] if tempo["median"] else []
    words = ", ".join(f"{word} <small>{count}</small>" for word, count in numbers["frequent_words"].items())
    about = f"<div><p>{_text(', '.join(facts))}</p><p>Words: {words or 'none'}</p></div>"
    return f"<table><tr>{head}{''.join(rows)}</table>{about}"


def _choices(names: Iterable[str]) -> str:
    return "".join(f'<option value="{_text(name)}">{_text(name)}</option>' for name in names)


def _article(dataset: Dataset, clip: Clip, page: Path) -> str:
    """One clip."""
    try:
        body = "".join(_body(dataset, clip, draw_pictures(dataset, clip), page))
    except (InputError, OSError) as error:
        body = f'<p class="problem">{_text(error)}</p>'
    search = " ".join([clip.id, clip.source, clip.track, clip.caption, *(span.text for span in clip.timeline)]).lower()
    facts = [
        f"{clip.width} x {clip.height}",
        f"{clip.duration:.2f} s at {clip.fps:g} fps",
        f"source {clip.source} at {clip.source_start:.2f} s",
        f"track {clip.track} at {clip.track_start:.2f} s",
    ]
    return (
        f'<article data-split="{clip.split}" data-source="{_text(clip.source)}" data-search="{_text(search)}">'
        f'<header><h2>{_text(clip.id)}</h2><span class="split">{clip.split}</span>'
        f"{''.join(f'<span>{_text(fact)}</span>' for fact in facts)}</header>"
        f'<p class="caption">{_text(clip.caption) or "<em>no caption</em>"}</p>{body}</article>'
    )


def _body(dataset: Dataset, clip: Clip, pictures: ClipPictures, page: Path) -> Iterator[str]:
    """The clip itself, and beside it everything drawn against time."""
    poster = _data("jpeg", pictures.poster)
    size = f'width="{clip.width}" height="{clip.height}"'
    yield '<div class="clip">'
    if isinstance(dataset, DatasetFolder):
        link = quote(Path(os.path.relpath(dataset.locate(clip).absolute(), page.absolute().parent)).as_posix())
        yield f'<video {size} controls loop preload="none" poster="{poster}" src="{_text(link)}"></video>'
    else:
        yield f'<img {size} alt="" loading="lazy" src="{poster}">'
    yield f'<div class="time" data-duration="{clip.duration:.4f}"><div class="strip">'
    yield f'<img alt="frames" loading="lazy" decoding="async" src="{_data("jpeg", pictures.strip)}">'
    width = 100 / len(pictures.cells)
    for number, cell in enumerate(pictures.cells):
        kind = "cell beat" if cell.is_beat else "cell"
        yield f'<span class="{kind}" style="left:{number * width:.3f}%;width:{width:.3f}%">'
        yield f"<b>{cell.frame / clip.fps:.2f}</b></span>"
    yield "</div>"
    if pictures.densepose:
        yield f'<img class="densepose" alt="DensePose" loading="lazy" src="{_data("png", pictures.densepose)}">'
    yield _music(clip, pictures.loudness)
    yield from _timeline(clip)
    yield '<i class="playhead" hidden></i></div></div>'


def _music(clip: Clip, loudness: Sequence[float]) -> str:
    """The loudness, mirrored, with a line for each beat and the seconds."""
    steps = len(loudness)
    upper = [f"{step + 0.5},{20 - 18 * value:.1f}" for step, value in enumerate(loudness)]
    lower = [f"{step + 0.5},{20 + 18 * value:.1f}" for step, value in enumerate(loudness)]
    beats = [beat - clip.track_start for beat in clip.beats if 0 <= beat - clip.track_start < clip.duration]
    lines = "".join(f'<line x1="{x:.2f}" x2="{x:.2f}" y2="40"/>' for x in (b / clip.duration * steps for b in beats))
    seconds = "".join(f'<span style="left:{100 * s / clip.duration:.2f}%">{s} s</span>' for s in _ticks(clip.duration))
    return (
        f'<svg viewBox="0 0 {steps} 40" preserveAspectRatio="none"><polygon points="{" ".join(upper + lower[::-1])}"/>'
        f'{lines}</svg><div class="seconds">{seconds}</div>'
    )


def _ticks(duration: float) -> range:
    """Whole seconds for the axis, at most a dozen; none at the very end, where it would not fit."""
    return range(0, int(duration - 0.02 * duration) + 1, max(1, round(duration / 8)))


def _timeline(clip: Clip) -> Iterator[str]:
    """Spans against time; overlapping ones below each other; none if all it says is the caption."""
    if [span.text for span in clip.timeline] == [clip.caption]:
        return
    lanes: list[list[Span]] = []
    for span in sorted(clip.timeline, key=lambda span: span.start):
        lane = next((lane for lane in lanes if lane[-1].end <= span.start + 1e-3), None)
        if lane is None:
            lanes.append([span])
        else:
            lane.append(span)
    for lane in lanes:
        yield '<div class="lane">'
        for span in lane:
            left, width = 100 * span.start / clip.duration, 100 * (span.end - span.start) / clip.duration
            title = f"{span.start:.2f} to {span.end:.2f} s: {span.text}"
            yield f'<span style="left:{left:.3f}%;width:{width:.3f}%" title="{_text(title)}">{_text(span.text)}</span>'
        yield "</div>"


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _text(value: Any) -> str:
    """Escaped for text and for attributes in quotes; control characters are left out."""
    return escape("".join(sign if sign.isprintable() else " " for sign in str(value)))
