"""The published numbers are held against the papers' text, where that is present."""

import re
from pathlib import Path

import pytest

from musedance.report.catalog import MEASURES
from musedance.report.paper_tables import DABFUSION, MUSEDANCE, PAPERS, Paper

TEXTS = Path(__file__).resolve().parents[2] / ".." / "shared" / "papers"


def test_tables_are_complete_and_of_known_measures() -> None:
    assert [table.number for paper in PAPERS for table in paper.tables] == [2, 3, 1, 3, 5, 6]
    for paper in PAPERS:
        assert paper.caveats and "arXiv" in paper.title
        for table in paper.tables:
            assert table.measures and set(table.measures) <= MEASURES.keys()
            assert table.rows and all(len(values) == len(table.measures) for _, values in table.rows)


def test_the_best_of_both_papers_is_where_they_say() -> None:
    """The last row is the paper's own system, and is what the tables of modules end with."""
    assert MUSEDANCE.tables[0].rows[-1][1] == MUSEDANCE.tables[1].rows[-1][1]
    alignment, length, beats = DABFUSION.tables[1:]
    assert alignment.rows[-1][1] == length.rows[0][1][:3] == beats.rows[-1][1][:3]
    assert DABFUSION.tables[0].rows[-1][1][0] == length.rows[0][1][3] == beats.rows[-1][1][3]


@pytest.mark.parametrize(
    ("paper", "file"), [(MUSEDANCE, "musedance_2501.18801.txt"), (DABFUSION, "dabfusion_2405.09266.txt")]
)
def test_each_row_is_in_the_paper(paper: Paper, file: str) -> None:
    if not (TEXTS / file).exists():
        pytest.skip("the papers' text is not here")
    lines = (TEXTS / file).read_text(encoding="utf-8").splitlines()
    printed = [[float(word) for word in re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", line)] for line in lines]
    for table in paper.tables:
        for name, values in table.rows:
            assert list(values) in printed, (table.number, name)
