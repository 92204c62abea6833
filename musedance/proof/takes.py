"""Videos to make in which one thing at a time is another: the words, the beats, or the music."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from musedance.datasets.clip import Clip
from musedance.evaluation.cases import Case, Cases, Inputs
from musedance.evaluation.footage import DatasetVideos, Facts


@dataclass(frozen=True)
class Take:
    """One video.

    Attributes:
        id: of the video, a file's stem.
        picture: id of the clip whose first frame is the reference.
        music: id of the clip whose sound is heard.
        beats: id of the clip whose beats are followed, counted from its start.
        prompt: how to move.
        noise: takes of one name start from the same noise.
        asked: the move or genre that is to be seen, where a question is about one.
    """

    id: str
    picture: str
    music: str
    beats: str
    prompt: str
    noise: str
    asked: str = ""


class Takes(Cases):
    """Takes from the clips of a dataset.

    Args:
        videos: the clips, brought to what the model makes, all of one length.
        takes: what to make.
    """

    def __init__(self, videos: DatasetVideos, takes: Sequence[Take]) -> None:
        self.videos = videos
        self.takes = {take.id: take for take in takes}
        self.fps = next(iter(videos.clips.values())).fps
        self.cases = {name: self._case(self.takes[name]) for name in sorted(self.takes)}

    def _case(self, take: Take) -> Case:
        own = self.videos.facts(take.beats)
        track = self.videos.clips[take.beats].track
        facts = Facts(prompt=take.prompt, groups=self.videos.facts(take.music).groups, track=track, beats=own.beats)
        canvas = self.videos.canvas(self._shown(take))
        return Case(take.id, facts, self.videos.length(take.music), canvas, noise=take.noise)

    def inputs(self, name: str) -> Inputs:
        take, case = self.takes[name], self.cases[name]
        picture = self.videos.pictures(self._shown(take), [0], case.canvas)[0]
        beats = np.array(case.facts.beats or (), np.float64)
        return Inputs(Image.fromarray(picture), self.videos.sound(take.music), None, beats)

    def _shown(self, take: Take) -> Clip:
        return self.videos.dataset.by_id[take.picture]
