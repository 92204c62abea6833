"""Single frames in which a dancer is somewhere else, before and after which the pose is the same.

`metrics.consistency.flicker` leaves these out: it is of what comes back every few frames.
"""

from collections.abc import Mapping

import numpy as np

from musedance.proof.finding import Finding, mean_finding

CELL = 8  # px: frames are compared by the means of such squares
LEAST = 0.5  # of the usual change between neighbours


def outlying_frames(frames: np.ndarray) -> np.ndarray:
    """Which frames differ from both neighbours by more than these differ from each other.

    By at least half of the video's mean change from frame to frame more; all differences are means over squares of 8
    pixels. A dancer who turns round slows down before, so that a turn is none.

    Args:
        frames: `(n, H, W, 3)` uint8, at least 3 frames; sides are cut to a multiple of 8.

    Returns:
        `(n - 2,)` of bool, for all frames but the first and the last.
    """
    n, height, width, _ = frames.shape
    rows, columns = height // CELL, width // CELL
    cells = frames[:, : rows * CELL, : columns * CELL].reshape(n, rows, CELL, columns, CELL, 3).mean((2, 4))
    change = np.abs(np.diff(cells, axis=0)).mean((1, 2, 3))
    around = np.abs(cells[2:] - cells[:-2]).mean((1, 2, 3))
    return np.minimum(change[:-1], change[1:]) - around > LEAST * change.mean()


def outlier_finding(
    claim: str, made: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray], sources: Mapping[str, str]
) -> Finding:
    """The share of such frames, by clip; the interval resamples sources."""
    shares, known = (np.array([outlying_frames(videos[name]).mean() for name in made]) for videos in (made, true))
    clusters = [sources[name] for name in made]
    return mean_finding(claim, "frames that differ from both neighbours", shares, clusters, truth=float(known.mean()))
