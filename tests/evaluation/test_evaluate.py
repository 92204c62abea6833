"""`musedance evaluate`: from a model and a dataset to a report, and from anybody's videos."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musedance.cli import main
from musedance.media.audio import read_audio
from musedance.media.video import VideoReader
from musedance.media.video_writer import VideoWriter
from musedance.report.catalog import MEASURES

MODEL_RUN = ("--dtype", "float32", "--steps", "2", "--num-frames", "10", "--shown", "1")


def evaluate(*arguments: str | Path) -> int:
    return main(["evaluate", *map(str, arguments)])


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def systems_of(folder: Path) -> dict[str, Any]:
    return {system["name"]: system for system in report_of(folder)["systems"]}


def frames_of(path: Path) -> np.ndarray:
    with VideoReader(path) as video:
        return np.stack(list(video.stream(video.info.fps)))


@pytest.fixture(scope="session")
def of_model(small_model: Path, puppet_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a model with random weights on the four clips of one source; not to be changed."""
    output = tmp_path_factory.mktemp("reports") / "model"
    assert evaluate("--model", small_model, "--data", puppet_data, "--output", output, *MODEL_RUN) == 0
    return output


@pytest.fixture(scope="session")
def of_truth(puppet_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of eight true videos of two sources against themselves; not to be changed."""
    output = tmp_path_factory.mktemp("reports") / "truth"
    clips = puppet_data / "train" / "clips"
    told = ("--videos", clips, "--reference", puppet_data, "--split", "train", "--shown", "1")
    assert evaluate(*told, "--output", output) == 0
    return output


def test_a_model_is_tested_on_every_clip_of_the_split(of_model: Path, puppet_data: Path) -> None:
    rows = (puppet_data / "test" / "metadata.jsonl").read_text().splitlines()
    ids = sorted(json.loads(row)["id"] for row in rows)
    generated = systems_of(of_model)["generated"]
    assert [video["id"] for video in generated["videos"]] == ids and not generated["failed"]
    for name in ids:
        frames = frames_of(of_model / "videos" / "generated" / f"{name}.mp4")
        assert frames.shape == (10, 32, 32, 3)  # the model's size, not the dataset's
    assert (of_model / "index.html").is_file()


def test_every_measure_has_a_value_or_a_reason(of_model: Path) -> None:
    results = systems_of(of_model)["generated"]["results"]
    assert set(results) == set(MEASURES)
    for name, result in results.items():
        assert (result["value"] is None) == bool(result["reason"]), name
        assert result["value"] is None or result["n"] > 0
    assert "weights missing" in results["lpips_standard"]["reason"]
    assert results["psnr_standard"]["n"] == 4 and 0 < results["psnr_standard"]["value"] < 50
    assert results["seam_jump"]["value"] is not None  # K = 4: the model's own seams are known


def test_the_report_says_what_the_numbers_come_from(of_model: Path, small_model: Path) -> None:
    told = report_of(of_model)["provenance"]
    assert told["model"]["fingerprint"] and told["model"]["stage"] == 0
    assert told["data"]["clips"] == 4 and len(told["data"]["rows_sha256"]) == 16
    assert told["sampling"]["seed"] == 0 and told["sampling"]["steps"] == 2
    assert told["versions"]["torch"]


def test_true_videos_against_themselves_are_perfect_and_dance_to_their_music(of_truth: Path) -> None:
    systems = systems_of(of_truth)
    assert list(systems) == ["clips", "ground truth", "ground truth, true joints"]
    results = systems["clips"]["results"]
    assert results["psnr_standard"]["value"] == "inf" and results["psnr_disco"]["value"] == 100
    assert results["ssim_disco"]["value"] == pytest.approx(1) and results["ssim_standard"]["value"] == pytest.approx(1)
    assert results["hfd"]["value"] == pytest.approx(0, abs=1e-9)
    for name in ("clips", "ground truth, true joints"):
        nulls = {null["kind"]: null for null in systems[name]["results"]["beats_hit"]["nulls"]}
        assert nulls["its music half a beat late"]["lift"] > 0.5 and nulls["other music"]["lift"] > 0.2
        assert nulls["other music"]["interval"] is None  # from two tracks it would leave out 0 half of the time
    assert results["beats_hit"]["interval"][0] < results["beats_hit"]["value"] < results["beats_hit"]["interval"][1]


def test_the_report_says_at_its_top_what_can_be_concluded(of_truth: Path) -> None:
    summary = report_of(of_truth)["summary"]
    assert sum("too few tracks to tell" in line for line in summary) == 3  # the videos, the truth, its joints
    assert summary[-1] == "The intervals rest on 2 tracks: with fewer than 8 they are too narrow."


def test_true_videos_are_not_compared_with_themselves_in_their_own_column(of_model: Path) -> None:
    truth = systems_of(of_model)["ground truth"]["results"]
    assert truth["psnr_standard"]["value"] is None and "true videos" in truth["psnr_standard"]["reason"]
    assert truth["beats_hit"]["value"] is not None


def test_groups_are_scored_by_themselves(of_truth: Path) -> None:
    system = systems_of(of_truth)["clips"]
    rows = {row["id"]: row for row in system["videos"]}
    for kind, groups in system["groups"].items():
        assert sum(results["motion"]["n"] for results in groups.values()) == 8
        for value, results in groups.items():
            own = [row["scores"]["motion"] for row in rows.values() if row["groups"][kind] == value]
            assert results["motion"]["value"] == pytest.approx(np.mean(own))


def test_the_json_is_strict(of_truth: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads((of_truth / "report.json").read_text(), parse_constant=refuse)


def test_what_is_there_is_not_done_again_and_what_is_missing_is(
    of_model: Path, small_model: Path, puppet_data: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(of_model, tmp_path / "report")
    videos = sorted((output / "videos" / "generated").glob("*.mp4"))
    before = {path: path.stat().st_mtime_ns for path in videos}
    frames = frames_of(videos[1])
    videos[1].unlink()
    moved = shutil.copytree(small_model, tmp_path / "moved")  # the same model, wherever it lies
    assert evaluate("--model", moved, "--data", puppet_data, "--output", output, *MODEL_RUN) == 0
    after = {path: path.stat().st_mtime_ns for path in videos}
    assert {path for path in videos if after[path] != before[path]} == {videos[1]}
    assert np.array_equal(frames_of(videos[1]), frames)  # its noise depends on its name and on nothing else
    new, old = systems_of(output)["generated"], systems_of(of_model)["generated"]
    assert {name: result["value"] for name, result in new["results"].items()} == {
        name: result["value"] for name, result in old["results"].items()
    }


def test_videos_of_other_settings_are_not_taken_for_these(
    of_model: Path, small_model: Path, puppet_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    output = shutil.copytree(of_model, tmp_path / "report")
    run = ("--model", small_model, "--data", puppet_data, "--output", output, *MODEL_RUN)
    assert evaluate(*run, "--guidance", "2") == 2
    assert "guidance 3.5, not 2.0" in capsys.readouterr().err


def test_a_changed_video_is_scored_anew(puppet_data: Path, tmp_path: Path) -> None:
    videos = shutil.copytree(puppet_data / "test" / "clips", tmp_path / "videos")
    told = ("--videos", videos, "--reference", puppet_data, "--output", tmp_path / "report", "--shown", "0")
    assert evaluate(*told) == 0
    first, second = sorted(videos.glob("*.mp4"))[:2]
    shutil.copy(second, first)
    assert evaluate(*told) == 0
    scores = {row["id"]: row["scores"] for row in systems_of(tmp_path / "report")["videos"]["videos"]}
    assert scores[second.stem]["psnr_standard"] == "inf" and scores[first.stem]["psnr_standard"] < 60


def test_two_processes_and_batches_find_what_one_finds(
    of_model: Path, small_model: Path, puppet_data: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "musedance", "evaluate"]
    told = ["--model", small_model, "--data", puppet_data, "--output", tmp_path, *MODEL_RUN, "--batch-size", "2"]
    done = subprocess.run([*command, *map(str, told)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert report_of(tmp_path)["provenance"]["command"].startswith("python -m musedance evaluate --model ")
    results, alone = (systems_of(folder)["generated"]["results"] for folder in (tmp_path, of_model))
    for name in ("psnr_standard", "ssim_disco", "hfd", "colour"):
        assert results[name]["n"] == alone[name]["n"]
        assert results[name]["value"] == pytest.approx(alone[name]["value"], rel=0.02)


def write_video(path: Path, frames: np.ndarray, fps: float = 12, sound: np.ndarray | None = None) -> None:
    height, width = frames.shape[1:3]
    writer = VideoWriter(path, fps=fps, height=height, width=width, audio_rate=16000, audio_channels=1)
    samples = round(len(frames) / fps * 16000)
    sound = np.zeros((1, samples), np.float32) if sound is None else sound
    with writer:
        writer.write(frames, np.pad(sound, ((0, 0), (0, max(0, samples - sound.shape[1]))))[:, :samples])


def test_bad_videos_are_named_and_counted_and_the_rest_is_scored(puppet_data: Path, tmp_path: Path) -> None:
    clips = sorted((puppet_data / "train" / "clips").glob("*.mp4"))
    videos = tmp_path / "videos"
    videos.mkdir()
    frames, sound = frames_of(clips[0]), read_audio(clips[0]).mono(16000)[None]
    write_video(videos / clips[0].name, frames[:-5], sound=sound)  # shorter
    write_video(videos / clips[1].name, frames[:, :48], sound=sound)  # another size
    write_video(videos / clips[2].name, frames, fps=24, sound=sound)  # another rate
    (videos / clips[3].name).write_bytes(clips[3].read_bytes()[:300])  # cut off
    write_video(videos / clips[4].name, np.repeat(frames[:1], 50, axis=0), sound=sound)  # frozen
    shutil.copy(clips[5], videos)
    shutil.copy(clips[6], videos)  # the eighth is missing
    output = tmp_path / "report"
    told = ("--videos", videos, "--reference", puppet_data, "--split", "train", "--output", output, "--shown", "3")
    assert evaluate(*told) == 0
    system = systems_of(output)["videos"]
    assert set(system["failed"]) == {clips[3].stem, clips[7].stem}
    psnr = system["results"]["psnr_standard"]
    assert psnr["n"] == 3 and set(psnr["excluded"]) == {clip.stem for clip in clips[:3]}
    said = [psnr["excluded"][clip.stem] for clip in clips[:3]]
    assert "45 frames" in said[0] and "64 x 48" in said[1] and "24.00 frames per second" in said[2]
    hits = system["results"]["beats_hit"]
    assert hits["n"] == 5 and "no kinematic beats" in hits["excluded"][clips[4].stem]
    assert system["results"]["motion"]["n"] == 6


def test_videos_without_sound_have_that_of_their_true_video_or_no_score(puppet_data: Path, tmp_path: Path) -> None:
    import av

    clips = sorted((puppet_data / "test" / "clips").glob("*.mp4"))[:2]
    for folder in ("mute", "truth", "mute truth"):
        (tmp_path / folder).mkdir()
    for clip in clips:
        shutil.copy(clip, tmp_path / "truth")
        for folder in ("mute", "mute truth"):
            with av.open(str(tmp_path / folder / clip.name), "w") as file:
                stream = file.add_stream("libx264", rate=12)
                stream.width = stream.height = 64
                for frame in frames_of(clip):
                    file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
                file.mux(stream.encode(None))
    for truth, n in (("truth", 2), ("mute truth", 0)):
        output = tmp_path / f"report {truth}"
        told = ("--videos", tmp_path / "mute", "--reference", tmp_path / truth, "--output", output, "--shown", "1")
        assert evaluate(*told) == 0
        result = systems_of(output)["mute"]["results"]["beats_hit"]
        assert result["n"] == n and (result["reason"] == ("" if n else "undefined: the video has no sound"))


def test_a_single_video_is_scored_without_distances_and_intervals(puppet_data: Path, tmp_path: Path) -> None:
    clip = min((puppet_data / "test" / "clips").glob("*.mp4"))
    (tmp_path / "one").mkdir()
    shutil.copy(clip, tmp_path / "one")
    told = ("--videos", tmp_path / "one", "--reference", tmp_path / "one", "--output", tmp_path / "report")
    assert evaluate(*told, "--shown", "0") == 0
    results = systems_of(tmp_path / "report")["one"]["results"]
    assert results["hfd"]["value"] is None and "two videos" in results["hfd"]["reason"]
    assert results["motion"]["interval"] is None
    assert [null["kind"] for null in results["beats_hit"]["nulls"]] in ([], ["its music half a beat late"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give either --data"),
        (("--videos", "a"), "--videos needs --reference"),
        (("--videos", "a", "--reference", "b", "--data", "c"), "give either --data"),
        (("--videos", "a", "--reference", "b", "--clips", "3"), "--clips does not go with --videos"),
        (("--videos", "a", "--reference", "b", "--model", "m"), "--model does not go with --videos"),
        (("--data", "c", "--size", "64"), "--size does not go with --data"),
        (("--data", "c", "--reference-from", "last"), "--reference-from has to be first or other"),
        (("--videos", "a", "--reference", "b", "--beats-from", "ears"), "kinematic beats come from"),
        (("--videos", "a", "--reference", "b", "--beats-from", "pose"), "need --pose-model"),
        (("--videos", "nowhere", "--reference", "nowhere"), "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate("--output", tmp_path / "report", *options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[-1]
    assert not (tmp_path / "report").exists()
