"""Plots are read back: what is drawn stands where its numbers say."""

import itertools
import math
import re
from xml.etree import ElementTree

import pytest

from musedance.report.plots import HEIGHT, LEFT, RIGHT, SPAN, WIDTH, beat_picture, curve_plot, lift_plot, nice_ticks
from musedance.report.results import Curve, Null, Result, System, VideoRow


def curve(mean: list[float], band: float = 0.0, marks: tuple[float, ...] = ()) -> Curve:
    times = [0.5 * k for k in range(len(mean))]
    low, high = ([m + sign * band for m in mean] if band else [] for sign in (-1, 1))
    return Curve("Distance", "x", times, mean, low, high, 7, list(marks))


def svg(html: str) -> ElementTree.Element:
    """The first drawing, which has to be well-formed."""
    return ElementTree.fromstring(re.search(r"<svg.*?</svg>", html, re.DOTALL)[0])  # type: ignore[index]


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in element.attrib["points"].split())]


def of_class(root: ElementTree.Element, tag: str, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter(tag) if name in element.attrib.get("class", "").split()]


def scale(root: ElementTree.Element, css_class: str) -> list[tuple[float, float]]:
    """(place, value) of the axis whose numbers have this class."""
    axis = "x" if css_class == "middle" else "y"
    shift = 0 if css_class == "middle" else 4
    texts = [
        text for text in of_class(root, "text", css_class) if re.match(r"[\d.\N{MINUS SIGN}]+( s)?$", text.text or "")
    ]
    return [
        (float(t.attrib[axis]) - shift, float((t.text or "").removesuffix(" s").replace("\N{MINUS SIGN}", "-")))
        for t in texts
    ]


def value_at(place: float, ticks: list[tuple[float, float]]) -> float:
    (p0, v0), (p1, v1) = ticks[0], ticks[-1]
    return v0 + (place - p0) / (p1 - p0) * (v1 - v0)


def test_a_curve_goes_through_its_values() -> None:
    mean = [0.2, 0.35, 0.3, 0.61, 0.5]
    root = svg(curve_plot({"a": curve(mean, 0.05)}, {"a": 0}))
    (line,) = root.iter("polyline")
    x, y = scale(root, "middle"), scale(root, "end")
    assert [value_at(place, x) for place, _ in points(line)] == pytest.approx([0, 0.5, 1, 1.5, 2], abs=0.01)
    assert [value_at(place, y) for _, place in points(line)] == pytest.approx(mean, abs=0.003)
    (band,) = root.iter("polygon")
    corners = [value_at(place, y) for _, place in points(band)]
    assert corners == pytest.approx([m + 0.05 for m in mean] + [m - 0.05 for m in reversed(mean)], abs=0.003)
    for px, py in [*points(line), *points(band)]:
        assert LEFT <= px <= WIDTH - RIGHT and 0 <= py <= HEIGHT


def test_each_system_has_its_colour_and_its_marks() -> None:
    html = curve_plot({"a": curve([0, 1, 2], marks=(0.5,)), "b": curve([2, 1, 0])}, {"a": 1, "b": 3})
    root = svg(html)
    assert [line.attrib["class"] for line in root.iter("polyline")] == ["s1", "s3"]
    (mark,) = of_class(root, "path", "mark")
    assert "s1" in mark.attrib["class"] and "dashed: seams" in html
    assert value_at(float(mark.attrib["d"][1:].split()[0]), scale(root, "middle")) == pytest.approx(0.5, abs=0.01)
    assert "a, n = 7" in html and "dashed" not in curve_plot({"b": curve([2, 1, 0])}, {"b": 0})


def test_infinite_values_are_gaps() -> None:
    html = curve_plot({"a": curve([1, 2, math.inf, 3, math.inf, 2, 1])}, {"a": 0})
    assert [len(points(line)) for line in svg(html).iter("polyline")] == [2, 2, 2]  # the middle one is a dot
    assert "gaps: infinite" in html and "inf," not in html and "nan" not in html
    assert curve_plot({"a": curve([math.inf, math.inf])}, {"a": 0}) == ""


@pytest.mark.parametrize("mean", [[0.5], [0.0, 0.0], [1e-7, 2e-7], [5e6, 6e6], [-3.0, -2.0]])
def test_any_range_can_be_drawn(mean: list[float]) -> None:
    root = svg(curve_plot({"a": curve(mean)}, {"a": 0}))
    assert 2 <= len(scale(root, "end")) <= 5 and len(list(root.iter("polyline"))) == 1


def system(name: str, lifts: dict[str, Null]) -> System:
    results = {key: Result(key, 0.5, None, 9, nulls=(null,)) for key, null in lifts.items()}
    return System(name, "", results, {}, {}, (), {})


def test_lifts_stand_at_their_values_and_are_hollow_where_nothing_is_shown() -> None:
    first = system("a", {"cs": Null("other music", 0.1, 0.02, (-0.05, 0.09), 0.3)})
    second = system(
        "b", {"cs": Null("other music", 0.1, 0.3, (0.2, 0.4), 0.0), "mm_align": Null("half", 0, 0.1, None, None)}
    )
    root = svg(lift_plot("other music", [first, second]))
    x = scale(root, "middle")
    circles = list(root.iter("circle"))
    assert [circle.attrib["class"] for circle in circles] == ["s0 hollow", "s1"]
    assert [value_at(float(c.attrib["cx"]), x) for c in circles] == pytest.approx([0.02, 0.3], abs=0.003)
    bars = [path.attrib["d"] for path in root.iter("path") if path.attrib["class"] in ("s0", "s1")]
    ends = [[value_at(float(found), x) for found in re.findall(r"[MH]([\d.]+)", bar)] for bar in bars]
    assert ends == [pytest.approx([-0.05, 0.09], abs=0.003), pytest.approx([0.2, 0.4], abs=0.003)]
    (zero,) = of_class(root, "path", "zero")
    assert value_at(float(zero.attrib["d"][1:].split()[0]), x) == pytest.approx(0, abs=0.003)
    names = [text.text for text in of_class(root, "text", "end")]
    assert names == ["CS"]


def test_a_lift_without_an_interval_is_a_hollow_point() -> None:
    html = lift_plot("half", [system("b", {"mm_align": Null("half", 0.4, 0.1, None, None)})])
    assert len(of_class(svg(html), "circle", "hollow")) == 1 and not of_class(svg(html), "path", "s0")
    assert lift_plot("other music", [system("b", {})]) == ""


def test_ticks_of_beats_stand_at_their_times() -> None:
    beats = {"kinematic": [0.5, 1.5], "music": [1.0, 2.0, 3.0], "onsets": []}
    row = VideoRow("a", "", "", {}, {}, (), beats, [(0.0, 0.0), (2.0, 1.0), (4.0, 0.5)])
    html = beat_picture(row, 4.0)
    drawings = [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", html)]
    places = [[float(p.attrib["d"][1:].split()[0]) * 4 / SPAN for p in of_class(d, "path", "tick")] for d in drawings]
    assert places == [[], [1.0, 2.0, 3.0], [0.5, 1.5], []]  # speed, music, kinematic, onsets
    assert all(len(of_class(drawing, "path", "beat")) == 3 for drawing in drawings)
    assert re.findall(r"<span>([^<]+)</span>", html) == ["speed", "music", "kinematic", "onsets: none"]
    (line,) = drawings[0].iter("polyline")
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert (x0, x1, x2) == (0, 500, 1000) and y0 - y2 == pytest.approx((y0 - y1) / 2)


def test_a_video_that_stands_still_has_a_flat_line() -> None:
    row = VideoRow("a", "", "", {}, {}, (), {"music": [1.0]}, [(0.0, 0.0), (2.0, 0.0)])
    (line,) = ElementTree.fromstring(re.search(r"<svg.*?</svg>", beat_picture(row, 2.0))[0]).iter("polyline")  # type: ignore[index]
    assert [y for _, y in points(line)] == [100, 100]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.013, 0.21), (3, 3.0001), (0, 12.0), (-7e5, 2e6), (0, 1e-9)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 6
    room = 1e-6 * (high - low)
    assert all(low - room <= tick <= high + room for tick in ticks)
    step = ticks[1] - ticks[0]
    assert [b - a for a, b in itertools.pairwise(ticks)] == pytest.approx([step] * (len(ticks) - 1))
    assert step / 10 ** math.floor(math.log10(step) + 1e-6) == pytest.approx(1) or round(
        step / 10 ** math.floor(math.log10(step) + 1e-6)
    ) in (2, 5)
