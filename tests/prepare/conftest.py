"""Small videos with sound, made with real encoders."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

RATE = 16000  # Hz


def figure(box: tuple[float, float, float, float], size: tuple[int, int] = (160, 120)) -> np.ndarray:
    """A red box, x0, y0, x1, y1 in pixels, on a background of soft colours: (height, width, 3) uint8."""
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([60 + 0 * rows, 90 + rows * 60 // height, 140 + columns * 60 // width], axis=-1).astype(np.uint8)
    x0, y0, x1, y1 = (round(edge) for edge in box)
    picture[y0:y1, x0:x1] = (220, 30, 30)
    return picture


def sway(seconds: float, fps: float = 24, left: float = 40, reach: float = 30, **options: Any) -> list[np.ndarray]:
    """A box of 24 x 70, 30 below the top, that goes from `left` to `left + reach` and back once a second."""
    frames = []
    for time in np.arange(round(seconds * fps)) / fps:
        x = left + reach * (0.5 - 0.5 * np.cos(2 * np.pi * time))
        frames.append(figure((x, 30, x + 24, 100), **options))
    return frames


def song(seed: int, seconds: float) -> np.ndarray:
    """Eight notes a second of a melody that no other seed has, with a kick on every beat at 120 BPM: (n,) float32."""
    rng = np.random.default_rng(seed)
    samples = np.zeros(round(seconds * RATE) + RATE)
    time = np.arange(RATE // 2) / RATE
    for index in range(round(seconds * 8)):
        note = np.sin(2 * np.pi * 220 * 2 ** (rng.integers(0, 36) / 12) * time) * np.exp(-6 * time)
        kick = 2 * np.sin(2 * np.pi * 60 * time) * np.exp(-30 * time) if index % 4 == 0 else 0
        first = index * RATE // 8
        samples[first : first + len(time)] += 0.15 * (note + kick)
    return samples[: round(seconds * RATE)].astype(np.float32)


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    sound: np.ndarray | None,
    fps: float = 24,
    rate: int = RATE,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    **options: str,
) -> Path:
    """Encode frames, RGB, RGBA or planes of 4:2:0, and sound, (n,) float32; `options` are the video encoder's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        frames = list(frames)
        height, width = frames[0].shape[:2]
        height = height * 2 // 3 if frames[0].ndim == 2 else height
        settings = {"crf": "10", **options} if codec == "libx264" else options
        video: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=settings)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        audio: Any = None if sound is None else container.add_stream("aac", rate=rate, layout="mono")
        for frame in frames:
            form = "yuv420p" if frame.ndim == 2 else "rgba" if frame.shape[2] == 4 else "rgb24"
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format=form)))
        container.mux(video.encode(None))
        if sound is not None:
            piece = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None]), format="fltp", layout="mono")
            piece.sample_rate, piece.time_base, piece.pts = rate, Fraction(1, rate), 0
            container.mux(audio.encode(piece))
            container.mux(audio.encode(None))
    return path


class Studio:
    """What tests make videos with."""

    figure = staticmethod(figure)
    sway = staticmethod(sway)
    song = staticmethod(song)
    write = staticmethod(write_video)

    @staticmethod
    def dance(path: Path, seed: int, seconds: float = 4.0, **options: Any) -> Path:
        """A swaying figure with a song of its own."""
        return write_video(path, sway(seconds, **options), song(seed, seconds))


@pytest.fixture(scope="session")
def studio() -> Studio:
    """Makes small videos with sound."""
    return Studio()


@pytest.fixture(scope="session")
def listing() -> Callable[[Path], dict[str, tuple[int, bytes]]]:
    """Time and content of every file of a dataset folder, by its path; the lock aside."""

    def read(folder: Path) -> dict[str, tuple[int, bytes]]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    return read
