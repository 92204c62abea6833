"""How near generated frames come to the true ones."""

import numpy as np

from musedance.errors import InputError
from musedance.metrics.image_quality import psnr, scikit_image_ssim, ssim

MAX_PSNR = 100.0  # dB; what identical frames get instead of infinity, as in DisCo's evaluation


def require_scikit_image() -> None:
    """Check that `image_scores` can run.

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        scikit_image_ssim()
    except InputError as error:
        raise InputError(
            'validation needs scikit-image: pip install "musedance[train]", or set validation.every=0'
        ) from error


def image_scores(generated: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """PSNR and SSIM of a video, means over its frames, PSNR at most 100 dB a frame.

    Args:
        generated: `(n, H, W, 3)` uint8.
        true: the same shape.

    Returns:
        `psnr` in dB and `ssim` in [-1, 1].
    """
    return {
        "psnr": float(np.minimum(psnr(generated, true, "standard"), MAX_PSNR).mean()),
        "ssim": float(ssim(generated, true, "standard").mean()),
    }
