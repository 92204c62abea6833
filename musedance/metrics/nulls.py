"""What a score of music says: how much better a video fits its own music than music it was not made for.

A dancer who moves at random is always near some beat, so a score of alignment is never near 0 and its height tells
nothing. Two nulls say what it would be without any relation to the music: the music of other tracks, and the video's
own music half a beat late.

Measured on 48 drawn dancers who are exactly on the beat, 4 s each: 2D-MM Align with sigma in seconds lifts by 0.6 at 8
to 30 frames per second, and less below 3 frames a beat. AV-Align's lift is not to be told from 0 up to 15 frames per
second and is 0.06 to 0.08 at 24 and 30; and at any rate it prefers music half a beat late, since dancers move most
between the beats.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from musedance.metrics.bootstrap import mean_interval

OTHER_MUSIC, HALF_A_BEAT_LATE = "other music", "its music half a beat late"
SHUFFLES = 1000
FRAMES_PER_BEAT = 3.0  # a rest between two movements takes three speeds to be seen
FRAMES_PER_ONSET = 4.0  # AV-Align's window, a frame either side, must leave out half of the time

Music = TypeVar("Music")


@dataclass(frozen=True)
class NullScore:
    """A score of the same videos against music that is not theirs.

    Attributes:
        kind: `OTHER_MUSIC` or `HALF_A_BEAT_LATE`.
        value: mean over videos.
        lift: mean over videos of the score with their own music minus that.
        interval: of the lift, 95 %, tracks resampled; None with fewer than two.
        p_value: share of shuffles that score at least as well as the right music; None where nothing is shuffled.
        n: videos for which both scores are defined; the others are left out.
    """

    kind: str
    value: float
    lift: float
    interval: tuple[float, float] | None
    p_value: float | None
    n: int


def score_matrix(music: Sequence[Music], score: Callable[[int, Music], float | None]) -> np.ndarray:
    """Every video against every video's music: (n, n) float64, NaN where the score is undefined.

    Args:
        music: of each video, whatever `score` understands; event times should reach over the longest video.
        score: (index of a video, music) -> its score with that music, over that video's length.
    """
    rows = [[score(video, other) for other in music] for video in range(len(music))]
    return np.array(rows, np.float64).reshape(len(music), len(music))


def other_music(matrix: np.ndarray, tracks: Sequence[Hashable], seed: int = 0) -> NullScore | None:
    """Videos with their own music against the same videos with music of other tracks.

    The p-value comes from shuffles of whole tracks, since clips of one track are not independent; the true assignment
    is one of the shuffles, so that with few tracks it cannot be small (two tracks: 0.5).

    Args:
        matrix: (n, n) from `score_matrix`; the diagonal has the right music.
        tracks: of each video.
        seed: of resampling and shuffling.

    Returns:
        None if no two videos of different tracks have a score.
    """
    label = _numbered(tracks)
    foreign = np.where(label[:, None] != label[None, :], matrix, np.nan)
    kept = np.flatnonzero(~np.isnan(np.diag(matrix)) & ~np.isnan(foreign).all(axis=1))
    if len(kept) == 0:
        return None
    own, null = np.diag(matrix)[kept], np.nanmean(foreign[kept], axis=1)
    return NullScore(
        kind=OTHER_MUSIC,
        value=float(null.mean()),
        lift=float((own - null).mean()),
        interval=mean_interval(own - null, label[kept].tolist(), seed),
        p_value=_p_value(matrix[np.ix_(kept, kept)], label[kept], seed),
        n=len(kept),
    )


def half_a_beat_late(
    own: Sequence[float | None], late: Sequence[float | None], tracks: Sequence[Hashable], seed: int = 0
) -> NullScore | None:
    """Videos with their own music against the same with that music delayed by `half_a_beat`.

    Args:
        own: the score of each video.
        late: the same with all events of its music delayed.
        tracks: of each video.
        seed: of the resampling.

    Returns:
        None if no video has both scores.
    """
    right, wrong = np.array(own, np.float64), np.array(late, np.float64)
    kept = np.flatnonzero(~np.isnan(right) & ~np.isnan(wrong))
    if len(kept) == 0:
        return None
    right, wrong = right[kept], wrong[kept]
    return NullScore(
        kind=HALF_A_BEAT_LATE,
        value=float(wrong.mean()),
        lift=float((right - wrong).mean()),
        interval=mean_interval(right - wrong, _numbered(tracks)[kept].tolist(), seed),
        p_value=None,
        n=len(kept),
    )


def half_a_beat(beats: np.ndarray) -> float | None:
    """Half of the median time between beats, in seconds; None with fewer than two."""
    return None if len(beats) < 2 else float(np.median(np.diff(beats))) / 2


def too_slow_to_conclude(fps: float, interval: float, least: float) -> str | None:
    """Why a score of music means nothing at this frame rate; None where it may mean something.

    Args:
        fps: frames per second of the videos.
        interval: s, the usual time between two events of the music.
        least: frames between two events that the score needs: `FRAMES_PER_BEAT` for kinematic beats, `FRAMES_PER_ONSET`
            for AV-Align.
    """
    frames = fps * interval
    if frames >= least - 1e-9:
        return None
    return (
        f"{fps:g} frames per second are too few to tell right music from wrong: there are {frames:.1f} frames "
        f"between two events of the music, and this score needs {least:g}"
    )


def _numbered(tracks: Sequence[Hashable]) -> np.ndarray:
    index = {name: k for k, name in enumerate(dict.fromkeys(tracks))}
    return np.array([index[name] for name in tracks], np.int64)


def _p_value(matrix: np.ndarray, label: np.ndarray, seed: int) -> float:
    """Permutation test: each track's videos get the music of another track, each that of a random clip of it."""
    rng = np.random.default_rng(seed)
    names, label, sizes = np.unique(label, return_inverse=True, return_counts=True)
    order, first = np.argsort(label, kind="stable"), np.cumsum(sizes) - sizes
    videos = np.arange(len(label))
    observed, at_least = float(np.diag(matrix).mean()), 1
    for _ in range(SHUFFLES):
        donor_track = rng.permutation(len(names))[label]
        donor = order[first[donor_track] + rng.integers(sizes[donor_track])]
        scores = matrix[videos, np.where(donor_track == label, videos, donor)]
        scores = scores[~np.isnan(scores)]
        at_least += len(scores) > 0 and float(scores.mean()) >= observed - 1e-12
    return at_least / (SHUFFLES + 1)
