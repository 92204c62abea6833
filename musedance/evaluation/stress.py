"""`musedance stress`: unusual subjects, long videos, many genres; what reviewers of the paper asked to see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from musedance.datasets.spec import ClipSpec
from musedance.device import choose_device
from musedance.errors import InputError
from musedance.evaluation.cases import PICTURES, SOUNDS, Cases, DatasetCases, PictureCases, files_in
from musedance.evaluation.contestant import Contest, Contestant
from musedance.evaluation.entrant import Entrant
from musedance.evaluation.footage import VideoSet
from musedance.evaluation.generate import SamplingOptions
from musedance.evaluation.processes import Processes
from musedance.evaluation.provenance import describe_dataset, describe_files
from musedance.evaluation.report import Evaluation, has_joints, true_entrants
from musedance.evaluation.results import Report, System, Table
from musedance.evaluation.score import Scorer
from musedance.evaluation.settings import Scoring, TestSet
from musedance.evaluation.stress_tables import genre_table, length_table, subject_table
from musedance.evaluation.tools import load_tools
from musedance.inference.studio import Settings, Studio

GENERATED = "generated"


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
            dataset, truth = replace(self.test, num_frames=round(seconds * spec.fps)).open(model)
            longest = max(clip.duration for clip in truth.clips.values())
            if longest < seconds - 0.5 / spec.fps:
                raise InputError(
                    f"the clips of {dataset.path} have {longest:.1f} s at most, and {seconds:g} s are wanted: "
                    "give --images and --music, or a dataset of longer clips"
                )
            return DatasetCases(truth), truth, {"data": describe_dataset(dataset, self.test.split)}
        if not (self.images and self.music and self.prompt):
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
    """

    settings: Settings
    material: Material
    seconds: float
    sampling: SamplingOptions
    scoring: Scoring
    output: Path


def stress_subjects(stress: Stress) -> Path:
    """Subjects of many kinds, music of many genres: how like their picture they stay, and whether they dance.

    Returns:
        The page. This and the next two raise InputError where model, material or output cannot be used.
    """
    contest, model = _prepare(stress)
    return _finish(contest, [contest.enter(model)], "Subjects", lambda systems: subject_table(systems[0]))


def stress_length(stress: Stress) -> Path:
    """Long videos: what drifts, second by second, and what is seen of the seams."""
    contest, model = _prepare(stress)
    return _finish(contest, [contest.enter(model)], "Length", lambda systems: length_table(systems[0]))


def stress_genres(stress: Stress, without: str | None = None) -> Path:
    """Genres, with the beat modules and without.

    Args:
        stress: the test.
        without: folder of a model trained without them; the same model with them knocked out if not given.
    """
    contest, model = _prepare(stress)
    if without is None:
        other = Contestant.without("beat knocked out", stress.settings, {"beat"})
    else:
        other = Contestant.of_folder("trained without beat", Studio(replace(stress.settings, model=without)))
    tracks = {name: case.facts.track for name, case in contest.cases.cases.items()}
    entrants = [contest.enter(model), contest.enter(other)]
    return _finish(contest, entrants, "Genres", lambda systems: genre_table(systems[0], systems[1], tracks))


def _prepare(stress: Stress) -> tuple[Contest, Contestant]:
    """What is to be made, and the model, whole."""
    processes = Processes()
    studio = Studio(replace(stress.settings, device=processes.device(stress.settings.device)))
    cases, truth, told = stress.material.open(studio.folder, stress.seconds)
    tools = load_tools(stress.scoring.tools, choose_device(processes.device(stress.scoring.device)))
    scorer = Scorer(tools, ClipSpec.of_model(studio.folder).num_frames, stress.scoring.beats_from)
    evaluation = Evaluation(stress.output, stress.scoring, processes)
    contest = Contest(evaluation, cases, truth, scorer, stress.sampling, {"seconds": stress.seconds, **told})
    return contest, Contestant.of_folder(GENERATED, studio)


def _finish(
    contest: Contest, entrants: Sequence[Entrant], title: str, table: Callable[[Sequence[System]], Table]
) -> Path:
    """Score, add the table that answers the question, write."""
    everyone = list(entrants)
    if not isinstance(contest.truth, str):
        everyone += true_entrants(contest.truth, contest.scorer, contest.cases, has_joints(contest.truth))
    systems = contest.evaluation.systems(everyone)
    report = Report(
        title=f"{title}: {entrants[0].description}",
        summary=(),
        systems=tuple(systems),
        provenance={**contest.told, "sampling": contest.sampling.described(), "metrics": contest.scorer.tools.files},
        tables=(table(systems),),
    )
    return contest.evaluation.write(report, entrants[0])
