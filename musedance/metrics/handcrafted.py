"""HFD, the handcrafted Frechet distance: of plain measurements of a video, for machines without I3D's weights.

It is no stand-in for FVD, and its values have nothing to do with FVD's. `musedance.metrics.frechet` takes the distance
between two sets of these features. It answers to blur, noise, frames out of order, frames that stand still, jerky
motion, flicker and a colour cast that grows. It knows nothing of what is seen, so a dancer without a head passes, and
so does a video played backwards. What is compared has to have one frame rate and length.
"""

from itertools import pairwise
from types import ModuleType

import numpy as np

from musedance.errors import InputError

SIDE = 128  # pixels: every video is squeezed to SIDE x SIDE, so what is lost there is not seen
MOTION_SIDE = 64  # pixels: the same for what compares frames
LEAST_FRAMES = 5
LAGS = (0.25, 0.5, 1.0)  # s

_LEVEL = 0.5 / 255  # half a grey level: added before logarithms, so that black or still videos have finite values
_SPEED = 0.01  # frame heights a second: the same for speeds

# What each feature is divided by, and what it measures. Unless it says otherwise a scale is about the standard
# deviation over clips of drawn dances, so that no feature outweighs the others; it is fixed, so that values compare
# between runs.
SCALES: dict[str, float] = {
    # Appearance: luma Y and chroma Cb, Cr in [0, 1], means over frames.
    "luma": 0.15,
    "blue": 0.06,
    "red": 0.06,
    "luma contrast": 0.3,  # log of the standard deviation within frames
    "blue contrast": 0.4,
    "red contrast": 0.4,
    "edges": 0.4,  # log of the mean gradient of luma, at a quarter of the resolution
    "middle edges": 0.1,  # log of how much more of it there is at half the resolution: blur lowers it
    "fine edges": 0.05,  # and at full resolution, against half: noise raises it
    "grain": 0.4,  # log of the median Laplacian: texture and noise between the edges
    # Colour over time.
    "luma drift": 0.01,  # last quarter minus first; hardly any in drawn dances, so the scale is 2.5 grey levels
    "blue drift": 0.01,
    "red drift": 0.01,
    "flicker": 0.15,  # log of the mean step of the mean colour from frame to frame
    # Change between frames, logs of mean absolute differences.
    "change": 0.4,  # within the longest lag
    "change 0.5 s": 0.25,  # against the longest lag
    "change 0.25 s": 0.1,  # against the lag before
    "change 1 frame": 0.1,  # against the lag before: 0 if frames are shuffled
    "jerk": 0.06,  # second difference against the first: below 0 for even motion, log sqrt(3) for noise
    "held frames": 0.15,  # share of steps with hardly any change, a thirtieth of the liveliest ones'
    # Optical flow.
    "speed": 0.5,  # log of the mean speed in frame heights a second
    "unsteadiness": 0.3,  # of the mean speed over time: standard deviation by mean
    "stillness": 0.3,  # log of the slowest tenth of the frames' speed
    "persistence": 0.3,  # cosine between the flows of neighbouring steps: 1 for even motion, below 0 if shuffled
    "upright": 0.15,  # vertical share of the motion
    "misfit": 0.2,  # log of the share of change that the flow does not explain
}  # fmt: skip
FEATURES = tuple(SCALES)


def handcrafted_features(frames: np.ndarray, fps: float) -> np.ndarray:
    """The measurements of one video, each divided by its scale.

    Args:
        frames: `(n, H, W, 3)` uint8 RGB, 5 frames or more; longer lags than the video are cut to it.
        fps: frames per second.

    Returns:
        `(d,)` float64, in the order of `FEATURES`.

    Raises:
        InputError: the video is too short, or OpenCV is missing.
    """
    cv2 = _opencv()
    if len(frames) < LEAST_FRAMES:
        raise InputError(f"HFD needs videos of {LEAST_FRAMES} frames or more, this one has {len(frames)}")
    colours = np.stack([cv2.cvtColor(_resized(cv2, frame, SIDE), cv2.COLOR_RGB2YCrCb) for frame in frames])
    colours = colours.astype(np.float32)[..., [0, 2, 1]] / 255  # Y, Cb, Cr
    luma = np.stack([_resized(cv2, frame, MOTION_SIDE) for frame in colours[..., 0]])
    measured = {**_appearance(colours), **_colour_over_time(colours), **_change(luma, fps), **_motion(cv2, luma, fps)}
    return np.array([measured[name] / scale for name, scale in SCALES.items()], np.float64)


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise InputError('HFD needs OpenCV: pip install "musedance[metrics]"') from error
    return cv2


def _resized(cv2: ModuleType, picture: np.ndarray, side: int) -> np.ndarray:
    shrinks = min(picture.shape[:2]) >= side
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _log(value: float) -> float:
    return float(np.log(value + _LEVEL))


def _appearance(colours: np.ndarray) -> dict[str, float]:
    """Of `(n, SIDE, SIDE, 3)`."""
    means, spreads = colours.mean(axis=(0, 1, 2)), colours.std(axis=(1, 2)).mean(axis=0)
    luma = colours[..., 0]
    fine, middle, coarse = (_log(_gradient(_halved(luma, times))) for times in range(3))
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return {
        **dict(zip(("luma", "blue", "red"), means, strict=True)),
        **{f"{name} contrast": _log(spread) for name, spread in zip(("luma", "blue", "red"), spreads, strict=True)},
        "edges": coarse,
        "middle edges": middle - coarse,
        "fine edges": fine - middle,
        "grain": _log(np.median(np.abs(luma[:, 1:-1, 1:-1] - around / 4))),
    }


def _halved(luma: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        luma = (luma[:, ::2, ::2] + luma[:, 1::2, ::2] + luma[:, ::2, 1::2] + luma[:, 1::2, 1::2]) / 4
    return luma


def _gradient(luma: np.ndarray) -> float:
    return float(np.abs(np.diff(luma, axis=1)).mean() + np.abs(np.diff(luma, axis=2)).mean()) / 2


def _colour_over_time(colours: np.ndarray) -> dict[str, float]:
    means = colours.mean(axis=(1, 2))
    quarter = max(len(means) // 4, 1)
    drift = means[-quarter:].mean(axis=0) - means[:quarter].mean(axis=0)
    return {
        **{f"{name} drift": value for name, value in zip(("luma", "blue", "red"), drift, strict=True)},
        "flicker": _log(np.abs(np.diff(means, axis=0)).mean()),
    }


def _change(luma: np.ndarray, fps: float) -> dict[str, float]:
    """Of `(n, MOTION_SIDE, MOTION_SIDE)`."""
    frame, short, middle, long = (_log(_difference(luma, round(lag * fps))) for lag in (0.0, *LAGS))
    steps = np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2))
    second = np.abs(luma[2:] - 2 * luma[1:-1] + luma[:-2]).mean()
    return {
        "change": long,
        "change 0.5 s": middle - long,
        "change 0.25 s": short - middle,
        "change 1 frame": frame - short,
        "jerk": _log(second) - frame,
        "held frames": (steps <= np.quantile(steps, 0.9) / 30).mean(),
    }


def _difference(luma: np.ndarray, lag: int) -> float:
    lag = min(max(lag, 1), len(luma) - 1)
    return float(np.abs(luma[lag:] - luma[:-lag]).mean())


def _motion(cv2: ModuleType, luma: np.ndarray, fps: float) -> dict[str, float]:
    """Farneback's flow (2003) of `(n, MOTION_SIDE, MOTION_SIDE)`, which is zero where nothing moves."""
    grey = (luma * 255).round().astype(np.uint8)
    flows = np.stack(
        [cv2.calcOpticalFlowFarneback(now, then, None, 0.5, 3, 9, 2, 5, 1.1, 0) for now, then in pairwise(grey)]
    )
    lengths = np.linalg.norm(flows, axis=-1)
    to_speed = fps / MOTION_SIDE
    speeds = lengths.mean(axis=(1, 2)) * to_speed
    along = (flows[1:] * flows[:-1]).sum(axis=-1).mean() * to_speed**2
    most = (lengths[1:] * lengths[:-1]).mean() * to_speed**2
    across, upright = np.abs(flows).mean(axis=(0, 1, 2)) * to_speed
    y, x = np.mgrid[:MOTION_SIDE, :MOTION_SIDE].astype(np.float32)
    left_over = [
        np.abs(
            cv2.remap(then, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE) - now
        ).mean()
        for now, then, flow in zip(luma[:-1], luma[1:], flows, strict=True)
    ]
    return {
        "speed": float(np.log(speeds.mean() + _SPEED)),
        "unsteadiness": speeds.std() / (speeds.mean() + _SPEED),
        "stillness": float(np.log(np.quantile(speeds, 0.1) + _SPEED)),
        "persistence": along / (most + _SPEED**2),
        "upright": (upright + _SPEED / 2) / (across + upright + _SPEED),
        "misfit": _log(float(np.mean(left_over))) - _log(_difference(luma, 1)),
    }
