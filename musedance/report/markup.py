"""Text, numbers and plain tables as HTML; all that comes from data is escaped."""

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from musedance.report.catalog import MEASURES, Better
from musedance.report.results import Interval

ARROWS: dict[Better, str] = {"higher": "↑", "lower": "↓", "": ""}
NUM_COLOURS = 6
MINUS = "\N{MINUS SIGN}"  # as wide as a plus, and not broken off its number
MODES = {"standard": "standard", "disco": "DisCo"}


def escaped(value: Any) -> str:
    """For text and for attributes in quotes; control characters become spaces."""
    return escape("".join(sign if sign.isprintable() else " " for sign in str(value)))


def data_uri(kind: str, content: bytes) -> str:
    """A file that is part of the page; `kind` is its media type, such as "video/mp4"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def number(value: float, digits: int | None = None) -> str:
    """With so many digits after the point; if not given, with three or four that count."""
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if 0 < abs(value) < 1e-4 and digits is None:
        return f"{value:.2e}".replace("-", MINUS)
    shown = f"{value:.{digits_for(value) if digits is None else digits}f}"
    return shown.replace("-", MINUS if float(shown) else "")  # nothing is below 0 that shows as 0


def digits_for(*values: float) -> int:
    """Digits after the point that suit the largest of the values: 29.59, 0.680, 0.0123."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if largest < 1e-6:
        return 3
    magnitude = math.floor(math.log10(largest))
    return min(7, max(0, 3 - magnitude if magnitude >= 0 else 2 - magnitude))


def digits_of_interval(interval: Interval) -> int:
    """Digits after the point that show two figures of half its width."""
    half = (interval[1] - interval[0]) / 2
    return max(0, digits_for(half) - 1) if half > 0 else digits_for(*interval)


def with_sign(value: float, digits: int) -> str:
    """With + or the minus sign, but for what shows as 0."""
    shown = number(value, digits)
    return f"+{shown}" if value > 0 and float(shown) > 0 else shown


def interval_text(interval: Interval, digits: int) -> str:
    """[low, high], with so many digits after the point."""
    return f"[{number(interval[0], digits)}, {number(interval[1], digits)}]"


def mode_of(measure: str) -> str:
    """In which of two ways it is computed; empty if there is one."""
    return MODES.get(measure.rsplit("_", 1)[-1], "")


def label(measure: str) -> str:
    """What a measure is called in running text: "FVD (DisCo)"."""
    mode = mode_of(measure)
    return MEASURES[measure].title + (f" ({mode})" if mode else "")


def dot(place: int) -> str:
    """In the colour of the system at this place."""
    return f'<i class="dot {colour(place)}"></i>'


def colour(place: int) -> str:
    """The class of the system at this place, which the page's style sheet gives a colour."""
    return f"s{place % NUM_COLOURS}"


def plain_table(head: Sequence[Any], rows: Iterable[Sequence[Any]], css_class: str = "text") -> str:
    """A table of text that scrolls by itself where it is too wide."""
    cells = "".join(f"<th>{escaped(cell)}" for cell in head)
    lines = "".join(f"<tr><th>{escaped(row[0])}" + "".join(f"<td>{escaped(c)}" for c in row[1:]) for row in rows)
    return f'<div class="wide"><table class="{css_class}"><thead><tr>{cells}<tbody>{lines}</table></div>'


def fold_out(title: str, body: str) -> str:
    """What is shown only when asked for; nothing if there is nothing."""
    return f"<details><summary>{escaped(title)}</summary>{body}</details>" if body else ""
