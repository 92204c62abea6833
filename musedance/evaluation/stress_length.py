"""What `musedance stress length` says: what drifts over a long video, how it grows, and what is seen of the seams."""

from collections.abc import Mapping

from musedance.evaluation.answer import Answer
from musedance.evaluation.differences import TOO_FEW, Differences, sign_of
from musedance.metrics.accumulation import growth_exponent
from musedance.report.catalog import MEASURES
from musedance.report.cells import value_cell
from musedance.report.markup import digits_for, interval_text, number, with_sign
from musedance.report.results import Curve, Result, System, Table

OWN = ("identity", "colour", "clip_identity", "change", "lpips_change")
OF_TRUTH = ("identity", "change", "lpips_change")  # what a dancer does to them who only moves
ENOUGH_SEGMENTS = 8  # fewer are too few steps to tell a square root from a line
EXPECTED = (
    "(Near 0: it jumps or levels off; 0.5: errors that are independent of each other; 1: a steady push; more: errors "
    "that feed on themselves.)"
)
DISTANCES = ("identity", "colour")


def length_answer(system: System, truth: System | None, differences: Differences, segment_seconds: float) -> Answer:
    """Second by second, what drifts and how fast, how it grows, and the seams.

    Args:
        system: the model's videos, with curves.
        truth: the true ones, if there are some.
        differences: knows the tracks.
        segment_seconds: how long a segment of the model is.
    """
    tracks = differences.count(system.videos)
    drifts = {kind: _sign(system, f"{kind}_drift", tracks) for kind in DISTANCES}
    summary = [_on_drift(kind, sign, system, truth) for kind, sign in drifts.items()]
    summary += [_on_growth(drifts, system, segment_seconds), _on_change(system, truth)]
    summary.append(_on_seams(system, truth, tracks))
    return Answer(tuple(summary), (_table(system, truth),))


def _sign(system: System, measure: str, tracks: int, null: float = 0.0) -> int | None:
    result = system.results.get(measure)
    return None if result is None else sign_of(result.interval, tracks, null)


def _table(system: System, truth: System | None) -> Table:
    """A row a second."""
    columns = {system.curves[kind].title: system.curves[kind] for kind in OWN if kind in system.curves}
    if truth is not None:
        shown = [kind for kind in OF_TRUTH if kind in truth.curves and kind in system.curves]
        columns |= {f"{truth.curves[kind].title}, {truth.name}": truth.curves[kind] for kind in shown}
    times = system.curves["identity"].times
    rows = tuple((f"{time:.1f} s", *(_cell(curve, time) for curve in columns.values())) for time in times)
    note = "" if len(system.videos) == 1 else f"Means over {len(system.videos)} videos."
    return Table("Second by second", ("middle of the second", *columns), rows, note)


def _cell(curve: Curve, time: float) -> str:
    """Empty where the curve is over."""
    if time not in curve.times:
        return ""
    place, digits = curve.times.index(time), digits_for(*curve.mean)
    low, high = (ends[place] if ends else curve.mean[place] for ends in (curve.low, curve.high))
    ends = f" {interval_text((low, high), digits)}" if low < high else ""
    return f"{number(curve.mean[place], digits)}{ends}"


def _on_drift(kind: str, sign: int | None, system: System, truth: System | None) -> str:
    """From where to where a distance to the picture goes."""
    curve, result = system.curves[kind], system.results.get(f"{kind}_drift")
    said = {1: "it grows", -1: "it shrinks", 0: "no growth is shown", None: TOO_FEW}[sign]
    true = None if truth is None else truth.results.get(f"{kind}_drift")
    beside = f"; {truth.name}: {_slope(true)}" if truth is not None and true is not None else ""
    return (
        f"The {curve.title} goes from {_first_to_last(curve)}: {said} "
        f"({_slope(result)} a second, n = {len(system.videos)}{beside})."
    )


def _slope(result: Result | None) -> str:
    if result is None or result.value is None:
        return "undefined"
    digits = digits_for(result.value, *(result.interval or ()))
    ends = f" {interval_text(result.interval, digits)}" if result.interval else ""
    return f"{with_sign(result.value, digits)}{ends}"


def _on_growth(drifts: Mapping[str, int | None], system: System, segment_seconds: float) -> str:
    """How errors add up, against what theory expects."""
    growing = [kind for kind, sign in drifts.items() if sign == 1]
    if not growing:
        return "How errors add up cannot be told where no distance is shown to grow."
    seconds = len(system.curves[growing[0]].times)
    if seconds < ENOUGH_SEGMENTS * segment_seconds:
        return (
            f"How errors add up cannot be told from {seconds / segment_seconds:.1f} segments: "
            f"--seconds {ENOUGH_SEGMENTS * segment_seconds:g} would do."
        )
    found = [_exponent(MEASURES[kind].title, system.curves[kind]) for kind in growing]
    return f"The {' and the '.join(found)}. {EXPECTED}"


def _exponent(title: str, curve: Curve) -> str:
    exponent = growth_exponent(curve.times, curve.mean)
    return f"{title} does not grow steadily" if exponent is None else f"{title} grows as time to the {exponent:.1f}"


def _on_change(system: System, truth: System | None) -> str:
    """How much frames differ from the next, at first and at last."""
    kind = "lpips_change" if "lpips_change" in system.curves else "change"
    true = None if truth is None else truth.curves.get(kind)
    beside = "" if truth is None or true is None else f" ({truth.name}: from {_first_to_last(true)})"
    curve = system.curves[kind]
    return f"The {curve.title} goes from {_first_to_last(curve)}{beside}."


def _first_to_last(curve: Curve) -> str:
    digits = digits_for(curve.mean[0], curve.mean[-1])
    return (
        f"{number(curve.mean[0], digits)} in the first second to {number(curve.mean[-1], digits)} in the last of "
        f"{len(curve.times)}"
    )


def _on_seams(system: System, truth: System | None, tracks: int) -> str:
    result = system.results.get("seam_jump")
    if result is None or result.value is None:
        return "What is seen of the seams is undefined: nothing moves between them."
    sign = _sign(system, "seam_jump", tracks, null=1.0)
    said = {1: "more", -1: "less", 0: "no difference is shown", None: TOO_FEW}[sign]
    true = None if truth is None else truth.results.get("seam_jump")
    beside = f"; {truth.name} at the same times: {value_cell(true, result.n)}" if truth is not None else ""
    return (
        f"Across seams frames change {value_cell(result, result.n)} times as much as elsewhere: {said} "
        f"(n = {result.n}{beside})."
    )
