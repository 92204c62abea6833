"""How near generated frames come to the true ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from musedance.errors import InputError

MAX_PSNR = 100.0  # dB; what identical frames get instead of infinity, as in DisCo's evaluation


def image_metrics() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """torchmetrics' PSNR and SSIM.

    Raises:
        InputError: torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
    except ImportError as error:
        raise InputError(
            'validation needs torchmetrics: pip install "musedance[train]", or set validation.every=0'
        ) from error
    return peak_signal_noise_ratio, structural_similarity_index_measure


def image_scores(generated: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """PSNR and SSIM of a video, means over its frames.

    PSNR is over a frame's three channels together, at most 100 dB. SSIM is that of Wang et al. 2004 (Gaussian window of
    11 x 11, sigma 1.5), mean over the RGB channels.

    Args:
        generated: `(n, H, W, 3)` uint8.
        true: the same shape.

    Returns:
        `psnr` in dB and `ssim` in [-1, 1].
    """
    psnr, ssim = image_metrics()
    pairs = [
        [torch.from_numpy(frame).permute(2, 0, 1)[None] / 255 for frame in pair]
        for pair in zip(generated, true, strict=True)
    ]
    return {
        "psnr": float(np.mean([min(float(psnr(*pair, data_range=1.0)), MAX_PSNR) for pair in pairs])),
        # One frame after the other: a clip of 640 x 640 at once would take gigabytes.
        "ssim": float(np.mean([float(ssim(*pair, data_range=1.0)) for pair in pairs])),
    }
