"""`musedance stress`: from pictures, tracks and clips to a page that answers its question."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from musedance.cli import main
from musedance.evaluation.footage import FolderVideos
from musedance.evaluation.pairs import PairedVideos
from musedance.media.video import VideoReader
from musedance.media.video_writer import VideoWriter
from musedance.weights.modules import load_unet

QUICK = ("--dtype", "float32", "--steps", "1", "--shown", "0")


def stress(question: str, *arguments: str | Path) -> int:
    return main(["stress", question, *map(str, arguments)])


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def length_of(path: Path) -> int:
    with VideoReader(path) as video:
        return video.info.num_frames


def folder_of_stage_2(model: Path, output: Path, modules: tuple[str, ...]) -> Path:
    shutil.copytree(model, output)
    index = output / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"stage": 2}))
    load_unet(model, modules, torch.float32).save_pretrained(output / "unet")
    return output


@pytest.fixture(scope="module")
def whole(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that says it is trained, with all modules."""
    return folder_of_stage_2(small_model, tmp_path_factory.mktemp("models") / "whole", ("music", "beat", "motion"))


@pytest.fixture
def without_beat(whole: Path, tmp_path: Path) -> Path:
    return folder_of_stage_2(whole, tmp_path / "without", ("music", "motion"))


@pytest.fixture(scope="module")
def material(example_image: Path, example_track: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Two pictures of two kinds, two tracks of two genres."""
    folder, examples = tmp_path_factory.mktemp("material"), example_image.parent
    for kind, picture in (("person", example_image), ("bear", examples / "teddy.png")):
        (folder / "pictures" / kind).mkdir(parents=True)
        shutil.copy(picture, folder / "pictures" / kind)
    for genre, track in (("disco", example_track), ("waltz", examples / "waltz_132bpm.mp3")):
        (folder / "tracks" / genre).mkdir(parents=True)
        shutil.copy(track, folder / "tracks" / genre)
    return ("--images", str(folder / "pictures"), "--music", str(folder / "tracks"), "--prompt", "dances")


def test_every_subject_dances_to_every_track(whole: Path, material: tuple[str, ...], tmp_path: Path) -> None:
    told = ("--model", whole, *material, "--seconds", "1.5", *QUICK, "--output", tmp_path / "report")
    assert stress("subjects", *told) == 0
    videos = {path.stem: path for path in (tmp_path / "report" / "videos" / "generated").glob("*.mp4")}
    assert set(videos) == {
        f"{subject}_{track}"
        for subject in ("bear-teddy", "person-dancer")
        for track in ("disco-beat_120bpm", "waltz-waltz_132bpm")
    }
    assert {length_of(path) for path in videos.values()} == {18}
    report = report_of(tmp_path / "report")
    subjects, likeness, beats = report["tables"]
    assert [row[:2] for row in subjects["rows"]] == [["bear", "2"], ["person", "2"]]
    assert likeness["head"] == beats["head"] == ["kind", "disco", "waltz"]
    scores = {row["id"]: row["scores"] for row in report["systems"][0]["videos"]}
    value = float(likeness["rows"][0][2].partition(",")[0])
    assert value == pytest.approx(scores["bear-teddy_waltz-waltz_132bpm"]["identity"], abs=1e-3)
    assert report["summary"][0].startswith("Compared with a person too few tracks")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Subjects by kind" in page and report["summary"][0] in page
    assert report["provenance"]["models"]["generated"]["fingerprint"]
    assert len(report["provenance"]["images"]) == 2 and report["provenance"]["seconds"] == 1.5

    before = {path: path.stat().st_mtime_ns for path in videos.values()}
    videos["bear-teddy_disco-beat_120bpm"].unlink()
    assert stress("subjects", *told) == 0  # what is there is not made again
    changed = {path.stem for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"bear-teddy_disco-beat_120bpm"}
    assert report_of(tmp_path / "report")["tables"] == report["tables"]


def test_a_long_video_is_followed_second_by_second(whole: Path, puppet_data: Path, tmp_path: Path) -> None:
    told = ("--model", whole, "--data", puppet_data, "--clips", "2", "--seconds", "4", *QUICK)
    assert stress("length", *told, "--output", tmp_path / "report") == 0
    report = report_of(tmp_path / "report")
    generated, truth, _ = report["systems"]
    (table,) = report["tables"]
    assert [row[0] for row in table["rows"]] == ["0.5 s", "1.5 s", "2.5 s", "3.5 s"]
    curve = generated["curves"]["identity"]
    assert [float(row[1].partition(" ")[0]) for row in table["rows"]] == pytest.approx(curve["mean"], abs=1e-3)
    assert curve["marks"] == pytest.approx([frame / 12 for frame in range(4, 48, 4)])  # K = 4
    column = table["head"].index("identity distance to the reference, ground truth")
    assert [float(row[column].partition(" ")[0]) for row in table["rows"]] == pytest.approx(
        truth["curves"]["identity"]["mean"], abs=1e-3
    )
    assert any("Across seams" in sentence for sentence in report["summary"])


def test_beat_modules_are_knocked_out_and_both_are_shown(whole: Path, puppet_data: Path, tmp_path: Path) -> None:
    told = ("--model", whole, "--data", puppet_data, "--clips", "2", "--seconds", "1.5", *QUICK[:-1], "1")
    assert stress("genres", *told, "--output", tmp_path / "report") == 0
    report = report_of(tmp_path / "report")
    assert [system["name"] for system in report["systems"][:2]] == ["with beat modules", "beat knocked out"]
    assert report["provenance"]["models"]["beat knocked out"]["without"] == ["beat"]
    assert any("knocked out of one model" in sentence for sentence in report["summary"])
    assert any("for people to say" in sentence for sentence in report["summary"])
    assert "HFD to the true videos" in " ".join(report["summary"])


def test_a_training_without_beat_modules_is_compared(
    whole: Path, without_beat: Path, material: tuple[str, ...], tmp_path: Path
) -> None:
    output = tmp_path / "report"
    told = ("--model", whole, "--without", without_beat, *material, "--seconds", "1.5", *QUICK, "--output", output)
    assert stress("genres", *told) == 0
    report = report_of(output)
    (table,) = report["tables"]
    assert [row[:2] for row in table["rows"]] == [["disco", "2"], ["waltz", "2"], ["all genres", "4"]]
    scores = [{row["id"]: row["scores"]["beats_hit"] for row in system["videos"]} for system in report["systems"]]
    both = [a - scores[1][name] for name, a in scores[0].items() if a is not None and scores[1][name] is not None]
    shown = table["rows"][-1][table["head"].index("beats hit, difference")].replace("\N{MINUS SIGN}", "-")
    assert float(shown.split(" ")[0].rstrip(",")) == pytest.approx(np.mean(both), abs=1e-3)
    assert not any("knocked out" in sentence for sentence in report["summary"])


def test_a_pair_has_both_videos_or_black(tmp_path: Path) -> None:
    for folder, level, names in (("left", 60, "ab"), ("right", 200, "a")):
        (tmp_path / folder).mkdir()
        for name in names:
            path = tmp_path / folder / f"{name}.mp4"
            with VideoWriter(path, fps=12, height=32, width=48, audio_rate=16000, audio_channels=1) as writer:
                writer.write(np.full((6, 32, 48, 3), level, np.uint8), np.zeros((1, 8000), np.float32))
    pairs = PairedVideos(FolderVideos(tmp_path / "left"), FolderVideos(tmp_path / "right"))
    both, alone = pairs.read("a"), pairs.read("b")
    assert both.frames.shape == alone.frames.shape == (6, 32, 96, 3) and both.sound is not None
    assert abs(both.frames[:, :, :48].mean() - 60) < 5 and abs(both.frames[:, :, 48:].mean() - 200) < 5
    assert abs(alone.frames[:, :, :48].mean() - 60) < 5 and alone.frames[:, :, 48:].mean() == 0


def test_clips_that_are_too_short_are_left_out(puppet_data: Path, whole: Path, tmp_path: Path) -> None:
    data = shutil.copytree(puppet_data, tmp_path / "data")
    path = data / "test" / "metadata.jsonl"
    first, *rows = path.read_text().splitlines()
    span = {"start": 0.0, "end": 0.8, "text": "waves"}
    shorter = json.dumps(json.loads(first) | {"num_frames": 12, "timeline": [span]})
    path.write_text("\n".join([shorter, *rows]) + "\n")
    told = ("--model", whole, "--data", data, "--seconds", "1.5", *QUICK, "--output", tmp_path / "report")
    assert stress("subjects", *told) == 0
    report = report_of(tmp_path / "report")
    assert len(report["systems"][0]["videos"]) == len(rows)
    assert report["provenance"]["shorter clips, left out"] == 1


def test_what_cannot_be_is_said_in_one_line_before_anything_is_made(
    small_model: Path,
    whole: Path,
    without_beat: Path,
    puppet_data: Path,
    material: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    data = ("--data", str(puppet_data))
    (tmp_path / "empty").mkdir()
    for question, model, options, said in (
        ("subjects", whole, (), "give either --images, --music and --prompt, or --data"),
        ("subjects", whole, (*material, *data), "give either --images"),
        ("subjects", whole, material[:4], "give --images, --music and --prompt"),
        ("subjects", whole, ("--images", tmp_path / "empty", *material[2:]), "there is nothing in"),
        ("subjects", whole, ("--images", tmp_path / "nowhere", *material[2:]), "there is no file or folder"),
        ("subjects", whole, (*material, "--seconds", "20"), "and 20 s are wanted"),
        ("subjects", whole, (*material, "--seconds", "-1"), "--seconds has to be above 0, not -1"),
        ("subjects", whole, (*material, "--seconds", "nan"), "--seconds has to be above 0"),
        ("length", whole, data, "have 4.2 s at most, and 12 s are wanted: give --images"),
        ("length", whole, (*data, "--seconds", "0.3"), "one segment (0.333 s) without a seam"),
        ("genres", small_model, data, "has no trained beat modules"),
        ("genres", without_beat, data, "has no trained beat modules"),
        ("genres", whole, (*data, "--without", whole), "differ in beat alone"),
        ("genres", whole, (*data, "--without", small_model), "and --without none: give folders"),
    ):
        output = tmp_path / "report"
        assert stress(question, "--model", model, *options, *QUICK, "--output", output) == 2, options
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "musedance: error" in line]
        assert said in line
        assert not output.exists()
