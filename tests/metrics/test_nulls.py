"""Nulls of scores of music: dancers who follow the music, and dancers who do not hear it."""

import math

import numpy as np
import pytest

from musedance.metrics.alignment import SIGMA, answerable, beats_hit, mm_align
from musedance.metrics.kinematics import LEAST_JOINT_SPEED, joint_speed, kinematic_beats
from musedance.metrics.nulls import (
    FRAMES_PER_BEAT,
    FRAMES_PER_ONSET,
    HALF_A_BEAT_LATE,
    OTHER_MUSIC,
    half_a_beat,
    half_a_beat_late,
    other_music,
    score_matrix,
    too_slow_to_conclude,
)


def random_tracks(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Beats of tracks of 80 to 160 BPM from well before a clip of 4 s to well after it."""
    periods = 60 / rng.uniform(80, 160, count)
    return [(rng.random() + np.arange(-4, 20)) * period for period in periods]


def within(beats: np.ndarray) -> np.ndarray:
    return beats[(beats >= 0) & (beats < 4)]


def alignment(motion: list[np.ndarray], music: list[np.ndarray]) -> np.ndarray:
    return score_matrix(music, lambda video, beats: mm_align(motion[video], beats))


def test_the_lift_of_perfect_dancers_has_a_closed_form() -> None:
    """With other music a rest falls anywhere between two beats: the mean of the bell over a period."""
    music = random_tracks(np.random.default_rng(0), 80)
    null = other_music(alignment([within(beats) for beats in music], music), list(range(80)))
    periods = np.array([2 * half_a_beat(beats) for beats in music])
    chance = np.mean([SIGMA * math.sqrt(2 * math.pi) / p * math.erf(p / 2 / SIGMA / math.sqrt(2)) for p in periods])
    assert null.kind == OTHER_MUSIC and null.n == 80
    assert null.value == pytest.approx(chance, abs=0.01)
    assert null.lift == pytest.approx(1 - chance, abs=0.01)
    assert null.interval[0] < null.lift < null.interval[1]
    assert null.p_value == pytest.approx(1 / 1001)


def test_half_a_beat_late_in_closed_form() -> None:
    music = random_tracks(np.random.default_rng(1), 30)
    motion = [within(beats) for beats in music]
    own = [mm_align(rests, beats) for rests, beats in zip(motion, music, strict=True)]
    late = [mm_align(rests, beats + half_a_beat(beats)) for rests, beats in zip(motion, music, strict=True)]
    expected = np.mean([math.exp(-(half_a_beat(beats) ** 2) / 2 / SIGMA**2) for beats in music])
    null = half_a_beat_late(own, late, list(range(30)))
    assert null.kind == HALF_A_BEAT_LATE and null.n == 30 and null.p_value is None
    assert null.value == pytest.approx(expected)
    assert null.lift == pytest.approx(1 - expected)
    assert null.interval[0] <= null.lift <= null.interval[1]


def test_dancers_who_do_not_hear_the_music_have_no_lift() -> None:
    """The interval holds 0 in about 95 % of repetitions, and p-values are spread evenly."""
    rng, held, p_values = np.random.default_rng(2), [], []
    for seed in range(100):
        music = [track for track in random_tracks(rng, 10) for _ in range(2)]  # two clips a track
        motion = [np.sort(rng.uniform(0, 4, 7)) for _ in music]
        null = other_music(alignment(motion, music), np.repeat(np.arange(10), 2).tolist(), seed)
        held.append(null.interval[0] <= 0 <= null.interval[1])
        p_values.append(null.p_value)
    assert 0.9 <= np.mean(held) <= 0.99
    assert 0.01 <= np.mean(np.array(p_values) < 0.1) <= 0.2
    assert 0.4 < np.mean(p_values) < 0.6


def test_clips_of_a_track_count_once() -> None:
    """Ten tracks with five equal clips each know no more than ten clips."""
    music = random_tracks(np.random.default_rng(3), 10)
    motion = [within(beats) + 0.04 * k for k, beats in enumerate(music)]
    once = other_music(alignment(motion, music), list("abcdefghij"))
    five = [k for k in range(10) for _ in range(5)]
    matrix = alignment([motion[k] for k in five], [music[k] for k in five])
    clustered, naive = other_music(matrix, five), other_music(matrix, list(range(50)))
    assert clustered.lift == pytest.approx(once.lift) and clustered.interval == pytest.approx(once.interval)
    assert naive.interval[1] - naive.interval[0] < 0.6 * (clustered.interval[1] - clustered.interval[0])


def test_other_clips_of_the_same_track_are_not_other_music() -> None:
    matrix = np.array([[1.0, 0.9, 0.2], [0.9, 1.0, 0.3], [0.1, 0.3, 1.0]])
    null = other_music(matrix, ["a", "a", "b"])
    assert null.value == pytest.approx((0.2 + 0.3 + 0.2) / 3)
    assert null.lift == pytest.approx(1 - null.value)


def test_with_two_tracks_nothing_can_be_significant() -> None:
    null = other_music(np.array([[1.0, 0.0], [0.0, 1.0]]), ["a", "b"])
    assert null.lift == 1 and null.p_value == pytest.approx(0.5, abs=0.06)


def test_with_one_track_there_is_no_other_music() -> None:
    assert other_music(np.ones((3, 3)), ["a", "a", "a"]) is None
    assert other_music(np.ones((0, 0)), []) is None
    assert half_a_beat_late([1.0, 0.9], [0.0, 0.1], ["a", "a"]).interval is None


def test_undefined_scores_are_left_out_and_counted() -> None:
    """A frozen video has no score with any music; a silent one none with its own."""
    music = [np.array([0.5, 1.0, 1.5]) + k / 7 for k in range(6)]
    motion = [beats.copy() for beats in music]
    motion[1], music[2] = np.zeros(0), np.zeros(0)
    matrix = alignment(motion, music)
    assert np.isnan(matrix[1]).all() and np.isnan(matrix[:, 2]).all()
    null = other_music(matrix, list("abcdef"))
    kept = [0, 3, 4, 5]
    expected = [np.nanmean(np.delete(matrix[k], k)) for k in kept]
    assert null.n == 4 and null.value == pytest.approx(np.mean(expected))
    late = half_a_beat_late([0.9, None, 0.8], [0.1, None, None], list("abc"))
    assert late.n == 1 and late.lift == pytest.approx(0.8)
    assert half_a_beat_late([None], [None], ["a"]) is None
    assert other_music(np.full((2, 2), np.nan), ["a", "b"]) is None


def test_half_a_beat_of_uneven_beats() -> None:
    assert half_a_beat(np.array([0.0, 0.5, 1.0, 2.5])) == 0.25
    assert half_a_beat(np.array([1.0])) is None and half_a_beat(np.zeros(0)) is None


def test_drawn_dancers_have_a_clear_lift(dances) -> None:
    """At the 12 frames per second of this project's videos."""
    music, tracks = [dance.beats for dance in dances], [dance.track for dance in dances]
    motion = [
        kinematic_beats(joint_speed(d.joints, d.visible, d.fps, d.frames.shape[1]), d.fps, LEAST_JOINT_SPEED)
        for d in dances
    ]
    for score in (
        lambda video, beats: mm_align(motion[video], beats),
        lambda video, beats: beats_hit(motion[video], answerable(beats, 48, 12)),
    ):
        matrix = score_matrix(music, score)
        null = other_music(matrix, tracks)
        assert null.lift > 0.3 and null.interval[0] > 0.2 and null.p_value < 0.01
        late = [score(video, beats + half_a_beat(beats)) for video, beats in enumerate(music)]
        assert half_a_beat_late(np.diag(matrix).tolist(), late, tracks).interval[0] > 0.3


@pytest.mark.parametrize("fps", [8, 12, 30])
def test_when_there_are_enough_frames(fps: int) -> None:
    assert too_slow_to_conclude(fps, FRAMES_PER_BEAT / fps, FRAMES_PER_BEAT) is None
    assert too_slow_to_conclude(fps, FRAMES_PER_BEAT / fps - 0.01, FRAMES_PER_BEAT).startswith(f"{fps} frames per")
    assert too_slow_to_conclude(fps, 0.5, FRAMES_PER_BEAT) is None
    assert (too_slow_to_conclude(fps, 0.229, FRAMES_PER_ONSET) is None) == (fps == 30)


def test_fewer_than_two_frames_a_beat_find_no_rests() -> None:
    """What `FRAMES_PER_BEAT` guards against: a dancer at 160 BPM, seen 4 to 24 times a second."""
    lift = {}
    for fps in (4, 8, 12, 24):
        rests = [0.375 * (np.arange(-2, 14) + phase) for phase in np.linspace(0, 1, 16, endpoint=False)]
        motion = []
        for beats in rests:
            x = 50 + 20 * np.cos(np.pi * (np.arange(4 * fps) / fps - beats[0]) / 0.375)
            joints = np.stack([x, x], axis=-1)[:, None]
            motion.append(kinematic_beats(joint_speed(joints, np.ones((4 * fps, 1), bool), fps, 100), fps, 0.03))
        lift[fps] = other_music(alignment(motion, rests), list(range(16))).lift
        slow = too_slow_to_conclude(fps, 0.375, FRAMES_PER_BEAT) is not None
        assert slow == (lift[fps] < 0.4) == (fps == 4)
