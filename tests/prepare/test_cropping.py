"""Crops around a dancer, by closed forms and as properties."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from musedance.prepare.cropping import SHAPES, Crop, DancerCrop
from musedance.prepare.rejection import Rejected


def plan(stage: DancerCrop, width: int, height: int, *boxes: tuple[float, float, float, float]) -> Crop:
    return stage.crop(width, height, np.array(boxes, np.float64))


def test_a_square_around_the_dancer_with_its_margin() -> None:
    crop = plan(DancerCrop(640), 1920, 1080, (900, 300, 1000, 800))
    assert crop == Crop(left=650, top=250, width=600, height=600, out_width=640, out_height=640)


def test_the_crop_holds_all_of_a_clips_boxes() -> None:
    crop = plan(DancerCrop(640), 1920, 1080, (700, 300, 800, 800), (1100, 320, 1200, 820))
    assert (crop.left, crop.width, crop.height) == (638, 624, 624)  # 520 high and a margin of 10 % on both sides


def test_at_the_edge_the_crop_is_moved_inside() -> None:
    crop = plan(DancerCrop(640), 1920, 1080, (0, 300, 100, 800))
    assert (crop.left, crop.top, crop.width) == (0, 250, 600)
    crop = plan(DancerCrop(640), 1920, 1080, (1800, 500, 1920, 1080))
    assert crop.left + crop.width == 1920 and crop.top + crop.height == 1080


@pytest.mark.parametrize(
    ("box", "shape", "size"),
    [
        ((300, 100, 700, 900), (1080, 1080), (640, 640)),  # the margin is given up before the square is
        ((300, 100, 700, 1300), (1080, 1440), (552, 736)),
        ((0, 150, 1080, 1880), (1080, 1920), (480, 856)),
    ],
)
def test_portrait_only_where_a_square_is_too_narrow(
    box: tuple[int, int, int, int], shape: tuple[int, int], size: tuple[int, int]
) -> None:
    crop = plan(DancerCrop(640), 1080, 1920, box)
    assert (crop.out_width, crop.out_height) == size
    assert crop.width <= shape[0] and crop.height <= shape[1]
    assert crop.width / crop.height == pytest.approx(shape[0] / shape[1], abs=0.003)


def test_the_shape_can_be_chosen() -> None:
    box = (300.0, 100.0, 500.0, 500.0)
    assert plan(DancerCrop(640, "portrait"), 1080, 1920, box).out_width == 552
    assert plan(DancerCrop(640, "square"), 1080, 1920, (0, 150, 1080, 1880)).width == 1080


def test_a_dancer_who_crosses_the_stage_is_left_out() -> None:
    with pytest.raises(Rejected) as rejected:
        plan(DancerCrop(640), 1920, 800, (0, 100, 200, 700), (1700, 100, 1900, 700))
    assert rejected.value.reason == "dancer moves too far"


def test_a_small_dancer_is_left_out_rather_than_enlarged() -> None:
    box = (500.0, 400.0, 560.0, 600.0)
    with pytest.raises(Rejected) as rejected:
        plan(DancerCrop(640, min_size=320), 1920, 1080, box)
    assert rejected.value.reason == "dancer too small"
    assert plan(DancerCrop(640, min_size=240), 1920, 1080, box).width == 240
    with pytest.raises(Rejected):
        plan(DancerCrop(640), 1920, 1080, (1920.0, 400.0, 2000.0, 600.0))


@given(
    st.integers(64, 4000), st.integers(64, 4000), st.data(), st.sampled_from(sorted(SHAPES)), st.sampled_from([64, 640])
)
def test_every_crop_is_inside_even_and_of_its_shape(
    width: int, height: int, data: st.DataObject, shape: str, size: int
) -> None:
    x = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width))))
    y = sorted(data.draw(st.tuples(st.floats(0, height), st.floats(0, height))))
    assume(x[1] - x[0] >= 16 and y[1] - y[0] >= 16)
    stage = DancerCrop(size, shape)
    try:
        crop = plan(stage, width, height, (x[0], y[0], x[1], y[1]))
    except Rejected:
        return
    numbers = (crop.left, crop.top, crop.width, crop.height)
    assert all(number >= 0 and number % 2 == 0 for number in numbers) and min(crop.width, crop.height) > 0
    assert crop.left + crop.width <= width and crop.top + crop.height <= height
    assert crop.out_width % 8 == crop.out_height % 8 == 0
    assert crop.out_width * crop.out_height == pytest.approx(size**2, rel=0.2)
    held = min(x[1], crop.left + crop.width) - max(x[0], crop.left)
    held *= min(y[1], crop.top + crop.height) - max(y[0], crop.top)
    assert held >= 0.499 * (x[1] - x[0]) * (y[1] - y[0])
    if shape == "auto" and crop.out_width == crop.out_height:
        return
    assert crop.out_width <= crop.out_height


def test_pixels_and_boxes_go_where_the_crop_says() -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[40:60, 100:120] = 255
    crop = Crop(left=80, top=20, width=60, height=60, out_width=120, out_height=120)
    part = crop.apply(frame)
    assert part.shape == (120, 120, 3)
    assert part[44:76, 44:76].min() > 200 and part[:34].max() < 60 and part[:, 86:].max() < 60
    boxes = np.array([(100.0, 40, 120, 60), (0, 0, 200, 100)])
    np.testing.assert_allclose(crop.place(boxes), [(40, 40, 80, 80), (0, 0, 120, 120)])
