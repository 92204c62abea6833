"""Do dance and music meet? Scores of two lists of times, in seconds. None where a score is undefined.

What happens at the edges of a clip: a kinematic beat may belong to a music beat just outside, so `mm_align` takes all
music beats that are known, also those before the clip (negative) and after it. Scores that run over the music's events
count only those that the video could answer: cut them with `answerable` first.

By itself such a number says nothing: see `musedance.metrics.nulls`.
"""

import numpy as np

SIGMA = 0.05  # s. AI Choreographer's and Bailando's sigma is 3 frames at 60 frames per second
WINDOW = 0.1  # s


def mm_align(motion_beats: np.ndarray, music_beats: np.ndarray, sigma: float = SIGMA) -> float | None:
    """2D-MM Align: how near kinematic beats are to the nearest music beat, in [0, 1].

    Equation 7 of DabFusion (Wang et al. 2024, arXiv 2405.09266): the mean over kinematic beats of
    exp(-d^2 / (2 sigma^2)), d the distance to the nearest music beat. The same is the beat alignment score of AI
    Choreographer (Li et al. 2021, arXiv 2101.08779). Here d and sigma are in seconds. As a number of frames sigma means
    another thing at every frame rate: 3 frames at 10 per second are 0.3 s, more than half a beat at 120 BPM, and any
    motion scores 0.9.

    Args:
        motion_beats: (k,) s.
        music_beats: (m,) s, sorted or not, also those outside the clip.
        sigma: s.

    Returns:
        None without kinematic beats or without music beats.
    """
    if len(motion_beats) == 0 or len(music_beats) == 0:
        return None
    return float(np.mean(np.exp(-(_distances(motion_beats, music_beats) ** 2) / (2 * sigma**2))))


def mm_align_reverse(motion_beats: np.ndarray, music_beats: np.ndarray, sigma: float = SIGMA) -> float | None:
    """The other direction: how near music beats are to the nearest kinematic beat, in [0, 1].

    Bailando's beat alignment score (Siyao et al. 2022, arXiv 2203.13055). A dancer who rests on every second beat loses
    here and not in `mm_align`; one who fidgets between beats loses there and not here.

    Args:
        motion_beats: (k,) s.
        music_beats: (m,) s, those of `answerable`.
        sigma: s.

    Returns:
        None without kinematic beats or without music beats.
    """
    return mm_align(music_beats, motion_beats, sigma)


def beats_hit(motion_beats: np.ndarray, music_beats: np.ndarray, window: float = WINDOW) -> float | None:
    """Share of the music's beats with a kinematic beat at most `window` seconds away, in [0, 1].

    Args:
        motion_beats: (k,) s.
        music_beats: (m,) s, those of `answerable`.
        window: s.

    Returns:
        None without kinematic beats or without music beats.
    """
    if len(motion_beats) == 0 or len(music_beats) == 0:
        return None
    return float(np.mean(_distances(music_beats, motion_beats) <= window + 1e-9))


def answerable(beats: np.ndarray, num_frames: int, fps: float) -> np.ndarray:
    """Those music beats for which the video could show a kinematic beat: from frame 1 to the last but one.

    A minimum of the speed needs a larger one on either side, and there are `num_frames` - 1 speeds, at half frames.
    """
    return beats[(beats >= 1 / fps) & (beats <= (num_frames - 2) / fps)]


def av_align_2025(onsets: np.ndarray, peaks: np.ndarray, fps: float) -> float | None:
    """AV-Align since February 2025: onsets and flow peaks matched one to one, intersection over union, in [0, 1].

    `av_align.py` of guyyariv/TempoTokens after its issue 11: in order of time each onset takes the first peak that is
    still free and less than a frame away. Matched pairs are divided by onsets + peaks - matched pairs.

    Args:
        onsets: (a,) s, sorted, those within the video.
        peaks: (p,) s, sorted.
        fps: frames per second of the video.

    Returns:
        None without onsets or without peaks.
    """
    if len(onsets) == 0 or len(peaks) == 0:
        return None
    free, matched = list(peaks), 0
    for onset in onsets:
        taken = next((peak for peak in free if peak - 1 / fps < onset < peak + 1 / fps), None)
        if taken is not None:
            free.remove(taken)
            matched += 1
    return matched / (len(onsets) + len(peaks) - matched)


def av_align_2023(onsets: np.ndarray, peaks: np.ndarray, fps: float) -> float | None:
    """AV-Align as first published (Yariv et al. 2023, arXiv 2309.16429): several onsets may share a peak.

    Onsets less than a frame from any peak, divided by onsets + peaks - that number. At low frame rates, where one peak
    answers many onsets, it exceeds 1: 10 onsets around 5 peaks give 2.

    Args:
        onsets: (a,) s, those within the video.
        peaks: (p,) s.
        fps: frames per second of the video.

    Returns:
        None without onsets or without peaks.
    """
    if len(onsets) == 0 or len(peaks) == 0:
        return None
    near = (peaks - 1 / fps < onsets[:, None]) & (onsets[:, None] < peaks + 1 / fps)
    matched = int(near.any(axis=1).sum())
    return matched / (len(onsets) + len(peaks) - matched)


def _distances(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """From each time to the nearest of the others."""
    return np.abs(times[:, None] - others[None, :]).min(axis=1)
