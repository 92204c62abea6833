"""Long videos: drift and seams."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musedance.media.diagram import BLUE, HEIGHT, MARGIN, ORANGE, WIDTH
from musedance.proof.length import draw_length, length_curves, length_findings
from musedance.puppets.performance import World, perform
from tests.metrics.conftest import draw_dance, tinted

FPS, K = 12.0, 12
CURVES = {"identity", "identity/true", "colour", "colour/true"}
SOURCES = {f"clip{k}": f"source{k}" for k in range(3)}


@pytest.fixture(scope="module")
def true() -> dict[str, np.ndarray]:
    """Three dances of 4 s, 64 x 64."""
    world = World(seed=3, width=64, height=64)
    return {f"clip{k}": draw_dance(perform(world, k), f"t{k}").frames for k in range(3)}


@pytest.fixture(scope="module")
def pictures(true: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: frames[0] for name, frames in true.items()}


def test_what_drifts_is_told_from_what_does_not(true: dict, pictures: dict) -> None:
    drifting = {name: tinted(frames, 60) for name, frames in true.items()}
    identity, colour, seam = length_findings(drifting, pictures, true, SOURCES, FPS, K)
    assert identity.claim == "length" and identity.n == colour.n == seam.n == 3
    assert colour.truth is not None and identity.truth is not None
    assert colour.value > colour.truth + 3 and identity.value > identity.truth + 0.02
    assert abs(colour.truth) < 2
    same = length_findings(true, pictures, true, SOURCES, FPS, K)
    assert [found.value for found in same] == pytest.approx([found.truth for found in same])


def test_a_jump_at_every_seam_is_seen(true: dict, pictures: dict) -> None:
    """Every second segment is lighter."""
    jumping = {name: frames.copy() for name, frames in true.items()}
    for frames in jumping.values():
        for first in range(K, len(frames), 2 * K):
            frames[first : first + K] = np.minimum(frames[first : first + K].astype(int) + 40, 255)
    *_, seam = length_findings(jumping, pictures, true, SOURCES, FPS, K)
    assert seam.truth is not None and seam.value > 3 * seam.truth
    *_, elsewhere = length_findings(jumping, pictures, true, SOURCES, FPS, K - 1)
    assert elsewhere.value < seam.value / 2


def test_a_seam_without_any_change_counts_as_such(true: dict, pictures: dict) -> None:
    held = {name: frames.copy() for name, frames in true.items()}
    for frames in held.values():
        for first in range(K, len(frames), K):
            frames[first] = frames[first - 1]
    *_, seam = length_findings(held, pictures, true, SOURCES, FPS, K)
    assert seam.value == 0 and seam.n == 3


def test_curves_have_a_value_for_each_second(true: dict, pictures: dict) -> None:
    curves = length_curves({name: tinted(frames, 60) for name, frames in true.items()}, pictures, true, FPS)
    assert set(curves) == CURVES and {len(curve) for curve in curves.values()} == {4}
    assert (np.diff(curves["colour"]) > 0).all()
    assert curves["colour"][-1] > curves["colour/true"][-1] + 5
    assert length_curves(true, pictures, true, FPS)["identity"] == curves["identity/true"]


def test_the_curves_are_drawn_where_they_belong(tmp_path: Path) -> None:
    """What grows ends at the top of its half; what stays at zero lies at the bottom."""
    curves = {name: [0.0, 0.0] for name in CURVES} | {"colour": [0.0, 10.0], "identity/true": [0.0, 1.0]}
    draw_length(curves, tmp_path / "length.png")
    picture = np.asarray(Image.open(tmp_path / "length.png"))
    assert picture.shape == (HEIGHT, 2 * WIDTH, 3)
    lines = picture[MARGIN[1] :]  # below the names
    for half, grows, stays in ((lines[:, :WIDTH], ORANGE, BLUE), (lines[:, WIDTH:], BLUE, ORANGE)):
        rising, flat = (np.nonzero((half == colour).all(-1))[0] for colour in (grows, stays))
        assert np.ptp(rising) > 0.8 * (HEIGHT - MARGIN[1] - MARGIN[3])
        assert flat.size and np.ptp(flat) <= 2
