"""Composites are written with the real encoder and read back."""

import math
from pathlib import Path

import numpy as np
import pytest

from musedance.media.audio import Audio, read_audio
from musedance.media.video import VideoReader
from musedance.report.side_by_side import DIMMED, GAP, LABEL, compose, spread_evenly

RED, GREEN, BLUE = (200, 40, 40), (40, 180, 60), (50, 60, 210)


def plain(colour: tuple[int, int, int], count: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (count, height, width, 3)).copy()


def read(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return reader.frames_at([(k + 0.5) / 12 for k in range(reader.info.num_frames)]).astype(float)


def middles(frames: np.ndarray, width: int, cells: int) -> np.ndarray:
    """The colour in the middle of each cell: `(n, cells, 3)`."""
    y = LABEL + (frames.shape[1] - LABEL) // 2
    return np.stack([frames[:, y, place * (width + GAP) + width // 2] for place in range(cells)], axis=1)


def test_three_pictures_stand_in_a_row_under_their_names(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    compose(path, plain(RED, 1)[0], plain(GREEN, 12), plain(BLUE, 12), 12, None, height=96)
    frames = read(path)
    assert frames.shape == (12, LABEL + 96, 3 * 96 + 2 * GAP, 3)
    assert middles(frames, 96, 3)[5] == pytest.approx(np.array([RED, GREEN, BLUE]), abs=8)
    for place in range(3):  # something is written over each
        left = place * (96 + GAP)
        assert frames[0, 2 : LABEL - 2, left : left + 96].max() > 150


def test_without_a_true_video_there_are_two(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    compose(path, plain(RED, 1)[0], plain(GREEN, 3), None, 12, None, height=96)
    assert read(path).shape == (3, LABEL + 96, 2 * 96 + GAP, 3)


@pytest.mark.parametrize(("generated", "true"), [(6, 14), (14, 6)])
def test_the_shorter_video_stays_and_is_dimmed(tmp_path: Path, generated: int, true: int) -> None:
    path = tmp_path / "a.mp4"
    compose(path, plain(RED, 1)[0], plain(GREEN, generated), plain(BLUE, true), 12, None, height=96)
    colours = middles(read(path), 96, 3)
    assert len(colours) == 14
    short, long = (1, 2) if generated < true else (2, 1)
    assert colours[13, short] == pytest.approx(colours[2, short] * DIMMED, abs=8)
    assert colours[13, long] == pytest.approx(colours[2, long], abs=8)
    assert colours[13, 0] == pytest.approx(np.array(RED), abs=8)  # the reference is never over


def test_motion_keeps_its_frames(tmp_path: Path) -> None:
    generated, true = plain(GREEN, 12), plain(BLUE, 12)
    generated[:] = (np.arange(12) * 20).astype(np.uint8)[:, None, None, None]
    path = tmp_path / "a.mp4"
    compose(path, plain(RED, 1)[0], generated, true, 12, None, height=96)
    assert middles(read(path), 96, 3)[:, 1, 1] == pytest.approx(np.arange(12) * 20, abs=6)


def test_other_sizes_are_fitted_whole(tmp_path: Path) -> None:
    """A wide true video beside upright generated ones: all of it is seen, with bars over and under it."""
    path = tmp_path / "a.mp4"
    compose(path, plain(RED, 1, 30, 17)[0], plain(GREEN, 2, 128, 72), plain(BLUE, 2, 50, 100), 12, None, height=128)
    frames = read(path)
    assert frames.shape[2] == 3 * 72 + 2 * GAP
    assert middles(frames, 72, 3)[0] == pytest.approx(np.array([RED, GREEN, BLUE]), abs=10)
    column = frames[0, LABEL:, 2 * (72 + GAP) + 36]
    is_blue = column[:, 2] > 120
    assert is_blue.sum() == pytest.approx(36, abs=2) and np.flatnonzero(is_blue).mean() == pytest.approx(63.5, abs=1)


def test_sound_is_heard_in_time_and_ends_with_the_pictures(tmp_path: Path) -> None:
    rate = 44100
    samples = np.zeros((2, 3 * rate), np.float32)
    samples[:, rate : rate + 2000] = 0.5 * np.sin(np.arange(2000) * 2 * math.pi * 440 / rate)
    path = tmp_path / "a.mp4"
    compose(path, plain(RED, 1)[0], plain(GREEN, 18), None, 12, Audio(samples, rate), height=96)
    sound = read_audio(path)
    assert sound.duration == pytest.approx(1.5, abs=0.01)
    loud = np.flatnonzero(np.abs(sound.samples[0]) > 0.2) / sound.sampling_rate
    assert (loud[0], loud[-1]) == pytest.approx((1, 1 + 2000 / rate), abs=0.01)


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_where_there_is_no_sound_there_is_silence(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "a.mp4"
    audio = Audio(np.full((1, round(seconds * 8000)), 0.3, np.float32), 8000) if seconds else None
    compose(path, plain(RED, 1)[0], plain(GREEN, 12), None, 12, audio, height=96)
    sound = read_audio(path)
    assert sound.duration == pytest.approx(1, abs=0.01)
    assert np.abs(sound.samples[0, round((seconds + 0.15) * sound.sampling_rate) :]).max() < 0.01


def test_a_composite_is_small_enough_to_embed(tmp_path: Path) -> None:
    """4 s of a textured figure that moves, with loud sound."""
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(60, 200, (32, 32, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    frames = np.stack([np.roll(texture, round(6 * math.sin(k)), axis=1) for k in range(48)])
    sound = Audio(rng.uniform(-0.5, 0.5, (2, 4 * 48000)).astype(np.float32), 48000)
    path = tmp_path / "a.mp4"
    compose(path, frames[0], frames, frames[::-1].copy(), 12, sound)
    assert path.stat().st_size < 300_000


def test_videos_are_chosen_by_their_place_alone() -> None:
    items = [f"clip-{number}" for number in range(10)]
    assert spread_evenly(items, 4) == ["clip-0", "clip-3", "clip-6", "clip-9"]
    assert spread_evenly(items, 1) == ["clip-0"]
    for count in range(15):
        chosen = spread_evenly(items, count)
        assert len(chosen) == len(set(chosen)) == min(count, 10) and chosen == sorted(chosen)
