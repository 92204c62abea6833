"""A video file opened, and the list of its pictures: when each is shown and from which key frame it can be decoded."""

import bisect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from musedance.errors import InputError
from musedance.media.containers import VIDEO_CONTAINERS, options_for

MAX_GAP = 600.0  # seconds; a larger step is a broken time stamp, as in sound
MIN_EVEN = 8  # gaps of one length that show that a video has a constant rate


def open_video(source: str | Path | BinaryIO) -> tuple[InputContainer, VideoStream]:
    """Open the main video stream of a file, cover art aside. InputError if there is none."""
    name = source_name(source)
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.exists():
            raise InputError(f"there is no video file {path}")
        if path.is_dir():
            raise InputError(f"{path} is a folder: give a video file")
        if not path.is_file():
            raise InputError(f"{path} is a pipe or a device: give a video file")
    try:
        # The absolute path, because ffmpeg takes "name:..." for a protocol.
        file = str(Path(source).absolute()) if isinstance(source, str | Path) else source
        options = options_for(VIDEO_CONTAINERS)
        container = cast(InputContainer, av.open(file, metadata_errors="replace", container_options=options))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"cannot read {name} as video: {error.strerror}") from error
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        container.close()
        raise InputError(f"{name} has no video stream: give a file with moving pictures")
    stream = next((s for s in videos if s.disposition & Disposition.default), videos[0])
    if stream.codec_context is None:
        container.close()
        raise InputError(f"{name} holds a kind of video that cannot be decoded here: convert it to H.264")
    codec = stream.codec_context
    if container.format.name == "avi" and codec.name in ("h264", "hevc") and codec.has_b_frames:
        container.close()
        raise InputError(f"{name} is AVI, which cannot say when B-frames are shown: re-encode it to mp4")
    return container, stream


def source_name(source: str | Path | BinaryIO) -> str:
    """What messages call it."""
    return str(source) if isinstance(source, str | Path) else str(getattr(source, "name", "the video"))


@dataclass(frozen=True)
class VideoIndex:
    """Every picture of a video, read from its packets without decoding one.

    Packets count in decode order, pictures in the order in which they are shown; pictures that an edit list hides
    (what comes before the cut of `ffmpeg -ss -c copy`) are left out, and so are those whose group is cut off.
    """

    packet_pts: np.ndarray  # (packets,) int64, in the stream's time base
    packet_is_key: np.ndarray  # (packets,) bool
    damaged_packets: frozenset[int]  # by the container's account
    picture_pts: np.ndarray  # (pictures,) int64, rising
    positions: np.ndarray  # (pictures,): which packet holds it
    starts: np.ndarray  # (pictures,): the packet of the key frame from which it can be decoded; -1 if lost
    settled_by: np.ndarray  # (pictures,): the last picture shown of those that it may rest on
    times: np.ndarray  # (pictures,) float64 seconds from the first picture
    frame_time: float  # seconds, the usual time from one picture to the next
    duration: float  # seconds from the first picture to the end of the last
    has_hidden_pictures: bool
    is_truncated: bool  # the end is missing

    @property
    def has_open_gops(self) -> bool:
        """Some pictures rest on a key frame other than the one before them in the file."""
        keys = np.flatnonzero(self.packet_is_key)
        return bool((keys[keys.searchsorted(self.positions, side="right") - 1] != self.starts).any())

    @property
    def is_constant_rate(self) -> bool:
        """All pictures are shown equally long, to 2 ms (containers round times to 1 ms)."""
        return bool(np.all(np.abs(np.diff(self.times) - self.frame_time) < 2e-3))


def is_picture(packet: av.Packet) -> bool:
    """Whether a packet counts in the index: not an empty one (it repeats a picture), nor one without a time."""
    return packet.pts is not None and packet.size > 0


def read_packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """The packets of a stream from where the file stands. FFmpegError where it is cut off."""
    # After the last packet PyAV stumbles over streams that it did not know from the start (in ts and flv files).
    with suppress(IndexError):
        yield from container.demux(stream)


def read_index(container: InputContainer, stream: VideoStream, name: str) -> VideoIndex:
    """Read all packets of a stream, from the start of the file. InputError if they give no usable times."""
    rows, is_truncated = _read_rows(container, stream, name)
    pts, dts, is_key, is_hidden, is_damaged, durations = (np.asarray(column) for column in zip(*rows, strict=True))
    if not is_key.any():
        is_key[0] = True
    starts = _decoding_starts(pts, is_key)
    is_shown = ~is_hidden
    if is_key[0]:
        is_shown &= starts >= 0  # cut at an open GOP: what is shown before its key frame rests on what is gone
    if not is_shown.any():
        raise InputError(f"{name} shows no pictures: its edit list hides all of them")
    shown = np.flatnonzero(is_shown)
    picture_pts, first_of = np.unique(pts[shown], return_index=True)
    whole = _count_to_last_hole(picture_pts, int(dts[-1]), is_truncated)
    is_truncated |= whole < len(picture_pts)
    picture_pts, positions = picture_pts[:whole], shown[first_of][:whole]

    unit = cast(Fraction, stream.time_base)
    times = (picture_pts - picture_pts[0]) * float(unit)
    gaps = np.diff(times)
    if gaps.max(initial=0) > MAX_GAP:
        where = times[gaps.argmax()]
        raise InputError(f"the time stamps of {name} jump by {gaps.max():.0f} s at {where:.1f} s: re-encode it")
    last = float(durations[positions[-1]] * unit)
    rate = stream.average_rate or stream.guessed_rate or 25
    frame_time = float(np.median(gaps)) if len(gaps) else (last or float(1 / rate))
    return VideoIndex(
        packet_pts=pts,
        packet_is_key=is_key,
        damaged_packets=frozenset(np.flatnonzero(is_damaged).tolist()),
        picture_pts=picture_pts,
        positions=positions,
        starts=starts[positions],
        settled_by=_settled_by(positions),
        times=times,
        frame_time=frame_time,
        duration=float(times[-1] + (last if 0 < last <= MAX_GAP else frame_time)),
        has_hidden_pictures=bool(is_hidden.any()),
        is_truncated=is_truncated,
    )


Row = tuple[int, int, bool, bool, bool, int]


def _read_rows(container: InputContainer, stream: VideoStream, name: str) -> tuple[list[Row], bool]:
    """Pts, dts, is key frame, is hidden, is damaged, duration of each picture; whether the file is cut off."""
    rows: list[Row] = []
    has_untimed, is_truncated = False, False
    try:
        for packet in read_packets(container, stream):
            if is_picture(packet):
                pts = cast(int, packet.pts)
                flags = (packet.is_keyframe, packet.is_discard, packet.is_corrupt)
                rows.append((pts, pts if packet.dts is None else packet.dts, *flags, packet.duration or 0))
            has_untimed |= packet.pts is None and packet.size > 0
    except av.FFmpegError:
        is_truncated = True
    entries = stream.index_entries  # of mp4 and others; the rest cannot tell
    is_truncated |= len(entries) > 0 and entries[len(entries) - 1].pos + entries[len(entries) - 1].size > container.size
    if not rows and has_untimed:
        raise InputError(f"{name} has no time stamps: put it into a container with ffmpeg -i INPUT -c copy OUTPUT.mp4")
    if not rows:
        raise InputError(f"{name} is empty: its video stream has no pictures")
    return rows, is_truncated


def _count_to_last_hole(picture_pts: np.ndarray, last_dts: int, is_truncated: bool) -> int:
    """How many pictures there are up to the hole that a cut through a group of B-frames leaves.

    Pictures later than the last decoding time may lack some before them, which the file would have held further on.
    A hole is a gap of over 1.5 frames there; many containers do not say that they are cut off, so that it counts in
    every video that is else even.
    """
    gaps = np.diff(picture_pts)
    if not len(gaps):
        return len(picture_pts)
    usual = float(np.median(gaps))
    is_hole = gaps > 1.5 * usual
    is_late = picture_pts[1:] > last_dts
    is_even = np.count_nonzero(~is_late) >= MIN_EVEN and not is_hole[~is_late].any()
    holes = np.flatnonzero(is_hole & is_late)
    return int(holes[0]) + 1 if len(holes) and (is_truncated or is_even) else len(picture_pts)


def _decoding_starts(pts: np.ndarray, is_key: np.ndarray) -> np.ndarray:
    """For every packet the last key frame that comes no later in the file and is shown no later; -1 for none.

    The second matters for pictures that follow a key frame in the file but are shown before it (open GOPs): they
    need the key frame before that one as well.
    """
    starts = np.full(len(pts), -1)
    keys: list[int] = []  # those that can still be the last one; their times rise
    key_pts: list[int] = []
    for packet, time in enumerate(pts.tolist()):
        if is_key[packet]:
            while key_pts and key_pts[-1] >= time:
                keys.pop()
                key_pts.pop()
            keys.append(packet)
            key_pts.append(time)
        found = bisect.bisect_right(key_pts, time) - 1
        starts[packet] = keys[found] if found >= 0 else -1
    return starts


def _settled_by(positions: np.ndarray) -> np.ndarray:
    """For every picture the last one shown of those that come no later in the file: what it may rest on."""
    order = np.argsort(positions)
    settled = np.empty_like(order)
    settled[order] = np.maximum.accumulate(order)
    return settled
