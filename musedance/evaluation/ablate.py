"""`musedance ablate`: several trainings, or one model without some of its modules, scored on one test set."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from musedance.datasets.spec import ClipSpec
from musedance.device import choose_device
from musedance.errors import InputError
from musedance.evaluation.ablation import (
    ORDER,
    Row,
    ablation_table,
    cumulative_rows,
    knock_out_rows,
    knock_out_table,
)
from musedance.evaluation.ablation_steps import cumulative_steps, knock_out_steps
from musedance.evaluation.cases import DatasetCases
from musedance.evaluation.contestant import Contest, Contestant
from musedance.evaluation.differences import Differences
from musedance.evaluation.generate import SamplingOptions
from musedance.evaluation.processes import Processes
from musedance.evaluation.provenance import describe_dataset
from musedance.evaluation.reporting import Evaluation, has_joints, true_entrants
from musedance.evaluation.score import Scorer
from musedance.evaluation.settings import Scoring, TestSet
from musedance.evaluation.tools import load_tools
from musedance.inference.studio import Settings
from musedance.report.results import Report

TRAININGS, KNOCK_OUTS = "Cumulative trainings", "Modules knocked out at sampling"


def ablate(
    folders: Sequence[str | Path],
    settings: Settings,
    test: TestSet,
    output: str | Path,
    sampling: SamplingOptions,
    scoring: Scoring,
    *,
    knock_out: bool = False,
) -> Path:
    """Score trained folders as the paper's table 3, or one folder with its modules knocked out.

    Args:
        folders: trained ones; one where modules are knocked out.
        settings: device, dtype and attention.
        test: which clips.
        output: folder of the report.
        sampling: how videos are made.
        scoring: how they are scored.
        knock_out: see above.

    Returns:
        The page.

    Raises:
        InputError: a folder, data, a setting or the output cannot be used.
    """
    rows = _rows([Path(folder) for folder in folders], knock_out)
    whole = max(rows, key=lambda row: len(row.modules))
    processes = Processes()
    device = processes.device(settings.device)
    dataset, truth = test.open(whole.folder)
    cases = DatasetCases(truth, test.from_other_clip)
    tools = load_tools(scoring.tools, choose_device(processes.device(scoring.device)))
    scorer = Scorer(tools, ClipSpec.of_model(whole.folder).num_frames, scoring.beats_from)
    evaluation = Evaluation(Path(output), scoring, processes)
    told = {"data": describe_dataset(dataset, test.split), **test.described()}
    contest = Contest(evaluation, cases, truth, scorer, sampling, told)

    models = {row.name: _contestant(row, replace(settings, device=device)) for row in rows}
    entrants = {row.name: contest.enter(models[row.name]) for row in sorted(rows, key=lambda row: -len(row.modules))}
    systems = evaluation.systems(
        [*entrants.values(), *true_entrants(truth, scorer, cases, with_joints=has_joints(truth))]
    )
    named = {system.name: system for system in systems}
    scored = [replace(row, results=named[row.name].results) for row in rows]
    differences = Differences({name: case.facts.track for name, case in cases.cases.items()}, scoring.seed)
    report = Report(
        title=f"{KNOCK_OUTS if knock_out else TRAININGS}: {dataset.path.resolve().name}, {test.split}",
        summary=(knock_out_steps if knock_out else cumulative_steps)(rows, named, differences),
        systems=tuple(systems),
        provenance={
            "models": {name: model.told for name, model in models.items()},
            **told,
            "sampling": sampling.described(),
            "metrics": tools.files,
        },
        tables=((knock_out_table if knock_out else ablation_table)(scored),),
    )
    return evaluation.write(report, entrants[whole.name])


def _rows(folders: list[Path], knock_out: bool) -> tuple[Row, ...]:
    if not knock_out:
        return cumulative_rows(folders)
    if len(folders) != 1:
        raise InputError(f"modules are knocked out of one model, not of {len(folders)}: give one folder")
    return knock_out_rows(folders[0])


def _contestant(row: Row, settings: Settings) -> Contestant:
    return Contestant.without(row.name, replace(settings, model=str(row.folder)), set(ORDER) - row.modules)
