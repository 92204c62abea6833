"""The picture that dances and its DensePose mask -> tensors on the video's canvas."""

from pathlib import Path
from typing import Literal

import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor

from musedance.errors import InputError
from musedance.media.image import fit_image, read_image

DENSEPOSE_BACKGROUND = (68, 1, 84)  # label 0 of `densepose.py`

ImageInput = str | Path | Image.Image
Fit = Literal["letterbox", "crop"]


def picture_pixels(picture: Image.Image, height: int, width: int, fit: Fit) -> Tensor:
    """`(1, 3, H, W)` in [-1, 1], what the VAE encodes."""
    return _pixels(fit_image(picture, height, width, fit)) * 2 - 1


def densepose_pixels(densepose: ImageInput, picture: Image.Image, height: int, width: int, fit: Fit) -> Tensor:
    """`(1, 3, H, W)` in [0, 1], what the mask encoder reads; placed as the picture is, its colours not blended.

    Raises:
        InputError: it cannot be read, or does not have the picture's shape.
    """
    drawn = read_image(densepose)
    if abs(drawn.width * picture.height / (drawn.height * picture.width) - 1) > 0.02:
        raise InputError(f"the DensePose picture is {drawn.size} and the image {picture.size}: not of one shape")
    nearest = Image.Resampling.NEAREST
    return _pixels(fit_image(drawn, height, width, fit, resample=nearest, fill=DENSEPOSE_BACKGROUND))


def _pixels(picture: Image.Image) -> Tensor:
    return torch.from_numpy(VaeImageProcessor.pil_to_numpy(picture)).permute(0, 3, 1, 2)
