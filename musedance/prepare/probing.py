"""The first stage: whether a video can be used at all."""

from dataclasses import dataclass
from pathlib import Path

from musedance.media.video import VideoInfo, probe
from musedance.prepare.rejection import Rejected


@dataclass(frozen=True)
class Probe:
    """Looks at a video file before anything else does.

    Args:
        duration: of a clip in seconds; shorter videos are left out.
        fps: of a clip; slower videos are left out, because their pictures would stand still every few frames.
        min_size: pixels; videos with a shorter side are left out.
    """

    duration: float
    fps: float
    min_size: int

    def probe(self, path: Path) -> VideoInfo:
        """What the file holds.

        Raises:
            Rejected: it is too short, too slow or too small, or has no sound.
            InputError: it cannot be read, or not rightly (HDR, ...).
        """
        info = probe(path)
        if info.duration < self.duration:
            raise Rejected("too short", f"{info.duration:.2f} s, a clip has {self.duration:.2f} s")
        if info.fps < 0.99 * self.fps:
            raise Rejected("frame rate too low", f"{float(info.fps):.2f} frames/s, a clip has {self.fps:g}")
        if min(info.width, info.height) < self.min_size:
            raise Rejected("picture too small", f"{info.width} x {info.height}, at least {self.min_size} are wanted")
        if not info.has_audio:
            raise Rejected("no sound")
        return info
