"""The second stage: where a video is cut."""

import importlib.util
from dataclasses import dataclass
from itertools import pairwise

from musedance.errors import InputError
from musedance.media.video import VideoReader

MAX_SIDE = 256  # pixels; enough to tell scenes apart


@dataclass(frozen=True)
class Shot:
    """A piece of video without a cut: from `start` to `end`, in seconds from the first picture."""

    start: float
    end: float


@dataclass(frozen=True)
class SceneCuts:
    """Finds hard cuts with PySceneDetect's AdaptiveDetector: a change of colour that stands out from those around it.

    Args:
        threshold: how many times the change between two frames has to exceed that of the frames around them.
        min_change: how large it has to be at least, 0 to 255, the mean of hue, saturation and luma.

    Raises:
        InputError: PySceneDetect is not installed.
    """

    threshold: float = 3.0
    min_change: float = 15.0

    def __post_init__(self) -> None:
        if importlib.util.find_spec("scenedetect") is None:
            raise InputError('preparing videos needs the package scenedetect: pip install "musedance[data]"')

    def shots(self, video: VideoReader) -> list[Shot]:
        """All shots of a video in order; together they are the whole of it."""
        from scenedetect import AdaptiveDetector, FrameTimecode

        detector = AdaptiveDetector(adaptive_threshold=self.threshold, min_content_val=self.min_change, min_scene_len=1)
        fps = float(video.info.fps)
        cuts: list[int] = []
        for number, frame in enumerate(video.stream(video.info.fps, max_side=MAX_SIDE)):
            found = detector.process_frame(FrameTimecode(number, fps), frame[..., ::-1])
            cuts += [cut.frame_num for cut in found]
        # Frame k is the picture half a frame after k / fps, so a shot that starts there has none of the one before.
        edges = [0.0, *(cut / fps for cut in cuts), video.info.duration]
        return [Shot(start, end) for start, end in pairwise(edges)]
