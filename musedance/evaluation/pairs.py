"""Two systems' videos as one, so that a viewer sees them at the same time."""

import numpy as np

from musedance.evaluation.footage import Facts, Footage, VideoSet


class PairedVideos(VideoSet):
    """The first set's videos, and beside each the second set's of the same name.

    Args:
        left: gives sound and facts.
        right: made of the same cases; where it lacks one, that half is black.
    """

    def __init__(self, left: VideoSet, right: VideoSet) -> None:
        self.left, self.right, self.ids = left, right, left.ids

    def file(self, name: str) -> str:
        return self.left.file(name)

    def key(self, name: str) -> str:
        return f"{self.left.key(name)} {self.right.key(name) if name in self.right.ids else ''}"

    def facts(self, name: str) -> Facts:
        return self.left.facts(name)

    def read(self, name: str) -> Footage:
        """Both, `(n, H, 2 W, 3)`."""
        video = self.left.read(name)
        beside = self.right.read(name).frames if name in self.right.ids else np.zeros_like(video.frames)
        return Footage(np.concatenate([video.frames, beside], axis=2), video.fps, video.sound)
