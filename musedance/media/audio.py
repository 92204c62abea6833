"""Sound files to arrays: any container and codec PyAV can read, a video's soundtrack among them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream
from av.container import InputContainer

from musedance.errors import InputError
from musedance.media.containers import AUDIO_CONTAINERS, options_for

MAX_PEAK = 4.0  # floats up to 12 dB over full scale are clipped, as a player does; more means they were never scaled
GAP_TOLERANCE = 0.05  # seconds; smaller steps between time stamps are rounding or jitter, not silence
MAX_BLOCK = 4096  # samples; at least what an audio codec encodes at once
MAX_GAP = 600.0  # seconds; a larger step is a broken time stamp


@dataclass(frozen=True)
class Audio:
    """A piece of sound.

    `samples` is (channels, n) float32 in [-1, 1] with 1 or 2 channels, `sampling_rate` is in Hz.
    """

    samples: np.ndarray
    sampling_rate: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.sampling_rate

    def cut(self, start: float, end: float) -> "Audio":
        """The sound from `start` to `end` (seconds, 0 <= start <= end), with silence past the end of the track.

        Both ends are rounded to samples by themselves, so that adjoining cuts adjoin exactly.
        """
        if not 0 <= start <= end:
            raise ValueError(f"cannot cut sound from {start} s to {end} s")
        first, last = round(start * self.sampling_rate), round(end * self.sampling_rate)
        piece = self.samples[:, first:last]
        missing = last - first - piece.shape[1]
        return Audio(np.pad(piece, ((0, 0), (0, missing))), self.sampling_rate)

    def mono(self, sampling_rate: int) -> np.ndarray:
        """The mean of the channels at another rate: (n,) float32, resampled with soxr's HQ filter."""
        return soxr.resample(self.samples.mean(axis=0), self.sampling_rate, sampling_rate, quality="HQ")


def read_audio(source: str | Path | BinaryIO | tuple[np.ndarray, int]) -> Audio:
    """Read a whole track from a file or a seekable binary stream, or take it from `(array, sampling_rate)`.

    An array is (n,) or (channels, n) with 1 or 2 channels: floats in [-1, 1], or integers, which are scaled by their
    type's range. Files with more than two channels are mixed down to two. In a video file, time 0 is its first
    picture: sound that starts later is preceded by silence, sound from before it is left out. What a truncated file
    still holds is returned.

    Raises InputError when there is nothing usable: no such file, not media, no sound in it, no samples, NaN, ...
    """
    if isinstance(source, tuple):
        return _from_array(*source)
    file: str | BinaryIO
    if isinstance(source, str | Path):
        name, file = str(source), _absolute(Path(source))
    else:
        name, file = str(getattr(source, "name", "the sound")), source
    try:
        options = options_for(AUDIO_CONTAINERS)
        with av.open(file, "r", metadata_errors="replace", container_options=options) as container:
            samples, sampling_rate = _decode(container, name)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"cannot read {name} as audio or video: {error.strerror}") from error
    return Audio(_checked(samples, name), sampling_rate)


def _absolute(path: Path) -> str:
    """The absolute path, because ffmpeg takes "name:..." for a protocol. InputError if there is no such file."""
    if not path.exists():
        raise InputError(f"there is no audio file {path}")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give an audio or video file")
    return str(path.absolute())


def _from_array(array: np.ndarray, sampling_rate: int) -> Audio:
    if not float(sampling_rate).is_integer() or sampling_rate <= 0:
        raise InputError(f"the sampling rate must be a whole number of Hz above 0, not {sampling_rate}")
    samples = np.atleast_2d(np.asarray(array))
    if samples.ndim != 2 or samples.shape[0] not in (1, 2):
        raise InputError(f"audio must be shaped (n,), (1, n) or (2, n), not {np.shape(array)}")
    if np.issubdtype(samples.dtype, np.integer):
        limits = np.iinfo(samples.dtype)
        half = (int(limits.max) - int(limits.min) + 1) / 2
        samples = (samples.astype(np.float64) - (int(limits.min) + half)) / half
    elif not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"audio samples must be floats or integers, not {samples.dtype}")
    return Audio(_checked(samples, "the audio array"), int(sampling_rate))


def _checked(samples: np.ndarray, name: str) -> np.ndarray:
    """(channels, n) of any float type -> float32 clipped to [-1, 1], or InputError."""
    if samples.shape[1] == 0:
        raise InputError(f"{name} is empty: it holds no samples")
    peak = np.abs(samples).max()
    if not np.isfinite(peak):
        raise InputError(f"{name} holds samples that are not finite (NaN or infinite)")
    if peak > MAX_PEAK:
        raise InputError(f"{name} has samples as large as {peak:.0f}: scale them to [-1, 1]")
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def _decode(container: InputContainer, name: str) -> tuple[np.ndarray, int]:
    """Decode the main audio stream to ((channels, n) float, sampling rate)."""
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        raise InputError(f"{name} has no sound: give a file with an audio track")
    pieces: list[np.ndarray] = []
    length, rate, first_time = 0, 0, 0.0
    for frame in _uniform(_frames(container, stream)):
        time = frame.time or 0.0
        if not pieces:
            rate, first_time = frame.sample_rate, time
        gap = time - first_time - length / rate
        if GAP_TOLERANCE < gap < MAX_GAP:
            pieces.append(np.zeros((frame.layout.nb_channels, round(gap * rate)), np.float32))
            length += pieces[-1].shape[1]
        pieces.append(frame.to_ndarray())
        length += frame.samples
    if not length:
        raise InputError(f"{name} is empty: nothing of its audio track can be decoded")
    samples = _without_padding(np.concatenate(pieces, axis=1), container, stream, rate, first_time)
    return _from_first_picture(samples, container, rate, first_time), rate


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]:
    """What can be decoded: damaged packets are skipped, a truncated file ends early.

    Encoder delay (25 ms of an mp3, 23 ms of an m4a) never gets here: the decoder drops what the container marks as
    delay or leaves out by its edit list.
    """
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            with suppress(av.FFmpegError):
                yield from packet.decode()


def _uniform(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """The same frames as planar float32, mono or stereo, in the format of the first one if it changes on the way."""
    layout, rate, previous = "", 0, None
    for frame in frames:
        layout = layout or ("mono" if frame.layout.nb_channels == 1 else "stereo")
        rate = rate or frame.sample_rate
        current = (frame.format.name, frame.layout.name, frame.sample_rate)
        if current != previous:
            # By default a down-mix adds channels up to 2.4 times full scale; this keeps it within.
            options = {"rematrix_maxval": "1.0"} if frame.layout.nb_channels > 2 else None
            resampler = av.AudioResampler("fltp", layout, rate, options=options)
            previous = current
        yield from resampler.resample(frame)


def _without_padding(
    samples: np.ndarray, container: InputContainer, stream: AudioStream, rate: int, start: float
) -> np.ndarray:
    """Drop the silence with which an encoder fills its last block, where the file (mp4, m4a, mov) says the true end."""
    first, duration, unit = stream.start_time, stream.duration, stream.time_base
    if "mp4" not in container.format.name or first is None or duration is None or unit is None:
        return samples
    length = round((float((first + duration) * unit) - start) * rate)
    return samples[:, :length] if 0 < samples.shape[1] - length < MAX_BLOCK else samples


def _from_first_picture(samples: np.ndarray, container: InputContainer, rate: int, start: float) -> np.ndarray:
    """Shift sound that starts at `start` (seconds on the file's clock) to a clock that starts at the first picture."""
    pictures = container.streams.video  # cover art is among them, but starts when the sound does
    if not pictures or pictures[0].start_time is None or pictures[0].time_base is None:
        return samples
    shift = round((start - float(pictures[0].start_time * pictures[0].time_base)) * rate)
    if abs(shift) > MAX_GAP * rate:
        return samples
    return np.pad(samples, ((0, 0), (shift, 0))) if shift > 0 else samples[:, -shift:]
