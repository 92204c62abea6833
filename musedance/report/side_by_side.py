"""A small video with sound for a page: the reference, what was generated from it and the true video, in a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from musedance.media.audio import Audio
from musedance.media.video_writer import VideoWriter

Item = TypeVar("Item")

SOUND_RATE = 16000  # Hz, mono: 4 s take 50 kB
LABEL = 20  # height of the line over a picture
GAP = 4
TEXT_SIZE = 13
BACKGROUND, INK = (20, 22, 27), (226, 226, 226)
DIMMED = 0.35  # of the brightness, for a video that is over


@dataclass(frozen=True)
class SideBySide:
    """What the page shows of one video.

    Attributes:
        id: the same as in the report's rows.
        prompt: may be empty.
        facts: short remarks, such as "waltz" or "12 fps".
        video: an mp4 as `compose` writes it, or where it lies.
        scores: a short line.
    """

    id: str
    prompt: str
    facts: tuple[str, ...]
    video: bytes | Path
    scores: str = ""


def spread_evenly(items: Sequence[Item], count: int) -> list[Item]:
    """Up to `count` of the items in their order: the first, the last and evenly between, whatever they score."""
    if count >= len(items):
        return list(items)
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, count)]


def compose(
    path: Path,
    reference: np.ndarray,
    generated: np.ndarray,
    true: np.ndarray | None,
    fps: float,
    audio: Audio | None,
    height: int = 192,
    name: str = "generated",
) -> None:
    """Write an mp4 as long as the longer of the two videos; the shorter one holds its last frame, dimmed.

    Args:
        path: of the mp4.
        reference: `(H, W, 3)` uint8.
        generated: `(n, H, W, 3)` uint8, n at least 1. Its shape is that of all three cells, into which the others are
            fitted.
        true: `(m, H, W, 3)` uint8, m at least 1; any size.
        fps: frames per second of both.
        audio: heard from the first frame on; silence if there is none, and after its end.
        height: of the pictures, in pixels, even.
        name: what stands over the generated video.
    """
    width = max(2, 2 * round(height * generated.shape[2] / generated.shape[1] / 2))
    videos = [("reference", reference[None]), (name, generated)]
    videos += [("ground truth", true)] if true is not None else []
    num_frames = max(len(frames) for _, frames in videos)
    canvas = _canvas([name for name, _ in videos], width, height)
    sound = (audio or Audio(np.zeros((1, 1), np.float32), SOUND_RATE)).cut(0, num_frames / fps).mono(SOUND_RATE)
    with VideoWriter(
        path, fps=fps, height=canvas.shape[0], width=canvas.shape[1], audio_rate=SOUND_RATE, audio_channels=1
    ) as writer:
        for number in range(num_frames):
            for place, (name, frames) in enumerate(videos):
                left = place * (width + GAP)
                picture = _fitted(frames[min(number, len(frames) - 1)], width, height)
                is_over = number >= len(frames) and name != "reference"
                canvas[LABEL:, left : left + width] = picture * DIMMED if is_over else picture
            first, last = (round(edge / fps * SOUND_RATE) for edge in (number, number + 1))
            writer.write(canvas[None], sound[None, first:last])


def _canvas(labels: Sequence[str], width: int, height: int) -> np.ndarray:
    """The picture without the videos: sides even, as the writer needs."""
    image = Image.new("RGB", (len(labels) * (width + GAP) - GAP, LABEL + height), BACKGROUND)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT_SIZE)
    for place, label in enumerate(labels):
        draw.text((place * (width + GAP) + 4, 2), label, INK, font)
    return np.array(image)


def _fitted(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """As large as fits, in the middle."""
    scale = min(width / frame.shape[1], height / frame.shape[0])
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    picture = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    cell = np.full((height, width, 3), BACKGROUND, np.uint8)
    cell[top : top + size[1], left : left + size[0]] = picture
    return cell
