"""Beat and tempo: closed forms, drawn dancers, and dancers who follow one beat or another."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musedance.proof.rhythm import (
    OCTAVE,
    Rhythm,
    beat_findings,
    folded,
    motion_period,
    rhythm_of,
    swapped_findings,
    tempo_finding,
)
from musedance.puppets.performance import World, perform

FPS, FRAMES = 12.0, 24
TIMES = (np.arange(FRAMES - 1) + 0.5) / FPS


def speed(period: float, phase: float) -> np.ndarray:
    """Of somebody who rests every `period` seconds."""
    return 1 - np.cos(2 * np.pi * (TIMES / period + phase))


def near_octave(one: float, other: float, share: float) -> bool:
    """Whether two periods are the same but for octaves."""
    apart = abs(np.log2(one / other)) % 1
    return min(apart, 1 - apart) < np.log2(1 + share)


@given(period=st.floats(0.41, 1.4), phase=st.floats(0, 1))
def test_the_period_of_a_regular_motion_is_found(period: float, phase: float) -> None:
    """From 24 frames at 12 a second, to 4 %; three times it, which may look as good, is not taken for it."""
    assert near_octave(motion_period(speed(period, phase), FPS), period, 0.04)


@given(period=st.floats(0.41, 0.8), phase=st.floats(0, 1), accent=st.floats(-0.5, 0.5))
def test_every_second_movement_may_be_larger(period: float, phase: float, accent: float) -> None:
    curve = speed(period, phase) * (1 + accent * np.cos(np.pi * (TIMES / period + phase)))
    assert near_octave(motion_period(curve, FPS), period, 0.06)


@pytest.mark.parametrize("still", [np.zeros(23), np.full(23, 0.3), np.linspace(0, 1, 23), np.zeros(3)])
def test_what_does_not_repeat_has_no_period(still: np.ndarray) -> None:
    assert np.isnan(motion_period(still, FPS))


@given(period=st.floats(OCTAVE * 1.001, 2 * OCTAVE * 0.999), octaves=st.integers(-3, 3))
def test_folding_leaves_octaves_out(period: float, octaves: int) -> None:
    assert folded(period * 2.0**octaves) == pytest.approx(period)


def follower(beats: np.ndarray, follows: np.ndarray, track: str, period: float | None = None) -> Rhythm:
    """Whose music has `beats` and who rests at the beats `follows` of two seconds."""
    rests = follows[(follows > 0.05) & (follows < 1.9)]
    step = float(np.diff(follows).mean()) if period is None else period
    return Rhythm(rests, folded(step), beats, track, FRAMES, FPS)


def grid(bpm: float, first: float = 0.1) -> np.ndarray:
    return first - 60 / bpm + np.arange(12) * 60 / bpm


TEMPI = np.linspace(78, 140, 12)


def dancers(follow: Iterable[np.ndarray] | None = None) -> list[Rhythm]:
    """Twelve of twelve tempi; they rest at their music's beats unless told otherwise."""
    beats = [grid(bpm, first=0.1 + 0.02 * k) for k, bpm in enumerate(TEMPI)]
    return [follower(b, f, f"t{k}") for k, (b, f) in enumerate(zip(beats, follow or beats, strict=True))]


def test_who_rests_on_the_beats_hits_them_and_who_rests_between_does_not() -> None:
    on, between = dancers(), dancers([r.beats + 30 / bpm for r, bpm in zip(dancers(), TEMPI, strict=True)])
    share, other, late = beat_findings(on, on)
    assert share.value == 1 and share.holds is None and share.n == 12
    assert other.holds and late.holds and late.value == 1 and late.truth == 1
    assert [found.name for found in (other, late)] == [
        "beats hit, lift over other music",
        "beats hit, lift over the same music half a beat late",
    ]
    share, other, late = beat_findings(between, on)
    assert share.value == 0 and share.truth == 1
    assert late.value == -1 and late.truth == 1 and not late.holds and not other.holds


def test_a_video_without_motion_hits_nothing() -> None:
    still = Rhythm(np.zeros(0), float("nan"), grid(100), "still", FRAMES, FPS)
    assert still.hit() == 0
    found = beat_findings([*dancers(), still], dancers())
    assert [one.n for one in found] == [13, 13, 13]


def test_drawn_dancers_rest_on_the_beats_of_their_own_music_and_move_at_its_tempo() -> None:
    """What the card asks of a model holds of the truth at the model's own frame rate and length."""
    world = World(seed=3, width=64, height=64, num_frames=FRAMES, moves_per_clip=1, bpm=(78, 142))
    rhythms = []
    for index in range(12):
        performance = perform(world, index)
        for first in performance.starts[:2]:
            start = first / FPS
            poses = [performance.choreography.pose(start + k / FPS) for k in range(FRAMES)]
            frames = np.stack([performance.scene.draw(pose).picture for pose in poses])
            rhythms.append(rhythm_of(frames, FPS, performance.track.beats - start, f"track{index}"))
    share, other, late = beat_findings(rhythms, rhythms)
    assert share.value > 0.6 and other.holds and late.holds and late.value > 0.3, (share, other, late)
    tempo = tempo_finding(rhythms, rhythms, 0.5)
    assert tempo.value == tempo.truth and tempo.value > 0.6, tempo


def test_a_video_may_be_looked_at_from_a_later_frame_on() -> None:
    """A square that swings and rests on each beat, from a frame between two beats."""
    beats = 0.2 + 0.7 * np.arange(8)
    frames = np.zeros((60, 64, 96, 3), np.uint8)
    for k, frame in enumerate(frames):
        left = round(36 + 24 * np.cos(np.pi * (k / FPS - 0.2) / 0.7))
        frame[24:44, left : left + 20] = np.random.default_rng(0).integers(60, 255, (20, 20, 3))
    whole, later = (rhythm_of(frames, FPS, beats, "track", first) for first in (0, 19))
    assert later.num_frames == 41 and later.hit() == whole.hit() == 1
    assert later.hit(beats) < 0.5  # those that the whole video has


def test_swapped_beats_that_are_followed() -> None:
    own = {f"clip{k}": rhythm for k, rhythm in enumerate(dancers())}
    others = {name: grid(1.3 * bpm, 0.3) for name, bpm in zip(own, TEMPI, strict=True)}
    obeys = {name: follower(beats, beats, own[name].track) for name, beats in others.items()}
    ignores = {name: follower(beats, own[name].beats, own[name].track) for name, beats in others.items()}
    instead, moved = swapped_findings(own, obeys)
    assert instead.holds and moved.holds and instead.value > 0.3 and moved.value > 0.3
    instead, moved = swapped_findings(own, ignores)
    assert instead.value < -0.3 and not instead.holds
    assert moved.value == 0 and not moved.holds


def test_only_clips_that_were_swapped_are_compared() -> None:
    own = {f"clip{k}": rhythm for k, rhythm in enumerate(dancers())}
    some = {name: own[name] for name in list(own)[:5]}
    assert [found.n for found in swapped_findings(own, some)] == [5, 5]


def test_periods_that_follow_the_tempo_rise_with_it() -> None:
    on = dancers()
    perfect = tempo_finding(on, on, 0.5)
    assert perfect.value == pytest.approx(1) and perfect.holds and perfect.n == 12
    double = [follower(r.beats, r.beats, r.track, 120 / bpm) for r, bpm in zip(on, TEMPI, strict=True)]
    assert tempo_finding(double, on, 0.5).value == pytest.approx(1)  # an octave lower is as good
    against = [follower(r.beats, r.beats, r.track, 0.45 + 0.3 * bpm / 140) for r, bpm in zip(on, TEMPI, strict=True)]
    assert tempo_finding(against, on, 0.5).value == pytest.approx(-1)
    rng = np.random.default_rng(0)
    random = [
        follower(r.beats, r.beats, r.track, period) for r, period in zip(on, rng.uniform(0.42, 0.8, 12), strict=True)
    ]
    found = tempo_finding(random, on, 0.5)
    assert not found.holds and found.truth == pytest.approx(1)
    assert found.interval is not None and found.interval[0] < found.value < found.interval[1]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_videos_have_no_correlation(count: int) -> None:
    still = Rhythm(np.zeros(0), float("nan"), grid(100), "still", FRAMES, FPS)
    found = tempo_finding([*dancers()[:count], still], dancers(), 0.5)
    assert np.isnan(found.value) and found.n == count and found.holds is False


def test_who_always_moves_at_one_tempo_has_no_correlation() -> None:
    same = [follower(r.beats, r.beats, r.track, 0.5) for r in dancers()]
    found = tempo_finding(same, dancers(), 0.5)
    assert np.isnan(found.value) and found.holds is False
