"""All numbers of a model's card, from nothing but its folder and datasets of puppets."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from musedance.datasets.folder import Dataset
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos, FolderVideos
from musedance.evaluation.generate import SamplingOptions, make_videos
from musedance.evaluation.processes import Processes
from musedance.evaluation.provenance import describe_dataset, keep_settings
from musedance.evaluation.settings import TestSet
from musedance.inference.studio import Settings, Studio
from musedance.proof.appearance import background_psnr, reference_findings, retrieval_finding
from musedance.proof.finding import Finding, mean_finding
from musedance.proof.length import length_curves, length_findings
from musedance.proof.outliers import outlier_finding
from musedance.proof.plans import every_genre, every_move, other_beats, own_takes
from musedance.proof.recognition import Judge, Windows, judge_finding, read_windows, recognition_finding
from musedance.proof.rhythm import Rhythm, beat_findings, rhythm_of, swapped_findings, tempo_finding
from musedance.proof.takes import Take, Takes
from musedance.weights.fingerprint import fingerprint

Frames = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Exam:
    """What a model is asked.

    Attributes:
        learned: dataset from whose training split the recogniser learns; it is tested on `test`.
        test: dataset of other characters and tracks, all clips in the split "test".
        long: the same with clips of several segments; `None` leaves the questions on length out.
        sampling: how videos are made.
        pairs: held-out pairs of frames.
        swapped: clips whose beats are swapped.
        references: pictures for the questions on text and music.
        recogniser_steps: of its training.
    """

    learned: Dataset
    test: TestSet
    long: TestSet | None
    sampling: SamplingOptions
    pairs: int = 256
    swapped: int = 48
    references: int = 20
    recogniser_steps: int = 900


def prove(settings: Settings, exam: Exam, output: Path) -> tuple[list[Finding], dict[str, list[float]]]:
    """Ask everything.

    Args:
        settings: model, device, dtype.
        exam: the questions.
        output: folder for the videos; those that are there already are not made again.

    Returns:
        The findings, and curves over the seconds of long videos.

    Raises:
        InputError: the datasets do not hold what the questions need, or the folder holds videos of other answers.
    """
    studio = Studio(settings)
    frames = studio.pipeline.unet.config.num_frames
    _, videos = replace(exam.test, num_frames=frames).open(studio.folder)
    films = Films(studio, exam.sampling, output)

    own, swapped = own_takes(videos), other_beats(videos, exam.swapped)
    shown = read_windows(exam.learned, exam.learned.dances("train"), frames)
    findings = reference_findings(studio.pipeline, videos, exam.pairs)
    made = films.of("own", videos, own)
    footage = {name: videos.read(name).frames for name in videos.ids}
    findings += _kept(videos, own, made, footage)
    rhythms = _rhythms(videos, own, made)
    true = [_rhythm(videos, name, frames) for name, frames in footage.items()]
    findings += beat_findings(list(rhythms.values()), true)
    findings += swapped_findings(rhythms, _rhythms(videos, swapped, films.of("beats", videos, swapped)))
    findings.append(tempo_finding(list(rhythms.values()), true, 0.5))
    findings += _recognised(exam, shown, videos, films)
    if exam.long is None:
        return findings, {}
    return _lasting(studio, exam.long, films, findings, frames)


class Films:
    """Makes takes, and reads them."""

    def __init__(self, studio: Studio, sampling: SamplingOptions, output: Path) -> None:
        self.studio, self.sampling, self.output = studio, sampling, output

    def of(self, kind: str, videos: DatasetVideos, takes: Sequence[Take]) -> dict[str, np.ndarray]:
        """The frames of each take, `(n, H, W, 3)` uint8 by id; the videos are in a folder named after their kind.

        Raises:
            InputError: the folder holds videos made in another way, or one could not be made.
        """
        folder, processes = self.output / kind, Processes()
        keep_settings(folder, self._made_of(videos, takes), processes)
        failed = make_videos(lambda: self.studio.pipeline, Takes(videos, takes), folder, self.sampling, processes)
        for name, why in failed.items():
            raise InputError(f"{name} could not be made: {why}")
        names = [take.id for take in takes]
        found = FolderVideos(folder, names=set(names))
        return {name: found.read(name).frames for name in names}

    def _made_of(self, videos: DatasetVideos, takes: Sequence[Take]) -> dict[str, Any]:
        """What the videos depend on, wherever things lie."""
        split = next(iter(videos.clips.values())).split
        return {
            "model": fingerprint(self.studio.folder),
            "dtype": str(self.studio.dtype),
            "clips": describe_dataset(videos.dataset, split)["rows_sha256"],
            "takes": hashlib.sha256(repr(takes).encode()).hexdigest()[:16],
            **self.sampling.described(),
        }


def _kept(videos: DatasetVideos, takes: Sequence[Take], made: Frames, true: Frames) -> list[Finding]:
    """Background, identity and flicker."""
    by_clip = {take.music: made[take.id] for take in takes}
    values = np.array([background_psnr(videos, take.music, made[take.id], take.picture) for take in takes])
    sources = {name: videos.clips[name].source for name in by_clip}
    what = "PSNR where no dancer is (dB)"
    return [
        mean_finding("appearance", what, values, list(sources.values()), least=25.0),
        retrieval_finding(videos, by_clip, true, least=0.95),
        outlier_finding("appearance", by_clip, true, sources),
    ]


def _rhythms(videos: DatasetVideos, takes: Sequence[Take], made: Frames) -> dict[str, Rhythm]:
    """By the clip whose music is heard; with the beats that were asked for."""
    return {take.music: _rhythm(videos, take.beats, made[take.id]) for take in takes}


def _rhythm(videos: DatasetVideos, beats: str, frames: np.ndarray, first: int = 0) -> Rhythm:
    clip = videos.clips[beats]
    return rhythm_of(frames, clip.fps, np.array(videos.facts(beats).beats or ()), clip.track, first)


def _recognised(exam: Exam, shown: Windows, videos: DatasetVideos, films: Films) -> list[Finding]:
    """Text and music."""
    unseen = read_windows(videos.dataset, list(videos.clips.values()), shown.frames.shape[1])
    moves = Judge.trained(shown, unseen, shown.moves, unseen.moves, exam.recogniser_steps)
    genres = Judge.trained(shown, unseen, shown.genres, unseen.genres, exam.recogniser_steps)
    questions = [
        ("text", moves, every_move(videos, moves.names, exam.references), 0.9, 3.0),
        ("music", genres, every_genre(videos, genres.names, exam.references), None, 1.0),
    ]
    findings = []
    for claim, judge, takes, own_accuracy, times_chance in questions:
        told = judge.told(films.of(claim, videos, takes))
        findings += [
            judge_finding(claim, judge, own_accuracy),
            recognition_finding(claim, judge, takes, told, times_chance),
        ]
    return findings


def _lasting(
    studio: Studio, test: TestSet, films: Films, findings: list[Finding], num_frames: int
) -> tuple[list[Finding], dict[str, list[float]]]:
    """Long videos, from their first frame on."""
    _, videos = test.open(studio.folder)
    takes = [replace(take, id=f"long_{take.music}") for take in own_takes(videos)]
    frames = films.of("long", videos, takes)
    made = {take.music: frames[take.id] for take in takes}
    pictures = {t.music: videos.pictures(videos.dataset.by_id[t.picture], [0])[0] for t in takes}
    true = {name: videos.read(name).frames for name in made}
    fps = next(iter(videos.clips.values())).fps
    sources = {name: videos.clips[name].source for name in made}
    found = length_findings(made, pictures, true, sources, fps, num_frames)
    later = [[_rhythm(videos, name, seen[name], num_frames) for name in made] for seen in (made, true)]
    on_time = [replace(f, claim="length", name=f"{f.name}, after the first segment") for f in beat_findings(*later)]
    found.append(outlier_finding("length", made, true, sources))
    return [*findings, *found, *on_time], length_curves(made, pictures, true, fps)
