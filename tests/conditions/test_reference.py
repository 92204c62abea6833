"""The picture and its DensePose mask on one canvas."""

import numpy as np
import pytest
import torch
from PIL import Image

from musedance.conditions.reference import DENSEPOSE_BACKGROUND, densepose_pixels, picture_pixels
from musedance.errors import InputError


def test_values_and_shapes():
    picture = Image.fromarray(np.array([[[0, 127, 255]]], np.uint8)).resize((40, 24))
    pixels = picture_pixels(picture, 24, 40, "letterbox")
    assert pixels.shape == (1, 3, 24, 40)
    torch.testing.assert_close(pixels[0, :, 5, 5], torch.tensor([-1.0, 127 / 127.5 - 1, 1.0]))
    mask = densepose_pixels(picture, picture, 24, 40, "letterbox")
    torch.testing.assert_close(mask[0, :, 5, 5], torch.tensor([0.0, 127 / 255, 1.0]))


@pytest.mark.parametrize("fit", ["letterbox", "crop"])
def test_a_mask_lies_on_the_body_it_was_drawn_for_and_its_colours_are_not_blended(fit):
    """The left half is body; after fitting, mask and picture change colour at the same column."""
    picture = Image.fromarray(np.repeat(np.where(np.arange(90) < 45, 255, 0).astype(np.uint8)[None], 50, 0)).convert(
        "RGB"
    )
    drawn = np.full((100, 180, 3), DENSEPOSE_BACKGROUND, np.uint8)
    drawn[:, :90] = (253, 231, 36)
    pixels = picture_pixels(picture, 64, 64, fit)[0, 0, 32]
    mask = densepose_pixels(Image.fromarray(drawn), picture, 64, 64, fit)[0]
    body = mask[0, 32] > 0.5
    assert torch.equal(body, pixels > 0)
    colours = {tuple((mask[:, y, x] * 255).round().int().tolist()) for y in range(64) for x in range(64)}
    assert colours == {DENSEPOSE_BACKGROUND, (253, 231, 36)}


def test_another_shape_is_refused():
    with pytest.raises(InputError, match="not of one shape"):
        densepose_pixels(Image.new("RGB", (10, 20)), Image.new("RGB", (20, 10)), 8, 8, "crop")
