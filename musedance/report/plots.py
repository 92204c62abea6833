"""Plots as SVG inside the page, whose style sheet gives their colours."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from musedance.report.catalog import MEASURES
from musedance.report.markup import colour, dot, escaped, number
from musedance.report.results import Curve, Null, System, VideoRow
from musedance.report.score_tables import verdict_on

WIDTH, HEIGHT = 400, 230  # of a plot, in the units of its text
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 10, 28  # around what is drawn; right, half of an axis's last number
LABELS = 132  # width of the names beside intervals
ROW, GAP = 15, 9  # of an interval, and between measures
LANES = ("music", "kinematic", "onsets", "flow peaks")  # of beats, from the top
SPAN = 1000  # width of the pictures of beats, which are stretched


class Axis(NamedTuple):
    """Values from `low` to `high` go to places from `first` to `last`."""

    low: float
    high: float
    first: float
    last: float

    def place(self, value: float) -> float:
        return round(self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first), 2)


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) from `low` to `high`, at most so many; `low` < `high`."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        ticks = [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        if len(ticks) <= most:
            break
    return ticks


def curve_plot(curves: Mapping[str, Curve], colours: Mapping[str, int]) -> str:
    """One curve per system over time with its 95 % band, and a dashed line at each mark.

    Args:
        curves: by name of the system, all of the same quantity.
        colours: of the systems.
    """
    values = [v for c in curves.values() for v in (*c.mean, *c.low, *c.high) if math.isfinite(v)]
    times = [time for curve in curves.values() for time in (*curve.times, *curve.marks)]
    first = next(iter(curves.values()))
    if not values:
        return ""
    x = Axis(*_widened(min(0.0, *times), max(times), 0), LEFT, WIDTH - RIGHT)
    y = Axis(*_widened(min(values), max(values), 0.06), HEIGHT - BOTTOM, TOP)
    parts = [*_axes(x, y)]
    for name, curve in curves.items():
        css_class = colour(colours[name])
        for mark in curve.marks:
            parts.append(f'<path class="mark {css_class}" d="M{x.place(mark)} {TOP}V{HEIGHT - BOTTOM}"/>')
        if curve.low:
            upper = [(x.place(t), y.place(v)) for t, v in zip(curve.times, curve.high, strict=True)]
            lower = [(x.place(t), y.place(v)) for t, v in zip(curve.times, curve.low, strict=True)]
            parts.append(f'<polygon class="band {css_class}" points="{_points(upper + lower[::-1])}"/>')
        for run in _finite_runs(curve):
            places = [(x.place(t), y.place(v)) for t, v in run]
            parts.append(f'<polyline class="{css_class}" points="{_points(places * (2 if len(places) == 1 else 1))}"/>')
    unit = f" <small>{escaped(first.unit)}</small>" if first.unit else ""
    key = _key({name: f"{name}, n = {curve.n}" for name, curve in curves.items()}, colours)
    marks = "<span>dashed: seams</span>" if any(curve.marks for curve in curves.values()) else ""
    endless = any(not math.isfinite(v) for curve in curves.values() for v in curve.mean)
    gaps = "<span>gaps: infinite</span>" if endless else ""
    return (
        f"<figure><figcaption>{escaped(first.title)}{unit}</figcaption>"
        f'{_svg(HEIGHT, parts, first.title)}<p class="key">{key}{marks}{gaps}</p></figure>'
    )


def _finite_runs(curve: Curve) -> Iterator[list[tuple[float, float]]]:
    pairs = zip(curve.times, curve.mean, strict=True)
    for is_finite, run in itertools.groupby(pairs, key=lambda pair: math.isfinite(pair[1])):
        if is_finite:
            yield list(run)


def lift_plot(kind: str, systems: Sequence[System]) -> str:
    """The lift over one kind of null: a row per measure and system, with its interval; hollow where that holds 0."""
    lifts: dict[str, list[tuple[int, Null]]] = {}
    for measure, (place, system) in itertools.product(MEASURES, enumerate(systems)):
        result = system.results.get(measure)
        for null in result.nulls if result else ():
            if null.kind == kind:
                lifts.setdefault(measure, []).append((place, null))
    if not lifts:
        return ""
    ends = [value for rows in lifts.values() for _, null in rows for value in (null.lift, *(null.interval or ()))]
    x = Axis(*_widened(min(0.0, *ends), max(0.0, *ends), 0.06), LABELS, WIDTH - RIGHT)
    bottom = TOP + sum(ROW * len(rows) + GAP for rows in lifts.values())
    parts = list(_lower_axis(x, TOP, bottom))
    parts.append(f'<path class="zero" d="M{x.place(0)} {TOP}V{bottom}"/>')
    top = TOP + GAP / 2
    for measure, rows in lifts.items():
        middle = top + ROW * len(rows) / 2 + 4
        parts.append(f'<text x="{LABELS - 8}" y="{middle}" class="end">{escaped(MEASURES[measure].title)}</text>')
        for number_of_row, (place, null) in enumerate(rows):
            parts += _interval(x, top + ROW * (number_of_row + 0.5), null, colour(place))
        top += ROW * len(rows) + GAP
    names = {system.name: system.name for system in systems if any(r.nulls for r in system.results.values())}
    key = _key(names, {system.name: place for place, system in enumerate(systems)})
    return (
        f"<figure><figcaption>Lift over {escaped(kind)}</figcaption>"
        f"{_svg(bottom + BOTTOM, parts, f'lift over {kind}')}"
        f'<p class="key">{key}<span>hollow: the interval holds 0, no lift shown</span></p></figure>'
    )


def _interval(x: Axis, y: float, null: Null, css_class: str) -> Iterator[str]:
    hollow = " hollow" if verdict_on(null)[0] == "no-lift" else ""
    if null.interval is not None:
        yield f'<path class="{css_class}" d="M{x.place(null.interval[0])} {y}H{x.place(null.interval[1])}"/>'
    yield f'<circle class="{css_class}{hollow}" cx="{x.place(null.lift)}" cy="{y}" r="4"/>'


def beat_picture(row: VideoRow, duration: float) -> str:
    """The speed of one video over time, and under it a lane of ticks for each kind of beat; music runs through all.

    Args:
        row: of the video.
        duration: seconds that the full width stands for, above 0.
    """
    x = Axis(0.0, duration, 0, SPAN)
    music = "".join(f'<path class="beat" d="M{x.place(t)} 0V100"/>' for t in row.beats.get("music", ()))
    top = max((value for _, value in row.speed), default=0.0) or 1.0
    line = " ".join(f"{x.place(time)},{100 - 94 * value / top:.1f}" for time, value in row.speed)
    speed = f'<polyline class="speed" points="{line}"/>' if line else ""
    lanes = [f"<span>speed</span>{_stretched('curve', music + speed)}"]
    for kind in [kind for kind in LANES if kind in row.beats] + [kind for kind in row.beats if kind not in LANES]:
        name = kind if row.beats[kind] else f"{kind}: none"
        ticks = "".join(f'<path class="tick" d="M{x.place(time)} 8V92"/>' for time in row.beats[kind])
        inside = music.replace('"beat"', '"beat tick"') if kind == "music" else music + ticks
        lanes.append(f"<span>{escaped(name)}</span>{_stretched('lane', inside)}")
    seconds = "".join(
        f'<i style="left:{100 * t / duration:.2f}%">{number(t, 0 if t == int(t) else 1)} s</i>'
        for t in nice_ticks(0, 0.96 * duration, 7)
    )
    return f'<div class="beats">{"".join(lanes)}<span></span><div class="seconds">{seconds}</div></div>'


def _stretched(css_class: str, inside: str) -> str:
    return f'<svg class="{css_class}" viewBox="0 0 {SPAN} 100" preserveAspectRatio="none">{inside}</svg>'


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    """A little more than from `low` to `high`, and never nothing."""
    room = share * (high - low) if high > low else max(0.1 * abs(high), 1e-3)
    return low - room, high + room


def _axes(x: Axis, y: Axis) -> Iterator[str]:
    yield from _lower_axis(x, TOP, HEIGHT - BOTTOM, " s")
    ticks = nice_ticks(y.low, y.high, 5)
    for value, text in zip(ticks, _texts(ticks), strict=True):
        yield f'<path class="grid" d="M{LEFT} {y.place(value)}H{WIDTH - RIGHT}"/>'
        yield f'<text class="end" x="{LEFT - 5}" y="{y.place(value) + 4:.2f}">{text}</text>'


def _lower_axis(x: Axis, top: float, bottom: float, unit: str = "") -> Iterator[str]:
    ticks = nice_ticks(x.low, x.high)
    for value, text in zip(ticks, _texts(ticks), strict=True):
        yield f'<path class="grid" d="M{x.place(value)} {top}V{bottom}"/>'
        yield f'<text class="middle" x="{x.place(value)}" y="{bottom + 16}">{text}{unit}</text>'


def _texts(ticks: Sequence[float]) -> list[str]:
    """All with as many digits as tell them apart."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0]) or 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [number(value + 0.0, digits) for value in ticks]


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)


def _key(names: Mapping[str, str], colours: Mapping[str, int]) -> str:
    return "".join(f"<span>{dot(colours[name])}{escaped(text)}</span>" for name, text in names.items())


def _svg(height: float, parts: Sequence[str], name: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escaped(name)}">{"".join(parts)}</svg>'
