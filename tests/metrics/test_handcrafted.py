"""HFD: measurements with known values, and a distance that grows with every degradation above that of disjoint sets."""

import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from musedance.errors import InputError
from musedance.metrics.frechet import frechet_distance
from musedance.metrics.handcrafted import FEATURES, SCALES, handcrafted_features
from musedance.puppets.performance import World, perform
from tests.metrics.conftest import blurred, draw_dance, noisy, tinted

FPS = 12
CLIPS = 16  # in each of two disjoint sets


def measured(frames: np.ndarray, fps: float = FPS) -> dict[str, float]:
    """By name, in the units of the docstring rather than divided by the scales."""
    return {name: value * SCALES[name] for name, value in zip(FEATURES, handcrafted_features(frames, fps), strict=True)}


def features(clips) -> np.ndarray:
    return np.stack([handcrafted_features(clip, FPS) for clip in clips])


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Clips of as many sources of one world, 2 s, 64 x 64."""
    world = World(seed=11, width=64, height=64, fps=FPS)
    return [draw_dance(perform(world, index), "", seconds=2).frames for index in range(2 * CLIPS)]


@pytest.fixture(scope="module")
def true(clips) -> np.ndarray:
    return features(clips[:CLIPS])


@pytest.fixture(scope="module")
def floor(clips, true) -> float:
    """The distance of other clips of the same world, with nothing wrong."""
    return frechet_distance(true, features(clips[CLIPS:]))


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """128 x 128 grey levels that go on across the edges."""
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 6, mode="wrap")
    return 127 + 100 * noise / np.abs(noise).max()


def moving(texture: np.ndarray, down: int, right: int, n: int = 25) -> np.ndarray:
    """The texture moves by so many of 128 pixels a frame."""
    grey = np.stack([np.roll(texture, (k * down, k * right), (0, 1)) for k in range(n)])
    return np.repeat(grey[..., None], 3, axis=3).round().astype(np.uint8)


def frozen(frames: np.ndarray, share: float) -> np.ndarray:
    """The last share of the video stands still."""
    alive = max(round(len(frames) * (1 - share)), 1)
    return np.concatenate([frames[:alive], np.repeat(frames[alive - 1 : alive], len(frames) - alive, axis=0)])


def shuffled_within(frames: np.ndarray, length: int) -> np.ndarray:
    """Each run of `length` frames in random order."""
    random = np.random.default_rng(0)
    return frames[np.concatenate([start + random.permutation(length) for start in range(0, len(frames), length)])]


DEGRADATIONS = {
    "blur": (blurred, (1, 2, 4)),
    "noise": (noisy, (4, 8, 16)),
    "frame shuffling": (shuffled_within, (2, 4, 24)),
    "colour drift": (tinted, (16, 32, 64)),
    "freezing": (frozen, (0.5, 0.75, 1.0)),
}


@pytest.mark.parametrize("degradation", DEGRADATIONS)
def test_every_degradation_shows_and_more_of_it_more(clips, true, floor, degradation):
    degrade, strengths = DEGRADATIONS[degradation]
    distances = [
        frechet_distance(true, features(degrade(clip, strength) for clip in clips[CLIPS:])) for strength in strengths
    ]
    assert distances == sorted(distances)
    assert distances[0] > 1.1 * floor
    assert distances[-1] > 2 * floor


def test_a_set_against_itself_in_any_order(true, floor):
    assert frechet_distance(true, true) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(true, true[::-1]) == pytest.approx(0, abs=1e-9)
    assert floor > 1


def test_no_feature_outweighs_the_others_in_drawn_dances(true):
    """But those that only something wrong can make large."""
    spread = dict(zip(FEATURES, true.std(axis=0, ddof=1), strict=True))
    assert max(spread.values()) < 3
    low = {name for name, deviation in spread.items() if deviation < 0.4}
    assert low <= {"luma drift", "blue drift", "red drift", "fine edges"}
    assert len(set(FEATURES)) == len(FEATURES) == 26


def test_still_pictures_and_black_ones_have_finite_values():
    for value in (0, 200):
        still = measured(np.full((20, 40, 40, 3), value, np.uint8))
        assert np.isfinite(list(still.values())).all()
        assert still["luma"] == pytest.approx(value / 255)
        assert still["held frames"] == 1
        assert still["speed"] == pytest.approx(np.log(0.01))
        for name in ("jerk", "change 1 frame", "change 0.5 s", "misfit", "unsteadiness", "persistence", "luma drift"):
            assert still[name] == pytest.approx(0, abs=1e-5), name
        assert still["upright"] == pytest.approx(0.5)


def test_speed_and_direction_of_a_known_motion(texture):
    right, down = measured(moving(texture, 0, 4)), measured(moving(texture, 4, 0))
    for known in (right, down):
        assert known["speed"] == pytest.approx(np.log(4 / 128 * FPS + 0.01), abs=0.1)
        assert known["persistence"] > 0.95
        assert known["unsteadiness"] < 0.1
        assert known["held frames"] == 0
    assert right["upright"] < 0.15 and down["upright"] > 0.85
    faster = measured(moving(texture, 0, 4), fps=2 * FPS)
    assert faster["speed"] - right["speed"] == pytest.approx(np.log(2), abs=0.03)
    to_and_fro = measured(moving(texture, 0, 4)[np.arange(25) % 2])
    assert to_and_fro["persistence"] < -0.8


def test_lags_are_seconds(texture):
    """A motion that repeats every half second changes nothing over half a second and over a whole one."""
    there_and_back = moving(texture, 0, 4)[np.tile([0, 1, 2, 3, 2, 1], 5)]
    repeated = measured(there_and_back, fps=12)
    assert repeated["change 0.5 s"] == 0 and repeated["change"] == pytest.approx(np.log(0.5 / 255))
    assert repeated["change 0.25 s"] > 1
    assert measured(there_and_back, fps=18)["change 0.5 s"] > 1


def test_frames_in_random_order_change_as_much_at_once_as_over_a_second(texture):
    there_and_back = moving(texture, 0, 2)[np.tile(np.r_[0:12, 12:0:-1], 4)]
    before = measured(there_and_back)
    after = measured(there_and_back[np.random.default_rng(0).permutation(len(there_and_back))])
    assert before["change 1 frame"] < -0.5
    assert after["change 1 frame"] == pytest.approx(0, abs=0.1)
    assert after["jerk"] == pytest.approx(np.log(3) / 2, abs=0.15)  # of independent frames, were they Gaussian


def test_colour_at_the_end_against_the_beginning():
    ramp = np.arange(40, dtype=np.uint8) * 4
    grey = measured(np.broadcast_to(ramp[:, None, None, None], (40, 16, 16, 3)))
    assert grey["luma drift"] == pytest.approx(30 * 4 / 255, abs=1e-3)
    assert grey["red drift"] == pytest.approx(0, abs=1e-3)
    red = np.zeros((40, 16, 16, 3), np.uint8)
    red[..., 0] = ramp[:, None, None]
    assert measured(red)["red drift"] > 0.2 > 0 > measured(red)["blue drift"]
    assert measured(red)["flicker"] > measured(red * 0)["flicker"] + 1


def test_blur_and_noise_move_the_edges_in_opposite_directions(texture):
    rough = np.clip(texture + np.random.default_rng(1).normal(0, 10, texture.shape), 0, 255)
    plain, blur, noise = (
        measured(frames)
        for frames in (moving(rough, 0, 4), blurred(moving(rough, 0, 4), 1), noisy(moving(rough, 0, 4), 20))
    )
    for name in ("fine edges", "grain"):
        assert blur[name] + 0.1 < plain[name] < noise[name] - 0.1


def test_the_same_at_any_resolution(clips):
    """Twice the pixels of the working size, each four times: nothing changes."""
    frames = np.repeat(np.repeat(clips[0], 2, axis=1), 2, axis=2)  # 128 x 128
    finer = np.repeat(np.repeat(frames, 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(handcrafted_features(finer, FPS), handcrafted_features(frames, FPS), atol=1e-6)


def test_the_shortest_videos_and_shorter_ones(clips):
    assert np.isfinite(handcrafted_features(clips[0][:5], 30)).all()
    with pytest.raises(InputError, match="HFD needs videos of 5 frames or more, this one has 4"):
        handcrafted_features(clips[0][:4], FPS)


def test_without_opencv(clips, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r'pip install "musedance\[metrics\]"'):
        handcrafted_features(clips[0], FPS)
