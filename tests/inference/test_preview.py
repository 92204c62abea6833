"""A contact sheet from frames that come in pieces is the one of all frames at once."""

import numpy as np
import pytest
from PIL import Image

from musedance.inference.preview import Preview
from musedance.media.contact_sheet import MAX_CELLS, contact_sheet


@pytest.mark.parametrize("count", [1, 7, 48, 49, 95, 240])
@pytest.mark.parametrize("beat_every", [1, 6, 1000])
def test_the_same_sheet_from_at_most_48_kept_frames(count: int, beat_every: int) -> None:
    rng = np.random.default_rng(count)
    frames = rng.integers(0, 255, (count, 16, 24, 3), np.uint8)
    beats = (np.arange(count) % beat_every == min(3, beat_every - 1)).astype(np.int64)
    preview = Preview(count)
    for first in range(0, count, 20):
        preview.add(frames[first : first + 20], beats[first : first + 20])
        assert len(preview._kept) <= MAX_CELLS + 1
    whole = contact_sheet([Image.fromarray(frame) for frame in frames], [2 + i / 12 for i in range(count)], beats, "x")
    assert preview.draw(2.0, 12, "x").tobytes() == whole.tobytes()


def test_large_frames_are_kept_small() -> None:
    preview = Preview(2)
    preview.add(np.zeros((2, 1024, 768, 3), np.uint8), np.zeros(2, np.int64))
    assert [image.size for image in preview._kept.values()] == [(384, 512)] * 2
