"""Single frames that are out of line, in what moves evenly, swings, stands, and in drawn dancers."""

import numpy as np
import pytest

from musedance.proof.outliers import outlier_finding, outlying_frames
from musedance.puppets.performance import World, perform
from tests.metrics.conftest import draw_dance

FPS = 12.0


def swing(count: int = 48, beat: float = 0.6) -> np.ndarray:
    """A square that swings, and rests on each beat."""
    frames = np.full((count, 67, 100, 3), 40, np.uint8)  # no multiples of eight
    for k, frame in enumerate(frames):
        left = round(38 + 30 * np.cos(np.pi * k / FPS / beat))
        frame[24:44, left : left + 20] = 200
    return frames


def test_a_frame_from_elsewhere_is_found_and_nothing_else() -> None:
    frames = swing()
    assert not outlying_frames(frames).any()
    frames[22] = np.roll(frames[22], 20, axis=0)
    assert np.flatnonzero(outlying_frames(frames)).tolist() == [21]  # the first frame has none


def test_a_jump_to_stay_and_what_stands_still_are_none() -> None:
    frames = swing()
    frames[20:] = np.roll(frames[20:], 20, axis=1)
    assert not outlying_frames(frames).any()
    assert not outlying_frames(np.full((9, 64, 64, 3), 7, np.uint8)).any()


def test_true_dancers_have_none_and_a_share_is_what_it_says() -> None:
    """Of dances of 4 s; then with one frame of each that is moved aside."""
    world = World(seed=3, width=64, height=64)
    true = {f"clip{k}": draw_dance(perform(world, k), f"t{k}").frames for k in range(3)}
    sources = {name: name for name in true}
    found = outlier_finding("length", true, true, sources)
    assert found.value == found.truth == 0 and found.n == 3
    broken = {name: frames.copy() for name, frames in true.items()}
    for frames in broken.values():
        frames[25] = np.roll(frames[25], 24, axis=1)
    share = 1 / (len(frames) - 2)
    assert outlier_finding("length", broken, true, sources).value == pytest.approx(share)
