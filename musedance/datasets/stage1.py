"""Stage 1 samples: two frames of a clip, one to look at and one to make (section 3.2 of the paper)."""

from typing import Any

import numpy as np
import torch

from musedance.datasets.clip import Clip
from musedance.datasets.samples import ClipSamples
from musedance.datasets.window_text import window_text
from musedance.errors import InputError

WINDOW = 12  # frames, one second


def draw_pair(num_frames: int, window: int, generator: np.random.Generator) -> tuple[int, int]:
    """Draw the reference frame i from (w, N - w) and the target frame j != i from (i - w, i + w), all open intervals.

    Args:
        num_frames: N.
        window: w.
        generator: where the numbers come from.

    Returns:
        i and j, counted from 0.

    Raises:
        InputError: there is no such pair, since N < 2 w + 2 or w < 2.
    """
    if window < 2 or num_frames < 2 * window + 2:
        raise InputError(f"{num_frames} frames hold no pair with window {window}: that takes {2 * max(window, 2) + 2}")
    i = int(generator.integers(window + 1, num_frames - window))
    offset = int(generator.integers(1, window)) * (1 if generator.random() < 0.5 else -1)
    return i, i + offset


class Stage1Samples(ClipSamples):
    """Pairs of frames. `window` is the paper's w, in frames; for the rest see `ClipSamples`."""

    def __init__(self, *args: Any, window: int = WINDOW, **kwargs: Any) -> None:
        if window < 2:
            raise InputError(f"the window of stage 1 has at least 2 frames, not {window}")
        self.window = window
        super().__init__(*args, **kwargs)

    @property
    def min_frames(self) -> int:
        return 2 * self.window + 2

    def read(self, clip: Clip, generator: np.random.Generator) -> dict[str, Any]:
        i, j = draw_pair(clip.num_frames, self.window, generator)
        if clip.source in self.portraits:
            shown, i = self.draw_portrait(clip, generator)
            reference, target = self.reader.pictures(shown, [i])[0], self.reader.pictures(clip, [j])[0]
        else:
            shown = clip
            reference, target = self.reader.pictures(clip, [i, j])
        densepose = self.reader.densepose(shown, i)
        nothing = torch.zeros(*self.reader.spec.canvas(clip), 3, dtype=torch.uint8)
        return {
            "target": target,
            "reference": reference,
            "has_densepose": densepose is not None,
            "densepose": nothing if densepose is None else densepose,
            "text": self.reader.text(clip, window_text(clip, j, 1)),
        }
