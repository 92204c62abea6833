"""The tempo of a clip's music."""

import numpy as np

from musedance.conditions.beats import BPM_RANGE
from musedance.datasets.clip import Clip


def tempo(clip: Clip) -> float | None:
    """Beats a minute of the row's beats, which are the whole track's: an excerpt of 4 s is too short to find one in.

    `None` if there are fewer than two, or they are further apart or closer than music is.
    """
    if len(clip.beats) < 2:
        return None
    gap = float(np.median(np.diff(clip.beats)))
    slowest, fastest = BPM_RANGE
    return 60 / gap if slowest <= 60 / max(gap, 1e-3) <= fastest else None
