"""Decoding with decord, for the files that it reads correctly."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from musedance.errors import InputError
from musedance.media.video_decoder import PyAVDecoder
from musedance.media.video_frame import has_alpha


class DecordDecoder:
    """Takes the place of a `PyAVDecoder` that has opened the same file; `first` is a decoded frame of it.

    Which picture is shown when comes from that decoder's index, the pixels from decord. They agree to about 3 of 255
    levels on average, because decord spreads the halved colour resolution of most videos more coarsely. It does not
    notice damaged pictures. Variable frame rates and videos that do not begin at 0 are read correctly.

    InputError, with the reason, for what decord 0.6 reads wrongly or not at all.
    """

    def __init__(self, source: str | Path | BinaryIO, file: PyAVDecoder, first: VideoFrame) -> None:
        self._name = str(source)
        if not isinstance(source, str | Path):
            raise InputError('the video backend "decord" reads files by their path only: use "pyav"')
        try:
            import decord
        except ImportError as error:
            raise InputError('the video backend "decord" needs decord: pip install "musedance[decord]"') from error
        reason = _why_not(file, first)
        if reason:
            raise self._refusal(reason)
        with self._decord_errors():
            self._reader = decord.VideoReader(str(Path(source).absolute()), ctx=decord.cpu(0), num_threads=1)
            times = self._reader.get_frame_timestamp(range(len(self._reader)))[:, 0]
        if len(times) != len(file.index.times) or np.abs(times - times[0] - file.index.times).max() > 1e-3:
            raise self._refusal("in which decord finds other pictures or times")

    def frame(self, number: int) -> VideoFrame:
        """Picture `number` (0 is the first shown), RGB."""
        with self._decord_errors():
            return VideoFrame.from_ndarray(self._reader[number].asnumpy(), format="rgb24")

    def _refusal(self, reason: str) -> InputError:
        return InputError(f'{self._name} is a video {reason}: use the backend "pyav"')

    @contextmanager
    def _decord_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # its own kinds have no common base; their messages have many lines
            raise self._refusal("that decord cannot decode") from error


def _why_not(file: PyAVDecoder, first: VideoFrame) -> str:
    """Why decord would read the file wrongly; "" if it would not."""
    index = file.index
    if file.container_name not in ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"):
        return "of a container in which decord repeats or mixes up pictures (it is trusted with mp4, mov, mkv, webm)"
    if index.has_hidden_pictures:
        return "cut by an edit list, which decord ignores"
    if file.stream.codec_context.codec.canonical_name == "av1":
        return "coded as AV1, which decord does not know"
    if Type.DISPLAYMATRIX in first.side_data:
        return "that is rotated, which decord heeds in part"
    if has_alpha(first):
        return "with transparency, which decord drops"
    if index.has_open_gops:
        return "with open GOPs, in which decord jumps to wrong pictures"
    if index.is_truncated or file.damaged_packets:
        return "with damage, which decord hides"
    return ""
