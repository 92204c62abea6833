"""Frames with their joints, visibility and part labels: for every kind of dancer, in every kind of pose."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from musedance.puppets.moves import MOVES
from musedance.puppets.parts import FOOT, HAND, HEAD, LOWER_ARM, LOWER_LEG, UPPER_ARM, UPPER_LEG, labels_at
from musedance.puppets.pose import AT_EASE, Pose
from musedance.puppets.scene import JOINTS, KINDS, Drawn, Scene
from musedance.puppets.styles import STYLES

SEEDS = range(6)


def scene(seed: int, kind: str | None = None, *, size: int = 128, width: int | None = None) -> Scene:
    return Scene.random(np.random.Generator(np.random.PCG64(seed)), height=size, width=width or size, kind=kind)


def poses(count: int = 5) -> list[Pose]:
    """Some of all moves and styles, on and between the beats."""
    moves, styles = list(MOVES.values()), list(STYLES.values())
    return [styles[k % len(styles)].pose(moves[(7 * k) % len(moves)], 0.4 * k, 0.9) for k in range(count)]


def digest(frames: list[Drawn]) -> str:
    sha = hashlib.sha256()
    for frame in frames:
        for array in (frame.picture, frame.parts, frame.joints.astype("<f4"), frame.visible):
            sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def sampler() -> str:
    """A checksum over every kind of dancer and background and over all moves and genres."""
    return digest([scene(seed, kind).draw(pose) for seed, kind in enumerate([*KINDS, None, None]) for pose in poses(3)])


def test_frames_are_what_they_say() -> None:
    for kind in KINDS:
        frame = scene(1, kind, size=96, width=64).draw(Pose())
        assert frame.picture.shape == (96, 64, 3) and frame.picture.dtype == np.uint8
        assert frame.parts.shape == (96, 64) and frame.parts.dtype == np.uint8
        assert frame.joints.shape == (17, 2) and frame.joints.dtype == np.float32
        assert frame.visible.shape == (17,) and frame.visible.dtype == bool
        assert frame.parts.max() <= 24


# Arrays are the same on every machine: this is the sum that they have. It changes when the look of anything changes.
CHECKSUM = "0aa910d37b5e4140352539f59fc875774ff16f9e9744cb02eee43f19cbb9fcb7"


def test_frames_are_the_same_everywhere() -> None:
    assert sampler() == CHECKSUM


def test_frames_do_not_depend_on_the_processor() -> None:
    """Other vector instructions round sines and sums otherwise; pictures must not show it."""
    features = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 FMA3 AVX512F AVX512_SKX ASIMDHP ASIMDDP ASIMDFHM"
    folder = os.path.dirname(__file__)
    code = f"import sys; sys.path.insert(0, {folder!r}); import test_scene; print(test_scene.sampler())"
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": features}
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.check_output(command, env=environment, text=True).split()[-1] == CHECKSUM


def test_seeds_differ_and_the_same_seed_does_not() -> None:
    frames = [scene(seed).draw(Pose()) for seed in range(8)]
    assert digest(frames[:1]) == digest([scene(0).draw(Pose())])
    assert len({digest([frame]) for frame in frames}) == 8
    differences = [np.abs(frames[0].picture.astype(int) - f.picture).mean() for f in frames[1:]]
    assert min(differences) > 15


def test_toys_are_drawn_where_they_are_named_and_nowhere_else() -> None:
    assert {scene(seed).character.kind for seed in range(60)} == set(KINDS) - {"doll", "teddy"}
    for kind in ("doll", "teddy"):
        assert scene(0, kind).character.kind == kind


@pytest.mark.parametrize("kind", ["doll", "teddy"])
def test_toys_stand_in_the_same_place_and_face_the_viewer(kind: str) -> None:
    for seed in SEEDS:
        frame = scene(seed, kind).draw(AT_EASE)
        rows, columns = np.nonzero(frame.parts)
        assert abs(columns.min() + columns.max() + 1 - frame.parts.shape[1]) <= 1
        assert abs(rows.max() - 0.91 * frame.parts.shape[0]) < 4
        mirrored = frame.parts[:, ::-1] > 0
        assert (mirrored == (frame.parts > 0)).mean() > 0.99


@pytest.mark.parametrize("kind", ["doll", "teddy"])
def test_a_toys_limbs_are_wider_than_a_latent(kind: str) -> None:
    """Eight pixels of 128: what is thinner is hard to draw for a small model."""
    for seed in SEEDS:
        parts = scene(seed, kind).draw(Pose(left_hand=(1.0, 0.0, 0.1), right_hand=(1.0, 0.0, 0.1))).parts
        for labels in (*UPPER_ARM.values(), *LOWER_ARM.values()):
            arm = np.isin(parts, labels)
            assert arm.sum(axis=0)[arm.any(axis=0)].max() >= 8


def test_drawing_leaves_no_trace_on_the_next_frame() -> None:
    one, other = scene(2, "person"), scene(2, "person")
    for pose in poses():
        one.draw(pose)
    assert digest([one.draw(Pose())]) == digest([other.draw(Pose())])


@pytest.mark.parametrize("kind", KINDS)
def test_labels_cover_what_was_drawn(kind: str) -> None:
    for seed in SEEDS:
        stage = scene(seed, kind)
        stage.shaded = False
        for pose in poses(3):
            frame = stage.draw(pose)
            changed = np.abs(frame.picture.astype(int) - stage.background).max(axis=-1) > 0
            assert (changed & (frame.parts > 0)).sum() > 0.985 * (frame.parts > 0).sum()  # some colours are the wall's
            # What is unlabelled is the smooth edge, or a hair's breadth.
            inside = frame.parts > 0
            near = inside.copy()
            for step in ((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                near |= np.roll(inside, step, (0, 1))
            assert (changed & ~near).mean() < 0.002
            assert 0.04 < inside.mean() < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_a_joint_that_is_seen_lies_on_its_part(kind: str) -> None:
    for seed in SEEDS:
        stage = scene(seed, kind)
        for pose in poses():
            frame = stage.draw(pose)
            for name, (x, y), visible in zip(JOINTS, frame.joints, frame.visible, strict=True):
                if visible:
                    around = frame.parts[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2]
                    assert np.isin(around, labels_at(name)).any(), (seed, name)


@pytest.mark.parametrize("kind", KINDS)
def test_at_ease_every_part_and_nearly_every_joint_is_seen(kind: str) -> None:
    seen = np.zeros(len(JOINTS))
    for seed in SEEDS:
        frame = scene(seed, kind).draw(Pose(left_hand=(0.8, -0.3, 0.1), right_hand=(0.8, -0.3, 0.1)))
        seen += frame.visible
        labels = set(np.unique(frame.parts))
        for table in (HAND, FOOT, HEAD):
            assert labels >= set(table.values())
        for pairs in (UPPER_ARM, LOWER_ARM, LOWER_LEG, UPPER_LEG):
            assert all(labels & set(pair) for pair in pairs.values())
        assert labels & {1, 2}
    wanted = [name for name in JOINTS if "shoulder" not in name and "hip" not in name and "ear" not in name]
    assert all(seen[JOINTS.index(name)] >= 4 for name in wanted), dict(zip(JOINTS, seen, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_left_and_right_are_the_dancers_own(kind: str) -> None:
    stage = scene(3, kind)
    stage.turn = 0.0
    hand = (0.8, -0.4, 0.1)
    front, back = (stage.draw(Pose(yaw=yaw, left_hand=hand, right_hand=hand)) for yaw in (0.0, np.pi))
    for frame, sign in ((front, 1), (back, -1)):
        for left in (name for name in JOINTS if name.startswith("left")):
            x = {side: frame.joints[JOINTS.index(left.replace("left", side)), 0] for side in ("left", "right")}
            assert sign * (x["left"] - x["right"]) > 0, left
        for table in (HAND, FOOT) if sign > 0 else (HAND,):  # from behind, a leg may hide its foot
            columns = {side: np.nonzero(frame.parts == label)[1].mean() for side, label in table.items()}
            assert sign * (columns["left"] - columns["right"]) > 0
    # DensePose's own table, right before left: hands, feet, upper and lower legs, upper and lower arms, head.
    pairs = [((3,), (4,)), ((6,), (5,)), ((7, 9), (8, 10)), ((11, 13), (12, 14)), ((16, 18), (15, 17)),
             ((20, 22), (19, 21)), ((23,), (24,))]  # fmt: skip
    for right, left in pairs:
        columns = [np.nonzero(np.isin(front.parts, labels))[1].mean() for labels in (right, left)]
        assert columns[0] < columns[1], (right, left)
    head, thigh, shin, foot = (np.nonzero(np.isin(front.parts, n))[0].mean() for n in ((23, 24), 9, 13, 6))
    assert head < thigh < shin < foot
    raised = stage.draw(Pose(left_hand=(0.5, 0.8, 0.1)))
    assert raised.joints[JOINTS.index("left_wrist"), 1] < raised.joints[JOINTS.index("right_wrist"), 1] - 10
    assert np.nonzero(raised.parts == HAND["left"])[0].mean() < np.nonzero(raised.parts == HAND["right"])[0].mean() - 10


@pytest.mark.parametrize("kind", KINDS)
def test_who_turns_away_hides_the_face_and_shows_the_back(kind: str) -> None:
    stage = scene(4, kind)
    stage.turn = 0.0
    front, back = stage.draw(Pose()), stage.draw(Pose(yaw=np.pi))
    face = [JOINTS.index(name) for name in ("nose", "left_eye", "right_eye")]
    assert front.visible[face].all() and not back.visible[face].any()
    for frame, seen, hidden in ((front, (9, 10, 17, 18), (7, 8, 15, 16)), (back, (7, 8, 15, 16), (9, 10, 17, 18))):
        assert set(seen) & set(np.unique(frame.parts)) and not set(hidden) & set(np.unique(frame.parts))
    assert (front.parts == 2).sum() > 20 > (front.parts == 1).sum()
    assert (back.parts == 1).sum() > 20 > (back.parts == 2).sum()


def test_a_hand_behind_the_back_is_not_seen() -> None:
    wrist = JOINTS.index("left_wrist")
    for seed in SEEDS:
        stage = scene(seed, "bear")
        assert not stage.draw(Pose(left_hand=(-0.9, -0.6, -0.5))).visible[wrist]
        assert stage.draw(Pose(left_hand=(-0.9, -0.6, 0.5))).visible[wrist]


def test_what_leaves_the_picture_is_not_seen() -> None:
    stage = scene(5, "person")
    frame = stage.draw(Pose(x=6.0))
    assert not frame.visible.any() and not frame.parts.any()
    assert (frame.joints[:, 0] > 128).all()


@pytest.mark.parametrize(("height", "width"), [(128, 128), (64, 64), (160, 96)])
def test_moves_stay_in_the_picture(height: int, width: int) -> None:
    cut = joints = 0
    for seed, move in enumerate(MOVES.values()):
        stage = scene(seed, size=height, width=width)
        for phase in (0.0, 0.5, 1.0):
            frame = stage.draw(STYLES["house"].pose(move, phase, 1.0))
            joints += len(JOINTS)
            cut += int(((frame.joints < 0) | (frame.joints >= (width, height))).any(axis=-1).sum())
    assert cut < 0.01 * joints


def test_size_only_changes_the_resolution() -> None:
    for seed, kind in enumerate(("person", "robot", "teapot")):
        small, large = (scene(seed, kind, size=size).draw(poses(2)[1]) for size in (128, 384))
        np.testing.assert_allclose(small.joints * 3, large.joints, atol=0.1)
        reduced = large.picture.reshape(128, 3, 128, 3, 3).mean(axis=(1, 3))
        assert np.abs(small.picture - reduced).mean() < 5.0
        assert (small.parts == large.parts[1::3, 1::3]).mean() > 0.97


def test_the_same_character_everywhere_when_only_the_background_is_named() -> None:
    with pytest.raises(KeyError):
        scene(0, "unicorn")
    walls = [
        Scene.random(np.random.Generator(np.random.PCG64(9)), height=128, width=128, kind="cat", background=name)
        for name in ("room", "stage")
    ]
    a, b = (wall.draw(Pose()) for wall in walls)
    np.testing.assert_array_equal(a.parts, b.parts)
    assert np.abs(a.picture.astype(int) - b.picture)[a.parts == 0].mean() > 20
