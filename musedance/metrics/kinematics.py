"""Kinematic beats: the moments at which a dancer's motion comes to rest, from any measure of speed."""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

SMOOTHING = 0.05  # s: sigma of the blur of a speed curve. Bailando's is 5 frames at 60 frames per second, 0.083 s
PROMINENCE = 0.1  # of the speed's 90th percentile: how much deeper than its surroundings a minimum is at least
REACH = 0.75  # s: it moves again within this time on either side; the middle of a long rest is no beat
LEAST_JOINT_SPEED = 0.03  # frame heights a second: a minimum is at least so deep, or it is the jitter of a pose model
LEAST_FLOW = 0.002  # the same for optical flow, which is a mean over a picture that is mostly background


def joint_speed(joints: np.ndarray, visible: np.ndarray, fps: float, height: int) -> np.ndarray:
    """Mean speed of the joints that are visible in both of two neighbouring frames: `(n - 1,)`, frame heights a second.

    Value k belongs to the time (k + 0.5) / fps. Where no joint is visible in both frames it is interpolated from its
    neighbours; if that is so throughout, all are 0.

    Args:
        joints: (n, J, 2) in pixels, n of at least 2.
        visible: (n, J) bool.
        fps: frames per second.
        height: of the frames, pixels.

    Raises:
        ValueError: shapes that do not fit.
    """
    if joints.ndim != 3 or joints.shape[2] != 2 or visible.shape != joints.shape[:2] or len(joints) < 2:
        raise ValueError(f"joints must be (n, J, 2) and visible (n, J), not {joints.shape} and {visible.shape}")
    both = visible[1:] & visible[:-1]
    lengths = np.where(both, np.linalg.norm(np.diff(joints.astype(np.float64), axis=0), axis=-1), 0.0)
    count = both.sum(axis=1)
    known = np.flatnonzero(count)
    if len(known) == 0:
        return np.zeros(len(count))
    speed = lengths[known].sum(axis=1) / count[known] * fps / height
    return np.interp(np.arange(len(count)), known, speed)


def kinematic_beats(speed: np.ndarray, fps: float, least: float) -> np.ndarray:
    """The moments of least motion in seconds from the first frame, sorted: `(k,)`.

    Local minima of the smoothed speed, as in AI Choreographer (Li et al. 2021, arXiv 2101.08779) and, with a Gaussian,
    Bailando (Siyao et al. 2022, arXiv 2203.13055). Here they also have to be deep: by
    `PROMINENCE` of what the clip's speed is when it moves, and by `least`, on both sides within `REACH`. A parabola
    through the minimum and its two neighbours gives the moment between frames. A still dancer has none.

    Where a slow movement ends and a fast one begins, the smoothing puts the rest about 50 ms early.

    Args:
        speed: (n - 1,), from `joint_speed` or `musedance.metrics.flow.flow_magnitudes`.
        fps: frames per second.
        least: frame heights a second; `LEAST_JOINT_SPEED` or `LEAST_FLOW`.
    """
    if speed.ndim != 1:
        raise ValueError(f"speed must be (n,), not {speed.shape}")
    if len(speed) < 3:
        return np.zeros(0)
    smooth = gaussian_filter1d(speed.astype(np.float64), SMOOTHING * fps, mode="nearest")
    depth = max(PROMINENCE * float(np.percentile(smooth, 90)), least)
    reach = max(round(REACH * fps), 1)
    k, _ = find_peaks(-smooth, plateau_size=(None, reach), prominence=depth, wlen=2 * reach + 1)
    before, at, after = smooth[k - 1], smooth[k], smooth[k + 1]
    curvature = before - 2 * at + after
    offset = np.divide(before - after, 2 * curvature, out=np.zeros(len(k)), where=curvature > 0)
    return (k + 0.5 + offset) / fps
