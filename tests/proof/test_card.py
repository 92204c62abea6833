"""The card's table, and findings as JSON."""

import json
from pathlib import Path

import pytest

from musedance.errors import InputError
from musedance.proof.card import BEGIN, END, table, write_findings, write_numbers
from musedance.proof.finding import Finding

FOUND = [
    Finding("beat", "lift over other music", 0.21234, (0.1, 0.3), 96, least=0.0, truth=0.52),
    Finding("text", "recognised", 0.3, (0.2, 0.4), 400, least=0.25, truth=0.95, chance=0.0833),
    Finding("length", "growth a second", 0.001, None, 8),
]


def test_a_row_for_each_finding() -> None:
    lines = table(FOUND).splitlines()
    assert len(lines) == 2 + 3 and {line.count("|") for line in lines} == {9}
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    lift = ["beat: lift over other music", "0.212", "0.1 to 0.3", "96", "0.52", "", "over 0", "yes"]
    assert rows[0] == lift
    assert rows[1][-3:] == ["0.0833", "over 0.25", "**no**"]
    assert rows[2] == ["length: growth a second", "0.001", "", "8", "", "", "", ""]


def test_only_what_is_between_the_marks_is_replaced(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(
        f"# Tiny\n\nDrawn figures: Größe 128.\n\n{BEGIN}\nold numbers\n{END}\n\n## Limits\n", encoding="utf-8"
    )
    write_numbers(card, FOUND, "Made with 12 steps.")
    text = card.read_text(encoding="utf-8")
    assert text.startswith("# Tiny\n\nDrawn figures: Größe 128.\n\n") and text.endswith(f"{END}\n\n## Limits\n")
    assert "old numbers" not in text and "Made with 12 steps." in text and table(FOUND) in text
    write_numbers(card, FOUND, "Made with 12 steps.")
    assert card.read_text(encoding="utf-8") == text
    write_numbers(card, FOUND[:1], "Anew.")
    assert table(FOUND[:1]) in card.read_text(encoding="utf-8") and "recognised" not in card.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["# Tiny\n", f"# Tiny\n{BEGIN}\n", f"# Tiny\n{END}\n", f"{END}\n{BEGIN}\n"])
def test_a_card_without_a_place_for_them_is_left_alone(tmp_path: Path, text: str) -> None:
    card = tmp_path / "README.md"
    card.write_text(text)
    with pytest.raises(InputError, match=r"README\.md has no place for the numbers"):
        write_numbers(card, FOUND, "")
    assert card.read_text() == text


def test_findings_are_strict_json(tmp_path: Path) -> None:
    """Also what could not be measured."""
    nan = float("nan")
    unknown = Finding("tempo", "rank correlation", nan, (nan, nan), 0, least=0.5, truth=nan)
    write_findings(tmp_path / "findings.json", [*FOUND, unknown], {"identity": [0.1, 0.2]})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    told = json.loads((tmp_path / "findings.json").read_text(), parse_constant=refuse)
    assert told["curves"] == {"identity": [0.1, 0.2]}
    first, *_, last = told["findings"]
    assert first["value"] == 0.21234 and first["interval"] == [0.1, 0.3] and first["holds"] is True
    assert last["value"] is last["interval"] is last["truth"] is None and last["holds"] is False and last["n"] == 0
