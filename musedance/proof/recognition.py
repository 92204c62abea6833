"""Whether the asked move and the music's genre are seen in a video, by a recogniser that learned from true clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from musedance.datasets.clip import Clip
from musedance.datasets.folder import Dataset
from musedance.errors import InputError
from musedance.evaluation.footage import read_truth
from musedance.media.video import VideoReader
from musedance.proof.finding import Finding, mean_finding, share_finding
from musedance.proof.recogniser import Recogniser, recognise, small, train_recogniser
from musedance.proof.takes import Take

STRIDE = 13  # frames between two windows of a clip
RESTING = "freeze"


@dataclass(frozen=True)
class Windows:
    """Parts of true clips in which one move is danced.

    Attributes:
        frames: `(n, K, 3, SIDE, SIDE)` uint8.
        moves: of each.
        genres: of each.
        sources: of each.
    """

    frames: Tensor
    moves: list[str]
    genres: list[str]
    sources: list[str]


def read_windows(dataset: Dataset, clips: Sequence[Clip], num_frames: int, stride: int = STRIDE) -> Windows:
    """All windows of clips with ground truth in which one move is danced throughout and nobody rests.

    Raises:
        InputError: there is none.
    """
    frames: list[Tensor] = []
    moves: list[str] = []
    genres: list[str] = []
    sources: list[str] = []
    for clip in tqdm(clips, unit="clip", desc="reading true clips", disable=None):
        _, told = read_truth(dataset, clip)
        with dataset.open(clip) as file, VideoReader(file) as reader:
            pictures = small(reader.frames_at((np.arange(clip.num_frames) + 0.5) / clip.fps))
        for first in range(0, clip.num_frames - num_frames + 1, stride):
            start, end = first / clip.fps, (first + num_frames) / clip.fps
            seen = {span["move"] for span in told["moves"] if span["start"] < end and span["end"] > start}
            if len(seen) == 1 and RESTING not in seen:
                frames.append(pictures[first : first + num_frames])
                moves.append(seen.pop())
                genres.append(told["genre"])
                sources.append(clip.source)
    if not frames:
        raise InputError(f"no {num_frames} frames of {dataset.path} show one move: make puppets with one move a clip")
    return Windows(torch.stack(frames), moves, genres, sources)


@dataclass(frozen=True)
class Judge:
    """A recogniser, and how it does on true clips that it has not seen.

    Attributes:
        recogniser: trained.
        names: of its classes.
        right: `(n,)` bool, for each window of an unseen clip.
        sources: of these windows.
    """

    recogniser: Recogniser
    names: tuple[str, ...]
    right: np.ndarray
    sources: Sequence[str]

    @classmethod
    def trained(
        cls, shown: Windows, unseen: Windows, labels: Sequence[str], unseen_labels: Sequence[str], steps: int
    ) -> "Judge":
        """Learn labels of windows.

        Args:
            shown: to learn from.
            unseen: to test with.
            labels: of `shown`: its moves or genres.
            unseen_labels: of `unseen`.
            steps: of training.
        """
        names = tuple(sorted(set(labels)))
        recogniser = train_recogniser(shown.frames, torch.tensor([names.index(x) for x in labels]), steps=steps)
        found = recognise(recogniser, unseen.frames)
        right = [names[k] == label for k, label in zip(found, unseen_labels, strict=True)]
        return cls(recogniser, names, np.array(right), unseen.sources)

    def told(self, videos: Mapping[str, np.ndarray]) -> dict[str, str]:
        """The class of each video `(K, H, W, 3)` uint8."""
        found = recognise(self.recogniser, torch.stack([small(frames) for frames in videos.values()]))
        return {name: self.names[k] for name, k in zip(videos, found, strict=True)}


def recognition_finding(
    claim: str, judge: Judge, takes: Sequence[Take], told: Mapping[str, str], times_chance: float
) -> Finding:
    """How often what was asked for is seen.

    Args:
        claim: "text" or "music".
        judge: that told.
        takes: the videos. Those of one picture are not independent, so the interval resamples pictures.
        told: what was seen, by take.
        times_chance: how many times as often as by guessing it has to be, at the interval's lower end.
    """
    right = np.array([float(told[take.id] == take.asked) for take in takes])
    chance = 1 / len({take.asked for take in takes})
    return mean_finding(
        claim, "what was asked for is recognised", right, [take.picture for take in takes],
        least=times_chance * chance, truth=float(judge.right.mean()), chance=chance,
    )  # fmt: skip


def judge_finding(claim: str, judge: Judge, least: float | None) -> Finding:
    """The recogniser's own accuracy on true clips of characters that it has not seen."""
    name, chance = "recogniser's accuracy on true clips", 1 / len(judge.names)
    return share_finding(claim, name, judge.right, judge.sources, least=least, chance=chance)
