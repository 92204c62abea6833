"""Whether a video keeps the look of its reference picture, and runs on smoothly. Needs no weights.

Drift, seams and flicker are what goes wrong when a video is generated segment after segment.
"""

from itertools import pairwise
from types import ModuleType

import numpy as np
from scipy.ndimage import gaussian_filter

from musedance.errors import InputError

IDENTITY_SIDE, COLOUR_SIDE = 128, 64  # px: larger pictures are reduced to this shorter side
LAB_BINS, LAB_RANGE = (8, 10, 10), ((0.0, 100.0), (-80.0, 80.0), (-80.0, 80.0))
EDGE_BINS = (3.0, 8.0, 20.0)  # Delta E a pixel: from smooth to outline
SPREAD = (0.5, 0.7, 0.7, 0.7)  # of the histogram, in bins
PERCENTILES = np.arange(0.5, 100)  # in the middle of each hundredth


def identity_distances(frames: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How far each frame's look is from the reference picture, whatever the pose.

    The Hellinger distance, sqrt(1 - sum_b sqrt(p_b q_b)), of histograms of what is at a pixel: its colour (CIELAB) and
    how strong the edge there is (length of the colour's gradient), jointly, so that a checked blue is not a plain one.
    Bins are smoothed, so that a shade more or less is a small difference. Where something is does not count, so limbs
    may move; what is seen counts: other clothes, a lost pattern, blur, noise, artefacts. The background counts as much
    as the dancer, by area.

    Args:
        frames: `(n, H, W, 3)` uint8 RGB.
        reference: `(H, W, 3)` uint8 RGB, of any size.

    Returns:
        `(n,)` in [0, 1]: 0 for the picture itself, 1 if nothing is in common.

    Raises:
        InputError: OpenCV is not installed.
    """
    side = min(IDENTITY_SIDE, *frames.shape[1:3], *reference.shape[:2])
    true = _look(_lab(reference, side))
    overlap = [np.sqrt(_look(_lab(frame, side)) * true).sum() for frame in frames]
    return np.sqrt(np.clip(1 - np.array(overlap), 0, 1))


def colour_distances(frames: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How far each frame's colours are from the reference picture's, wherever they are.

    For each of CIELAB's L, a and b the mean distance of the percentiles of both pictures (the Wasserstein-1 distance of
    the channel's values), then the length of the three together: a cast that adds the same to all pixels gives just
    its Delta E (CIE 1976). 2.3 is a just noticeable difference of two patches (Mahy et al. 1994).

    Args:
        frames: `(n, H, W, 3)` uint8 RGB.
        reference: `(H, W, 3)` uint8 RGB, of any size.

    Returns:
        `(n,)`, Delta E.

    Raises:
        InputError: OpenCV is not installed.
    """
    side = min(COLOUR_SIDE, *frames.shape[1:3], *reference.shape[:2])
    true = _percentiles(_lab(reference, side))
    channels = np.array([np.abs(_percentiles(_lab(frame, side)) - true).mean(0) for frame in frames])
    return np.linalg.norm(channels.reshape(-1, 3), axis=1)


def drift(values: np.ndarray, fps: float) -> float | None:
    """Slope of something over time, a second: the least-squares line. `None` for fewer than 2 frames.

    Not a median of slopes (Theil-Sen): a video that changes all at once half way has drifted too.

    Args:
        values: `(n,)`, one a frame.
        fps: frames per second.
    """
    if len(values) < 2:
        return None
    return float(np.polyfit(np.arange(len(values)) / fps, values, 1)[0])


def flicker(frames: np.ndarray) -> float | None:
    """How much grey levels change only to change back, frame by frame. `None` for fewer than 3 frames.

    A pixel's change into a frame counts as far as the next frame takes it back: min(|x_t - x_{t-1}|, |x_{t+1} - x_t|)
    where the two have opposite signs, else 0. Of that the median over the video at each pixel, and the mean of the
    pixels. What moves passes a place now and then, which leaves the median at 0; what flickers comes back every few
    frames. So a flash, or a jump every ten frames, is not flicker, and frames stored twice hide it. Noise of standard
    deviation s, new in each frame, gives 0.314 s (a little more in short videos); up and down by a in turns gives 2 a.

    Args:
        frames: `(n, H, W, 3)` uint8 RGB.

    Returns:
        Grey levels (Rec. 601 luma) from 0 to 1; 0 for a frozen video.
    """
    if len(frames) < 3:
        return None
    rows = max(1, 2**22 // (len(frames) * frames.shape[2]))  # a strip at a time: all at once takes gigabytes at 640 px
    strips = [_taken_back(frames[:, top : top + rows]) for top in range(0, frames.shape[1], rows)]
    return float(sum(strips) / frames[0, ..., 0].size)


def seam_jumps(frames: np.ndarray, segment_frames: int) -> np.ndarray:
    """The change across each seam, divided by the usual change between neighbouring frames.

    The change is the mean absolute difference of all values; the usual one is the mean over all pairs that lie in one
    segment. (Not their median: dancers hold poses, and then more than half of the changes may be next to nothing.)

    Args:
        frames: `(n, H, W, 3)` uint8 RGB.
        segment_frames: K: segments begin at frames 0, K, 2 K, ...

    Returns:
        A value for each seam; 1 is what the video does anyway. None at all if there is no seam, or no motion within
        segments to compare with.

    Raises:
        InputError: OpenCV is not installed.
    """
    cv2 = _cv2()
    changes = np.array([cv2.norm(*pair, cv2.NORM_L1) for pair in pairwise(frames)])
    at_seam = np.arange(1, len(changes) + 1) % segment_frames == 0
    usual = changes[~at_seam].mean() if (~at_seam).any() else 0.0
    return changes[at_seam] / usual if usual > 0 else np.empty(0)


def seam_jump(frames: np.ndarray, segment_frames: int) -> float | None:
    """Mean of `seam_jumps`; `None` where there are none."""
    jumps = seam_jumps(frames, segment_frames)
    return float(jumps.mean()) if len(jumps) else None


def per_second(values: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Means over each second, for curves.

    Args:
        values: `(n,)`, one a frame; frame k is shown at k / fps.
        fps: frames per second, at least 1.

    Returns:
        The middles of the seconds (0.5, 1.5, ...) and the means, `(s,)` each; the last second may be a part of one.
    """
    seconds = (np.arange(len(values)) / fps).astype(int)
    return np.unique(seconds) + 0.5, np.bincount(seconds, values) / np.bincount(seconds)


def _cv2() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise InputError('measures of consistency need OpenCV: pip install "musedance[metrics]"') from error
    return cv2


def _lab(picture: np.ndarray, side: int) -> np.ndarray:
    """`(h, w, 3)` float32 CIELAB (D65) of a picture whose shorter side is reduced to `side` px by averaging."""
    cv2 = _cv2()
    scale = side / min(picture.shape[:2])
    if scale < 1:
        height, width = (max(side, round(length * scale)) for length in picture.shape[:2])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _look(lab: np.ndarray) -> np.ndarray:
    """Histogram over edge strength, L, a and b; sums to 1."""
    cv2 = _cv2()
    slopes = [cv2.Sobel(lab, -1, *direction, ksize=3, scale=1 / 8) for direction in ((1, 0), (0, 1))]
    index = np.digitize(np.linalg.norm(np.concatenate(slopes, -1), axis=-1), EDGE_BINS)
    for channel, (bins, (low, high)) in enumerate(zip(LAB_BINS, LAB_RANGE, strict=True)):
        bin_of = (lab[..., channel] - low) * (bins / (high - low))
        index = index * bins + np.clip(bin_of, 0, bins - 1).astype(int)
    shape = (len(EDGE_BINS) + 1, *LAB_BINS)
    counts = np.bincount(index.ravel(), minlength=int(np.prod(shape))).reshape(shape)
    return gaussian_filter(counts / index.size, SPREAD, mode="reflect")  # keeps the sum


def _percentiles(lab: np.ndarray) -> np.ndarray:
    """`(100, 3)`, of each channel."""
    values = np.sort(lab.reshape(-1, 3), axis=0)
    return values[(PERCENTILES / 100 * len(values)).astype(int)]


def _taken_back(strip: np.ndarray) -> float:
    """Sum over the pixels of a strip of the median over time of the change that the next frame takes back."""
    grey = strip.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    change = np.diff(grey, axis=0)
    before, after = change[:-1], change[1:]
    back = np.where(before * after < 0, np.minimum(np.abs(before), np.abs(after)), 0)
    return float(np.median(back, axis=0).sum())
