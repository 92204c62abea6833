"""The peaks that AV-Align compares: onsets in the sound, and peaks of the optical flow."""

import functools

import numpy as np
import soxr
from filelock import FileLock

from musedance.conditions.beats import COMPILING
from musedance.metrics.kinematics import LEAST_FLOW

SAMPLING_RATE = 22050  # what librosa.load makes of any file, and what its defaults are meant for


def onset_times(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Where sounds begin, in seconds from the first sample, sorted: librosa's onset detection with all its defaults.

    So does AV-Align (Yariv et al. 2023, arXiv 2309.16429; `av_align.py` of guyyariv/TempoTokens), in steps of 23 ms.

    Args:
        samples: (n,) in [-1, 1], one channel.
        sampling_rate: Hz.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples must be (n,), one channel, not {samples.shape}")
    if len(samples) == 0:
        return np.zeros(0)
    if sampling_rate != SAMPLING_RATE:
        samples = soxr.resample(samples, sampling_rate, SAMPLING_RATE)
    _compile()
    return _librosa_onsets(np.asarray(samples, np.float32))


def _librosa_onsets(samples: np.ndarray) -> np.ndarray:
    import librosa  # here, because it compiles

    strength = librosa.onset.onset_strength(y=samples, sr=SAMPLING_RATE)
    return librosa.onset.onset_detect(onset_envelope=strength, sr=SAMPLING_RATE, units="time")


@functools.cache
def _compile() -> None:
    """Let one process at a time compile what librosa needs; why is said in `musedance.conditions.beats`."""
    with FileLock(COMPILING):
        _librosa_onsets(np.sin(np.arange(SAMPLING_RATE, dtype=np.float32) ** 2))


def flow_peaks(flow: np.ndarray, fps: float) -> np.ndarray:
    """When the picture moves most, in seconds from the first frame, sorted: local maxima of the optical flow.

    As in `av_align.py` of guyyariv/TempoTokens, the flow from frame k to frame k + 1 is dated (k + 1) / fps: half a
    frame later than `kinematic_beats` has it. Maxima below `LEAST_FLOW` do not count; theirs is 0.1 pixels a frame,
    whatever the size of the video.

    Args:
        flow: (n - 1,), from `musedance.metrics.flow.flow_magnitudes`.
        fps: frames per second.
    """
    if flow.ndim != 1:
        raise ValueError(f"flow must be (n,), not {flow.shape}")
    before, at, after = flow[:-2], flow[1:-1], flow[2:]
    return (np.flatnonzero((before < at) & (at > after) & (at >= LEAST_FLOW)) + 2) / fps
