"""Scores of shifted click tracks, against their closed forms."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from musedance.conditions.beats import track_beats
from musedance.media.audio import read_audio
from musedance.metrics.alignment import (
    SIGMA,
    answerable,
    av_align_2023,
    av_align_2025,
    beats_hit,
    mm_align,
    mm_align_reverse,
)

KICK = Path(__file__).resolve().parents[2] / ".." / "shared" / "samples" / "kick_120bpm.mp3"
CLICKS = 0.25 + 0.5 * np.arange(16)
NOTHING = np.zeros(0)
times = st.lists(st.integers(0, 400), max_size=25, unique=True).map(lambda whole: np.array(sorted(whole)) / 100)


def bell(distance: float, sigma: float = SIGMA) -> float:
    return math.exp(-(distance**2) / (2 * sigma**2))


@pytest.mark.parametrize("shift", [0, 0.01, 0.05, 0.1, 0.2, 0.25, -0.05])
@pytest.mark.parametrize("sigma", [SIGMA, 0.1])
def test_shifted_clicks(shift: float, sigma: float) -> None:
    assert mm_align(CLICKS + shift, CLICKS, sigma) == pytest.approx(bell(shift, sigma))
    assert mm_align_reverse(CLICKS + shift, CLICKS, sigma) == pytest.approx(bell(shift, sigma))
    assert beats_hit(CLICKS + shift, CLICKS) == (abs(shift) <= 0.1)


def test_sigma_is_what_ai_choreographer_has_at_its_frame_rate() -> None:
    frames = 4.0
    assert mm_align(CLICKS + frames / 60, CLICKS) == pytest.approx(math.exp(-(frames**2) / (2 * 3**2)))


def test_a_dancer_who_rests_on_every_second_beat() -> None:
    slow = CLICKS[::2]
    assert mm_align(slow, CLICKS) == 1
    assert mm_align_reverse(slow, CLICKS[:-1]) == pytest.approx((8 + 7 * bell(0.5)) / 15)
    assert beats_hit(slow, CLICKS[:-1]) == pytest.approx(8 / 15)


def test_a_dancer_who_also_rests_between_the_beats() -> None:
    fast = np.sort(np.concatenate([CLICKS, CLICKS + 0.25]))
    assert mm_align(fast, CLICKS) == pytest.approx((1 + bell(0.25)) / 2)
    assert mm_align_reverse(fast, CLICKS) == beats_hit(fast, CLICKS) == 1


def test_a_rest_just_after_the_last_beat_of_the_clip_belongs_to_the_next() -> None:
    motion, inside = np.array([1.98]), np.array([0.5, 1.0, 1.5])
    assert mm_align(motion, inside) < 0.001
    assert mm_align(motion, np.append(inside, 2.0)) == pytest.approx(bell(0.02))


@pytest.mark.parametrize("score", [mm_align, mm_align_reverse, beats_hit])
def test_what_is_undefined(score) -> None:
    assert score(NOTHING, CLICKS) is None
    assert score(CLICKS, NOTHING) is None
    assert score(NOTHING, NOTHING) is None


@given(motion=times, music=times)
def test_order_does_not_matter_and_scores_are_shares(motion: np.ndarray, music: np.ndarray) -> None:
    for score in (mm_align, mm_align_reverse, beats_hit):
        value = score(motion, music)
        assert value == pytest.approx(score(motion[::-1], music[::-1])) if value is not None else True
        assert value is None or 0 <= value <= 1


def test_beats_that_a_video_could_answer() -> None:
    """20 frames at 10 per second have 19 speeds, at 0.05 to 1.85 s; a minimum lies between the outermost."""
    beats = np.array([-0.5, 0.0, 0.09, 0.1, 1.0, 1.8, 1.81, 1.9, 2.5])
    np.testing.assert_array_equal(answerable(beats, 20, 10), [0.1, 1.0, 1.8])


def test_av_align_by_hand() -> None:
    onsets, peaks = np.array([1.0, 1.02, 1.04, 3.0]), np.array([1.05, 2.0, 3.09, 4.0])
    # One to one: 1.0 with 1.05 and 3.0 with 3.09. As first published, all onsets have a peak.
    assert av_align_2025(onsets, peaks, 10) == pytest.approx(2 / (4 + 4 - 2))
    assert av_align_2023(onsets, peaks, 10) == pytest.approx(4 / (4 + 4 - 4))


def test_the_window_is_a_frame_either_side() -> None:
    for score in (av_align_2023, av_align_2025):
        assert score(np.array([1.0]), np.array([1.24]), 4) == 1
        assert score(np.array([1.0]), np.array([1.25]), 4) == 0
        assert score(np.array([1.0]), np.array([0.75]), 4) == 0


def test_the_first_version_exceeds_one() -> None:
    """Why it was corrected (issue 11 of TempoTokens, seen at 10 frames per second)."""
    peaks = np.arange(1.0, 6.0)
    onsets = np.sort(np.concatenate([peaks - 0.05, peaks + 0.05]))
    assert av_align_2023(onsets, peaks, 10) == 2
    assert av_align_2025(onsets, peaks, 10) == pytest.approx(5 / 10)


@given(onsets=times, peaks=times, fps=st.sampled_from([8.0, 12.0, 30.0]))
def test_one_to_one_matches_as_many_as_can_be(onsets: np.ndarray, peaks: np.ndarray, fps: float) -> None:
    score = av_align_2025(onsets, peaks, fps)
    if len(onsets) == 0 or len(peaks) == 0:
        assert score is None and av_align_2023(onsets, peaks, fps) is None
        return
    near = (peaks - 1 / fps < onsets[:, None]) & (onsets[:, None] < peaks + 1 / fps)
    matched = int((maximum_bipartite_matching(csr_array(near)) >= 0).sum())
    assert score == pytest.approx(matched / (len(onsets) + len(peaks) - matched))
    assert score <= av_align_2023(onsets, peaks, fps) + 1e-12


@pytest.mark.skipif(not KICK.exists(), reason="needs ../shared/samples")
def test_a_dancer_to_a_recorded_kick() -> None:
    """Tracked beats (every 0.5 s, by ear) against rests on the kick that come later and later."""
    beats = track_beats(read_audio(KICK).mono(22050), 22050)
    true = 0.5 * np.arange(1, 20)
    scores = [mm_align(true + shift, beats) for shift in (0, 0.05, 0.1, 0.15, 0.2, 0.25)]
    assert all(before > after for before, after in itertools.pairwise(scores))
    assert scores[0] > 0.95 and scores[-1] < 0.01
    assert scores[1] == pytest.approx(bell(0.05), abs=0.15)
    assert beats_hit(true, answerable(beats, 120, 12)) == 1
    assert beats_hit(true + 0.25, answerable(beats, 120, 12)) == 0
