"""Tables of an ablation: of models trained with more and more modules, and of one model with modules knocked out."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.evaluation.modules import modules_of, spatial_fingerprint, stage_of
from musedance.metrics.nulls import OTHER_MUSIC
from musedance.report.catalog import MEASURES
from musedance.report.cells import lift_cell, value_cell
from musedance.report.markup import ARROWS, label
from musedance.report.results import Result, Table

ORDER = ("music", "motion", "beat")  # in which the paper's table 3 adds them
SCORES = ("psnr_disco", "ssim_disco", "lpips_disco", "fvd_disco", "hfd")
LIFTS = ("mm_align", "beats_hit")
_PAPERS_ROWS = tuple(frozenset(ORDER[:count]) for count in range(len(ORDER) + 1))


@dataclass(frozen=True)
class Row:
    """A row of an ablation.

    Attributes:
        name: "music + motion", "without beat".
        folder: pipeline folder.
        modules: those that are in, some of `ORDER`. `load_without(folder, set(ORDER) - modules, ...)` is its model.
        results: by measure; empty until its videos are scored (`dataclasses.replace`).
        provenance: the folder's own words on where its weights come from.
    """

    name: str
    folder: Path
    modules: frozenset[str]
    results: Mapping[str, Result] = field(default_factory=dict)
    provenance: str = ""


def cumulative_rows(folders: Sequence[Path]) -> tuple[Row, ...]:
    """Trained folders in the order of the paper's table 3: fewer modules first, then music, motion, beat.

    A stage 1 folder is the row without modules.

    Args:
        folders: two or more, in any order.

    Returns:
        A row each, without results.

    Raises:
        InputError: fewer than two, one that is not trained, two with the same modules, or two that cannot be compared:
            from different stage 1 folders, or trained in stage 2 on clips of different size, rate or length.
    """
    if len(folders) < 2:
        raise InputError("an ablation compares two or more trained folders, such as stage 1's and those of stage 2")
    rows = [_row(folder, modules_of(folder)) for folder in folders]
    rows.sort(key=lambda row: (len(row.modules), [name not in row.modules for name in ORDER]))
    for before, row in itertools.pairwise(rows):
        if before.modules == row.modules:
            raise InputError(f"{before.folder} and {row.folder} have the same modules, {row.name}: give one of them")
    _check_same_start(rows)
    _check_same_clips(rows)
    return tuple(rows)


def knock_out_rows(folder: Path) -> tuple[Row, ...]:
    """One trained folder: as it is, without each of its modules, and without any.

    Returns:
        Rows without results; two where it has only one module.

    Raises:
        InputError: it has no trained modules.
    """
    found = modules_of(folder)
    if not found:
        raise InputError(f"{folder} has no trained modules to knock out: give a folder of stage 2")
    whole = _row(folder, found)
    left_out = [frozenset({name}) for name in reversed(ORDER) if name in found]
    left_out += [found] if len(found) > 1 else []
    rows = [
        Row(f"without {name_modules(out, ', ')}", folder, found - out, provenance=whole.provenance) for out in left_out
    ]
    return (whole, *rows)


def ablation_table(rows: Sequence[Row]) -> Table:
    """Cumulative trainings as the paper's table 3, with intervals and n, and what the right music adds.

    Args:
        rows: of `cumulative_rows`, with results.
    """
    notes = [f"{row.name}: {row.provenance or row.folder}." for row in rows]
    missing = [modules for modules in _PAPERS_ROWS if modules not in {row.modules for row in rows}]
    if missing:
        notes.insert(0, f"Of the paper's rows there is none for {'; '.join(map(name_modules, missing))}.")
    return _table("Ablation: each row a training of its own (the paper's table 3)", rows, notes)


def knock_out_table(rows: Sequence[Row]) -> Table:
    """One trained model with modules left out when it makes videos.

    Args:
        rows: of `knock_out_rows`, with results.
    """
    notes = [
        f"Model: {rows[0].provenance or rows[0].folder}.",
        "What is left in was trained together with what is left out: this says what the model relies on, not what "
        "training without a module gives.",
    ]
    return _table("One trained model, modules knocked out at sampling: not the paper's table", rows, notes)


def _row(folder: Path, modules: frozenset[str]) -> Row:
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    return Row(name_modules(modules), folder, modules, provenance=str(index.get("provenance", "")))


def name_modules(modules: frozenset[str], separator: str = " + ") -> str:
    """ "music + motion", in the paper's order; "none" if there are none."""
    return separator.join(name for name in ORDER if name in modules) or "none"


def _check_same_start(rows: Sequence[Row]) -> None:
    untrained = [row.folder for row in rows if stage_of(row.folder) == 0]
    if untrained:
        raise InputError(f"{untrained[0]} is of stage 0, not trained: the row without modules is a stage 1 folder")
    first, *others = rows
    start = spatial_fingerprint(first.folder)
    for row in others:
        if spatial_fingerprint(row.folder) != start:
            raise InputError(
                f"{first.folder} and {row.folder} do not come from one stage 1 folder, or are not saved in one dtype: "
                "weights that stage 2 leaves alone differ"
            )


def _check_same_clips(rows: Sequence[Row]) -> None:
    """Stage 1 has no clips."""
    specs = [(row.folder, ClipSpec.of_model(row.folder)) for row in rows if row.modules]
    for (first, one), (second, other) in itertools.pairwise(specs):
        for what, a, b in (
            ("pixels", one.pixels, other.pixels),
            ("frames per second", one.fps, other.fps),
            ("frames a segment", one.num_frames, other.num_frames),
        ):
            if a != b:
                raise InputError(
                    f"{first} and {second} were trained on different clips, of {a} and {b} {what}: "
                    "train them with the same clips.*"
                )


def _table(title: str, rows: Sequence[Row], notes: Sequence[str]) -> Table:
    heads = [f"{label(key)} {ARROWS[MEASURES[key].better]}".strip() for key in SCORES]
    heads += [f"{label(key)}, lift over {OTHER_MUSIC} {ARROWS[MEASURES[key].better]}" for key in LIFTS]
    cells = tuple(
        (
            *("✓" if name in row.modules else "" for name in ORDER),
            *(value_cell(row.results.get(key)) for key in SCORES),
            *(lift_cell(row.results.get(key)) for key in LIFTS),
        )
        for row in rows
    )
    head = (*(name.capitalize() for name in ORDER), *heads)
    return Table(title, head, cells, " ".join(notes))
