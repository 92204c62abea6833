"""The picture of a run: colours where the numbers are."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from musedance.media.diagram import BLUE, COLOURS, HEIGHT, RAW, WIDTH, ticks
from musedance.training.curves import draw_curves, smooth
from musedance.training.log import BUCKETS


def draw(folder: Path, rows: list[dict[str, float | None]]) -> np.ndarray:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    draw_curves(folder / "metrics.jsonl", folder / "curves.png")
    return np.asarray(Image.open(folder / "curves.png"))


def panel(picture: np.ndarray, index: int) -> np.ndarray:
    row, column = divmod(index, 2)
    return picture[row * HEIGHT : (row + 1) * HEIGHT, column * WIDTH : (column + 1) * WIDTH]


def places(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(y, x) of the pixels of about this colour."""
    return np.argwhere(np.abs(picture.astype(int) - colour).max(-1) < 12)


def test_a_falling_loss_falls(tmp_path: Path) -> None:
    rows = [
        {"step": step, "loss": math.exp(-step / 300), "lr": 1e-5, "samples_per_s": 2.0} for step in range(1, 1000, 2)
    ]
    picture = draw(tmp_path, rows)
    assert picture.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    line = places(panel(picture, 0), BLUE)
    left, right = line[line[:, 1] < 200, 0].mean(), line[line[:, 1] > WIDTH - 200, 0].mean()
    assert left < 0.5 * HEIGHT < 0.75 * HEIGHT < right  # y counts downwards
    for index in (2, 3):
        heights = places(panel(picture, index), BLUE)[:, 0]
        assert len(heights) > 300 and np.ptp(heights) <= 6  # what is constant is level
    assert not any(len(places(panel(picture, 1), colour)) for colour in COLOURS)


def test_each_bucket_has_its_colour_and_higher_losses_lie_higher(tmp_path: Path) -> None:
    rows = [{"step": step, **{name: 1.0 + i for i, name in enumerate(BUCKETS)}} for step in range(10, 100, 10)]
    picture = panel(draw(tmp_path, rows), 1)[:, : WIDTH - 200]  # without the names
    heights = [places(picture, colour)[:, 0].mean() for colour in COLOURS]
    assert heights == sorted(heights, reverse=True) and min(-np.diff(heights)) > 30


def test_a_gap_and_a_spike_spoil_nothing(tmp_path: Path) -> None:
    rows: list[dict[str, float | None]] = [{"step": step, "loss": 1.0} for step in range(1, 401)]
    rows[100]["loss"], rows[200]["loss"] = None, 1e6
    del rows[300]["loss"]
    line = places(panel(draw(tmp_path, rows), 0), RAW)
    level = np.bincount(line[:, 0]).argmax()
    assert 0.3 * HEIGHT < level < 0.6 * HEIGHT  # the spike does not press the rest flat


@pytest.mark.parametrize(
    "rows", [[], [{"step": 1, "loss": 0.5}], [{"step": 10, "loss": 0.0, "lr": 0.0}], [{"step": 7}]]
)
def test_few_rows(tmp_path: Path, rows: list[dict[str, float | None]]) -> None:
    picture = draw(tmp_path, rows)
    assert picture.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert bool(len(places(panel(picture, 0), BLUE))) == any("loss" in row for row in rows)


def test_a_picture_that_is_there_is_replaced(tmp_path: Path) -> None:
    first = draw(tmp_path, [{"step": 1, "loss": 0.5}])
    second = draw(tmp_path, [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.1}])
    assert not np.array_equal(first, second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=200))
def test_smoothing(values: list[float]) -> None:
    curve = [(float(step), value) for step, value in enumerate(values)]
    smoothed = smooth(curve)
    assert [step for step, _ in smoothed] == [step for step, _ in curve]
    assert all(min(values) - 1e-9 <= value <= max(values) + 1e-9 for _, value in smoothed)
    assert smooth([(step, 3.0) for step, _ in curve]) == [(step, 3.0) for step, _ in curve]


def test_smoothing_takes_noise_away() -> None:
    curve = [(float(step), 1.0 + (-1) ** step) for step in range(400)]
    assert all(abs(value - 1) < 0.1 for _, value in smooth(curve)[1:-1])


@given(st.floats(1e-9, 1e9))
def test_ticks_are_few_and_round(high: float) -> None:
    marks = ticks(0, high)
    assert 2 <= len(marks) <= 7 and marks[0] == 0 and marks[-1] <= high * (1 + 1e-6)
    digits = f"{marks[1]:.6e}".split("e")[0]
    assert float(digits) in (1.0, 2.0, 5.0)
