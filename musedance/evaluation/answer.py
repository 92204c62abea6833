"""What a report says to the question it was made for."""

from collections.abc import Iterable
from dataclasses import dataclass

from musedance.report.results import Table


@dataclass(frozen=True)
class Answer:
    """To the question of a stress test or an ablation.

    Attributes:
        summary: sentences for the top of the page.
        tables: what they rest on.
    """

    summary: tuple[str, ...]
    tables: tuple[Table, ...]


def sorted_out(heads: Iterable[str], findings: Iterable[tuple[str, str]]) -> str:
    """Findings under the heads that they belong to, as a line: "Shown for: a, b. Not shown for: c."

    Args:
        heads: in the order in which they stand; those without findings are left out.
        findings: (head, what was found).
    """
    found = list(findings)
    grouped = {head: [what for whose, what in found if whose == head] for head in heads}
    return " ".join(f"{head}: {', '.join(whats)}." for head, whats in grouped.items() if whats)
