"""The frames a contact sheet will show, picked as they come, so that a long video costs no more than a short one."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from musedance.media.contact_sheet import MAX_CELLS, contact_sheet

THUMBNAIL = (512, 512)  # pixels, at most


class Preview(Sequence[Image.Image]):
    """Stands for all frames of a video, but keeps thumbnails only of the ones `contact_sheet` shows.

    These are the first beat, or else the first frame, of each of up to 48 runs of equal length, and frame 0.

    Args:
        num_frames: of the whole video.
    """

    def __init__(self, num_frames: int) -> None:
        cells = min(num_frames, MAX_CELLS)
        self._first = [num_frames * cell // cells for cell in range(cells)]
        self._kept: dict[int, Image.Image] = {}
        self._beats: list[bool] = []
        self._cell, self._cell_frame = -1, -1

    def add(self, frames: np.ndarray, beats: np.ndarray) -> None:
        """The next frames, (n, H, W, 3) uint8, and their beats, (n,) of 0 and 1."""
        for frame, beat in zip(frames, beats.astype(bool).tolist(), strict=True):
            index = len(self._beats)
            self._beats.append(beat)
            if self._cell + 1 < len(self._first) and index == self._first[self._cell + 1]:
                self._cell += 1
            elif not beat or self._beats[self._cell_frame]:
                continue
            elif self._cell_frame > 0:  # the sheet asks the very first frame for the video's shape
                del self._kept[self._cell_frame]
            self._cell_frame = index
            self._kept[index] = Image.fromarray(frame)
            self._kept[index].thumbnail(THUMBNAIL)

    def draw(self, start: float, fps: float, title: str) -> Image.Image:
        """The sheet; `start` is the music's time at the first frame, in seconds."""
        return contact_sheet(self, [start + i / fps for i in range(len(self))], self._beats, title)

    def __len__(self) -> int:
        return len(self._beats)

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]
        return self._kept[index]
