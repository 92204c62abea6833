"""Labels and their pictures, against facts known of viridis and of DensePose."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from musedance.conditions.densepose import PART_COLOURS, draw_densepose, read_densepose_labels
from musedance.conditions.reference import DENSEPOSE_BACKGROUND

LABELS = arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6), elements=st.integers(0, 24))


@given(LABELS)
def test_pictures_read_back(labels: np.ndarray) -> None:
    assert np.array_equal(read_densepose_labels(draw_densepose(labels)), labels)


@given(LABELS, st.integers(-3, 3))
def test_so_do_pictures_that_a_lossy_codec_touched(labels: np.ndarray, error: int) -> None:
    picture = np.clip(draw_densepose(labels).astype(int) + error, 0, 255).astype(np.uint8)
    assert np.array_equal(read_densepose_labels(picture), labels)


def test_viridis() -> None:
    """Ends known from its publication; lightness rises all the way; from purple over green to yellow."""
    assert tuple(PART_COLOURS[0]) == DENSEPOSE_BACKGROUND == (68, 1, 84)
    assert tuple(PART_COLOURS[24]) == (253, 231, 37)
    luma = PART_COLOURS @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luma) > 0).all()
    hues = [colorsys.rgb_to_hsv(*(colour / 255))[0] for colour in PART_COLOURS]
    assert (np.diff(hues) < 0).all()


@pytest.mark.parametrize("labels", [np.array([25], np.uint8), np.array([3], np.int64), np.array([0.5])])
def test_no_such_label(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="0 to 24"):
        draw_densepose(labels)


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 3), np.float32)])
def test_no_picture(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        read_densepose_labels(picture)
