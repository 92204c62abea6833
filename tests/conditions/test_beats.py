"""Beats on tracks whose beats are known, measured as the literature does: F at 70 ms, over the whole track."""

import subprocess
import sys
import threading
import warnings
from pathlib import Path

import mir_eval
import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from musedance.conditions import beats
from musedance.conditions.beats import beats_to_frames, track_beats
from musedance.errors import InputError
from musedance.media.audio import read_audio

KICK = Path(__file__).resolve().parents[2] / "../shared/samples/kick_120bpm.mp3"


def place(times: np.ndarray, sound: np.ndarray, seconds: float, rate: int) -> np.ndarray:
    track = np.zeros(round(seconds * rate) + len(sound))
    for time in times:
        first = round(time * rate)
        track[first : first + len(sound)] += sound
    return track[: round(seconds * rate)]


def clicks(bpm: float, offset: float, rate: int = 22050, seconds: float = 15.0) -> tuple[np.ndarray, np.ndarray]:
    """A click on each beat: the track and the beats."""
    beats = np.arange(offset, seconds, 60 / bpm)
    t = np.arange(rate // 10) / rate
    track = place(beats, 0.8 * np.sin(2 * np.pi * 1000 * t) * np.exp(-t / 0.03), seconds, rate)
    return track.astype(np.float32), beats


def drums(bpm: float, offset: float, rate: int = 22050, seconds: float = 15.0) -> tuple[np.ndarray, np.ndarray]:
    """Kick and snare in turns on the beats, a hat on every eighth."""
    beats = np.arange(offset, seconds, 60 / bpm)
    rng, t = np.random.default_rng(0), np.arange(rate // 4) / rate
    kick = 0.5 * np.sin(2 * np.pi * (50 * t + 3 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.08)
    snare = (0.1 * rng.standard_normal(len(t)) + 0.2 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.05)
    hat = 0.07 * np.diff(rng.standard_normal(len(t)), prepend=0) * np.exp(-t / 0.015)
    eighths = np.arange(offset, seconds, 30 / bpm)
    track = sum(place(*part, seconds, rate) for part in ((beats[::2], kick), (beats[1::2], snare), (eighths, hat)))
    return np.asarray(track, np.float32), beats


def f_measure(reference: np.ndarray, estimated: np.ndarray) -> float:
    return mir_eval.beat.f_measure(reference, estimated, f_measure_threshold=0.07)


@pytest.mark.parametrize("offset", [0.0, 0.31])
@pytest.mark.parametrize("bpm", [97, 120, 140])
@pytest.mark.parametrize("rate", [22050, 44100])
def test_beats_of_click_tracks(bpm: int, offset: float, rate: int) -> None:
    track, beats = clicks(bpm, offset, rate)
    found = track_beats(track, rate)
    assert found.dtype == np.float64 and (np.diff(found) > 0).all()
    assert found.min() >= 0 and found.max() < 15
    assert f_measure(beats, found) > 0.95
    # Neither early nor late on the whole.
    nearest = beats[np.abs(found[:, None] - beats).argmin(axis=1)]
    assert abs(np.mean(found - nearest)) < 0.008


@pytest.mark.parametrize("bpm", [60, 75, 97, 120, 140, 160])
def test_slow_and_fast_clicks_need_no_help(bpm: int) -> None:
    track, beats = clicks(bpm, 0.137)
    assert f_measure(beats, track_beats(track, 22050)) > 0.95


@pytest.mark.parametrize("bpm", [85, 97, 120, 140, 160])
def test_drums_in_the_usual_range_need_no_help(bpm: int) -> None:
    track, beats = drums(bpm, 0.31)
    assert f_measure(beats, track_beats(track, 22050)) > 0.95


def test_a_prior_tells_true_from_double_time() -> None:
    track, beats = drums(70, 0.137)
    assert f_measure(beats, track_beats(track, 22050)) < 0.8  # twice too many: what the prior is for
    for bpm in (70, 75, 63):  # which need not be exact
        assert f_measure(beats, track_beats(track, 22050, bpm)) > 0.95
    half = track_beats(clicks(120, 0.137)[0], 22050, 60)
    assert np.median(np.diff(half)) == pytest.approx(1.0, abs=0.02)


def test_a_wrong_prior_does_not_make_beats_where_nothing_sounds() -> None:
    track, beats = clicks(70, 0.137)
    assert f_measure(beats, track_beats(track, 22050, 140)) > 0.95


def test_silence_around_the_music_has_no_beats() -> None:
    track, beats = clicks(120, 0.0, seconds=8.0)
    silence = np.zeros(4 * 22050, np.float32)
    found = track_beats(np.concatenate([silence, track, silence]), 22050)
    assert f_measure(beats + 4.0, found) > 0.95
    assert found.min() >= 4.0 and found.max() < 12.0


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0),
        np.ones(1),
        np.ones(100),
        np.zeros(22050),
        np.random.default_rng(0).normal(0, 1e-4, 5 * 22050),
        np.random.default_rng(0).normal(0, 0.1, 1500),
    ],
    ids=["empty", "1 sample", "100 samples", "silence", "hiss", "70 ms"],
)
@pytest.mark.parametrize("rate", [22050, 48000])
def test_silent_and_short_tracks_have_no_beats(samples: np.ndarray, rate: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = track_beats(samples.astype(np.float32), rate)
    assert found.shape == (0,) and found.dtype == np.float64
    assert not beats_to_frames(found, 0.0, 48, 12).any()


def test_loud_tracks_without_rhythm_do_not_crash() -> None:
    rng = np.random.default_rng(0)
    for samples in (np.full(22050, 0.5), rng.normal(0, 0.1, 2500), np.sin(np.arange(44100) * 0.1)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = track_beats(samples.astype(np.float32), 22050)
        assert ((found >= 0) & (found < len(samples) / 22050)).all()


@pytest.mark.parametrize("bpm", [29.9, 300.1, 0, -120, float("nan"), float("inf")])
def test_impossible_tempi_are_refused(bpm: float) -> None:
    with pytest.raises(InputError, match="bpm must be from 30 to 300"):
        track_beats(np.zeros(100, np.float32), 22050, bpm)


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match="one channel"):
        track_beats(np.zeros((2, 100), np.float32), 22050)


@pytest.mark.skipif(not KICK.exists(), reason="needs ../shared/samples")
def test_a_recorded_kick() -> None:
    audio = read_audio(KICK)
    found = track_beats(audio.mono(22050), 22050)
    assert f_measure(np.arange(0, 10, 0.5), found) > 0.95
    assert np.abs(found - np.round(found * 2) / 2).max() < 0.03
    frames = np.flatnonzero(beats_to_frames(found, 0.0, 108, 12))
    np.testing.assert_array_equal(frames, np.arange(0, 108, 6))


def test_importing_the_module_does_not_import_librosa_or_torch() -> None:
    code = (
        "import sys, musedance.conditions.beats; print([m for m in ('librosa', 'numba', 'torch') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("times", "start", "num_frames", "fps", "expected"),
    [
        ([0.0, 0.5, 1.0], 0.0, 13, 12, [0, 6, 12]),
        ([0.04, 0.05], 0.0, 3, 12, [0, 1]),  # 0.48 and 0.6 frames
        ([0.5, 1.5, 2.5], 0.0, 5, 1, [1, 2, 3]),  # halves go up
        ([10.0, 10.5], 10.0, 12, 12, [0, 6]),
        ([9.96, 9.95], 10.0, 12, 12, [0]),  # -0.48 rounds to frame 0, -0.6 is before the clip
        ([0.95, 0.96, 1.0, 50.0], 0.0, 12, 12, [11]),  # 11.4 is the last frame, 11.52 is past the end
        ([0.30, 0.31, 0.32], 0.0, 12, 12, [4]),  # several beats on one frame
        ([1.001], 0.0, 31, 30000 / 1001, [30]),
        ([], 0.0, 4, 12, []),
        ([0.0], 0.0, 0, 12, []),
    ],
)
def test_beats_on_frames(times: list[float], start: float, num_frames: int, fps: float, expected: list[int]) -> None:
    beats = beats_to_frames(np.array(times), start, num_frames, fps)
    assert beats.dtype == np.int64 and beats.shape == (num_frames,)
    assert np.flatnonzero(beats).tolist() == expected
    assert beats.sum() == len(expected)


@given(
    halves=st.lists(st.integers(0, 200), max_size=30),
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    fps=st.sampled_from([1, 2, 8]),
)
def test_adjoining_clips_share_the_beats_out(halves: list[int], lengths: list[int], fps: int) -> None:
    times = np.array(halves) / (2 * fps)  # on frames and half-way between them, exactly
    whole = beats_to_frames(times, 0.0, sum(lengths), fps)
    edges = np.cumsum([0, *lengths])
    parts = [beats_to_frames(times, edges[i] / fps, n, fps) for i, n in enumerate(lengths)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_one_process_at_a_time_compiles_librosa() -> None:
    """Two that fill numba's cache at once may leave one that crashes the interpreter for good."""
    beats._compile.cache_clear()
    thread = threading.Thread(target=beats._compile)
    with FileLock(beats.COMPILING):
        thread.start()
        thread.join(2)
        assert thread.is_alive()
    thread.join(120)
    assert not thread.is_alive()
