"""A set of videos that is to be scored, and how."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from musedance.errors import InputError
from musedance.evaluation.footage import Footage, VideoSet
from musedance.evaluation.processes import Processes
from musedance.evaluation.score import Scorer
from musedance.evaluation.scored import Scored

VERSION = 1  # of what is measured: goes up when a measure changes, so that nothing old is taken for new


@dataclass(frozen=True)
class Entrant:
    """One column of a report.

    Attributes:
        name: of the column, and of its folder of scores.
        description: what made these videos.
        videos: to be scored.
        scorer: what scores them.
        truth: true videos, by the same ids; or why there are none.
        reference: the picture that a video was made of; its true video's first frame, or its own, if not given.
        failed: what was to be scored and is not there, and why.
    """

    name: str
    description: str
    videos: VideoSet
    scorer: Scorer
    truth: VideoSet | str = "there is no true video"
    reference: Callable[[str], np.ndarray] | None = None
    failed: Mapping[str, str] = field(default_factory=dict)


def score_videos(entrant: Entrant, folder: Path, processes: Processes) -> tuple[dict[str, Scored], dict[str, str]]:
    """Score all videos that are not scored yet; every process calls this and does its share.

    Args:
        entrant: whose videos.
        folder: of scores: a file a video.
        processes: those that share the work.

    Returns:
        The scores by id, and what could not be scored and why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = processes.share(entrant.videos.ids)
    failed: dict[str, str] = {}
    for name in tqdm(names, unit="video", desc=f"scoring {entrant.name}", disable=None if processes.is_main else True):
        path = folder / f"{name}.json"
        try:
            key = _key(entrant, name)
            if Scored.load(path, key) is None:
                _score(entrant, name).save(path, key)
        except (InputError, OSError) as error:
            failed[name] = " ".join(str(error).split())
    failed = processes.together(failed)  # all have written by now
    scores = {}
    for name in entrant.videos.ids:
        found = None if name in failed else Scored.load(folder / f"{name}.json", _key(entrant, name))
        if found is not None:
            scores[name] = found
    return scores, {**entrant.failed, **failed}


def _score(entrant: Entrant, name: str) -> Scored:
    video, true = entrant.videos.read(name), true_video(entrant, name)
    if entrant.reference is not None:
        reference = entrant.reference(name)
    else:
        reference = (video if isinstance(true, str) else true).frames[0]
    return entrant.scorer.score(video, entrant.videos.facts(name), true, reference)


def true_video(entrant: Entrant, name: str) -> Footage | str:
    """The true video, or why there is none."""
    if isinstance(entrant.truth, str):
        return entrant.truth
    if name not in entrant.truth.ids:
        return "there is no true video"
    try:
        return entrant.truth.read(name)
    except InputError as error:
        return f"its true video cannot be read: {error}"


def _key(entrant: Entrant, name: str) -> str:
    """What the scores depend on."""
    truth = entrant.truth
    true = truth if isinstance(truth, str) else truth.key(name) if name in truth.ids else ""
    beats = entrant.videos.facts(name).beats
    parts = (VERSION, entrant.videos.key(name), true, beats, entrant.scorer.key, entrant.reference is None)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
