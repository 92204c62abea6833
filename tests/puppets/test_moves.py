"""Moves: on the beat, big enough, clearly different, whatever the style."""

import itertools

import numpy as np
import pytest

from musedance.puppets.genres import GENRES
from musedance.puppets.moves import MOVES, PERIOD
from musedance.puppets.pose import Pose
from musedance.puppets.scene import JOINTS, KINDS, Scene
from musedance.puppets.skeleton import Build, place
from musedance.puppets.styles import STYLES

STEPS = 24  # a beat
DANCED = [name for name in MOVES if name != "freeze"]
LOW, HIGH = 0.8, 1.1  # what a choreography's amplitude goes from and to


def trajectory(
    name: str, genre: str, amplitude: float = 1.0, build: Build | None = None, *, steps: int = STEPS
) -> np.ndarray:
    """(2 x steps + 1, 17, 2): the joints over one period, in heights of the dancer."""
    build = build or Build()
    style, phases = STYLES[genre], np.arange(PERIOD * steps + 1) / steps
    bodies = [place(style.pose(MOVES[name], phase, amplitude), build) for phase in phases]
    return np.array([[body.points[joint][:2] for joint in JOINTS] for body in bodies]) / build.height


def centred(curve: np.ndarray) -> np.ndarray:
    """Joints against where the hips are on average."""
    return curve - curve[:, [JOINTS.index("left_hip"), JOINTS.index("right_hip")]].mean(axis=(0, 1))


def test_every_genre_has_a_style() -> None:
    assert set(STYLES) == set(GENRES)


@pytest.mark.parametrize("genre", STYLES)
@pytest.mark.parametrize("name", DANCED)
def test_joints_are_slowest_exactly_on_the_beat(name: str, genre: str) -> None:
    for amplitude in (LOW, HIGH):
        joints = trajectory(name, genre, amplitude)
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1).mean(axis=-1)
        around = np.concatenate([speed[-STEPS:], speed, speed[:STEPS]])
        for beat in range(STEPS, 3 * STEPS + 1, STEPS):
            assert around[beat - 1 : beat + 1].max() < 0.05 * speed.max()
        minimum = (speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:]) & (speed[1:-1] < 0.3 * speed.max())
        slow = (np.nonzero(minimum)[0] + 1.5) / STEPS
        off_beat = np.abs(slow - np.round(slow))
        assert (off_beat < 0.12).all(), off_beat


@pytest.mark.parametrize("name", DANCED)
def test_a_move_repeats_and_depends_on_nothing_but_its_phase(name: str) -> None:
    for phase in (0.0, 0.3, 1.0, 1.7):
        body, again = (place(MOVES[name].pose(p, 1.0), Build()) for p in (phase, phase + PERIOD))
        for joint in JOINTS:
            assert body.points[joint] == pytest.approx(again.points[joint], abs=1e-9)
        assert MOVES[name].pose(phase, 1.0) == MOVES[name].pose(phase, 1.0)


@pytest.mark.parametrize("name", DANCED)
def test_limbs_travel_at_least_ten_pixels_of_128(name: str) -> None:
    for seed, genre in enumerate(STYLES):
        if seed % 2 != DANCED.index(name) % 2:
            continue  # half of them, to be quick
        kind = tuple(KINDS)[(seed + DANCED.index(name)) % len(KINDS)]
        stage = Scene.random(np.random.Generator(np.random.PCG64(seed)), height=128, width=128, kind=kind)
        poses = [STYLES[genre].pose(MOVES[name], phase, LOW) for phase in (0.0, 1.0)]
        first, second = (stage.draw(pose).joints for pose in poses)
        assert np.linalg.norm(first - second, axis=-1).max() > 10, genre


def test_freezing_is_standing_still() -> None:
    assert {MOVES["freeze"].pose(phase, 1.0) for phase in np.linspace(0, 2, 9)} == {MOVES["freeze"].pose(0.0, 1.0)}


def test_moves_can_be_told_apart_in_every_style() -> None:
    """The joint that differs most is far from where it is in any other move at the same phase."""
    for genre in STYLES:
        curves = {name: trajectory(name, genre, steps=12) for name in MOVES}
        for a, b in itertools.combinations(MOVES, 2):
            distance = np.linalg.norm(curves[a] - curves[b], axis=-1)
            assert distance.max(axis=1).mean() > 0.1, (genre, a, b)  # a tenth of the height, on average over time


def test_a_nearest_neighbour_names_the_move_over_genres_amplitudes_and_builds() -> None:
    builds = [Build(), Build(leg=0.3, arm=0.27, head=0.3, shoulder=0.14), Build(leg=0.43, arm=0.34, torso=0.32)]
    known = {name: centred(trajectory(name, "house", steps=6)) for name in MOVES}
    right = total = 0
    for genre, amplitude, build in itertools.product(STYLES, (LOW, HIGH), builds):
        for name in DANCED:
            curve = centred(trajectory(name, genre, amplitude, build, steps=6))
            named = min(known, key=lambda other: float(np.linalg.norm(known[other] - curve, axis=-1).mean()))
            right, total = right + (named == name), total + 1
    assert right > 0.97 * total


def test_sided_moves_are_mirror_images() -> None:
    for name in (n for n in MOVES if n.endswith("_right")):
        right, left = (trajectory(n, "latin") for n in (name, name.replace("right", "left")))
        swapped = [JOINTS.index(j.replace("left", "*").replace("right", "left").replace("*", "right")) for j in JOINTS]
        np.testing.assert_allclose(right * (-1, 1), left[:, swapped], atol=1e-9)
        moved = dict(zip(JOINTS, np.linalg.norm(np.ptp(trajectory(name, "chiptune"), axis=0), axis=-1), strict=True))
        limb = "ankle" if name == "kick_right" else "wrist"
        assert moved[f"right_{limb}"] > 2 * moved[f"left_{limb}"] + 0.05


def test_claps_meet_whatever_the_build() -> None:
    for build in (Build(), Build(shoulder=0.15, arm=0.28), Build(shoulder=0.08, arm=0.34)):
        for amplitude in (LOW, HIGH):
            curve = trajectory("clap", "rock", amplitude, build)
            wrists = curve[:, [JOINTS.index("left_wrist"), JOINTS.index("right_wrist")]]
            gap = np.linalg.norm(wrists[:, 0] - wrists[:, 1], axis=-1)
            assert gap[0] < 0.06 and gap[STEPS] > 0.3
            assert (np.diff(wrists[:, ::-1, 0], axis=1) > -0.02).all()  # hands do not cross


def test_jumps_leave_the_floor_and_others_do_not() -> None:
    ankles = [JOINTS.index("left_ankle"), JOINTS.index("right_ankle")]
    for name in DANCED:
        height = trajectory(name, "house")[:, ankles, 1].min(axis=1)
        if name == "jump":
            assert height[STEPS] > 0.1 + height[0]
        elif name != "jumping_jack":
            assert np.ptp(height) < 0.03, name


def test_limbs_keep_their_length() -> None:
    build = Build()
    for name in MOVES:
        for phase in (0.0, 0.4, 1.0):
            points = place(STYLES["rock"].pose(MOVES[name], phase, HIGH), build).points
            for side, (a, b, bone) in itertools.product(("left", "right"), (
                ("shoulder", "elbow", build.arm / 2), ("elbow", "wrist", build.arm / 2), ("hip", "knee", build.leg / 2),
                ("knee", "ankle", build.leg / 2),
            )):  # fmt: skip
                assert np.hypot.reduce(np.subtract(points[f"{side}_{a}"], points[f"{side}_{b}"])) == pytest.approx(bone)


def test_a_stronger_amplitude_moves_farther() -> None:
    for name in DANCED:
        if name not in ("spin", "point_left", "point_right"):
            small, large = (np.ptp(trajectory(name, "house", a), axis=0).max() for a in (LOW, HIGH))
            assert large > 1.02 * small, name


def test_poses_blend_straight_and_turn_the_short_way() -> None:
    a, b = Pose(yaw=3.0, lift=0.2, left_hand=(1.0, 0.0, 0.0)), Pose(yaw=-3.0, lift=0.4, left_hand=(0.0, 1.0, 0.0))
    half = a.blended(b, 0.5)
    assert half.lift == pytest.approx(0.3) and half.left_hand == pytest.approx((0.5, 0.5, 0.0))
    assert abs(half.yaw) == pytest.approx(np.pi)
    assert a.blended(b, 0.0) == a


def test_styles_differ() -> None:
    curves = [trajectory("wave_right", genre)[::4] for genre in STYLES]
    for a, b in itertools.combinations(curves, 2):
        assert np.abs(a - b).max() > 0.02
