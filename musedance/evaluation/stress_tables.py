"""The tables that answer the questions of `musedance stress`."""

from collections.abc import Mapping

import numpy as np

from musedance.evaluation.markup import digits_for, interval_text, number, with_sign
from musedance.evaluation.results import Result, System, Table
from musedance.metrics.accumulation import growth_exponent
from musedance.metrics.bootstrap import mean_interval

OTHER_MUSIC = "other music"  # a kind of `musedance.evaluation.results.Null`
NO_PREFERENCE = "Which one people prefer is a question for people: show them the videos below, side by side."
Groups = Mapping[str, Mapping[str, Result]]


def subject_table(system: System) -> Table:
    """A row a kind of subject: likeness to the picture, motion, and what the right music adds."""
    kinds = _groups(system, "kind")
    measures = ("clip_identity", "identity", "colour", "identity_drift", "motion")
    rows = [
        (kind, str(_count(results)), *(_value(results.get(name)) for name in measures), _lift(results.get("beats_hit")))
        for kind, results in kinds.items()
    ]
    head: tuple[str, ...] = ("kind", "videos", "CLIP similarity ↑", "identity distance ↓", "colour distance ↓")
    head += ("identity drift, 1/s ↓", "motion", "beats hit, lift over other music ↑")
    note = "A subject that does not move stays like its picture: read likeness and motion together."
    return Table("Subjects by kind", head, tuple(rows), note)


def length_table(system: System) -> Table:
    """A row a second: distances to the picture, and how much frames differ from the next."""
    kinds = [
        kind for kind in ("identity", "colour", "clip_identity", "change", "lpips_change") if kind in system.curves
    ]
    curves = {kind: system.curves[kind] for kind in kinds}
    times = curves["identity"].times
    rows = tuple(
        (f"{time:.1f} s", *(_at(curves[kind].times, curves[kind].mean, time) for kind in kinds)) for time in times
    )
    titles = tuple(curves[kind].title for kind in kinds)
    notes = [_growth(kind, curves[kind].times, curves[kind].mean) for kind in ("identity", "colour")]
    jump = system.results.get("seam_jump")
    notes.append(f"Seam jump (1 = as between any two frames): {_value(jump)}.")
    return Table("Second by second", ("middle of the second", *titles), rows, " ".join(notes))


def genre_table(whole: System, without: System, tracks: Mapping[str, str]) -> Table:
    """A row a genre: beats hit and distances to the true videos, with the beat modules and without."""
    genres, others = _groups(whole, "genre"), _groups(without, "genre")
    rows = []
    for genre, results in genres.items():
        names = {row.id for row in whole.videos if row.groups.get("genre", "all") == genre or genre == "all"}
        other = others.get(genre, {})
        rows.append(
            (
                genre,
                str(len(names)),
                _lift(results.get("beats_hit")),
                _lift(other.get("beats_hit")),
                _difference(whole, without, names, tracks),
                *(_value(of.get(name)) for name in ("hfd", "fvd_disco") for of in (results, other)),
            )
        )
    head: tuple[str, ...] = (
        "genre",
        "videos",
        f"beats hit, lift: {whole.name}",
        f"lift: {without.name}",
        "beats hit, difference",
    )
    head += tuple(f"{title} ↓: {system.name}" for title in ("HFD", "FVD") for system in (whole, without))
    return Table("Genres, with the beat modules and without", head, tuple(rows), NO_PREFERENCE)


def _groups(system: System, kind: str) -> Groups:
    """By group; all videos as one where there is only one group."""
    return system.groups.get(kind) or {"all": system.results}


def _count(results: Mapping[str, Result]) -> int:
    return max((result.n for result in results.values()), default=0)


def _difference(whole: System, without: System, names: set[str], tracks: Mapping[str, str]) -> str:
    """Of beats hit, video by video."""
    a, b = ({row.id: row.scores.get("beats_hit") for row in system.videos} for system in (whole, without))
    both = [name for name in sorted(names) if a.get(name) is not None and b.get(name) is not None]
    if not both:
        return "undefined"
    values = np.array([a[name] - b[name] for name in both])  # type: ignore[operator]
    interval = mean_interval(values, [tracks[name] for name in both])
    digits = digits_for(float(values.mean()), *(interval or ()))
    shown = with_sign(float(values.mean()), digits)
    return f"{shown} {interval_text(interval, digits)}, n = {len(both)}" if interval else f"{shown}, n = {len(both)}"


def _growth(kind: str, times: list[float], values: list[float]) -> str:
    exponent = growth_exponent(times, values)
    if exponent is None:
        return f"The {kind} distance does not grow steadily, or there are too few seconds to tell."
    return (
        f"The {kind} distance grows as time to the power of {exponent:.2f} "
        "(0.5: errors that are independent of each other; 1: a steady push; more: errors that feed on themselves)."
    )


def _at(times: list[float], values: list[float], time: float) -> str:
    found = [value for at, value in zip(times, values, strict=True) if abs(at - time) < 0.5]
    return f"{found[0]:.4g}" if found else ""


def _value(result: Result | None) -> str:
    if result is None or result.value is None:
        return "not computed" if result is None or result.reason.startswith("not computed") else "undefined"
    digits = digits_for(result.value, *(result.interval or ()))
    shown = number(result.value, digits)
    return f"{shown} {interval_text(result.interval, digits)}" if result.interval else shown


def _lift(result: Result | None) -> str:
    null = next((null for null in result.nulls if null.kind == OTHER_MUSIC), None) if result is not None else None
    if null is None:
        return "undefined"
    digits = digits_for(null.lift, *(null.interval or ()))
    shown = with_sign(null.lift, digits)
    return f"{shown} {interval_text(null.interval, digits)}" if null.interval else shown
