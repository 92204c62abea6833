"""Which videos have the same music, found by landmarks: pairs of peaks in the spectrogram (Wang 2003, "Shazam")."""

from collections.abc import Sequence

import numpy as np
import soxr
from scipy import ndimage, sparse

SAMPLING_RATE = 8000  # Hz; what lies above 4 kHz is what codecs change most
WINDOW, HOP = 1024, 256  # samples: 128 and 32 ms
NEIGHBOURHOOD = (33, 21)  # a peak is the largest of so many frequencies (+-125 Hz) and frames (+-0.32 s)
FLOOR = 1e-4  # of the loudest; what is quieter is noise
FAN_OUT = 6  # pairs that a peak makes with those that follow
MAX_STEP = 63  # frames between the two, 2 s
TIME_SLACK = 2  # frames by which pairs of one excerpt may disagree on where it lies
EXCERPT = 125  # frames, 4 s
MIN_COMMON = 25  # pairs that have to agree within an excerpt: of one piece of music 38 or more do


def fingerprint(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """The landmarks of a track.

    Args:
        samples: (n,) in [-1, 1].
        sampling_rate: in Hz.

    Returns:
        (m, 2) int64: a pair's two frequencies and their distance in one number; the frame of the first.
    """
    if sampling_rate != SAMPLING_RATE:
        samples = soxr.resample(samples, sampling_rate, SAMPLING_RATE)
    if len(samples) < WINDOW:
        return np.zeros((0, 2), np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    level = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)).T
    peaks = (level == ndimage.maximum_filter(level, NEIGHBOURHOOD)) & (level > FLOOR * max(level.max(), 1.0))
    frames_of, bins = np.nonzero(peaks.T)  # in order of time
    pairs = []
    for step in range(1, FAN_OUT + 1):
        distance = frames_of[step:] - frames_of[:-step]
        near = (distance >= 1) & (distance <= MAX_STEP)
        first, second = bins[:-step][near], bins[step:][near]
        pairs.append(np.stack([(first * 1024 + second) * 64 + distance[near], frames_of[:-step][near]], axis=1))
    return np.concatenate(pairs).astype(np.int64)


def same_music(tracks: Sequence[np.ndarray]) -> np.ndarray:
    """Group tracks that share an excerpt of some seconds, wherever it lies in each: (n,) group numbers from 0.

    Two tracks match if many different landmarks of an excerpt lie at one distance in both (`MIN_COMMON`); matches carry
    on, so that a medley joins what it is made of. Music that was made faster or slower does not match.

    Args:
        tracks: what `fingerprint` gave.
    """
    count = len(tracks)
    owner = np.repeat(np.arange(count), [len(track) for track in tracks])
    marks = np.concatenate([np.zeros((0, 2), np.int64), *tracks])
    order = np.argsort(marks[:, 0], kind="stable")
    owner, marks = owner[order], marks[order]
    rows: list[int] = []
    columns: list[int] = []
    for index, track in enumerate(tracks):
        others = _matches(track, owner, marks, index, count)
        rows += [index] * len(others)
        columns += others
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    return sparse.csgraph.connected_components(graph, directed=False)[1]


def _matches(track: np.ndarray, owner: np.ndarray, marks: np.ndarray, index: int, count: int) -> list[int]:
    """Which later tracks have the same music as track `index`."""
    start = marks[:, 0].searchsorted(track[:, 0], "left")
    number = marks[:, 0].searchsorted(track[:, 0], "right") - start
    mine = np.repeat(np.arange(len(track)), number)
    offsets = np.arange(len(mine)) - np.repeat(np.cumsum(number) - number, number)
    theirs = start[mine] + offsets
    later = owner[theirs] > index
    mine, theirs = mine[later], theirs[later]
    shift = (track[mine, 1] - marks[theirs, 1]) // (TIME_SLACK + 1)
    half = 2 * track[mine, 1] // EXCERPT
    # Each landmark counts once in an excerpt: a sound that is repeated proves no more than one that is not. Excerpts
    # overlap by half, so every pair falls into two of them.
    votes = [np.stack([owner[theirs], shift, half + late, track[mine, 0]], axis=1) for late in (0, 1)]
    cases, common = np.unique(np.unique(np.concatenate(votes), axis=0)[:, :3], axis=0, return_counts=True)
    return np.unique(cases[common >= MIN_COMMON, 0]).tolist()
