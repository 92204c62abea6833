"""Kinematic beats: dancers whose rests are known, in closed form and drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musedance.metrics.flow import flow_magnitudes
from musedance.metrics.kinematics import LEAST_FLOW, LEAST_JOINT_SPEED, joint_speed, kinematic_beats


def swinging(period: float, rest: float, fps: float, seconds: float = 4.0) -> np.ndarray:
    """Joints (n, 1, 2) that swing from side to side of a picture 100 high and rest at `rest` + k * `period` seconds."""
    time = np.arange(round(seconds * fps)) / fps
    x = 50 + 20 * np.cos(np.pi * (time - rest) / period)
    return np.stack([x, np.full_like(x, 50)], axis=-1)[:, None]


def all_visible(joints: np.ndarray) -> np.ndarray:
    return np.ones(joints.shape[:2], bool)


def offsets(times: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """From each time back to the nearest beat, with its sign."""
    nearest = np.abs(times[:, None] - beats[None]).argmin(axis=1)
    return times - beats[nearest]


def test_speed_of_two_joints_of_which_one_hides() -> None:
    joints = np.zeros((4, 2, 2))
    joints[:, 0, 0] = [0, 3, 6, 9]  # 3 pixels a frame
    joints[:, 1, 1] = [0, 5, 10, 900]  # 5 pixels a frame, and nonsense where it cannot be seen
    visible = np.array([[True, True], [True, True], [True, True], [True, False]])
    np.testing.assert_allclose(joint_speed(joints, visible, 10, 200), [0.2, 0.2, 0.15])


def test_speed_where_nobody_is_seen() -> None:
    joints = np.zeros((5, 1, 2))
    joints[:, 0, 0] = [0, 1, 500, 700, 703]
    visible = np.array([[True], [True], [False], [True], [True]])
    np.testing.assert_allclose(joint_speed(joints, visible, 1, 1), [1, 5 / 3, 7 / 3, 3])
    assert not joint_speed(joints, np.zeros((5, 1), bool), 1, 1).any()


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="joints must be"):
        joint_speed(np.zeros((4, 3, 2)), np.ones((4, 2), bool), 12, 64)
    with pytest.raises(ValueError, match="joints must be"):
        joint_speed(np.zeros((1, 3, 2)), np.ones((1, 3), bool), 12, 64)
    with pytest.raises(ValueError, match="speed must be"):
        kinematic_beats(np.zeros((4, 1)), 12, 0.0)


@settings(deadline=None)
@given(
    period=st.floats(0.36, 0.9),
    phase=st.floats(0, 1),
    fps=st.sampled_from([10.0, 12.0, 15.0, 24.0, 30000 / 1001, 60.0]),
)
def test_a_swing_rests_where_it_turns(period: float, phase: float, fps: float) -> None:
    joints = swinging(period, phase * period, fps)
    found = kinematic_beats(joint_speed(joints, all_visible(joints), fps, 100), fps, LEAST_JOINT_SPEED)
    turns = phase * period + period * np.arange(-1, 15)
    expected = turns[(turns > 2 / fps + 0.05) & (turns < 4 - 3 / fps - 0.05)]
    inner = found[(found > 0.2) & (found < 3.8)]  # nearer to the ends the blur has less to go by
    assert np.abs(offsets(inner, turns)).max() < 0.15 / fps
    assert np.abs(offsets(found, turns)).max() < 0.75 / fps
    assert (np.abs(expected[:, None] - found[None]).min(axis=1) < 0.75 / fps).all()
    assert len(found) <= len(expected) + 2


def test_the_moment_between_frames_is_found() -> None:
    """Rounded to whole frames, the error would be a quarter of a frame on average."""
    errors = []
    for rest in np.linspace(0, 0.5, 23):
        joints = swinging(0.5, rest, 12)
        found = kinematic_beats(joint_speed(joints, all_visible(joints), 12, 100), 12, LEAST_JOINT_SPEED)
        errors.append(offsets(found, rest + 0.5 * np.arange(-1, 10)))
    assert np.abs(np.concatenate(errors)).mean() < 0.05 / 12
    assert abs(np.concatenate(errors).mean()) < 0.01 / 12


@pytest.mark.parametrize("fps", [10, 12, 24])
def test_a_late_dancer_has_late_beats(dances, fps: int) -> None:
    joints, late = swinging(0.5, 0.2, fps), swinging(0.5, 0.27, fps)
    first, second = (kinematic_beats(joint_speed(j, all_visible(j), fps, 100), fps, 0.0) for j in (joints, late))
    inner = first[(first > 0.5) & (first < 3.5)]
    np.testing.assert_allclose([np.abs(second - time - 0.07).min() for time in inner], 0, atol=0.1 / fps)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fps", [8, 12, 30])
def test_a_long_rest_is_no_beat_in_its_middle(fps: int) -> None:
    """Moves for a second, rests for two, moves for a second; and the same with a rest of 0.3 s."""
    time = (np.arange(4 * fps) + 0.5) / fps
    for rest, expected in ((2.0, 0), (0.3, 1)):
        speed = np.where(np.abs(time - 2) < rest / 2, 0.0, 1.0)
        noise = 1e-4 * np.random.default_rng(0).random(len(time))
        for curve in (speed, speed + noise):
            assert len(kinematic_beats(curve, fps, LEAST_JOINT_SPEED)) == expected


@pytest.mark.parametrize("fps", [12, 30])
def test_who_does_not_stop_has_no_beats(fps: int) -> None:
    for joints in (
        np.zeros((4 * fps, 3, 2)),
        np.linspace(0, 90, 4 * fps)[:, None, None] * np.ones((1, 3, 2)),
        np.linspace(0, 9, 4 * fps)[:, None, None] ** 2 * np.ones((1, 3, 2)),
    ):
        speed = joint_speed(joints, all_visible(joints), fps, 100)
        assert len(kinematic_beats(speed, fps, LEAST_JOINT_SPEED)) == 0
    assert len(kinematic_beats(np.ones(2), fps, 0.0)) == len(kinematic_beats(np.zeros(0), fps, 0.0)) == 0


def test_the_jitter_of_a_pose_model_is_no_dance() -> None:
    """Half a pixel of 256 and 18 joints; without a least depth a still dancer has eight beats here."""
    rng = np.random.default_rng(0)
    count, without = 0, 0
    for _ in range(50):
        joints = 128 + rng.normal(0, 0.5, (48, 18, 2))
        speed = joint_speed(joints, all_visible(joints), 12, 256)
        count += len(kinematic_beats(speed, 12, LEAST_JOINT_SPEED))
        without += len(kinematic_beats(speed, 12, 0.0))
    assert count == 0 < without


def test_drawn_dancers_rest_on_the_beat(dances) -> None:
    """From joints and from pictures, 12 frames per second: no bias, and most beats are found."""
    for source, precision in (("joints", 0.01), ("flow", 0.015)):
        found, hit = [], []
        for dance in dances:
            if source == "joints":
                speed = joint_speed(dance.joints, dance.visible, dance.fps, dance.frames.shape[1])
                times = kinematic_beats(speed, dance.fps, LEAST_JOINT_SPEED)
            else:
                times = kinematic_beats(flow_magnitudes(dance.frames, dance.fps), dance.fps, LEAST_FLOW)
            found.append(offsets(times, dance.beats))
            hit.append(np.abs(dance.beats[:, None] - times[None]).min(axis=1) < 0.1)
        assert abs(np.median(np.concatenate(found))) < 0.005
        assert abs(np.mean(np.concatenate(found))) < 0.02
        assert np.median(np.abs(np.concatenate(found))) < precision
        assert np.concatenate(hit).mean() > 0.65


def test_the_bias_is_gone_in_other_positions_of_the_frames(dances) -> None:
    """Every second frame: half the rate, the same beats."""
    for dance in dances:
        whole = joint_speed(dance.joints, dance.visible, 12, 64)
        half = [joint_speed(dance.joints[k::2], dance.visible[k::2], 6, 64) for k in (0, 1)]
        times = np.concatenate([kinematic_beats(speed, 6, LEAST_JOINT_SPEED) + k / 12 for k, speed in enumerate(half)])
        beats = kinematic_beats(whole, 12, LEAST_JOINT_SPEED)
        assert abs(np.median(offsets(times, beats))) < 0.02
