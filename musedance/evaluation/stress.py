"""`musedance stress`: unusual subjects, long videos, many genres; what reviewers of the paper asked to see."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from musedance.datasets.spec import ClipSpec
from musedance.device import choose_device
from musedance.errors import InputError
from musedance.evaluation.ablation import cumulative_rows, name_modules
from musedance.evaluation.answer import Answer
from musedance.evaluation.cases import PICTURES, SOUNDS, Cases, DatasetCases, PictureCases, files_in
from musedance.evaluation.contestant import Contest, Contestant, short_name
from musedance.evaluation.differences import Differences
from musedance.evaluation.entrant import Entrant
from musedance.evaluation.footage import DatasetVideos, VideoSet
from musedance.evaluation.generate import SamplingOptions
from musedance.evaluation.modules import modules_of
from musedance.evaluation.pairs import PairedVideos
from musedance.evaluation.processes import Processes
from musedance.evaluation.provenance import describe_dataset, describe_files
from musedance.evaluation.reporting import TRUE, Evaluation, has_joints, true_entrants
from musedance.evaluation.score import Scorer
from musedance.evaluation.settings import Scoring, TestSet
from musedance.evaluation.stress_genres import genres_answer
from musedance.evaluation.stress_length import length_answer
from musedance.evaluation.stress_subjects import subjects_answer
from musedance.evaluation.tools import load_tools
from musedance.inference.studio import Settings, Studio
from musedance.report.results import Report, System

GENERATED, WITH_BEAT = "generated", "with beat modules"
KNOCKED_OUT = (
    "The beat modules were knocked out of one model: this says how much it relies on them, not what training without "
    "them gives (--without)."
)


@dataclass(frozen=True)
class Material:
    """What the videos are made of: every picture with every track, or the clips of a dataset.

    Attributes:
        images: picture files or folders; a folder's name is the kind of who dances.
        music: files with sound or folders; a folder's name is the genre.
        prompt: how all of them move.
        test: the clips instead.
    """

    images: tuple[str, ...] = ()
    music: tuple[str, ...] = ()
    prompt: str = ""
    test: TestSet | None = None

    def open(self, model: Path, seconds: float) -> tuple[Cases, VideoSet | str, dict[str, Any]]:
        """What to make, the true videos or why there are none, and what the report is to say of it.

        Raises:
            InputError: something is missing, cannot be read, or is too short.
        """
        spec = ClipSpec.of_model(model)
        if self.test is not None:
            dataset, videos = replace(self.test, num_frames=round(seconds * spec.fps)).open(model)
            truth, left_out = _long_enough(videos, seconds)
            told = {"data": describe_dataset(dataset, self.test.split), "shorter clips, left out": left_out}
            return DatasetCases(truth), truth, told
        if not (self.images and self.music and self.prompt.strip()):
            raise InputError("give --images, --music and --prompt, or --data")
        pictures, tracks = files_in(self.images, PICTURES), files_in(self.music, SOUNDS)
        cases = PictureCases(
            pictures,
            tracks,
            self.prompt,
            seconds=seconds,
            fps=spec.fps,
            pixels=spec.pixels,
            multiple=spec.multiple,
        )
        told = {"images": describe_files(pictures), "music": describe_files(tracks), "prompt": self.prompt}
        return cases, "there is no true video of a picture", told


@dataclass(frozen=True)
class Stress:
    """A stress test of a model.

    Attributes:
        settings: model, device, dtype and attention.
        material: what the videos are made of.
        seconds: length of the videos.
        sampling: how they are made.
        scoring: how they are scored.
        output: folder of the report.

    Raises:
        InputError: videos cannot have such a length.
    """

    settings: Settings
    material: Material
    seconds: float
    sampling: SamplingOptions
    scoring: Scoring
    output: Path

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise InputError(f"--seconds has to be above 0, not {self.seconds:g}")


def stress_subjects(stress: Stress) -> Path:
    """Subjects of many kinds, music of many genres: how like their picture they stay, and whether they dance.

    Returns:
        The page. This and the next two raise InputError where model, material or output cannot be used.
    """
    studio = _studio(stress)
    contest = _contest(stress, studio)

    def answer(systems: Sequence[System]) -> Answer:
        return subjects_answer(systems[0], _differences(contest))

    return _finish(contest, [Contestant.of_folder(GENERATED, studio)], "Unusual subjects", answer)


def stress_length(stress: Stress) -> Path:
    """Long videos: what drifts, second by second, and what is seen of the seams."""
    studio = _studio(stress)
    spec = ClipSpec.of_model(studio.folder)
    segment = spec.num_frames / spec.fps
    if round(stress.seconds * spec.fps) <= spec.num_frames:
        raise InputError(f"{stress.seconds:g} s are one segment ({segment:.3g} s) without a seam: give more --seconds")
    contest = _contest(stress, studio)

    def answer(systems: Sequence[System]) -> Answer:
        truth = next((system for system in systems if system.name == TRUE), None)
        return length_answer(systems[0], truth, _differences(contest), segment)

    title = f"Long videos ({stress.seconds:g} s)"
    return _finish(contest, [Contestant.of_folder(GENERATED, studio)], title, answer)


def stress_genres(stress: Stress, without: str | None = None) -> Path:
    """Genres, with the beat modules and without.

    Args:
        stress: the test.
        without: folder of a model trained without them; the same model with them knocked out if not given.
    """
    studio = _studio(stress)
    _check_beat_alone(studio.folder, without)
    contest = _contest(stress, studio)
    if without is None:
        other, caveat = Contestant.without("beat knocked out", studio.settings, {"beat"}), KNOCKED_OUT
    else:
        trained = Studio(replace(studio.settings, model=without))
        other, caveat = Contestant.of_folder("trained without beat modules", trained), ""

    def answer(systems: Sequence[System]) -> Answer:
        return genres_answer(systems[0], systems[1], _differences(contest), caveat)

    return _finish(contest, [Contestant.of_folder(WITH_BEAT, studio), other], "Genres", answer)


def _studio(stress: Stress) -> Studio:
    """The model's, on this process's device."""
    return Studio(replace(stress.settings, device=Processes().device(stress.settings.device)))


def _contest(stress: Stress, studio: Studio) -> Contest:
    """What is to be made."""
    processes = Processes()
    cases, truth, told = stress.material.open(studio.folder, stress.seconds)
    tools = load_tools(stress.scoring.tools, choose_device(processes.device(stress.scoring.device)))
    scorer = Scorer(tools, ClipSpec.of_model(studio.folder).num_frames, stress.scoring.beats_from)
    evaluation = Evaluation(stress.output, stress.scoring, processes)
    return Contest(evaluation, cases, truth, scorer, stress.sampling, {"seconds": stress.seconds, **told})


def _check_beat_alone(folder: Path, without: str | None) -> None:
    """Refuse what is not a model with beat modules and, if given, the same training without."""
    modules = modules_of(folder)
    if "beat" not in modules:
        raise InputError(f"{folder} has no trained beat modules: give --model a stage 2 folder that has")
    if without is None:
        return
    others = modules_of(Path(without))
    if others != modules - {"beat"}:
        raise InputError(
            f"--model has {name_modules(modules)} modules and --without {name_modules(others)}: "
            "give folders that differ in beat alone"
        )
    cumulative_rows([folder, Path(without)])  # of one start, and trained on like clips


def _differences(contest: Contest) -> Differences:
    tracks = {name: case.facts.track for name, case in contest.cases.cases.items()}
    return Differences(tracks, contest.evaluation.scoring.seed)


def _finish(
    contest: Contest, models: Sequence[Contestant], title: str, answer: Callable[[Sequence[System]], Answer]
) -> Path:
    """Let one or two models make their videos, score them, answer the question, write."""
    entrants = [contest.enter(model) for model in models]
    everyone = list(entrants)
    if not isinstance(contest.truth, str):
        everyone += true_entrants(contest.truth, contest.scorer, contest.cases, has_joints(contest.truth))
    systems = contest.evaluation.systems(everyone)
    found = answer(systems)
    report = Report(
        title=f"{title}: {short_name(models[0].folder)}",
        summary=found.summary,
        systems=tuple(systems),
        provenance={
            "models": {model.name: model.told for model in models},
            **contest.told,
            "sampling": contest.sampling.described(),
            "metrics": contest.scorer.tools.files,
        },
        tables=found.tables,
    )
    return contest.evaluation.write(report, _side_by_side(entrants))


def _side_by_side(entrants: Sequence[Entrant]) -> Entrant:
    """What the page shows: one model's videos, or two models' as one."""
    if len(entrants) == 1:
        return entrants[0]
    left, right = entrants
    return replace(left, name=f"{left.name} | {right.name}", videos=PairedVideos(left.videos, right.videos))


def _long_enough(videos: DatasetVideos, seconds: float) -> tuple[DatasetVideos, int]:
    """The clips that have so many seconds, since curves over clips of many lengths would bend where clips end.

    Returns:
        Them, and how many others there are.

    Raises:
        InputError: there are none.
    """
    clips = list(videos.clips.values())
    kept = [clip for clip in clips if clip.num_frames >= round(seconds * clip.fps)]
    if not kept:
        raise InputError(
            f"the clips of {videos.dataset.path} have {max(clip.duration for clip in clips):.1f} s at most, and "
            f"{seconds:g} s are wanted: give --images and --music, or a dataset of longer clips"
        )
    return DatasetVideos(videos.dataset, kept, videos.spec, videos.num_frames), len(clips) - len(kept)
