"""Video files to arrays: the picture on screen at any time, or all at any frame rate; upright, RGB."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal

import numpy as np
from av.video.frame import VideoFrame

from musedance.errors import InputError
from musedance.media.decord_backend import DecordDecoder
from musedance.media.video_decoder import PyAVDecoder
from musedance.media.video_file import source_name
from musedance.media.video_frame import FrameShape

Backend = Literal["pyav", "decord"]
TIME_TOLERANCE = 1e-3  # seconds; many containers round time stamps to milliseconds


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds, by its pictures rather than by its header.

    `width` and `height` are in pixels, of the upright picture with square pixels; `fps` is the average rate and
    `duration` the seconds from the first picture to the end of the last.
    """

    width: int
    height: int
    fps: Fraction
    is_constant_rate: bool
    num_frames: int
    duration: float
    codec: str
    has_audio: bool
    is_truncated: bool


def probe(source: str | Path) -> VideoInfo:
    """What a video file holds. Reads the whole file and decodes its first picture; InputError as `VideoReader`."""
    with VideoReader(source) as reader:
        return reader.info


class VideoReader:
    """Reads a video file, or a seekable binary stream; a context manager.

    Times are seconds from the first picture, as in `read_audio`: what an edit list hides does not count. Pictures are
    told apart by their time stamps to 1 ms. Whatever container, codec, bit depth, rotation and pixel aspect libav can
    read is read; transparency lies over white, interlaced pictures stay woven. The `backend` "decord" decodes with
    decord and refuses what that would read wrongly.

    `damaged_packets` counts the packets found unreadable so far. Raises InputError for what is not a video, is HDR,
    has more than 16384 pixels a side, holds no picture that can be decoded, ...
    """

    def __init__(self, source: str | Path | BinaryIO, backend: Backend = "pyav") -> None:
        if backend not in ("pyav", "decord"):
            raise InputError(f'the video backend must be "pyav" or "decord", not "{backend}"')
        self._name = source_name(source)
        self._file = PyAVDecoder(source)
        try:
            first = self._first_frame()
            stream, index = self._file.stream, self._file.index
            if stream.metadata.get("alpha_mode") == "1":  # of VP8 and VP9, whose decoders leave it out
                raise InputError(
                    f"{self._name} has transparency that cannot be read here: flatten it, or use ProRes 4444"
                )
            self._shape = FrameShape(first, stream.sample_aspect_ratio, self._name)
            self.info = VideoInfo(
                width=self._shape.width,
                height=self._shape.height,
                fps=self._average_rate(),
                is_constant_rate=index.is_constant_rate,
                num_frames=len(index.times),
                duration=index.duration,
                codec=stream.codec_context.codec.canonical_name,
                has_audio=self._file.has_audio,
                is_truncated=index.is_truncated,
            )
            self._decoder = DecordDecoder(source, self._file, first) if backend == "decord" else self._file
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def damaged_packets(self) -> int:
        """How many packets could not be decoded so far."""
        return len(self._file.damaged_packets)

    def frames_at(self, times: Sequence[float] | np.ndarray, *, max_side: int | None = None) -> np.ndarray:
        """The picture on screen at each of `times`: (n, H, W, 3) uint8 RGB.

        Times may come in any order and repeatedly; each picture is decoded once. With `max_side` pictures are reduced,
        never enlarged, so that neither side has more pixels.

        Raises InputError for a time outside the video, which ends just before its duration, and for a time whose
        picture is damaged: no other is shown in its place. Damage lasts until the next key frame; what the codec
        itself cannot notice (VP8 and VP9 have no checks at all) goes unnoticed.
        """
        wanted = np.asarray(times, np.float64)
        if wanted.ndim != 1:
            raise ValueError(f"times must be a list of seconds, not an array of shape {wanted.shape}")
        outside = ~((wanted >= -TIME_TOLERANCE) & (wanted < self.info.duration - 1e-6))
        if outside.any():
            raise InputError(
                f"{self._name} has no picture at {wanted[outside][0]} s: it lasts {self.info.duration:.3f} s"
            )
        numbers = self._on_screen(wanted + TIME_TOLERANCE)
        frames: np.ndarray | None = None
        for number in np.unique(numbers):
            picture = self._shape.rgb(self._decoder.frame(int(number)), max_side)
            if frames is None:
                frames = np.empty((len(numbers), *picture.shape), np.uint8)
            frames[numbers == number] = picture
        return np.empty((0, self.info.height, self.info.width, 3), np.uint8) if frames is None else frames

    def stream(
        self, fps: float | Fraction, start: float = 0.0, end: float | None = None, *, max_side: int | None = None
    ) -> Iterator[np.ndarray]:
        """The pictures from `start` to `end` (seconds; None is the end) at `fps` frames/s, each (H, W, 3) uint8 RGB.

        Frame k is what is on screen at start + k / fps + h, where h is half a frame: of the video's (by its usual
        frame time) or of the output's, whichever is shorter. Half a frame away from every change, rounded time stamps
        cannot turn a choice: a file that has the rate already comes back frame for frame, 24 to 12 takes each second
        frame, 12 to 24 shows each twice. There is a frame for every k for which that time lies before `end`.

        Holds a few frames however long the video is. Raises InputError at once for a span outside the video (by more
        than a frame), and on the way for a picture that is damaged, as `frames_at` does.
        """
        end = self.info.duration if end is None else end
        frame_time = self._file.index.frame_time
        if not (math.isfinite(fps) and fps > 0):
            raise InputError(f"frames per second must be above 0, not {fps}")
        if not (-TIME_TOLERANCE <= start < end <= self.info.duration + max(frame_time, TIME_TOLERANCE)):
            raise InputError(
                f"{self._name} lasts {self.info.duration:.3f} s: there is nothing from {start} s to {end} s"
            )
        half = min(frame_time, float(1 / fps)) / 2
        last = min(end, self.info.duration)
        count = max(0, math.ceil((last - start - half) * float(fps) - 1e-9))
        numbers = self._on_screen(start + np.arange(count) / float(fps) + half)
        return self._pictures(numbers, max_side)

    def _pictures(self, numbers: np.ndarray, max_side: int | None) -> Iterator[np.ndarray]:
        previous, picture = -1, np.empty(0, np.uint8)
        for number in numbers.tolist():
            if number != previous:
                previous, picture = number, self._shape.rgb(self._decoder.frame(number), max_side)
            yield picture.copy()

    def _on_screen(self, times: np.ndarray) -> np.ndarray:
        """(n,) seconds -> (n,) numbers of the pictures shown then."""
        return np.maximum(self._file.index.times.searchsorted(times, side="right") - 1, 0)

    def _first_frame(self) -> VideoFrame:
        """The first that can be decoded: the start of the file may be damaged."""
        _, numbers = np.unique(self._file.index.starts, return_index=True)  # one for each key frame
        for number in numbers.tolist():
            try:
                return self._file.frame(number)
            except InputError as error:
                reason = error
        raise InputError(f"nothing of {self._name} can be decoded: {reason}")

    def _average_rate(self) -> Fraction:
        """What the header says if the pictures agree (30000/1001, say), else their own average."""
        index = self._file.index
        measured = len(index.times) / index.duration
        stated = self._file.stream.average_rate or 0
        tolerance = (0.5 / len(index.times) + 1e-3) * measured
        return Fraction(stated if abs(stated - measured) < tolerance else measured).limit_denominator(10**6)
