"""The dancer found by motion, in drawn scenes where it is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musedance.media.video import VideoReader
from musedance.prepare.cutting import Shot
from musedance.prepare.dancer import Dancer
from musedance.prepare.motion import MovingDancer
from musedance.prepare.rejection import Rejected

RED = (220, 30, 30)


def find(studio: Any, path: Path, frames: list[np.ndarray]) -> Dancer:
    with VideoReader(studio.write(path, frames, None)) as video:
        return MovingDancer().find(video, Shot(0.0, video.info.duration))


def test_the_box_is_where_the_figure_goes(studio: Any, tmp_path: Path) -> None:
    dancer = find(studio, tmp_path / "a.mp4", studio.sway(6))
    assert dancer.times.tolist() == [1.0, 3.0, 5.0]
    np.testing.assert_allclose(dancer.boxes, [(40, 30, 94, 100)] * 3, atol=3)


@pytest.mark.parametrize("strength", [4, 10])
def test_noise_of_the_camera_is_no_motion(studio: Any, tmp_path: Path, strength: float) -> None:
    rng = np.random.default_rng(0)
    frames = [(frame + rng.normal(0, strength, frame.shape)).clip(0, 255).astype(np.uint8) for frame in studio.sway(4)]
    dancer = find(studio, tmp_path / "a.mp4", frames)
    np.testing.assert_allclose(dancer.boxes, [(40, 30, 94, 100)] * 2, atol=3)


def test_the_box_follows_from_side_to_side_and_is_as_high_as_ever(studio: Any, tmp_path: Path) -> None:
    size = (320, 120)
    left, right = studio.sway(4, left=20, size=size), studio.sway(4, left=200, size=size)
    for frame in right:  # here the feet stand still
        frame[80:100] = studio.figure((208, 30, 232, 100), size)[80:100]
    dancer = find(studio, tmp_path / "a.mp4", [*left, *right])
    np.testing.assert_allclose(dancer.at(np.array([1.0]))[0], (20, 30, 74, 100), atol=4)
    np.testing.assert_allclose(dancer.at(np.array([7.0]))[0], (200, 30, 254, 100), atol=4)
    halfway = dancer.at(np.array([4.0]))[0]
    assert 20 < halfway[0] < 200 and 74 < halfway[2] < 254


def test_pictures_larger_than_what_is_looked_at(studio: Any, tmp_path: Path) -> None:
    frames = [np.kron(frame, np.ones((6, 6, 1), np.uint8)) for frame in studio.sway(2.5)]
    dancer = find(studio, tmp_path / "a.mp4", frames)
    np.testing.assert_allclose(dancer.boxes[0], np.multiply((40, 30, 94, 100), 6), atol=18)


def test_a_change_of_subtitles_is_no_dancer(studio: Any, tmp_path: Path) -> None:
    frames = studio.sway(6)
    for number, frame in enumerate(frames):
        frame[110:118, 4:-4:3] = 255 * (number // 60 % 2)
    np.testing.assert_allclose(find(studio, tmp_path / "a.mp4", frames).boxes, [(40, 30, 94, 100)] * 3, atol=3)


def test_a_body_at_rest_between_moving_arms_is_one_dancer(studio: Any, tmp_path: Path) -> None:
    frames = []
    for time in np.arange(72) / 24:
        picture = studio.figure((72, 20, 84, 110))
        y = round(40 + 15 * np.sin(2 * np.pi * time))
        picture[y : y + 8, 50:72] = picture[y : y + 8, 84:106] = RED
        frames.append(picture)
    (box,) = find(studio, tmp_path / "a.mp4", frames).boxes
    assert box[0] <= 53 and box[2] >= 103


def test_two_that_move_are_too_many(studio: Any, tmp_path: Path) -> None:
    frames = studio.sway(4, left=10, reach=20)
    for frame, other in zip(frames, studio.sway(4, left=105, reach=20), strict=True):
        frame[(other == RED).all(axis=-1)] = RED
    with pytest.raises(Rejected) as rejected:
        find(studio, tmp_path / "a.mp4", frames)
    assert rejected.value.reason == "several dancers"


def test_a_leaf_that_moves_a_little_is_no_second_dancer(studio: Any, tmp_path: Path) -> None:
    frames = studio.sway(4)
    for number, frame in enumerate(frames):
        frame[100:106, 140 + number % 4 : 146 + number % 4] = (240, 240, 0)
    np.testing.assert_allclose(find(studio, tmp_path / "a.mp4", frames).boxes, [(40, 30, 94, 100)] * 2, atol=3)


def test_a_still_picture_has_no_dancer(studio: Any, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as rejected:
        find(studio, tmp_path / "a.mp4", [studio.figure((40, 30, 64, 100))] * 60)
    assert rejected.value.reason == "nothing moves"


def test_a_camera_that_moves_is_noticed(studio: Any, tmp_path: Path) -> None:
    world = np.random.default_rng(0).integers(0, 255, (15, 60, 3)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    with pytest.raises(Rejected) as rejected:
        find(studio, tmp_path / "a.mp4", [world[:, 3 * number : 3 * number + 160].copy() for number in range(60)])
    assert rejected.value.reason == "camera moves"
