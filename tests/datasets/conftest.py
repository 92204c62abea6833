"""A small real dataset folder. Every picture says which clip it is of and which frame it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from musedance.conditions.densepose import draw_densepose
from musedance.datasets.clip import Clip, Span
from musedance.datasets.folder import write_dataset
from musedance.media.lossless import write_lossless
from musedance.media.video_writer import VideoWriter

SIDE, FRAMES, FPS, RATE = 64, 50, 12, 16000
SOURCES = ("alpha", "alpha", "alpha", "beta", "beta", "gamma", "delta", "delta")  # of clip-00 to clip-07
BPM = {"alpha": 120, "beta": 100, "gamma": 90, "delta": 140}
WITH_DENSEPOSE, WITH_TRUTH = (0, 1, 3, 6), (0, 6)
ROW, BITS = SIDE // 4, 8


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of 50 frames of 64 x 64 at 12 fps, `clip-00` to `clip-07`; not to be changed.

    Three sources with tracks of their own in train (three, two and one clips, three seconds apart in source and
    track), one with two clips in validation. Clips 0, 1, 3 and 6 have DensePose, 0 and 6 truth, 0 and 6 a timeline of
    two spans. The music clicks on each beat.
    """
    folder = tmp_path_factory.mktemp("dataset")
    clips = [_make_clip(folder, number) for number in range(len(SOURCES))]
    write_dataset(folder, {"name": "blocks", "license": "CC0-1.0", "description": "moving blocks"}, clips)
    return folder


@pytest.fixture
def dataset_copy(dataset_folder: Path, tmp_path: Path) -> Path:
    """A copy of `dataset_folder` that may be changed."""
    return shutil.copytree(dataset_folder, tmp_path / "copy")


@pytest.fixture(scope="session")
def read_index() -> Callable[[np.ndarray], tuple[int, int]]:
    """Reads (number of the clip, index of the frame) back from a picture (H, W, 3) of any size, also a resized one."""

    def read(picture: np.ndarray) -> tuple[int, int]:
        height, width = picture.shape[0], picture.shape[1]
        centres = [round((bit + 0.5) * width / BITS) for bit in range(BITS)]
        rows = [picture[round(height * place), centres].mean(axis=-1) > 127 for place in (0.875, 0.125)]
        number, index = (sum(int(on) << bit for bit, on in enumerate(row)) for row in rows)
        return number, index

    return read


def _make_clip(folder: Path, number: int) -> Clip:
    source = SOURCES[number]
    split = "validation" if source == "delta" else "train"
    start = 3.0 * SOURCES[:number].count(source)
    name = f"clip-{number:02d}"
    beats = np.arange(0.25, 12, 60 / BPM[source])
    for part in ("clips", "densepose", "truth"):
        (folder / split / part).mkdir(parents=True, exist_ok=True)
    video = folder / split / "clips" / f"{name}.mp4"
    with VideoWriter(video, fps=FPS, height=SIDE, width=SIDE, audio_rate=RATE, audio_channels=1) as writer:
        frames = np.stack([_draw(number, index) for index in range(FRAMES)])
        writer.write(frames, _clicks(beats - start, round(FRAMES / FPS * RATE)))
    if number in WITH_DENSEPOSE:
        labels = np.stack([_labels(index) for index in range(FRAMES)])
        write_lossless(folder / split / "densepose" / f"{name}.mp4", draw_densepose(labels), FPS)
    if number in WITH_TRUTH:
        truth = {
            "joints": np.random.default_rng(number).uniform(0, SIDE, (FRAMES, 15, 2)).astype(np.float32),
            "visible": np.ones((FRAMES, 15), np.uint8),
        }
        save_file(truth, folder / split / "truth" / f"{name}.safetensors")
    caption = f"A block moves to the right, then number {number} stops."
    halves = (Span(0, 2, "A block moves to the right."), Span(2, FRAMES / FPS, f"Number {number} stops."))
    return Clip(
        file_name=f"clips/{name}.mp4",
        id=name,
        split=split,
        source=source,
        track=f"track-{source}",
        source_start=start,
        track_start=start,
        beats=tuple(beats.tolist()),
        num_frames=FRAMES,
        fps=FPS,
        width=SIDE,
        height=SIDE,
        caption=caption,
        timeline=halves if number in WITH_TRUTH else (Span(0, FRAMES / FPS, caption),),
        densepose=f"densepose/{name}.mp4" if number in WITH_DENSEPOSE else "",
        truth=f"truth/{name}.safetensors" if number in WITH_TRUTH else "",
    )


def _draw(number: int, index: int) -> np.ndarray:
    """A coloured block that moves; above it the bits of the frame's index, below those of the clip's number."""
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    for value, top in ((index, 0), (number, SIDE - ROW)):
        row = [255 * (value >> bit & 1) for bit in range(BITS)]
        picture[top : top + ROW] = np.repeat(np.uint8(row), SIDE // BITS)[None, :, None]
    colour = (40 + 27 * number, 200, 240 - 27 * number)
    picture[ROW + 8 : SIDE - ROW - 8, index : index + 14] = colour
    return picture


def _labels(index: int) -> np.ndarray:
    """The block's DensePose: stripes of parts 1 to 14."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[ROW + 8 : SIDE - ROW - 8, index : index + 14] = np.arange(1, 15)
    return labels


def _clicks(times: np.ndarray, count: int) -> np.ndarray:
    """(1, count) samples with a short noise at each time, seconds."""
    samples = 0.02 * np.sin(2 * np.pi * 220 * np.arange(count) / RATE)
    noise = 0.6 * np.random.default_rng(0).uniform(-1, 1, RATE // 50) * np.linspace(1, 0, RATE // 50)
    for first in np.round(times * RATE).astype(int):
        if 0 <= first < count - len(noise):
            samples[first : first + len(noise)] += noise
    return samples[None].astype(np.float32)
