"""Music and beats cut into segments: adjoining, whole, in time."""

import warnings

import numpy as np
import pytest
from transformers import ASTFeatureExtractor

from musedance.conditions.music import mel_spectrogram, segment_beats, segment_waveforms
from musedance.errors import InputError
from musedance.media.audio import Audio, read_audio
from musedance.timeline import plan_timeline


def clicks(bpm: float, seconds: float, rate: int = 44100) -> Audio:
    samples = np.zeros(round(seconds * rate), np.float32)
    burst = np.sin(np.arange(800) * 0.3) * np.exp(-np.arange(800) / 150)
    for time in np.arange(0, seconds - 0.1, 60 / bpm):
        samples[round(time * rate) :][:800] = burst
    return read_audio((samples, rate))


@pytest.mark.parametrize(("fps", "frames"), [(12, 48), (12, 7), (30000 / 1001, 24)])
def test_segments_adjoin_and_the_last_is_filled_with_silence(fps, frames):
    rate = 16000
    track = read_audio((np.sin(np.arange(10 * rate) * 0.05).astype(np.float32), rate))
    timeline = plan_timeline(track.duration, segment_frames=frames, fps=fps, start=1.0, duration=8.9)
    waveforms = segment_waveforms(track, timeline, rate)
    assert waveforms.shape == (timeline.num_segments, round(frames / fps * rate))
    for i, waveform in enumerate(waveforms):
        first = round((1.0 + i * frames / fps) * rate)
        expected = np.zeros(len(waveform), np.float32)
        rest = track.samples[0, first : first + len(waveform)]
        expected[: len(rest)] = rest
        assert np.abs(waveform[:-2] - expected[:-2]).max() < 0.06  # half a sample of rounding at most


def test_another_rate_is_resampled():
    track = clicks(120, 6)
    timeline = plan_timeline(track.duration, segment_frames=12, fps=12, duration=5)
    assert segment_waveforms(track, timeline, 16000).shape == (5, 16000)


@pytest.mark.parametrize("start", [0.0, 2.25])
def test_beats_fall_on_the_frames_they_are_heard_in(start):
    track = clicks(120, 12)
    timeline = plan_timeline(track.duration, segment_frames=24, fps=12, start=start, duration=6)
    beats = segment_beats(track, timeline)
    assert beats.shape == (3, 24)
    times = start + np.flatnonzero(beats.reshape(-1)) / 12
    assert len(times) in (11, 12)
    assert np.abs(times / 0.5 - np.round(times / 0.5)).max() * 0.5 <= 0.5 / 12 + 0.03


def test_silence_has_no_beats_and_says_so():
    track = read_audio((np.zeros(44100, np.float32), 44100))
    timeline = plan_timeline(1.0, segment_frames=12, fps=12)
    with pytest.warns(UserWarning, match="no beats"):
        assert not segment_beats(track, timeline).any()


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_given_beats_fall_on_their_frames_and_none_are_tracked(start):
    """In every segment; before and after the video they count for nothing, whatever is heard."""
    track = clicks(120, 4)
    timeline = plan_timeline(track.duration, segment_frames=6, fps=12, start=start, duration=1.5)
    times = start + np.array([-0.2, 0.0, 3.9 / 12, 8 / 12, 8.4 / 12, 17 / 12, 18 / 12, 9.0])
    beats = segment_beats(track, timeline, times=times)
    assert beats.shape == (3, 6)
    assert np.flatnonzero(beats.reshape(-1)).tolist() == [0, 4, 8, 17]


def test_given_that_there_are_no_beats_none_are_tracked():
    timeline = plan_timeline(4, segment_frames=24, fps=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not segment_beats(clicks(120, 4), timeline, times=np.zeros(0)).any()


@pytest.mark.parametrize("times", [np.zeros((2, 3)), np.array([0.5, np.nan]), np.array([np.inf]), 0.5])
def test_beats_that_are_no_times_are_refused(times):
    timeline = plan_timeline(4, segment_frames=24, fps=12)
    with pytest.raises(InputError, match="an array of seconds, one number a beat"):
        segment_beats(clicks(120, 4), timeline, times=times)


def test_the_spectrogram_is_asts_own_without_the_padding():
    wave = np.random.default_rng(0).normal(size=32000).astype(np.float32) * 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor = ASTFeatureExtractor()
    ours = mel_spectrogram(extractor, wave)
    theirs = extractor(wave, sampling_rate=16000, return_tensors="pt")["input_values"]
    assert ours.shape == (1, 198, 128)
    assert theirs.shape == (1, 1024, 128)
    np.testing.assert_array_equal(ours[0].numpy(), theirs[0, :198].numpy())
    assert extractor.max_length == 1024
