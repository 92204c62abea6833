"""Rows and tables of an ablation: their order, what they refuse to compare, and what their cells say."""

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from musedance.errors import InputError
from musedance.evaluation.ablation import (
    LIFTS,
    SCORES,
    Row,
    ablation_table,
    cumulative_rows,
    knock_out_rows,
    knock_out_table,
)
from musedance.models import MuseDanceUNet
from musedance.report.results import Null, Result, Table
from musedance.weights.modules import MODULES, load_unet

Make = Callable[..., Path]


def linked(folder: Path, output: Path) -> Path:
    """A copy of a folder, but for its UNet and index."""
    ignored = shutil.ignore_patterns("unet", "model_index.json")
    return shutil.copytree(folder, output, copy_function=os.link, ignore=ignored)


@pytest.fixture(scope="module")
def start(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder with a UNet that is smaller still, since it makes no videos here."""
    folder = linked(tiny_folder, tmp_path_factory.mktemp("models") / "start")
    shutil.copy(tiny_folder / "model_index.json", folder)
    config = MuseDanceUNet.load_config(tiny_folder / "unet")
    MuseDanceUNet.from_config(config, block_out_channels=[16], norm_num_groups=4).save_pretrained(folder / "unet")
    return folder


@pytest.fixture
def make(start: Path, tmp_path: Path) -> Make:
    """A folder of some stage whose UNet has some modules, trained or not; `config` and `shift` change the UNet."""

    def make(name: str, modules: tuple[str, ...] = MODULES, stage: int = 2, shift: str = "", **config: int) -> Path:
        folder = linked(start, tmp_path / name)
        index = json.loads((start / "model_index.json").read_text())
        index |= {"stage": stage, "provenance": f"stage {stage}, 30 steps from abc"}
        (folder / "model_index.json").write_text(json.dumps(index))
        unet = load_unet(start, modules, torch.float32)
        with torch.no_grad():
            for key, parameter in unet.named_parameters():
                parameter.add_(bool(shift) and shift in key)
        unet.register_to_config(**config)
        unet.save_pretrained(folder / "unet")
        return folder

    return make


def test_rows_come_in_the_papers_order_whatever_order_they_are_given_in(make: Make) -> None:
    whole = make("whole", shift="motion_modules")
    music, both, none = make("music", ("music",)), make("both", ("motion", "music")), make("none", stage=1)
    rows = cumulative_rows([whole, both, none, music])
    assert [row.folder for row in rows] == [none, music, both, whole]
    assert [row.name for row in rows] == ["none", "music", "music + motion", "music + motion + beat"]
    assert [row.modules for row in rows] == [set(), {"music"}, {"music", "motion"}, {"music", "motion", "beat"}]
    assert rows[0].provenance == "stage 1, 30 steps from abc"
    assert not any(row.results for row in rows)
    (music_row, beat_row) = cumulative_rows([make("beat", ("beat",)), music])
    assert (music_row.name, beat_row.name) == ("music", "beat")


def test_folders_that_cannot_be_compared_are_refused(make: Make, tmp_path: Path) -> None:
    whole, music, none = make("whole"), make("music", ("music",)), make("none", stage=1)
    for folders, words in (
        ([whole, none, make("again")], "have the same modules, music . motion . beat"),
        ([none, make("stage 1 again", stage=1)], "have the same modules, none"),
        ([whole, make("start", stage=0)], "is of stage 0, not trained"),
        ([none, make("other", shift="conv_in")], "do not come from one stage 1 folder"),
        ([whole, make("longer", ("music",), num_frames=48)], "of 48 and 24 frames a segment"),
        ([whole, make("larger", ("music",), sample_size=16)], "of 65536 and 16384 pixels"),
        ([whole, tmp_path / "nothing"], "does not exist"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            cumulative_rows(folders)
        assert "\n" not in str(caught.value)
        assert str(folders[-1]) in str(caught.value)
    with pytest.raises(InputError, match="compares two or more"):
        cumulative_rows([whole])
    assert len(cumulative_rows([whole, music, make("still larger", stage=1, sample_size=16)])) == 3


def test_one_model_is_knocked_out_module_by_module(make: Make) -> None:
    folder = make("whole")
    rows = knock_out_rows(folder)
    assert [(row.name, row.modules) for row in rows] == [
        ("music + motion + beat", {"music", "motion", "beat"}),
        ("without beat", {"music", "motion"}),
        ("without motion", {"music", "beat"}),
        ("without music", {"motion", "beat"}),
        ("without music, motion, beat", set()),
    ]
    assert {row.folder for row in rows} == {folder}
    assert [row.name for row in knock_out_rows(make("music", ("music",)))] == ["music", "without music"]
    with pytest.raises(InputError, match="no trained modules"):
        knock_out_rows(make("none", stage=1))


def result(measure: str, value: float | None, interval: tuple[float, float] | None = None, **more: object) -> Result:
    return Result(measure, value, interval, 64, **more)


def with_lift(measure: str, lift: float, interval: tuple[float, float] | None) -> Result:
    nulls = Null("half a beat late", 0.1, 0.6, None, None), Null("other music", 0.7 - lift, lift, interval, 0.01)
    return result(measure, 0.7, (0.6, 0.8), nulls=nulls)


SCORED = {
    "psnr_disco": result("psnr_disco", 24.491, (23.512, 25.104)),
    "ssim_disco": result("ssim_disco", 0.6114, (0.6, 0.6251)),
    "lpips_disco": result("lpips_disco", None, reason="not computed: weights missing; get them with X"),
    "fvd_disco": result("fvd_disco", 738.69, warnings=("Rests on fewer than 256 videos.",)),
    "hfd": result("hfd", 12.5),
    "mm_align": with_lift("mm_align", 0.0412, (0.01, 0.07)),
    "beats_hit": with_lift("beats_hit", -0.05, None),
}


def table_of(*results: dict[str, Result], provenance: str = "stage 2, 30 steps from abc") -> Table:
    rows = [Row("none", Path("a"), frozenset()), Row("music + motion", Path("b"), frozenset({"music", "motion"}))]
    return ablation_table(
        [replace(row, results=found, provenance=provenance) for row, found in zip(rows, results, strict=True)]
    )


def test_the_table_has_the_shape_of_the_papers() -> None:
    table = table_of(SCORED, SCORED)
    assert table.head[:3] == ("Music", "Motion", "Beat")
    assert [head.split(" ")[0] for head in table.head[3:8]] == ["PSNR", "SSIM", "LPIPS", "FVD", "HFD"]
    assert [head[-1] for head in table.head[3:]] == list("↑↑↓↓↓↑↑")
    assert len(table.head) == 3 + len(SCORES) + len(LIFTS)
    assert {len(row) for row in table.rows} == {len(table.head)}
    assert [row[:3] for row in table.rows] == [("", "", ""), ("✓", "✓", "")]
    assert "none for music; music + motion + beat" in table.note
    assert "none: stage 2, 30 steps from abc." in table.note


def test_every_cell_has_its_interval_and_n() -> None:
    (row, _) = table_of(SCORED, SCORED).rows
    assert row[3:] == (
        "24.49 [23.51, 25.10], n = 64",
        "0.611 [0.600, 0.625], n = 64",
        "not computed",
        "738.7, n = 64",
        "12.50, n = 64",
        "+0.0412 [0.0100, 0.0700], n = 64",
        "\N{MINUS SIGN}0.0500, n = 64",
    )


def test_what_has_no_value_says_so_in_a_word() -> None:
    """The reasons stand at the top of the page, once."""
    undefined = {name: result(name, None, reason="no kinematic beats") for name in LIFTS}
    lone = {"psnr_disco": result("psnr_disco", math.inf), "mm_align": result("mm_align", 0.5)}
    table = table_of(SCORED | undefined, lone)
    assert table.rows[0][-2:] == ("undefined", "undefined")
    assert table.rows[1][3:] == ("∞, n = 64", *["not scored"] * 4, "no other music", "not scored")
    assert "weights missing" not in table.note


def test_a_knock_out_is_never_called_the_papers_table(make: Make) -> None:
    rows = [replace(row, results=SCORED) for row in knock_out_rows(make("whole"))]
    table = knock_out_table(rows)
    assert "knocked out at sampling" in table.title and "not the paper's" in table.title
    assert [row[:3] for row in table.rows] == [
        ("✓", "✓", "✓"),
        ("✓", "✓", ""),
        ("✓", "", "✓"),
        ("", "✓", "✓"),
        ("", "", ""),
    ]
    assert "stage 2, 30 steps from abc" in table.note
    assert "the paper's rows" not in table.note
    assert "the paper's table 3" in ablation_table(rows[:2]).title
