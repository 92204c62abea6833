"""Frames and sound, as they come, into one mp4 file (H.264 + AAC)."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
import soxr
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace

from musedance.errors import InputError

BT709 = 1  # the same number for matrix, primaries and transfer (ITU-T H.273)
LIMITED_RANGE = 1
FALLBACK_AUDIO_RATE = 48000  # for sound at a rate that AAC does not know
AUDIO_BIT_RATE = 192_000
MAX_AAC_BITS_PER_SAMPLE = 6  # 6144 bits for a block of 1024 samples, per channel (ISO/IEC 14496-3)


class VideoWriter:
    """Writes `path` piece by piece; memory does not grow with the length of the video.

    A context manager. Everything goes to a temporary file in the same folder, which takes the name `path` when the
    block ends well. After any error, an interrupt included, it is removed and whatever was at `path` is untouched.

    `fps` is in frames per second, `height` and `width` in pixels (even, as 4:2:0 needs), `audio_rate` in Hz (sound at a
    rate that AAC does not know is resampled), `audio_channels` 1 or 2. `preset` is libx264's: "veryfast" takes half the
    time of "medium" for small frames. On one machine the same frames and sound give the same bytes.

    Raises InputError if `path` cannot be the name of a video, OSError if the disk is full or cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: float | Fraction,
        height: int,
        width: int,
        audio_rate: int,
        audio_channels: int,
        preset: str = "medium",
    ) -> None:
        self.path = Path(path).absolute()
        _check_output_path(self.path)
        if min(height, width) <= 0 or height % 2 or width % 2:
            raise ValueError(f"frames must have even sides above 0, not {width} x {height}")
        if fps <= 0 or audio_rate <= 0 or audio_channels not in (1, 2):
            raise ValueError(f"cannot write {fps} frames/s with {audio_channels} channels at {audio_rate} Hz")
        self.fps = Fraction(fps).limit_denominator(1001)
        self.height, self.width = height, width
        self.audio_rate, self.audio_channels = audio_rate, audio_channels
        self.preset = preset
        self._layout = "mono" if audio_channels == 1 else "stereo"
        self._frames_written = 0
        self._samples_received = 0  # at audio_rate
        self._samples_encoded = 0  # at the file's rate
        self._is_open = False

    def __enter__(self) -> "VideoWriter":
        # No part of `path`'s own name, which may be as long as the file system allows.
        self._temporary = self.path.with_name(f".musedance-{secrets.token_hex(8)}.mp4")
        try:
            with _clear_disk_errors(self.path):
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with _clear_disk_errors(self.path):
                    self._finish()
        finally:
            self._discard()  # finds nothing after success

    def write(self, frames: np.ndarray, audio: np.ndarray) -> None:
        """Append `frames`, (n, height, width, 3) uint8 RGB, and `audio`, (channels, samples) float32 in [-1, 1].

        Either may be empty; what belongs together should arrive together, so that little has to wait in memory.
        """
        if not self._is_open:
            raise RuntimeError("VideoWriter writes inside its with-block only")
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (self.height, self.width, 3):
            expected = f"(n, {self.height}, {self.width}, 3) uint8"
            raise ValueError(f"frames must be {expected}, not {frames.shape} {frames.dtype}")
        if audio.dtype != np.float32 or audio.ndim != 2 or audio.shape[0] != self.audio_channels:
            expected = f"({self.audio_channels}, samples) float32"
            raise ValueError(f"audio must be {expected}, not {audio.shape} {audio.dtype}")
        if not np.isfinite(audio).all():
            raise ValueError("audio holds samples that are not finite")
        with _clear_disk_errors(self.path):
            for frame in frames:
                self._encode_frame(frame)
            self._encode_audio(audio)

    def _open(self) -> None:
        options = {"movflags": "+faststart"}  # the index in front, so that players can start before they have it all
        self._container: OutputContainer = av.open(str(self._temporary), "w", format="mp4", container_options=options)
        self._is_open = True
        # Of frames some 100 pixels wide, x264's macroblock tree makes other files now and then, from the same frames.
        settings = {"crf": "18", "preset": self.preset, "x264-params": "mbtree=0"}
        self._video = self._container.add_stream(
            "libx264", rate=self.fps, width=self.width, height=self.height, options=settings
        )
        self._video.pix_fmt = "yuv420p"
        context = self._video.codec_context
        context.time_base = 1 / self.fps
        # Untagged HD video is shown as BT.709 by some players and as BT.601 by others.
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE

        known_rates = av.Codec("aac", "w").audio_rates or []
        rate = self.audio_rate if self.audio_rate in known_rates else FALLBACK_AUDIO_RATE
        bit_rate = min(AUDIO_BIT_RATE, MAX_AAC_BITS_PER_SAMPLE * rate * self.audio_channels)
        self._audio = self._container.add_stream("aac", rate=rate, layout=self._layout, bit_rate=bit_rate)
        self._resampler = None
        if rate != self.audio_rate:
            self._resampler = soxr.ResampleStream(self.audio_rate, rate, self.audio_channels, dtype="float32")
        self._container.start_encoding()  # opens encoders and file, so that what cannot work fails here

    def _encode_frame(self, frame: np.ndarray) -> None:
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.pts, picture.time_base = self._frames_written, 1 / self.fps
        self._container.mux(self._video.encode(picture))
        self._frames_written += 1

    def _encode_audio(self, audio: np.ndarray, last: bool = False) -> None:
        self._samples_received += audio.shape[1]
        if self._resampler is not None:
            audio = self._resampler.resample_chunk(audio.T, last=last).T
        if audio.shape[1]:
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout=self._layout)
            sound.sample_rate = self._audio.rate
            sound.pts, sound.time_base = self._samples_encoded, Fraction(1, self._audio.rate)
            self._container.mux(self._audio.encode(sound))
            self._samples_encoded += audio.shape[1]

    def _finish(self) -> None:
        video_time, audio_time = self._frames_written / self.fps, Fraction(self._samples_received, self.audio_rate)
        if self._frames_written == 0:
            raise ValueError("no frames were written")
        if abs(video_time - audio_time) > 1 / self.fps:
            raise ValueError(f"the frames last {float(video_time):.3f} s, the sound {float(audio_time):.3f} s")
        self._encode_audio(np.zeros((self.audio_channels, 0), np.float32), last=True)
        self._container.mux(self._audio.encode(None))
        self._container.mux(self._video.encode(None))
        self._container.close()
        with open(self._temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self._temporary, self.path)

    def _discard(self) -> None:
        if self._is_open:
            with suppress(Exception):  # the disk may be full
                self._container.close()
        self._is_open = False
        self._temporary.unlink(missing_ok=True)


def _check_output_path(path: Path) -> None:
    if path.suffix.lower() != ".mp4":
        raise InputError(f'videos are written as .mp4: "{path.name}" should end in .mp4')
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file to write")
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist: create it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"the folder {path.parent} cannot be written: choose another")


@contextmanager
def _clear_disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"cannot write {path}: {error.strerror}") from error
