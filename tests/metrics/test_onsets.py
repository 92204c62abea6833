"""Onsets of sounds that are known, and peaks of the flow."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from filelock import FileLock

from musedance.conditions.beats import COMPILING
from musedance.metrics import onsets
from musedance.metrics.kinematics import LEAST_FLOW
from musedance.metrics.onsets import flow_peaks, onset_times

CLICKS = np.array([0.5, 0.9, 1.55, 2.0, 3.1])


def clicks(rate: int) -> np.ndarray:
    track, time = np.zeros(4 * rate), np.arange(rate // 10) / rate
    for start in CLICKS:
        first = round(start * rate)
        track[first : first + len(time)] += 0.8 * np.sin(2 * np.pi * 1000 * time) * np.exp(-time / 0.01)
    return track.astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_onsets_of_clicks(rate: int) -> None:
    found = onset_times(clicks(rate), rate)
    assert found.shape == CLICKS.shape
    np.testing.assert_allclose(found, CLICKS, atol=0.04)


def test_loudness_does_not_matter() -> None:
    np.testing.assert_array_equal(onset_times(0.05 * clicks(22050), 22050), onset_times(clicks(22050), 22050))


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(5000), np.zeros(44100)])
def test_silence_has_no_onsets(samples: np.ndarray) -> None:
    assert onset_times(samples.astype(np.float32), 22050).shape == (0,)
    assert onset_times(samples.astype(np.float32), 48000).shape == (0,)


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match="one channel"):
        onset_times(np.zeros((2, 100), np.float32), 22050)


def test_onsets_of_the_drawn_dancers_music(dances) -> None:
    """Each beat that can be heard is an onset; the tracks' notes are between and on the beats."""
    near = []
    for dance in dances:
        found = onset_times(dance.sound, dance.sampling_rate)
        assert 3 < len(found) < 60 and found.min() >= 0 and found.max() < 4.1
        near.append(np.abs(dance.beats[:, None] - found[None]).min(axis=1) < 0.05)
    assert np.concatenate(near).mean() > 0.7


def test_peaks_are_dated_as_av_align_does() -> None:
    flow = np.array([1.0, 3.0, 2.0, 2.0, 5.0, 4.0, 6.0]) * LEAST_FLOW
    np.testing.assert_allclose(flow_peaks(flow, 10), [0.2, 0.5])  # from frame 1 to 2, and from 4 to 5


def test_peaks_of_almost_nothing_do_not_count() -> None:
    assert len(flow_peaks(np.array([0, 0.9, 0, 0.5, 0]) * LEAST_FLOW, 10)) == 0
    assert len(flow_peaks(np.zeros(0), 10)) == len(flow_peaks(np.ones(2), 10)) == len(flow_peaks(np.ones(9), 10)) == 0
    with pytest.raises(ValueError, match="flow must be"):
        flow_peaks(np.zeros((3, 3)), 10)


def test_importing_the_module_does_not_import_librosa_or_torch() -> None:
    code = "import sys, musedance.metrics.onsets; print([m for m in ('librosa', 'numba', 'torch') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_one_process_at_a_time_compiles_librosa() -> None:
    """The same lock as that of the beat tracker."""
    onsets._compile.cache_clear()
    thread = threading.Thread(target=onset_times, args=(clicks(22050), 22050))
    with FileLock(COMPILING):
        thread.start()
        thread.join(1)
        assert thread.is_alive()
    thread.join(120)
    assert not thread.is_alive()
