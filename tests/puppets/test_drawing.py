"""Sprites, textures and backgrounds against closed forms: areas, centres, counts, and what must not change."""

import math

import numpy as np
import pytest

from musedance.puppets.backgrounds import BACKGROUNDS, draw_background
from musedance.puppets.drawing import Canvas, Shape, Sprite, shadow
from musedance.puppets.figure import capsule, ellipse
from musedance.puppets.textures import PATTERNS, hsv, plain, random_texture

GREY = np.full((64, 64, 3), 90, np.uint8)


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def disc(radius: float, *, turning: bool = False, flatness: float = 1.0) -> Shape:
    """A white disc around the middle of its two anchors, a unit apart; its front has label 2, its back 1."""
    return Shape(
        1.0, (-radius, radius, 0.5 - radius, 0.5 + radius), ellipse(0.5, radius, radius), plain((255, 255, 255)),
        lambda angle, y: np.where(np.abs(angle) <= math.pi / 2, 2, 1) + 0 * y.astype(int), turning=turning,
        flatness=flatness,
    )  # fmt: skip


def drawn(shape: Shape, start: tuple[float, float], end: tuple[float, float], *, scale: float = 20.0, yaw: float = 0.0):
    canvas = Canvas(GREY)
    Sprite(shape, scale, line=0.0, ink=1.0).draw(canvas, start, end, yaw)
    return canvas


@pytest.mark.parametrize("x", [32.0, 32.25, 31.7])
@pytest.mark.parametrize(("dx", "dy"), [(0.0, 20.0), (20.0, 0.0), (-12.0, 16.0), (0.0, -20.0)])
def test_a_disc_has_the_area_and_the_place_of_a_disc(x: float, dx: float, dy: float) -> None:
    canvas = drawn(disc(0.5), (x - dx / 2, 30.4 - dy / 2), (x + dx / 2, 30.4 + dy / 2))
    rows, columns = np.indices((64, 64)) + 0.5
    expected = np.hypot(columns - x, rows - 30.4) < 10  # covered by half or more
    assert ((canvas.parts > 0) != expected).sum() <= 10


def test_parts_are_on_average_where_they_should_be() -> None:
    """Over all places within a pixel; samples of a quarter of a pixel leave an error for each of them."""
    errors = []
    for k in range(16):
        x, y = 32 + k / 16, 32 + (5 * k % 16) / 16
        for dx, dy in ((0, 10), (10, 0), (0, -10), (6, 8)):
            rows, columns = np.nonzero(drawn(disc(0.5), (x - dx, y - dy), (x + dx, y + dy)).parts)
            errors.append((columns.mean() + 0.5 - x, rows.mean() + 0.5 - y))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.04
    assert np.abs(errors).max() < 0.3


def test_a_part_that_is_shortened_shrinks_along_but_not_across_itself() -> None:
    canvas = drawn(disc(0.5), (32.0, 26.0), (32.0, 38.0))  # 12 of 20 px
    height, width = (len(np.unique(axis)) for axis in np.nonzero(canvas.parts))
    assert (height, width) == (pytest.approx(12, abs=1), pytest.approx(20, abs=1))
    toward_the_viewer = drawn(disc(0.5), (32.0, 32.0), (32.0, 32.0))
    assert len(np.unique(np.nonzero(toward_the_viewer.parts)[0])) >= 8


def test_a_flat_body_is_narrow_from_the_side_and_shows_its_back_from_behind() -> None:
    shape = disc(0.5, turning=True, flatness=0.5)
    front, side, back = (drawn(shape, (32, 22), (32, 42), yaw=yaw).parts for yaw in (0.0, math.pi / 2, math.pi))
    width = [len(np.unique(np.nonzero(parts)[1])) for parts in (front, side, back)]
    assert width == [pytest.approx(20, abs=1), pytest.approx(10, abs=1), pytest.approx(20, abs=1)]
    assert set(np.unique(front)) == {0, 2} and set(np.unique(back)) == {0, 1}
    # Turned to its left it shows the front on the picture's right and the back on the left.
    assert np.nonzero(side == 2)[1].mean() > np.nonzero(side == 1)[1].mean()


def test_edges_are_smooth_and_labels_name_what_covers_half_of_a_pixel() -> None:
    canvas = drawn(disc(0.5), (32.0, 22.0), (32.0, 42.0))
    light = canvas.picture[..., 0].astype(int)
    edge = (light > 100) & (light < 180)
    assert 30 < edge.sum() < 70  # a circle of 63 px
    assert (light[canvas.parts > 0] > 135).all() and (light[canvas.parts == 0] < 190).all()
    far = np.hypot(*(np.indices((64, 64)) + 0.5 - 32.0)) > 11.5
    np.testing.assert_array_equal(canvas.picture[far], GREY[far])


def test_moving_by_whole_pixels_moves_the_picture() -> None:
    paint = random_texture(rng(3), (200, 40, 40))
    stick = Shape(1.0, (-0.2, 0.2, -0.2, 1.2), capsule(1.0, 0.2, 0.1), paint, disc(1).label)
    a, b = drawn(stick, (20.3, 21.6), (33.1, 30.2)), drawn(stick, (27.3, 24.6), (40.1, 33.2))
    np.testing.assert_array_equal(np.roll(a.picture, (3, 7), (0, 1)), b.picture)
    np.testing.assert_array_equal(np.roll(a.parts, (3, 7), (0, 1)), b.parts)


@pytest.mark.parametrize("place", [(-30.0, 32.0), (32.0, 95.0), (94.0, -40.0), (0.0, 0.0), (64.0, 63.5)])
def test_what_lies_outside_of_the_picture_is_cut_off(place: tuple[float, float]) -> None:
    canvas = drawn(disc(0.5), (place[0], place[1] - 10), (place[0], place[1] + 10))
    rows, columns = np.indices((64, 64)) + 0.5
    expected = np.hypot(columns - place[0], rows - place[1]) < 10
    assert np.abs((canvas.parts > 0).astype(int) - expected).sum() <= 12


def test_a_shadow_darkens_and_belongs_to_nobody() -> None:
    canvas = Canvas(GREY)
    shadow(canvas, 32.0, 50.0, 14.0)
    assert not canvas.parts.any()
    assert (canvas.picture <= GREY).all() and canvas.picture[50, 32, 0] < 60
    np.testing.assert_array_equal(canvas.picture[:44], GREY[:44])
    shadow(canvas, -100.0, 80.0, 14.0)  # outside


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_are_pure_and_all_but_plain_have_contrast(pattern: str) -> None:
    y, x = np.indices((40, 40)) / 100
    for seed in range(4):
        first, again = (random_texture(rng(seed), (210, 60, 60), pattern=pattern)(x, y) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert first.shape == (40, 40, 3) and first.min() >= 0 and first.max() <= 255
        assert (np.ptp(first.sum(-1)) > 50) == (pattern != "plain")


def test_hues_are_those_of_the_colour_wheel() -> None:
    assert [hsv(h / 6, 1, 1) for h in range(6)] == [
        (255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255),
    ]  # fmt: skip
    assert hsv(0.3, 0.0, 0.5) == (127.5, 127.5, 127.5)


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_backgrounds_are_pure_and_the_same_at_every_size(kind: str) -> None:
    small, again = (draw_background(rng(5), 96, 96, floor=0.88, kind=kind) for _ in range(2))
    np.testing.assert_array_equal(small, again)
    large = draw_background(rng(5), 192, 192, floor=0.88, kind=kind).reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - large).mean() < 5.0
    other = draw_background(rng(6), 96, 96, floor=0.88, kind=kind)
    assert np.abs(small.astype(int) - other).mean() > 8.0
    assert draw_background(rng(5), 64, 40, floor=0.88, kind=kind).shape == (64, 40, 3)
