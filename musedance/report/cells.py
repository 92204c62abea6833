"""Numbers as cells of text tables show them: a value or a lift, its interval, and how many videos it rests on."""

from collections.abc import Callable

from musedance.metrics.nulls import OTHER_MUSIC
from musedance.report.markup import digits_for, interval_text, number, with_sign
from musedance.report.results import Interval, Null, Result


def value_cell(result: Result | None, usual_n: int | None = None) -> str:
    """A value: "0.680 [0.601, 0.702], n = 12", or a word on why there is none.

    Args:
        result: of a measure; `None` if it was not scored.
        usual_n: n that the table says elsewhere, and that need not be said again.
    """
    if result is None or result.value is None:
        return _no_value(result)
    return with_interval(number, result.value, result.interval, result.n, usual_n)


def lift_cell(result: Result | None, usual_n: int | None = None) -> str:
    """The same of what the right music adds over other music."""
    null = other_music_of(result)
    if result is None or null is None:
        return _no_value(result)
    return with_interval(with_sign, null.lift, null.interval, result.n, usual_n)


def other_music_of(result: Result | None) -> Null | None:
    """What the score is with other tracks' music; `None` where there is but one track, or no score."""
    nulls = () if result is None or result.value is None else result.nulls
    return next((null for null in nulls if null.kind == OTHER_MUSIC), None)


def with_interval(
    write: Callable[[float, int], str], value: float, interval: Interval | None, n: int, usual_n: int | None = None
) -> str:
    """A value, its interval if it has one, and n if it is not the usual one.

    Args:
        write: gives the text of the value from it and its digits after the point.
        value: what is shown.
        interval: of it.
        n: what it rests on.
        usual_n: see `value_cell`.
    """
    digits = digits_for(value, *(interval or ()))
    ends = f" {interval_text(interval, digits)}" if interval else ""
    return f"{write(value, digits)}{ends}{'' if n == usual_n else f', n = {n}'}"


def _no_value(result: Result | None) -> str:
    """The whole reason stands at the top of the page."""
    if result is None:
        return "not scored"
    if result.value is not None:
        return f"no {OTHER_MUSIC}"
    return "not computed" if result.reason.startswith("not computed") else "undefined"
