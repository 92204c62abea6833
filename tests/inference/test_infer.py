"""Making videos: what comes out, what the record says, and that the record makes the same video again."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from musedance import failures
from musedance.inference.job import Job
from musedance.inference.job_file import run_jobs
from musedance.inference.studio import Settings, Studio
from musedance.media.video_writer import VideoWriter
from musedance.weights.fingerprint import fingerprint

FAST = {"prompt": "a dance", "size": "64", "steps": 1, "guidance": 1.0, "duration": 0.5}


@pytest.fixture
def options(example_image: Path, example_track: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The options of the smallest job, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return {"image": str(example_image), "music": str(example_track), **FAST}


@pytest.fixture(scope="module")
def studio(tiny_folder: Path) -> Studio:
    return Studio(Settings(str(tiny_folder)))


@pytest.fixture
def make(studio: Studio, options: dict) -> Callable[..., dict]:
    """Make a video of the smallest job with some options changed; its record."""

    def make(**changes: object) -> dict:
        job = Job.from_options({**options, **changes})
        studio.make(job, studio.check(job))
        return json.loads(job.record_path.read_text())

    return make


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """The frames that went to the encoder, by the video's name.

    What comes out of it is compared loosely: given the same frames, libx264's assembly does not always write the same
    bytes (with `asm=0` it does, many times slower).
    """
    frames: dict[str, np.ndarray] = {}
    write = VideoWriter.write

    def record(writer: VideoWriter, new: np.ndarray, audio: np.ndarray) -> None:
        name = writer.path.name
        frames[name] = np.concatenate([frames[name], new]) if name in frames else new.copy()
        write(writer, new, audio)

    monkeypatch.setattr(VideoWriter, "write", record)
    return frames


def decode(path: str | Path) -> np.ndarray:
    """(n, H, W, 3) uint8."""
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def test_a_video_of_several_segments_with_its_sound(make) -> None:
    record = make(output="v.mp4", duration=4.5, start=1.25, preview=True)
    assert record["video"]["frames"] == 54  # 2 segments of 24 and 6 frames of the third
    assert decode("v.mp4").shape == (54, 64, 64, 3)
    with av.open("v.mp4") as file:
        sound = sum(frame.samples for frame in file.decode(audio=0)) / file.streams.audio[0].rate
        assert file.streams.video[0].codec_context.name == "h264"
        assert file.streams.audio[0].codec_context.name == "aac"
    assert abs(sound - 4.5) < 1 / 12
    beats = np.array(record["video"]["beat_frames"])
    assert np.abs(beats - np.arange(3, 54, 6)).max() <= 1  # 120 BPM at 12 frames a second, the first beat after 0.25 s
    assert Image.open("v.png").width > 1000
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["v.json", "v.mp4", "v.png"]


def test_the_record_says_it_all(make, options: dict, tiny_folder: Path) -> None:
    record = make(output="v.mp4")
    job = record["job"]
    assert 0 <= job["seed"] < 2**32  # drawn
    assert job["fps"] == 12
    assert job["output"] == str(Path.cwd() / "v.mp4")
    assert {name: job[name] for name in options} == options
    assert (record["video"]["width"], record["video"]["height"], record["video"]["frames"]) == (64, 64, 6)
    assert record["model"] == {
        "path": str(tiny_folder),
        "fingerprint": fingerprint(tiny_folder),
        "stage": 0,
        "provenance": "random weights, size tiny, seed 0",
    }
    assert record["computed_with"]["device"] in ("cpu", "cuda", "mps")
    assert record["computed_with"]["dtype"] in ("float32", "bfloat16", "float16")
    assert {"python", "torch", "diffusers", "transformers", "musedance"} <= set(record["versions"])
    for name in ("image", "music"):
        assert record["sha256"][name] == hashlib.sha256(Path(options[name]).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"size": None, "fit": "letterbox", "preview": True}, id="size not given"),
        pytest.param(
            {"duration": 2.2, "start": 0.7, "music_guidance": 2.0, "bpm": 100, "negative_prompt": "noise"},
            id="two segments",
        ),
    ],
)
def test_the_record_makes_the_same_video_again(
    make, written, tiny_folder: Path, monkeypatch, tmp_path: Path, changes
) -> None:
    record = make(output="first.mp4", **changes)
    (tmp_path / "again.jsonl").write_text(json.dumps({**record["job"], "output": "second.mp4"}))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run_jobs(str(tmp_path / "again.jsonl"), {}, Settings(str(tiny_folder))) == 0
    assert np.array_equal(written["first.mp4"], written["second.mp4"])
    first, second = decode("../first.mp4").astype(int), decode("second.mp4").astype(int)
    assert first.shape == second.shape
    assert np.abs(first - second).mean() < 3
    again = json.loads(Path("second.json").read_text())
    assert {**again["job"], "output": record["job"]["output"]} == record["job"]
    assert again["video"] == record["video"]


def test_seeds(make, written) -> None:
    one, same, other = (make(output=f"{n}.mp4", seed=seed) for n, seed in enumerate((7, 7, 8)))
    assert one["job"]["seed"] == same["job"]["seed"] == 7
    assert np.array_equal(written["0.mp4"], written["1.mp4"])
    assert not np.array_equal(written["0.mp4"], written["2.mp4"])
    drawn = {make(output=f"drawn{n}.mp4", duration=0.1)["job"]["seed"] for n in range(2)}
    assert len(drawn) == 2
    assert other["job"]["seed"] == 8


def test_every_option_of_sampling_arrives(make, written) -> None:
    base = {"duration": 0.2, "seed": 1, "guidance": 3.0}
    make(output="base.mp4", **base)
    changes = {"prompt": "b", "negative_prompt": "c", "steps": 2, "guidance": 5.0}
    for name, value in changes.items():
        make(output=f"{name}.mp4", **{**base, name: value})
        assert not np.array_equal(written["base.mp4"], written[f"{name}.mp4"]), name
    assert make(output="fps.mp4", fps=24, **base)["video"]["frames"] == 5


def test_options_that_an_untrained_model_does_not_show(make, studio: Studio, example_image: Path) -> None:
    """Its new modules start as the identity, so count what runs: a third branch of guidance, the mask encoder."""
    calls: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, module in (("unet", studio.pipeline.unet), ("mask", studio.pipeline.mask_encoder))
    ]
    try:
        make(output="plain.mp4", duration=0.1, guidance=3.0)
        assert calls == ["unet"] * 2
        calls.clear()
        make(output="all.mp4", duration=0.1, guidance=3.0, music_guidance=2.0, densepose=str(example_image))
        assert calls == ["mask", *["unet"] * 3]
    finally:
        for hook in hooks:
            hook.remove()


def test_a_tempo_of_ones_own(make) -> None:
    assert len(make(output="a.mp4", duration=4)["video"]["beat_frames"]) == 8
    assert len(make(output="b.mp4", duration=4, bpm=240)["video"]["beat_frames"]) == 16


def test_portraits_keep_their_shape(make, example_image: Path) -> None:
    Image.open(example_image).crop((160, 0, 480, 640)).save("portrait.png")
    video = make(image="portrait.png", output="own.mp4", size=None, duration=0.1)["video"]
    assert 1.8 < video["height"] / video["width"] < 2.2
    assert abs(video["height"] * video["width"] / 128**2 - 1) < 0.2
    make(image="portrait.png", output="asked.mp4", size="64x96", duration=0.1)
    assert decode("asked.mp4").shape[1:3] == (96, 64)


def test_fit_changes_the_picture(make, example_image: Path) -> None:
    Image.open(example_image).crop((160, 0, 480, 640)).save("portrait.png")
    for fit in ("letterbox", "crop"):
        make(image="portrait.png", output=f"{fit}.mp4", fit=fit, seed=1, duration=0.1)
    assert not np.array_equal(decode("letterbox.mp4"), decode("crop.mp4"))


def test_jobs_that_fail_do_not_stop_the_others(
    options: dict, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        '{"output": "one.mp4"}',
        '{"output": "two.mp4", ',
        "",
        '{"output": "four.mp4", "speed": 3}',
        '{"output": "five.mp4", "image": "nowhere.png"}',
        '{"output": "./one.mp4", "prompt": "again"}',
        '{"output": "seven.mp4", "prompt": "two\u2028lines", "preview": true}',
    ]
    (tmp_path / "jobs.jsonl").write_text("\ufeff" + "\r\n".join(lines) + "\n", encoding="utf-8")
    assert run_jobs("jobs.jsonl", options, Settings(str(tiny_folder))) == failures.BAD_INPUT
    out, err = capsys.readouterr()
    assert out.split() == ["one.mp4", "seven.mp4"]
    errors = [line.removeprefix("musedance: error: ") for line in err.splitlines() if "error:" in line]
    assert [line.split(":")[0] for line in errors] == ["line 2", "line 4", "line 5", "line 6"]
    assert "same file as line 1" in errors[3]
    assert err.splitlines()[-1] == "musedance: 2 of 6 videos made; failed: line 2, 4, 5, 6"
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["jobs.jsonl", "one.json", "one.mp4", "seven.json", "seven.mp4", "seven.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_job_that_fails_while_generating(
    options: dict, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a disk that fills up, line 2's contact sheet cannot be written: exit code 1, the others are made."""
    import resource

    lines = ['{"output": "one.mp4"}', '{"output": "two.mp4", "preview": true}', '{"output": "three.mp4"}']
    (tmp_path / "jobs.jsonl").write_text("\n".join(lines))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
    try:
        code = run_jobs("jobs.jsonl", options, Settings(str(tiny_folder)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    out, err = capsys.readouterr()
    assert code == failures.FAILED
    assert out.split() == ["one.mp4", "three.mp4"]
    assert "error: line 2: " in err
    assert not list(tmp_path.glob("two.*")) + list(tmp_path.glob(".musedance*"))


def test_a_jobs_file_without_jobs(tmp_path: Path, tiny_folder: Path) -> None:
    for content, message in ((b"\n \n", "holds no jobs"), (b"\xff\xfe{}", "cannot read the jobs file")):
        (tmp_path / "jobs.jsonl").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            run_jobs(str(tmp_path / "jobs.jsonl"), {}, Settings(str(tiny_folder)))
