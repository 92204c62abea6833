"""Pictures that must come back bit for bit, such as masks whose colours are labels."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from musedance.files import appearing

# Of 48 masks of 128 x 128: all key frames 216 kB, one in 8 163 kB, one in 250 156 kB; the last frame of 8 is read
# within a millisecond of a key frame, of 250 in 6 ms.
KEY_FRAME_INTERVAL = 8


def write_lossless(path: str | Path, frames: np.ndarray, fps: float | Fraction) -> None:
    """Write (n, H, W, 3) uint8 RGB as lossless H.264 in RGB (mp4, no sound); `VideoReader` gives the same bits back.

    Sides may be odd. The file appears whole or not at all, and replaces what was at `path`.

    Raises ValueError for frames of another kind or none, OSError if the file cannot be written.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"frames must be (n, H, W, 3) uint8 with n above 0, not {frames.shape} {frames.dtype}")
    rate = Fraction(fps).limit_denominator(1001)
    settings = {"crf": "0", "g": str(KEY_FRAME_INTERVAL)}
    with appearing(Path(path).absolute()) as temporary:
        with av.open(str(temporary), "w", format="mp4", container_options={"movflags": "+faststart"}) as container:
            stream = container.add_stream(
                "libx264rgb", rate=rate, width=frames.shape[2], height=frames.shape[1], options=settings
            )
            stream.pix_fmt = "rgb24"
            stream.codec_context.time_base = 1 / rate
            for number, frame in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                picture.pts, picture.time_base = number, 1 / rate
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
