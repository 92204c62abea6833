"""Videos whose every frame carries its own number, so that tests read back which frame they were given."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

COLUMNS, ROWS = 4, 2  # cells of the picture, one for each bit
DARK, BRIGHT = 50, 200


class Numbered:
    """Draws, writes and reads numbered frames."""

    @staticmethod
    def draw(number: int, height: int = 64, width: int = 96) -> np.ndarray:
        """The bits of 0..255 as dark and bright cells, over noise that moves (so that encoders use B-frames)."""
        noise = np.random.default_rng(0).integers(-30, 31, (height, width, 3))
        picture = np.roll(noise, (2 * number, 3 * number), (0, 1)) + DARK
        for bit in range(COLUMNS * ROWS):
            row, column = divmod(bit, COLUMNS)
            if number >> bit & 1:
                cell = np.s_[row * height // ROWS : (row + 1) * height // ROWS,
                             column * width // COLUMNS : (column + 1) * width // COLUMNS]  # fmt: skip
                picture[cell] += BRIGHT - DARK
        return picture.astype(np.uint8)

    @staticmethod
    def read(frame: np.ndarray) -> int:
        """The number on a frame (H, W, 3) of any size."""
        height, width = frame.shape[:2]
        grey = frame.mean(axis=2)
        number = 0
        for bit in range(COLUMNS * ROWS):
            y, x = (bit // COLUMNS + 0.5) * height / ROWS, (bit % COLUMNS + 0.5) * width / COLUMNS
            dy, dx = max(1, height // 16), max(1, width // 32)
            cell = grey[int(y) - dy : int(y) + dy, int(x) - dx : int(x) + dx]
            assert min(abs(cell.mean() - DARK), abs(cell.mean() - BRIGHT)) < 50, "no number on this frame"
            number |= int(cell.mean() > (DARK + BRIGHT) / 2) << bit
        return number

    @classmethod
    def write(
        cls,
        path: Path,
        codec: str = "libx264",
        *,
        count: int = 48,
        fps: Fraction | int = 24,
        times: Sequence[float] | None = None,
        start: Fraction | int = 0,
        size: tuple[int, int] = (64, 96),
        pix_fmt: str = "yuv420p",
        options: dict[str, str] | None = None,
        muxing: dict[str, str] | None = None,
        change: Callable[[VideoStream], Any] = lambda stream: None,
        picture: Callable[[int], np.ndarray] | None = None,
        sound: np.ndarray | None = None,
        sound_start: float = 0.0,
    ) -> Path:
        """Encode frames 0, 1, ... (or `picture` of them), at `times` (seconds) or evenly, from `start` on.

        `size` is (height, width); `sound` is mono at 48 kHz, from `sound_start` seconds on.
        """
        height, width = size
        unit = Fraction(1, 90000) if times is not None else 1 / Fraction(fps)
        with av.open(str(path), "w", container_options=muxing or {}) as container:
            stream = container.add_stream(codec, rate=fps, width=width, height=height, options=options or {})
            stream.pix_fmt, stream.codec_context.time_base = pix_fmt, unit
            change(stream)
            if sound is not None:
                audio = container.add_stream("aac", rate=48000, layout="mono")
            for number in range(count):
                drawn = np.ascontiguousarray(picture(number) if picture else cls.draw(number, height, width))
                frame = av.VideoFrame.from_ndarray(drawn, format="rgba" if drawn.shape[2] == 4 else "rgb24")
                time = Fraction(times[number]) if times is not None else number / Fraction(fps)
                frame = frame.reformat(format=pix_fmt)
                frame.pts, frame.time_base = round((time + start) / unit), unit
                container.mux(stream.encode(frame))
            if sound is not None:
                samples = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
                samples.sample_rate, samples.time_base = 48000, Fraction(1, 48000)
                samples.pts = round(sound_start * 48000)
                container.mux(audio.encode(samples))
                container.mux(audio.encode(None))
            container.mux(stream.encode(None))
        return path

    @staticmethod
    def cut(source: Path, path: Path, start: Fraction) -> Path:
        """What `ffmpeg -ss START -i SOURCE -c copy PATH` makes: from the key frame before, hidden by an edit list."""
        with av.open(str(source)) as before, av.open(str(path), "w") as after:
            stream = before.streams.video[0]
            copy = after.add_stream_from_template(stream)
            assert stream.time_base is not None
            shift = round(start / stream.time_base)
            before.seek(shift, stream=stream)
            for packet in before.demux(stream):
                if packet.pts is not None and packet.dts is not None:
                    packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                    after.mux(packet)
        return path


@pytest.fixture(scope="session")
def numbered() -> Numbered:
    """Makes and reads videos of numbered frames."""
    return Numbered()
