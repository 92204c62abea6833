"""The dancer found by a detector; this one sees people by their colour, so that what it finds is known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musedance.errors import InputError
from musedance.media.video import VideoReader
from musedance.prepare.cutting import Shot
from musedance.prepare.dancer import Dancer, DetectedDancer
from musedance.prepare.detector import Detections
from musedance.prepare.rejection import Hopeless, Rejected

RED, BLUE = (220, 30, 30), (20, 20, 240)


@dataclass
class ByColour:
    """A detector of red and blue boxes; all are persons unless `cats` are looked for."""

    label: str = "person"

    def detect(self, frames: np.ndarray) -> list[Detections]:
        found = []
        for frame in frames:
            boxes = []
            for colour in (BLUE, RED):
                rows, columns = np.nonzero(np.abs(frame.astype(int) - colour).max(axis=-1) < 60)
                if len(rows):
                    boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            scores = np.linspace(0.9, 0.8, len(boxes), dtype=np.float32)
            found.append(Detections(np.array(boxes, np.float32).reshape(-1, 4), scores, (self.label,) * len(boxes)))
        return found


def find(path: Path, finder: DetectedDancer, start: float = 0.0) -> Dancer:
    with VideoReader(path) as video:
        return finder.find(video, Shot(start, video.info.duration))


def with_other(frames: list[np.ndarray], box: tuple[int, int, int, int], upto: int = 10_000) -> list[np.ndarray]:
    x0, y0, x1, y1 = box
    for frame in frames[:upto]:
        frame[y0:y1, x0:x1] = BLUE
    return frames


def test_the_figure_is_followed(studio: Any, tmp_path: Path) -> None:
    path = studio.write(tmp_path / "a.mp4", studio.sway(3), None)
    dancer = find(path, DetectedDancer(ByColour()), start=0.5)
    assert dancer.times.tolist() == (0.5 + np.arange(10) / 4).tolist()
    x = 40 + 30 * (0.5 - 0.5 * np.cos(2 * np.pi * (dancer.times + 0.5 / 24)))  # half a frame later
    expected = np.stack([x, np.full(10, 30), x + 24, np.full(10, 100)], axis=1)
    np.testing.assert_allclose(dancer.boxes, expected, atol=4)


def test_boxes_are_in_pixels_of_the_whole_picture(studio: Any, tmp_path: Path) -> None:
    path = studio.write(tmp_path / "a.mp4", studio.sway(1), None)
    dancer = find(path, DetectedDancer(ByColour(), max_side=80))
    np.testing.assert_allclose(dancer.boxes[:, [1, 3]], [(30, 100)] * 4, atol=4)
    assert np.all(dancer.boxes[:, 2] - dancer.boxes[:, 0] > 18)


def test_two_persons_are_too_many(studio: Any, tmp_path: Path) -> None:
    path = studio.write(tmp_path / "a.mp4", with_other(studio.sway(2), (110, 30, 134, 100)), None)
    with pytest.raises(Rejected) as rejected:
        find(path, DetectedDancer(ByColour()))
    assert rejected.value.reason == "several dancers"


def test_somebody_far_away_or_for_a_moment_is_no_dancer(studio: Any, tmp_path: Path) -> None:
    far = studio.write(tmp_path / "far.mp4", with_other(studio.sway(2), (130, 20, 140, 40)), None)
    assert len(find(far, DetectedDancer(ByColour())).times) == 8
    moment = studio.write(tmp_path / "moment.mp4", with_other(studio.sway(4), (110, 30, 134, 100), upto=6), None)
    dancer = find(moment, DetectedDancer(ByColour()))
    assert np.all(dancer.boxes[1:, 2] < 100)  # the figure, not who was the larger at first


def test_the_one_that_was_followed_is_followed_on(studio: Any, tmp_path: Path) -> None:
    """Not whoever is largest in a frame, nor whom the detector is most certain of."""
    frames = with_other(studio.sway(4), (110, 20, 142, 110))
    for frame in frames[:24]:
        frame[:, 100:] = studio.figure((0, 0, 0, 0))[:, 100:]
    path = studio.write(tmp_path / "a.mp4", frames, None)
    dancer = find(path, DetectedDancer(ByColour(), max_rivals=1.0))
    assert np.all(dancer.boxes[:, 2] < 100)


def test_nobody_is_too_few(studio: Any, tmp_path: Path) -> None:
    path = studio.write(tmp_path / "a.mp4", studio.sway(2), None)
    with pytest.raises(Rejected) as rejected:
        find(path, DetectedDancer(ByColour("cat")))
    assert rejected.value.reason == "no dancer found"
    assert len(find(path, DetectedDancer(ByColour("cat"), label="cat")).times) == 8


def test_gaps_are_bridged() -> None:
    dancer = Dancer(np.array([1.0, 3.0]), np.array([(0.0, 10, 20, 30), (10, 10, 30, 50)]))
    expected = [(0, 10, 20, 30), (5, 10, 25, 40), (10, 10, 30, 50)]
    np.testing.assert_allclose(dancer.at(np.array([0.0, 2.0, 9.0])), expected)


def test_a_detector_that_cannot_be_loaded_ends_the_run(studio: Any, tmp_path: Path) -> None:
    class Missing:
        def detect(self, frames: np.ndarray) -> list[Detections]:
            raise InputError("there is no such model")

    path = studio.write(tmp_path / "a.mp4", studio.sway(1), None)
    with pytest.raises(Hopeless, match="there is no such model"):
        find(path, DetectedDancer(Missing()))
