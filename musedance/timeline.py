"""Which frames a video has and which of them belong to which segment."""

import math
from dataclasses import dataclass

from musedance.errors import InputError


@dataclass(frozen=True)
class Timeline:
    """A video cut into segments of K frames. All are generated whole; of the last one only what was asked is kept.

    Attributes:
        start: where in the music the video begins, seconds.
        num_frames: frames of the whole video.
        fps: frames per second.
        segment_frames: K.
    """

    start: float
    num_frames: int
    fps: float
    segment_frames: int

    @property
    def num_segments(self) -> int:
        """How many segments are generated."""
        return math.ceil(self.num_frames / self.segment_frames)

    @property
    def segment_seconds(self) -> float:
        """Length of a whole segment."""
        return self.segment_frames / self.fps

    def kept_frames(self, segment: int) -> int:
        """How many frames of a segment belong to the video."""
        return min(self.segment_frames, self.num_frames - segment * self.segment_frames)

    def seconds(self, frame: int) -> float:
        """Where in the music a frame of the video begins."""
        return self.start + frame / self.fps


def plan_timeline(
    music_seconds: float,
    *,
    segment_frames: int,
    fps: float,
    start: float = 0.0,
    duration: float | None = None,
    num_frames: int | None = None,
) -> Timeline:
    """Choose the frames of a video; without a length, one segment or as much as there is music.

    Args:
        music_seconds: length of the track.
        segment_frames: K.
        fps: frames per second.
        start: where in the music to begin, seconds.
        duration: length of the video in seconds, or
        num_frames: in frames.

    Raises:
        InputError: both lengths were given, a value is out of range, or the music is too short.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps has to be a number above 0, not {fps}")
    if not (math.isfinite(start) and 0 <= start < music_seconds):
        raise InputError(f"start has to lie within the music, 0 to {music_seconds:.2f} s, not at {start} s")
    if duration is not None and num_frames is not None:
        raise InputError("give duration or num_frames, not both")
    available = math.floor((music_seconds - start) * fps + 0.5)  # up to half a frame of silence may end the video
    if (music_seconds - start) * fps < 1:
        raise InputError(
            f"the music has {music_seconds - start:.3f} s from the start, less than one frame ({1 / fps:.3f} s)"
        )
    if duration is not None:
        if not (math.isfinite(duration) and duration > 0):
            raise InputError(f"duration has to be a number of seconds above 0, not {duration}")
        num_frames = round(duration * fps)
        if num_frames < 1:
            raise InputError(f"duration of {duration} s is less than one frame ({1 / fps:.3f} s)")
    if num_frames is None:
        num_frames = min(segment_frames, available)
    if num_frames < 1:
        raise InputError(f"num_frames has to be at least 1, not {num_frames}")
    if num_frames > available:
        raise InputError(
            f"{num_frames / fps:.2f} s of video were asked for, but from {start} s on there are only "
            f"{music_seconds - start:.2f} s of music; ask for less, or start earlier"
        )
    return Timeline(start, num_frames, fps, segment_frames)
