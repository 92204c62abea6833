"""`musedance evaluate`: a model on a test set, or videos that any system made."""

from dataclasses import replace
from pathlib import Path

from musedance.datasets.folder import DATASET_FILE
from musedance.datasets.spec import ClipSpec
from musedance.device import choose_device
from musedance.errors import InputError
from musedance.evaluation.cases import DatasetCases
from musedance.evaluation.contestant import Contest, Contestant, short_name
from musedance.evaluation.entrant import Entrant
from musedance.evaluation.footage import FolderVideos, VideoSet
from musedance.evaluation.generate import SamplingOptions
from musedance.evaluation.processes import Processes
from musedance.evaluation.provenance import describe_dataset, describe_videos
from musedance.evaluation.reporting import Evaluation, has_joints, true_entrants
from musedance.evaluation.score import Scorer
from musedance.evaluation.settings import Scoring, TestSet
from musedance.evaluation.tools import load_tools
from musedance.inference.studio import Settings, Studio
from musedance.report.results import Report

GENERATED = "generated"


def evaluate_model(
    settings: Settings, test: TestSet, output: str | Path, sampling: SamplingOptions, scoring: Scoring
) -> Path:
    """Generate a test set with a model and score it. What is there already is not done again.

    Args:
        settings: model, device, dtype and attention.
        test: which clips.
        output: folder of the report.
        sampling: how videos are made.
        scoring: how they are scored.

    Returns:
        The page.

    Raises:
        InputError: model, data, a setting or the output cannot be used.
    """
    processes = Processes()
    studio = Studio(replace(settings, device=processes.device(settings.device)))
    dataset, truth = test.open(studio.folder)
    cases = DatasetCases(truth, test.from_other_clip)
    scoring = replace(scoring, segment_frames=ClipSpec.of_model(studio.folder).num_frames)
    tools = load_tools(scoring.tools, choose_device(processes.device(scoring.device)))
    scorer = Scorer(tools, scoring.segment_frames, scoring.beats_from)
    evaluation = Evaluation(Path(output), scoring, processes)
    told = {"data": describe_dataset(dataset, test.split), **test.described()}
    contest = Contest(evaluation, cases, truth, scorer, sampling, told)
    contestant = Contestant.of_folder(GENERATED, studio)
    generated = contest.enter(contestant)
    entrants = [generated, *true_entrants(truth, scorer, cases, with_joints=has_joints(truth))]
    report = Report(
        title=f"{short_name(studio.folder)} on {dataset.path.resolve().name}, {test.split}",
        summary=(),
        systems=tuple(evaluation.systems(entrants)),
        provenance={
            "model": contestant.told,
            **told,
            "sampling": sampling.described(),
            "device": str(studio.device),
            "metrics": tools.files,
        },
    )
    return evaluation.write(report, generated)


def evaluate_videos(
    videos: str | Path,
    reference: str | Path,
    output: str | Path,
    scoring: Scoring,
    *,
    split: str = "test",
    size: tuple[int, int] | None = None,
    name: str | None = None,
) -> Path:
    """Score videos that any system made.

    Args:
        videos: folder with them.
        reference: folder with the true videos of the same names, or a dataset whose clips have these ids.
        output: folder of the report.
        scoring: how they are scored.
        split: of the dataset.
        size: (height, width) that all videos are brought to, cropped around the centre; as they are if not given.
        name: what to call them; the folder's name if not given.

    Returns:
        The page.

    Raises:
        InputError: a folder or setting cannot be used, or no video has a true one.
    """
    processes = Processes()
    tools = load_tools(scoring.tools, choose_device(processes.device(scoring.device)))
    scorer = Scorer(tools, scoring.segment_frames, scoring.beats_from)
    truth: VideoSet
    if (Path(reference) / DATASET_FILE).is_file():
        dataset, truth = TestSet(str(reference), split).open(None, size)
        described = describe_dataset(dataset, split)
    else:
        truth = FolderVideos(reference, size=size)
        described = describe_videos(truth, str(reference))
    own = FolderVideos(videos, {known: truth.facts(known) for known in truth.ids}, size)
    if not set(own.ids) & set(truth.ids):
        raise InputError(
            f"no video in {videos} has the name of one in {reference}: {own.ids[0]}, ... and {truth.ids[0]}, ..."
        )
    name = name or Path(videos).resolve().name
    unmatched = {missing: "there is no video of this name" for missing in sorted(set(truth.ids) - set(own.ids))}
    entrants = [Entrant(name, str(videos), own, scorer, truth, failed=unmatched)]
    entrants += true_entrants(truth, scorer, None, with_joints=has_joints(truth))
    evaluation = Evaluation(Path(output), scoring, processes)
    evaluation.output.mkdir(parents=True, exist_ok=True)
    report = Report(
        title=f"{name} against {Path(reference).resolve().name}",
        summary=(),
        systems=tuple(evaluation.systems(entrants)),
        provenance={
            "videos": describe_videos(own, str(videos)),
            "reference": described,
            "size": size,
            "metrics": tools.files,
        },
    )
    return evaluation.write(report, entrants[0])
