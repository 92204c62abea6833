"""Finding the dancer without any weights: the largest region that moves, seen from a camera that does not."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from musedance.media.video import VideoReader
from musedance.prepare.cutting import Shot
from musedance.prepare.dancer import Dancer
from musedance.prepare.rejection import Rejected

MIN_CHANGE = 8.0  # of 255; what is left of sensor noise and compression after smoothing is below
NOISE_FACTOR = 6.0  # times the median change, which is noise where most of the picture stands still: 4 sigma


@dataclass(frozen=True)
class MovingDancer:
    """Takes for the dancer what moves most, in windows of a few seconds.

    In each frame those pixels move whose smoothed brightness changes by more than noise does; in each window those
    count that move often, so that a flash or a change of subtitles does not. What lies close together is one region.
    The box reaches from side to side of the window's largest region, and from top to bottom of those of all windows:
    feet that rest for a while still belong to the dancer.

    Persons cannot be counted this way. A shot is left out if a second region moves much, apart from the first.

    Args:
        rate: frames per second to look at.
        max_side: pixels of these frames.
        window: seconds.
        min_share: share of a window's frames in which a pixel has to move.
        gap: what is further apart than this share of the picture's longer side is another region.
        rival: how much a second region has to move, as a share of the largest region's motion.
        max_crowded: share of windows that may have such a second region.
        max_area: share of the picture that may move; if it is more, the camera does.
    """

    rate: float = 12.0
    max_side: int = 320
    window: float = 2.0
    min_share: float = 0.12
    gap: float = 0.08
    rival: float = 0.35
    max_crowded: float = 0.25
    max_area: float = 0.6

    def find(self, video: VideoReader, shot: Shot) -> Dancer:
        """Where the dancer is in a shot.

        Raises:
            Rejected: nothing moves, several regions do, or everything does.
        """
        windows = self._motion(video, shot)
        regions = [self._regions(motion) for motion in windows]
        if max((np.mean(motion >= self.min_share) for motion in windows), default=0) > self.max_area:
            raise Rejected("camera moves", "more of the picture moves than a dancer can; a detector may find them")
        moving = [index for index, found in enumerate(regions) if found]
        if not moving:
            raise Rejected("nothing moves")
        crowded = sum(len(regions[index]) > 1 for index in moving)
        if crowded > self.max_crowded * len(moving):
            raise Rejected("several dancers", f"{crowded} of {len(moving)} windows have separate moving regions")
        boxes = np.array([regions[index][0] for index in moving], np.float64)
        boxes[:, 1], boxes[:, 3] = boxes[:, 1].min(), boxes[:, 3].max()
        height, width = windows[0].shape
        scale = video.info.width / width, video.info.height / height
        times = shot.start + (np.array(moving) + 0.5) * self.window
        return Dancer(times, boxes * np.tile(scale, 2))

    def _motion(self, video: VideoReader, shot: Shot) -> list[np.ndarray]:
        """For each window, (h, w): the share of its frames in which each pixel moves."""
        length = round(self.window * self.rate)
        windows: list[np.ndarray] = []
        count, restless, last = 0, 0, None
        for frame in video.stream(self.rate, shot.start, shot.end, max_side=self.max_side):
            smooth = ndimage.uniform_filter(frame.astype(np.float32), (3, 3, 0))
            if last is not None:
                change = np.abs(smooth - last).max(axis=-1)
                if count % length == 0:
                    windows.append(np.zeros(change.shape, np.float32))
                noise = float(np.median(change))
                windows[-1] += change > max(MIN_CHANGE, NOISE_FACTOR * noise)
                restless += noise > MIN_CHANGE
                count += 1
            last = smooth
        if restless > count / 2:
            raise Rejected("camera moves", f"all of the picture changes in {restless} of {count} frames")
        lengths = [min(length, count - first) for first in range(0, count, length)]
        if len(windows) > 1 and lengths[-1] < length / 2:  # too short to be judged by itself
            rest = windows.pop()
            windows[-1] += rest
            lengths[-2:] = [sum(lengths[-2:])]
        return [motion / frames for motion, frames in zip(windows, lengths, strict=True)]

    def _regions(self, motion: np.ndarray) -> list[tuple[int, int, int, int]]:
        """The boxes of the largest region of a window and of its rivals, the one that moves most first."""
        moving = motion >= self.min_share
        reach = 2 * round(self.gap * max(motion.shape) / 2) + 1
        joined, count = ndimage.label(ndimage.maximum_filter(moving, reach))
        if count == 0:
            return []
        labels = np.where(moving, joined, 0)
        energy = ndimage.sum_labels(motion, labels, np.arange(1, count + 1))
        order = [
            int(index) for index in np.argsort(-energy, kind="stable") if energy[index] >= self.rival * energy.max()
        ]
        slices = ndimage.find_objects(labels, count)
        return [_box(slices[index]) for index in order]


def _box(region: tuple[slice, slice]) -> tuple[int, int, int, int]:
    rows, columns = region
    return columns.start, rows.start, columns.stop, rows.stop
