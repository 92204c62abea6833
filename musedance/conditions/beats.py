"""When the beats of a track are, and on which frames of a clip they fall."""

import functools
import getpass
import tempfile
from pathlib import Path

import numpy as np
import soxr
from filelock import FileLock

from musedance.errors import InputError

SAMPLING_RATE = 22050  # at 16 kHz drums at 160 BPM come back as 80
HOP = 256  # samples; librosa's 512 doubles drums at 85 BPM and places beats half as precisely
WINDOW = 2048
SILENCE = 1e-3  # -60 dB of full scale
MARGIN = 1.0  # seconds of silence put around the sound: the tracker sees no onset at the very edge, and invents some
LATENESS = 0.020  # seconds; what librosa's beats come too late by: 17 ms on clicks, 19 ms on a kick, 24 ms on drums
BPM_RANGE, USUAL_BPM = (30.0, 300.0), 120.0
COMPILING = Path(tempfile.gettempdir()) / f"musedance-librosa-{getpass.getuser()}.lock"


def track_beats(samples: np.ndarray, sampling_rate: int, bpm: float | None = None) -> np.ndarray:
    """The beats of a whole track in seconds, sorted: dynamic programming on onset strength (Ellis 2007), by librosa.

    `samples` is (n,) in [-1, 1] at any rate. `bpm` is where to look for the tempo: it decides between half, true and
    double time and need not be exact. Without it drum tracks from 85 to 160 BPM come back right, slower ones doubled.
    Silence before and after the sound has no beats; a track that is silent or shorter than 0.1 s has none at all.

    Raises InputError if `bpm` is outside 30 to 300.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples must be (n,), one channel, not {samples.shape}")
    if bpm is not None and not BPM_RANGE[0] <= bpm <= BPM_RANGE[1]:
        raise InputError(f"bpm must be from {BPM_RANGE[0]:.0f} to {BPM_RANGE[1]:.0f}, not {bpm}")
    if sampling_rate != SAMPLING_RATE:
        samples = soxr.resample(samples, sampling_rate, SAMPLING_RATE)
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    if len(loud) == 0 or loud[-1] + 1 - loud[0] < WINDOW:
        return np.zeros(0)
    first, end = loud[0], loud[-1] + 1

    _compile()
    margin = round(MARGIN * SAMPLING_RATE)
    times = _librosa_beats(np.pad(samples[first:end], margin), USUAL_BPM if bpm is None else bpm)
    start, stop = first / SAMPLING_RATE, end / SAMPLING_RATE
    times = times + (first - margin) / SAMPLING_RATE - LATENESS
    within = (times > start - HOP / SAMPLING_RATE) & (times < stop)  # one hop is the tracker's own precision
    return np.maximum(times[within], start)


def _librosa_beats(samples: np.ndarray, bpm: float) -> np.ndarray:
    import librosa  # here, because the first import of librosa.beat compiles for 15 s

    strength = librosa.onset.onset_strength(y=samples, sr=SAMPLING_RATE, hop_length=HOP, n_fft=WINDOW)
    # start_bpm, not bpm: as good when the tempo given is right, and a wrong one does not make beats of nothing.
    _, times = librosa.beat.beat_track(
        onset_envelope=strength, sr=SAMPLING_RATE, hop_length=HOP, start_bpm=bpm, trim=False, units="time"
    )
    return times


@functools.cache
def _compile() -> None:
    """Let one process at a time compile librosa's beat tracker.

    Where two fill numba's cache at once, it may come out so that every later use of it crashes the interpreter.
    """
    with FileLock(COMPILING):
        _librosa_beats(np.sin(np.arange(SAMPLING_RATE, dtype=np.float32) ** 2), USUAL_BPM)


def beats_to_frames(times: np.ndarray, start: float, num_frames: int, fps: float) -> np.ndarray:
    """Which frames of a clip have a beat: (num_frames,) int64 of 0 and 1.

    The clip starts `start` seconds into the track. A beat falls on frame round((t - start) * fps), halves upwards, so
    that adjoining clips share the beats out among them; beats outside the clip are left out.
    """
    frames = np.floor((np.asarray(times, np.float64) - start) * fps + 0.5).astype(np.int64)
    beats = np.zeros(num_frames, np.int64)
    beats[frames[(frames >= 0) & (frames < num_frames)]] = 1
    return beats
