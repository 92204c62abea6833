"""PSNR and SSIM of frames against true ones, in two modes.

`standard` is the definition. `disco` is what the evaluation code of DisCo (Wang et al. 2023, github.com/Wangt-CN/DisCo,
tool/metrics/ssim_l1_lpips_psnr.py) computed when the tables of that family of papers were made. DisCo runs it on the
pictures of a folder, of 256 x 256 in its own paper; SSIM depends on the size.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from musedance.errors import InputError

Mode = Literal["standard", "disco"]

_SSIM_WINDOW = {"standard": 11, "disco": 7}  # pixels
_DISCO_IDENTICAL = 100.0  # dB


def psnr(generated: np.ndarray, true: np.ndarray, mode: Mode) -> np.ndarray:
    """Peak signal-to-noise ratio of each frame, 10 log10(255^2 / MSE) over its three channels together.

    `disco` follows DisCo's code as it was until 10 April 2024: the differences of uint8 pixels are taken and squared in
    uint8, so both wrap modulo 256. Differences of 16 levels and more hence count too little (16 itself not at all): two
    pictures of noise get 28 dB instead of 8. What was published with that code compares with this mode alone. Since
    then DisCo computes `standard`, with 100 for identical frames.

    Args:
        generated: `(n, H, W, 3)` uint8.
        true: the same shape.

    Returns:
        `(n,)` in dB. Where the error is zero: infinity, in mode `disco` 100.

    Raises:
        InputError: the videos differ in length or size, or are empty.
    """
    check_pair(generated, true)
    if mode == "disco":
        errors = [((one - other) ** 2).mean() for one, other in zip(generated, true, strict=True)]
    else:
        errors = [np.square(one - other.astype(float)).mean() for one, other in zip(generated, true, strict=True)]
    identical = _DISCO_IDENTICAL if mode == "disco" else np.inf
    return np.array([10 * np.log10(255**2 / error) if error > 0 else identical for error in errors])


def ssim(generated: np.ndarray, true: np.ndarray, mode: Mode) -> np.ndarray:
    """Structural similarity of each frame (Wang et al. 2004), mean over the windows that lie inside it.

    Both are scikit-image's. `standard` has Wang's window (Gaussian, 11 x 11, sigma 1.5) and takes the mean of the RGB
    channels; torchmetrics' mean also takes in windows that are filled up by reflection. `disco` does what DisCo's code
    does: OpenCV's grey values, 7 x 7 windows of equal weights with unbiased covariances.

    Args:
        generated: `(n, H, W, 3)` uint8.
        true: the same shape.

    Returns:
        `(n,)` in [-1, 1].

    Raises:
        InputError: the videos differ in length or size, are empty or smaller than the window, or a library is missing.
    """
    check_pair(generated, true)
    height, width = true.shape[1:3]
    if min(height, width) < _SSIM_WINDOW[mode]:
        raise InputError(f"SSIM ({mode}) needs frames of {_SSIM_WINDOW[mode]} pixels and more, not {width} x {height}")
    return _ssim_disco(generated, true) if mode == "disco" else _ssim_standard(generated, true)


def check_pair(generated: np.ndarray, true: np.ndarray) -> None:
    """Check that two videos can be compared frame by frame.

    Raises:
        InputError: they differ in length or size, or have no frames.
        TypeError: they are not `(n, H, W, 3)` uint8.
    """
    for video in (generated, true):
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3:
            raise TypeError(f"videos are (n, H, W, 3) uint8 here, not {video.shape} {video.dtype}")
    if generated.shape != true.shape:
        told = [f"{len(video)} frames of {video.shape[2]} x {video.shape[1]}" for video in (generated, true)]
        raise InputError(f"videos that are compared need the same length and size, not {told[0]} and {told[1]}")
    if not true.size:
        raise InputError("a video without frames cannot be compared")


def scikit_image_ssim() -> Callable[..., Any]:
    """scikit-image's SSIM.

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise InputError('SSIM needs scikit-image: pip install "musedance[metrics]"') from error
    return structural_similarity


def _ssim_standard(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    measure = scikit_image_ssim()
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    scores = [measure(*pair, data_range=255, **wang) for pair in zip(generated, true, strict=True)]
    return np.array(scores, dtype=float)


def _ssim_disco(generated: np.ndarray, true: np.ndarray) -> np.ndarray:
    measure = scikit_image_ssim()
    try:
        import cv2
    except ImportError as error:
        raise InputError('SSIM (disco) needs OpenCV: pip install "musedance[metrics]"') from error
    scores = []
    for pair in zip(generated, true, strict=True):
        one, other = (cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in pair)
        scores.append(measure(one, other, win_size=_SSIM_WINDOW["disco"], data_range=255))
    return np.array(scores, dtype=float)
