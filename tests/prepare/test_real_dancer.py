"""A real video, whose dancer's box was drawn by hand (see the samples' README)."""

from pathlib import Path

import numpy as np
import pytest

from musedance.media.video import VideoReader
from musedance.prepare.cropping import DancerCrop
from musedance.prepare.cutting import SceneCuts
from musedance.prepare.motion import MovingDancer

SAMPLE = Path(__file__).resolve().parents[2] / ".." / "shared" / "samples" / "dance_real_24fps.mp4"
FIRST, MIDDLE, WHOLE = (30, 180, 1078, 1850), (240, 275, 900, 1825), (0, 150, 1080, 1880)
pytestmark = pytest.mark.skipif(not SAMPLE.is_file(), reason="no samples")


def overlap(box: np.ndarray, drawn: tuple[int, ...]) -> float:
    """Intersection over union."""
    one, other = np.asarray(box, np.float64), np.asarray(drawn, np.float64)
    inner = np.prod((np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])).clip(0))
    return float(inner / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - inner))


def test_found_without_weights_and_cropped_around() -> None:
    with VideoReader(SAMPLE) as video:
        (shot,) = SceneCuts().shots(video)  # one shot, whatever its subtitles do
        dancer = MovingDancer().find(video, shot)
    first, middle = dancer.at(np.array([0.0, 6.0]))
    assert overlap(first, FIRST) > 0.5
    assert overlap(middle, MIDDLE) > 0.5
    boxes = dancer.at(np.arange(144) / 12)
    assert overlap(np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)]), WHOLE) > 0.8
    for shape in ("auto", "square", "portrait"):
        for start in (0.0, 50 / 12):
            crop = DancerCrop(640, shape, 320).crop(1080, 1920, dancer.at(start + np.arange(50) / 12))
            box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
            assert overlap(np.array(box), WHOLE) > (0.9 if shape != "square" else 0.5)
