"""The third stage: where the one dancer of a shot is. Two ways: any detector, or motion (`motion.py`)."""

from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from musedance.errors import InputError
from musedance.media.video import VideoReader
from musedance.prepare.cutting import Shot
from musedance.prepare.detector import Detections, Detector
from musedance.prepare.rejection import Hopeless, Rejected

BATCH = 32  # frames in memory at a time


@dataclass(frozen=True)
class Dancer:
    """Where the dancer of a shot is.

    Attributes:
        times: (n,) seconds from the video's first picture, rising.
        boxes: (n, 4) x0, y0, x1, y1 in pixels of the whole picture.
    """

    times: np.ndarray
    boxes: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """(m,) seconds -> (m, 4) boxes, interpolated linearly; the first and last hold beyond the ends."""
        return np.stack([np.interp(times, self.times, column) for column in self.boxes.T], axis=1)


class DancerFinder(Protocol):
    """Finds the one dancer of a shot."""

    def find(self, video: VideoReader, shot: Shot) -> Dancer:
        """Where the dancer is; `Rejected` if there is none or more than one."""
        ...


@dataclass(frozen=True)
class DetectedDancer:
    """Finds and follows the dancer with an object detector.

    The first box is the largest; each next one is that which overlaps the last most. Others count if they are at
    least `rival_size` of the dancer's area: somebody in the distance is no second dancer.

    Args:
        detector: finds objects in frames.
        label: which of them are dancers, in the detector's own words.
        rate: frames per second to look at.
        max_side: pixels of the frames given to the detector.
        rival_size: see above.
        max_rivals: share of frames that may show several; detectors err, and arms hide a face.
        min_found: share of frames in which there has to be one.
    """

    detector: Detector
    label: str = "person"
    rate: float = 4.0
    max_side: int = 640
    rival_size: float = 0.25
    max_rivals: float = 0.1
    min_found: float = 0.5

    def find(self, video: VideoReader, shot: Shot) -> Dancer:
        """Where the dancer is in a shot.

        Raises:
            Rejected: nobody or several are seen.
            Hopeless: the detector cannot be loaded.
        """
        found, size = self._detect(video, shot)
        seen = [index for index, detections in enumerate(found) if len(detections.boxes)]
        if len(seen) < self.min_found * len(found) or not seen:
            raise Rejected("no dancer found", f"{self.label} in {len(seen)} of {len(found)} frames")
        boxes: list[np.ndarray] = []
        crowded = 0
        for index in seen:
            best = _follow(found[index], boxes[-1] if boxes else None)
            boxes.append(found[index].boxes[best])
            areas = _areas(found[index].boxes)
            crowded += int((areas >= self.rival_size * areas[best]).sum() > 1)
        if crowded > self.max_rivals * len(seen):
            raise Rejected("several dancers", f"{self.label} more than once in {crowded} of {len(seen)} frames")
        scale = video.info.width / size[0], video.info.height / size[1]
        return Dancer(shot.start + np.array(seen) / self.rate, np.stack(boxes) * np.tile(scale, 2))

    def _detect(self, video: VideoReader, shot: Shot) -> tuple[list[Detections], tuple[int, int]]:
        """What is found in each frame, and the frames' width and height."""
        frames = video.stream(self.rate, shot.start, shot.end, max_side=self.max_side)
        found: list[Detections] = []
        size = (0, 0)
        while batch := list(islice(frames, BATCH)):
            size = batch[0].shape[1], batch[0].shape[0]
            try:
                found += [detections.of(self.label) for detections in self.detector.detect(np.stack(batch))]
            except InputError as error:
                raise Hopeless(str(error)) from error
        return found, size


def _follow(detections: Detections, last: np.ndarray | None) -> int:
    """Which box goes on where the last one was; the largest if none does."""
    boxes = detections.boxes
    if last is not None:
        corners = np.concatenate([np.maximum(boxes[:, :2], last[:2]), np.minimum(boxes[:, 2:], last[2:])], axis=1)
        overlap = _areas(corners)
        if overlap.max() > 0:
            return int((overlap / (_areas(boxes) + _areas(last[None])[0] - overlap)).argmax())
    return int(_areas(boxes).argmax())


def _areas(boxes: np.ndarray) -> np.ndarray:
    """(k, 4) -> (k,), 0 for a box inside out."""
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
