"""All of the card's questions, asked of the smallest model: its answers mean nothing, but there is one to each."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import musedance.weights.init
from musedance.cli import main
from musedance.datasets.shards import open_dataset
from musedance.errors import InputError
from musedance.evaluation.generate import SamplingOptions
from musedance.evaluation.settings import TestSet
from musedance.inference.studio import Settings
from musedance.pipeline import MuseDancePipeline
from musedance.proof.card import BEGIN, END
from musedance.proof.finding import Finding
from musedance.proof.prove import Exam, prove
from musedance.puppets.world import write_puppets
from musedance.weights.init import init_folder
from tests.conftest import small_sections

from .conftest import FRAMES, GENRES, MOVES, world

ASKED = [
    *["appearance"] * 9,  # three times two references, background, identity, flicker
    *["beat"] * 5,  # hit, two lifts, two of swapped beats
    "tempo",
    *["text"] * 2,
    *["music"] * 2,
    *["length"] * 6,  # identity, colour, seams, flicker; later beats hit, one lift, since both clips are of one track
]
QUICK = {"pairs": 3, "swapped": 2, "references": 2, "recogniser_steps": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model with segments of 24 frames."""

    def sections(size: str) -> dict:
        found = small_sections()
        found["unet"]["num_frames"] = FRAMES
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musedance.weights.init, "load_sections", sections)
        return init_folder(tmp_path_factory.mktemp("model") / "small", seed=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Puppets: to learn from, for the test, and long ones."""
    root = tmp_path_factory.mktemp("data")
    for name, seed, clips, frames, split in (
        ("learned", 40, 12, FRAMES, "train"),
        ("test", 36, 8, FRAMES, "test"),
        ("long", 33, 2, 2 * FRAMES, "test"),
    ):
        write_puppets(root / name, world(seed, frames), clips=clips, split=split, workers=1)
    return lambda name: root / name


@pytest.fixture(scope="module")
def exam(data: Callable[..., Path]) -> Exam:
    return Exam(
        open_dataset(data("learned")),
        TestSet(str(data("test"))),
        TestSet(str(data("long"))),
        SamplingOptions(steps=1, guidance=1.0, batch_size=4),
        **QUICK,
    )


@pytest.fixture(scope="module")
def settings(model: Path) -> Settings:
    return Settings(model=str(model), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def proven(settings: Settings, exam: Exam, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """The folder, findings and curves."""
    output = tmp_path_factory.mktemp("proof") / "out"
    return output, *prove(settings, exam, output)


def made(folder: Path) -> dict[str, int]:
    """All videos of a folder, and when they were written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*.mp4"))}


def test_there_is_a_finding_for_every_question(proven: tuple) -> None:
    _, findings, curves = proven
    assert [found.claim for found in findings] == ASKED
    assert len({(found.claim, found.name) for found in findings}) == len(findings)
    by_name: dict[str, Finding] = {found.name: found for found in findings}
    assert by_name["PSNR where no dancer is (dB)"].n == 8 and by_name["PSNR where no dancer is (dB)"].least == 25
    assert by_name["rank correlation of periods"].least == 0.5
    text, music = (found for found in findings if found.name == "what was asked for is recognised")
    assert text.n == 2 * len(MOVES) and text.chance == pytest.approx(1 / 3) and text.least == pytest.approx(1)
    assert music.n == 2 * len(GENRES) and music.chance == music.least == 0.5
    assert by_name["beats hit, after the first segment"].n == 2
    kinds = {"identity", "identity/true", "colour", "colour/true"}
    assert set(curves) == kinds and {len(curve) for curve in curves.values()} == {4}


def test_each_question_has_its_own_videos(proven: tuple) -> None:
    counts = {folder.name: len(list(folder.glob("*.mp4"))) for folder in proven[0].iterdir() if folder.is_dir()}
    assert counts == {"own": 8, "beats": 2, "text": 6, "music": 4, "long": 2}


@pytest.mark.parametrize("change", ["model", "sampling", "takes"])
def test_videos_of_other_answers_are_not_taken_for_these(
    proven: tuple, settings: Settings, exam: Exam, tmp_path: Path, change: str
) -> None:
    """Another model, other steps, other clips: the videos that are there are not theirs."""
    output = shutil.copytree(proven[0], tmp_path / "out")
    before = made(output)
    if change == "model":
        with pytest.MonkeyPatch.context() as patch:
            sections = small_sections()
            sections["unet"]["num_frames"] = FRAMES
            patch.setattr(musedance.weights.init, "load_sections", lambda size: sections)
            settings = replace(settings, model=str(init_folder(tmp_path / "other", seed=1)))
    elif change == "sampling":
        exam = replace(exam, sampling=replace(exam.sampling, steps=2))
    else:
        exam = replace(exam, test=replace(exam.test, clips=6))
    with pytest.raises(InputError, match="holds videos made with"):
        prove(settings, exam, output)
    assert made(output) == before


def test_what_cannot_be_made_is_said(
    proven: tuple, settings: Settings, exam: Exam, tmp_path: Path, monkeypatch
) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise InputError("the music is too short")

    monkeypatch.setattr(MuseDancePipeline, "__call__", refused)
    with pytest.raises(InputError, match="own_puppet-000000-0 could not be made: the music is too short"):
        prove(settings, exam, tmp_path)


def test_a_second_run_makes_no_video_and_the_command_writes_findings_and_card(
    proven: tuple,
    model: Path,
    data: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch,
) -> None:
    """With the usual numbers of pictures and steps it would take long: those are made few."""

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("all videos are there")

    monkeypatch.setattr(MuseDancePipeline, "__call__", never)
    monkeypatch.setattr("musedance.proof.prove.Exam", lambda *args: Exam(*args, **QUICK))
    output, findings, curves = proven
    before, card = made(output), tmp_path / "card.md"
    card.write_text(f"# Tiny\n{BEGIN}\n{END}\nLimits.\n")
    options = ["--model", model, "--learned", data("learned"), "--test", data("test"), "--long", data("long")]
    options += ["--output", output, "--card", card, "--device", "cpu", "--dtype", "float32"]
    options += ["--steps", "1", "--guidance", "1", "--batch-size", "2"]
    assert main(["tiny", "prove", *map(str, options)]) == 0
    assert made(output) == before
    told = json.loads((output / "findings.json").read_text())
    assert [found["value"] for found in told["findings"]] == [
        None if np.isnan(found.value) else found.value for found in findings
    ]
    assert told["curves"] == curves
    printed, text = capfd.readouterr().out, card.read_text()
    assert printed.count("\n| ") == len(ASKED)
    assert printed.strip() in text and "1 step, guidance 1, seed 0" in text and text.endswith("Limits.\n")
