"""Any picture of a video by its number, however the file is built."""

import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.context import ThreadType
from av.video.frame import VideoFrame

from musedance.errors import InputError
from musedance.media.video_file import is_picture, open_video, read_index, read_packets, source_name

SKIP = 8  # packets; fewer are decoded rather than jumped over
STEPS_BACK = (0.0, 1.0, 5.0, 25.0)  # seconds before a key frame at which to look for it: some containers jump inexactly


class PyAVDecoder:
    """Decodes pictures fast in rising order and correctly in any; holds as many as the codec reorders."""

    def __init__(self, source: str | Path | BinaryIO) -> None:
        self._source, self._name = source, source_name(source)
        self._open()
        try:
            self.index = read_index(self._container, self.stream, self._name)
        except BaseException:
            self.close()
            raise
        self.container_name = self._container.format.name
        self.has_audio = bool(self._container.streams.audio)
        self.damaged_packets = set(self.index.damaged_packets)  # grows as decoding finds more
        packets = list(enumerate(self.index.packet_pts.tolist()))
        self._position_of = {pts: position for position, pts in reversed(packets)}
        self._number_of = {pts: number for number, pts in enumerate(self.index.picture_pts.tolist())}
        self._fed = len(packets)  # the packet that the decoder was given last
        self._frames: Iterator[VideoFrame] = iter(())
        self._decoded: deque[VideoFrame] = deque()  # the picture asked for last, and those decoded ahead

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frame(self, number: int) -> VideoFrame:
        """Picture `number` (0 is the first shown) as decoded.

        A packet from which the decoder makes no picture, without complaint, repeats the picture before: that is what
        encoders mean by it. InputError if the picture, or one that it may rest on, is damaged.
        """
        start = int(self.index.starts[number])
        if start < 0:
            raise self._damage(number)
        is_held_or_ahead = bool(self._decoded) and self._number(self._decoded[0]) <= number
        if start > self._fed + SKIP or (start <= self._fed and not is_held_or_ahead):
            self._go_to_key_frame(start)
        # Damage shows when the damaged picture comes out, which may be after those that rest on it.
        while not self._decoded or self._number(self._decoded[-1]) < self.index.settled_by[number]:
            frame = next(self._frames, None)
            if frame is None:
                break
            if self._decoded and self._number(frame) <= self._number(self._decoded[-1]):
                raise self._wrong_times()
            self._decoded.append(frame)
            while len(self._decoded) > 1 and self._number(self._decoded[1]) <= number:
                self._decoded.popleft()
        while len(self._decoded) > 1 and self._number(self._decoded[1]) <= number:
            self._decoded.popleft()
        found = self._number(self._decoded[0]) if self._decoded else len(self._number_of)
        if found > number or self._is_lost(number) or self._is_lost(found):
            raise self._damage(number)
        return self._decoded[0]

    def _damage(self, number: int) -> InputError:
        time = self.index.times[number]
        return InputError(f"{self._name} is damaged: its picture at {time:.3f} s cannot be decoded")

    def _number(self, frame: VideoFrame) -> int:
        number = self._number_of.get(frame.pts) if frame.pts is not None else None
        if number is None:
            raise self._wrong_times()
        return number

    def _wrong_times(self) -> InputError:
        return InputError(f"{self._name} has wrong time stamps: re-encode it, e.g. with ffmpeg -i INPUT OUTPUT.mp4")

    def _is_lost(self, number: int) -> bool:
        first, last = self.index.starts[number], self.index.positions[number]
        return any(first <= damaged <= last for damaged in self.damaged_packets)

    def _open(self) -> None:
        self._container, self.stream = open_video(self._source)
        # One thread: with more, libav does not say which packet an error belongs to. Whoever reads many files has
        # a process for each.
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.thread_type = ThreadType.NONE

    def _go_to_key_frame(self, start: int) -> None:
        """Continue with packet `start`; read from the beginning of the file if it cannot be found by its time."""
        self._decoded.clear()
        assert self.stream.time_base is not None
        packets: Iterator[av.Packet] | None = None
        for seconds in STEPS_BACK:
            with suppress(av.FFmpegError):
                time = int(self.index.packet_pts[start]) - round(seconds / self.stream.time_base)
                self._container.seek(time, stream=self.stream)
                packets = self._packets_from(start)
            if packets is not None:
                break
        else:
            self._container.close()
            self._open()
            packets = self._packets_from(start)
        self._fed = start - 1
        self._frames = self._decode(packets or iter(()))

    def _packets_from(self, start: int) -> Iterator[av.Packet] | None:
        """The packets from number `start` on, or None if the file stands behind it."""
        packets = self._packets()
        for packet in packets:
            position = self._position_of.get(packet.pts) if is_picture(packet) else -1
            if position is None or position > start:
                return None
            if position == start:
                return itertools.chain([packet], packets)
        return None

    def _packets(self) -> Iterator[av.Packet]:
        with suppress(av.FFmpegError):  # a truncated file ends here, as it did for the index
            yield from read_packets(self._container, self.stream)

    def _decode(self, packets: Iterator[av.Packet]) -> Iterator[VideoFrame]:
        """What comes out of the decoder, in the order in which it is shown."""
        for packet in packets:
            if not packet.size:  # to the decoder it would mean the end
                continue
            self._fed += is_picture(packet)
            yield from self._without_damage(packet)
        yield from self._without_damage(None)

    def _without_damage(self, packet: av.Packet | None) -> list[VideoFrame]:
        try:
            frames = self.stream.codec_context.decode(packet)
        except av.FFmpegError:
            self.damaged_packets.add(self._fed)
            return []
        self.damaged_packets.update(self._position_of.get(frame.pts, self._fed) for frame in frames if frame.is_corrupt)
        return frames
