"""The small pictures of a clip that the dataset page shows."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from musedance.conditions.beats import beats_to_frames
from musedance.conditions.densepose import PART_COLOURS, read_densepose_labels
from musedance.datasets.clip import Clip
from musedance.datasets.folder import Dataset
from musedance.media.audio import read_audio
from musedance.media.video import VideoReader

STRIP_WIDTH, POSTER_SIDE = 1120, 240  # pixels
MIN_CELLS, MAX_CELLS = 8, 20
LOUDNESS_STEPS = 280


@dataclass(frozen=True)
class Cell:
    """A frame on the strip: its index, and whether it has a beat. Cell k of n stands for the k-th n-th of the clip."""

    frame: int
    is_beat: bool


@dataclass(frozen=True)
class ClipPictures:
    """What is drawn of a clip; `densepose` is empty if it has none, `loudness` is in [0, 1], equal steps of time."""

    cells: list[Cell]
    poster: bytes  # JPEG
    strip: bytes  # JPEG
    densepose: bytes  # PNG
    loudness: list[float]


def draw_pictures(dataset: Dataset, clip: Clip) -> ClipPictures:
    """Read and draw a clip. InputError if it cannot be read."""
    cells = choose_cells(clip)
    numbers = [cell.frame for cell in cells]
    width = STRIP_WIDTH // len(cells)
    size = (width, max(1, round(width * clip.height / clip.width)))
    with dataset.open(clip) as file:
        with VideoReader(file) as reader:
            frames = reader.frames_at(_times(clip, numbers), max_side=max(size))
            poster = reader.frames_at([0.0], max_side=POSTER_SIDE)[0]
        file.seek(0)
        samples = read_audio(file).mono(16000)
    strip = _row([Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames])
    return ClipPictures(
        cells=cells,
        poster=_encoded(Image.fromarray(poster), "JPEG", quality=80),
        strip=_encoded(strip, "JPEG", quality=72),
        densepose=_densepose_strip(dataset, clip, numbers, size) if clip.densepose else b"",
        loudness=_loudness(samples),
    )


def choose_cells(clip: Clip) -> list[Cell]:
    """Frames evenly over the clip, fewer where they are wide; a run that has a beat is shown by its first."""
    beats = beats_to_frames(np.asarray(clip.beats), clip.track_start, clip.num_frames, clip.fps)
    count = min(max(MIN_CELLS, round(14 * clip.height / clip.width)), MAX_CELLS, clip.num_frames)
    edges = [clip.num_frames * cell // count for cell in range(count + 1)]
    cells = []
    for start, end in itertools.pairwise(edges):
        with_beat = start + np.flatnonzero(beats[start:end])
        cells.append(Cell(int(with_beat[0]) if len(with_beat) else start, bool(len(with_beat))))
    return cells


def _times(clip: Clip, numbers: Sequence[int]) -> list[float]:
    """The middle of each frame, seconds."""
    return [(number + 0.5) / clip.fps for number in numbers]


def _densepose_strip(dataset: Dataset, clip: Clip, numbers: Sequence[int], size: tuple[int, int]) -> bytes:
    with dataset.open(clip, "densepose") as file, VideoReader(file) as reader:
        frames = reader.frames_at(_times(clip, numbers))
    row = _row([Image.fromarray(frame).resize(size, Image.Resampling.NEAREST) for frame in frames])
    labels = Image.fromarray(read_densepose_labels(np.asarray(row)))
    labels.putpalette(PART_COLOURS.tobytes())
    return _encoded(labels, "PNG", optimize=True)


def _row(pictures: Sequence[Image.Image]) -> Image.Image:
    width, height = pictures[0].size
    row = Image.new("RGB", (width * len(pictures), height))
    for number, picture in enumerate(pictures):
        row.paste(picture, (number * width, 0))
    return row


def _encoded(picture: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _loudness(samples: np.ndarray) -> list[float]:
    """The peak of each step, relative to the loudest."""
    peaks = [float(np.abs(step).max(initial=0)) for step in np.array_split(samples, LOUDNESS_STEPS)]
    return [peak / (max(peaks) or 1) for peak in peaks]
