"""What an ablation says in sentences: what changes from one row to another, video by video."""

import itertools
from collections.abc import Mapping, Sequence

from musedance.evaluation.ablation import Row, name_modules
from musedance.evaluation.differences import TOO_FEW, Difference, Differences
from musedance.evaluation.groups import has_value
from musedance.report.catalog import MEASURES
from musedance.report.cells import value_cell
from musedance.report.markup import label
from musedance.report.results import System

OF_SET = ("fvd_disco", "hfd")  # the first that is there: they have no interval
OF_VIDEOS = ("beats_hit", "lpips_disco", "psnr_disco")


def cumulative_steps(rows: Sequence[Row], systems: Mapping[str, System], differences: Differences) -> tuple[str, ...]:
    """A sentence for each row against the one before: what training more modules changes.

    Args:
        rows: of `cumulative_rows`.
        systems: each row's videos, by its name.
        differences: finds them.
    """
    sentences = []
    for before, row in itertools.pairwise(rows):
        more = row.modules - before.modules
        nested = before.modules < row.modules
        step = f"Training {name_modules(more)} too" if nested else f"Training {row.name} rather than {before.name}"
        sentences.append(_step(step, systems[before.name], systems[row.name], differences))
    return tuple(sentences)


def knock_out_steps(rows: Sequence[Row], systems: Mapping[str, System], differences: Differences) -> tuple[str, ...]:
    """The same for each row against the first, whole one: what leaving modules out changes.

    Args:
        rows: of `knock_out_rows`.
        systems: see above.
        differences: see above.
    """
    whole, *others = rows
    return tuple(_step(row.name.capitalize(), systems[whole.name], systems[row.name], differences) for row in others)


def _step(step: str, before: System, after: System, differences: Differences) -> str:
    changes = []
    of_set = next((name for name in OF_SET if has_value(before, name) and has_value(after, name)), None)
    if of_set is not None:
        first, last = (system.results[of_set] for system in (before, after))
        changes.append(f"{label(of_set)} from {value_cell(first, last.n)} to {value_cell(last)}")
    for name in OF_VIDEOS:
        difference = differences.by_video(after.videos, before.videos, name)
        if difference is not None:
            changes.append(f"{label(name)} {difference.text()}: {_verdict(name, difference)}")
    return f"{step}: {'; '.join(changes) or 'nothing to compare'}."


def _verdict(measure: str, difference: Difference) -> str:
    if difference.sign is None:
        return TOO_FEW
    if not difference.sign:
        return "no difference is shown"
    return "better" if (difference.sign > 0) == (MEASURES[measure].better == "higher") else "worse"
