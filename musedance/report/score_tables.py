"""The tables of scores: a row per measure, a column per system, and what the right music adds over other music."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from musedance.report.catalog import MEASURES, Measure
from musedance.report.markup import (
    ARROWS,
    digits_for,
    digits_of_interval,
    dot,
    escaped,
    interval_text,
    label,
    mode_of,
    number,
    plain_table,
    with_sign,
)
from musedance.report.results import THESE_ARE_TRUE, Null, Result, System

Columns = Mapping[str, Mapping[str, Result]]  # head of the column -> results by measure
Family = Literal["image", "video", "music", "consistency"]


def score_table(columns: Columns, families: Sequence[Family], dots: bool = False) -> str:
    """The rows that at least one column has a result for; empty if there are none.

    Args:
        columns: a column each.
        families: whose measures are shown.
        dots: show the colour that a column has in the plots.
    """
    rows = "".join(_rows(key, columns) for key, measure in MEASURES.items() if measure.family in families)
    if not rows:
        return ""
    heads = "".join(f"<th>{dot(place) if dots else ''}{escaped(name)}" for place, name in enumerate(columns))
    table = f'<table class="scores" style="--columns:{len(columns)}"><thead><tr><th>{heads}<tbody>{rows}</table>'
    return f'<div class="wide">{table}</div>'


def _rows(key: str, columns: Columns) -> str:
    """A measure, and below it each null."""
    results = {name: results.get(key) for name, results in columns.items()}
    found = [result for result in results.values() if result is not None]
    if not found:
        return ""
    reasons = {result.reason if result and result.value is None else None for result in results.values()}
    if len(results) > 1 and len(reasons) == 1 and None not in reasons:  # the same of all: said once
        cells = f'<td class="missing" colspan="{len(results)}"><div>{_reason(found[0])}</div>'
    else:
        cells = "".join(_cell(key, name, result) for name, result in results.items())
    lines = [f"<tr>{_head(key, MEASURES[key])}{cells}"]
    for kind in dict.fromkeys(null.kind for result in found for null in result.nulls):
        lifts = "".join(_lift(key, name, result, kind) for name, result in results.items())
        lines.append(f'<tr class="null"><th>lift over {escaped(kind)}{lifts}')
    return "".join(lines)


def _head(key: str, measure: Measure) -> str:
    mode = mode_of(key)
    unit = f' <span class="unit">{escaped(measure.unit)}</span>' if measure.unit else ""
    tag = f' <span class="mode">{mode}</span>' if mode else ""
    better = f' <span title="{measure.better} is better">{ARROWS[measure.better]}</span>' if measure.better else ""
    return f"<th>{escaped(measure.title)}{better}{unit}{tag}<p>{escaped(measure.meaning)}</p>"


def _cell(key: str, column: str, result: Result | None) -> str:
    if result is None:
        return '<td class="missing">not scored'
    if result.value is None:
        return f'<td class="missing">{_reason(result)}'
    digits = digits_for(result.value, *(result.interval or ()))
    interval = f" <span>{interval_text(result.interval, digits)}</span>" if result.interval else ""
    left_out = f", {len(result.excluded)} left out" if result.excluded else ""
    small = digits if abs(result.value) >= 1e-4 or result.interval else None
    return (
        f'<td data-measure="{key}" data-column="{escaped(column)}" title="{result.value!r}">'
        f"<b>{number(result.value, small)}</b>{interval} <small>n = {result.n}{left_out}</small>"
    )


def _reason(result: Result) -> str:
    """As far as a cell has room for it: what to do about it stands in the notices."""
    return escaped(result.reason.split(";")[0] or "undefined")


def _lift(key: str, column: str, result: Result | None, kind: str) -> str:
    null = next((null for null in result.nulls if null.kind == kind), None) if result else None
    if null is None:
        return "<td>"
    digits = digits_of_interval(null.interval) if null.interval else digits_for(null.lift)
    css_class, verdict = verdict_on(null)
    interval = f" <span>{interval_text(null.interval, digits)}</span>" if null.interval else ""
    p_value = f", p = {number(null.p_value, 3)}" if null.p_value is not None else ""
    return (
        f'<td data-measure="{key}" data-column="{escaped(column)}" data-null="{escaped(kind)}" title="{null.lift!r}">'
        f'<b>{with_sign(null.lift, digits)}</b>{interval} <em class="{css_class}">{verdict}</em> '
        f"<small>{escaped(kind)}: {number(null.value)}{p_value}</small>"
    )


def verdict_on(null: Null) -> tuple[Literal["lift", "no-lift", "below"], str]:
    """What the interval of a lift says, as a class of the page's and in words."""
    if null.interval is None:
        return "no-lift", "too few for an interval"
    low, high = null.interval
    if low > 0:
        return "lift", "lift"
    return ("below", "below") if high < 0 else ("no-lift", "no lift shown")


def notices(columns: Columns) -> Iterator[str]:
    """Each warning and each reason for a missing value once, as HTML, with the measures and columns it is about."""
    about: dict[str, dict[str, list[str]]] = {}  # sentence -> measure -> columns
    for name, results in columns.items():
        for key, result in results.items():
            missing = [result.reason or "undefined"] if result.value is None else []
            missing = [reason for reason in missing if reason != THESE_ARE_TRUE]  # as it has to be
            for sentence in dict.fromkeys([*result.warnings, *missing]):
                about.setdefault(sentence, {}).setdefault(label(key), []).append(name)
    for sentence, measures in about.items():
        names = list(dict.fromkeys(name for names in measures.values() for name in names))
        asked = [name for name, results in columns.items() if any(label(key) in measures for key in results)]
        whose = f" of {', '.join(names)}" if len(names) < len(asked) else ""
        yield f"<b>{escaped('; '.join(measures) + whose)}:</b> {escaped(sentence)}"


def left_out_table(system: System) -> str:
    """Videos that could not be scored, and those left out of single numbers, with the reasons."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for key, result in system.results.items():
        for video, reason in result.excluded.items():
            reasons.setdefault((video, reason), []).append(label(key))
    rows = [(video, "everything", reason) for video, reason in system.failed.items()]
    rows += [(video, "; ".join(measures), reason) for (video, reason), measures in reasons.items()]
    return plain_table(("video", "left out of", "because"), rows) if rows else ""


def video_table(system: System) -> str:
    """A row per video; measures that no video has a value for are left out."""
    measures = [key for key in MEASURES if any(row.scores.get(key) is not None for row in system.videos)]
    groups = list(dict.fromkeys(name for row in system.videos for name in row.groups))
    rows = []
    for row in system.videos:
        scores = [_score(row.scores[key]) if key in row.scores else "" for key in measures]
        rows.append((row.id, *(row.groups.get(name, "") for name in groups), *scores, " ".join(row.notes)))
    heads = [f"{label(key)} {ARROWS[MEASURES[key].better]}" for key in measures]
    return plain_table(("video", *groups, *heads, "notes"), rows, "text videos") if rows else ""


def _score(value: float | None) -> str:
    return "undefined" if value is None else number(value)
