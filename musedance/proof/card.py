"""Findings as the table of a model card."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from musedance.errors import InputError
from musedance.files import appearing
from musedance.proof.finding import Finding

BEGIN, END = "<!-- numbers -->", "<!-- end of numbers -->"
_HEAD = ("| | measured | 95 % interval | n | true videos | guessing | asked | |", "|---|---|---|---|---|---|---|---|")


def table(findings: Sequence[Finding]) -> str:
    """A Markdown table, a row for each finding."""
    return "\n".join([*_HEAD, *(_row(finding) for finding in findings)])


def write_numbers(card: Path, findings: Sequence[Finding], told: str) -> None:
    """Put the table into a card, between its two marks, in the place of the one that is there.

    Args:
        card: a Markdown file.
        findings: for the table.
        told: one paragraph above it: how, where and when they were measured.

    Raises:
        InputError: the card lacks the marks.
    """
    text = card.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{card} has no place for the numbers: {BEGIN} and {END}")
    card.write_text(f"{before}{BEGIN}\n{told}\n\n{table(findings)}\n{END}{after}", encoding="utf-8")


def write_findings(path: Path, findings: Sequence[Finding], curves: Mapping[str, Sequence[float]]) -> None:
    """The same as strict JSON, with the curves over the seconds of long videos; what is NaN is null."""
    told = [_without_nan({**asdict(finding), "holds": finding.holds}) for finding in findings]
    content = {"findings": told, "curves": {name: list(curve) for name, curve in curves.items()}}
    with appearing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _without_nan(told: Mapping[str, Any]) -> dict[str, Any]:
    unknown = {name for name, value in told.items() if isinstance(value, float | tuple) and np.isnan(value).any()}
    return {name: None if name in unknown else value for name, value in told.items()}


def _row(finding: Finding) -> str:
    interval = "" if finding.interval is None else f"{finding.interval[0]:.3g} to {finding.interval[1]:.3g}"
    truth, chance = (_number(value) for value in (finding.truth, finding.chance))
    asked = "" if finding.least is None else f"over {finding.least:.3g}"
    holds = {None: "", True: "yes", False: "**no**"}[finding.holds]
    cells = (
        f"{finding.claim}: {finding.name}", f"{finding.value:.3g}", interval, str(finding.n), truth, chance, asked,
        holds,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
