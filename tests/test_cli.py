"""The command line as a user meets it: exit codes, one line for every mistake, nothing written by a run that fails."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from PIL import Image

import musedance
from musedance.cli import main

# The smallest video that the tiny model makes.
FAST = ("--size", "64", "--steps", "1", "--guidance", "1", "--duration", "0.5")
RATE = 16000


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in an empty folder of its own."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.delenv("MUSEDANCE_TRACEBACK", raising=False)

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture
def infer(run: Callable[..., Ran], tiny_folder: Path, example_image: Path, example_track: Path) -> Callable[..., Ran]:
    """`musedance infer` with the example's files; later options win over these."""
    given = ("--model", tiny_folder, "--image", example_image, "--music", example_track, "--prompt", "a dance", *FAST)
    return lambda *arguments: run("infer", *given, *arguments)


def check_refused(ran: Ran, pattern: str) -> None:
    """Exit code 2, one line on stderr that matches, nothing written."""
    lines = ran.err.splitlines()
    if lines and lines[0].startswith("musedance: warning: the model in"):  # an untrained model's own line
        lines = lines[1:]
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("musedance: error: ")
    assert re.search(pattern, lines[0]), lines[0]
    assert ran.code == 2
    assert ran.out == ""
    assert list(Path.cwd().rglob("*")) == []


def bomb(path: Path) -> None:
    """A small file of 400 million pixels."""
    Image.new("1", (20000, 20000)).save(path)


def cut_off_png(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        pytest.param(lambda path: None, "no image file", id="missing"),
        pytest.param(lambda path: path.mkdir(), "is a folder", id="folder"),
        pytest.param(lambda path: path.write_bytes(b""), "cannot read .* as an image", id="empty"),
        pytest.param(lambda path: path.write_bytes(b"not a picture" * 99), "cannot read .* as an image", id="garbage"),
        pytest.param(cut_off_png, "cannot read .* as an image", id="cut off"),
        pytest.param(bomb, "too large", id="bomb"),
    ],
)
def test_bad_image(infer, tmp_path: Path, make, pattern: str) -> None:
    make(tmp_path / "picture.png")
    check_refused(infer("--image", tmp_path / "picture.png"), pattern)


def silent_video(path: Path) -> None:
    """A video without sound."""
    import av

    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=12, width=64, height=64)
        stream.pix_fmt = "yuv420p"
        for _ in range(12):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("make", "options", "pattern"),
    [
        pytest.param(lambda path: None, (), "no audio file", id="missing"),
        pytest.param(lambda path: path.mkdir(), (), "is a folder", id="folder"),
        pytest.param(lambda path: path.write_bytes(b""), (), "cannot read .* as audio", id="empty file"),
        pytest.param(lambda path: path.write_bytes(b"no music" * 99), (), "cannot read .* as audio", id="garbage"),
        pytest.param(lambda path: write_sound(path, 0), (), "is empty", id="no samples"),
        pytest.param(lambda path: write_sound(path, 0.05), (), "less than one frame", id="shorter than a frame"),
        pytest.param(lambda path: write_sound(path, 3), ("--duration", 4), "only 3.00 s of music", id="too short"),
        pytest.param(lambda path: write_sound(path, 3), ("--start", 3.5), "start has to lie within", id="late start"),
        pytest.param(
            lambda path: write_sound(path, 3), ("--start", 2.8), "0.50 s of video .* only 0.20", id="near end"
        ),
        pytest.param(silent_video, (), "has no sound", id="video without sound"),
    ],
)
def test_bad_music(infer, tmp_path: Path, make, options, pattern: str) -> None:
    make(tmp_path / "music.wav")
    check_refused(infer("--music", tmp_path / "music.wav", *options), pattern)


def write_sound(path: Path, seconds: float, amplitude: float = 0.5) -> None:
    """A tone that is struck twice a second."""
    t = np.arange(round(seconds * RATE)) / RATE
    soundfile.write(path, amplitude * np.sin(2 * np.pi * 220 * t) * np.exp(-10 * (t % 0.5)), RATE, format="WAV")


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (("--size", "0"), "multiples of 8"),
        (("--size", "100"), "multiples of 8"),
        (("--size", "64x100"), "multiples of 8"),
        (("--size", "2056"), "8 to 2048"),
        (("--size", "-64"), "size"),
        (("--size", "big"), "like 512 or 384x640"),
        (("--size", "64x64x64"), "like 512 or 384x640"),
        (("--steps", "0"), "steps has to be a whole number"),
        (("--steps", "1001"), "between 1 and 1000"),
        (("--steps", "many"), "invalid int value"),
        (("--duration", "0"), "duration"),
        (("--duration", "-1"), "duration"),
        (("--duration", "0.01"), "less than one frame"),
        (("--duration", "nan"), "finite"),
        (("--duration", "99"), "only 8.00 s of music"),
        (("--start", "-1"), "start"),
        (("--start", "inf"), "finite"),
        (("--fps", "0"), "fps has to lie between"),
        (("--fps", "1e9"), "fps has to lie between"),
        (("--fps", "2"), "fps has to lie between 5 and 137 for this model"),
        (("--guidance", "nan"), "finite"),
        (("--music-guidance", "inf"), "finite"),
        (("--seed", "-1"), "seed has to be a whole number"),
        (("--seed", str(2**63)), "seed has to be a whole number"),
        (("--bpm", "0"), "bpm"),
        (("--bpm", "1000"), "bpm"),
        (("--fit", "stretch"), "letterbox or crop"),
        (("--prompt", "\udc80"), "not valid Unicode"),
        (("--image", ""), "image has to be the name"),
        (("--densepose", "nowhere.png"), "no image file"),
        (("--output", "video.avi"), "should end in .mp4"),
        (("--output", "nowhere/video.mp4"), "does not exist"),
        (("--output", "n" * 300 + ".mp4"), "cannot be written"),
        (("--device", "abacus"), "no device"),
        (("--device", "cuda:99"), "no device"),
        (("--dtype", "int8"), "no dtype"),
        (("--attention", "full"), "sdpa or xformers"),
        (("--attention", "xformers", "--device", "cpu"), "needs a CUDA GPU"),
        (("--model", "nowhere"), "does not exist"),
        (("--dance",), "unrecognized arguments"),
        (("--dur", "1"), "unrecognized arguments"),
        (("--jobs", "nowhere.jsonl"), "cannot read the jobs file"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_bad_option(infer, options: tuple[str, ...], pattern: str) -> None:
    check_refused(infer(*options), pattern)


def test_what_is_required_is_named(run) -> None:
    check_refused(run("infer", "--image", "a.png"), "music and prompt not given")
    check_refused(run(), "COMMAND")
    check_refused(run("dance"), "invalid choice")


@pytest.fixture
def folder_copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny folder in hard links: files may be replaced or removed, not written to."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy", copy_function=os.link))


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("damage", "pattern"),
    [
        pytest.param(lambda folder: (folder / "model_index.json").unlink(), "not a pipeline folder", id="no index"),
        pytest.param(lambda folder: shutil.rmtree(folder / "vae"), "no vae", id="no vae"),
        pytest.param(lambda folder: (folder / "unet" / "config.json").unlink(), "unet/config.json", id="no config"),
        pytest.param(
            lambda folder: (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink(),
            "unet/diffusion_pytorch_model.safetensors is missing",
            id="no weights",
        ),
        pytest.param(
            lambda folder: cut_short(folder / "unet" / "diffusion_pytorch_model.safetensors"), "unet", id="cut short"
        ),
    ],
)
def test_bad_model_folder(infer, folder_copy: Path, damage, pattern: str) -> None:
    damage(folder_copy)
    check_refused(infer("--model", folder_copy), pattern)


def test_a_picture_folder_is_no_model(infer, tmp_path: Path, example_image: Path) -> None:
    check_refused(infer("--model", example_image.parent), "not a pipeline folder")
    check_refused(infer("--model", example_image), "is a file")


def test_files_are_not_overwritten_unasked(infer) -> None:
    for name in ("v.mp4", "v.json", "v.png"):
        Path(name).write_text("mine")
        ran = infer("--output", "v.mp4", "--preview")
        assert ran.code == 2
        assert f"{name} exists already" in ran.err
        assert [path.read_text() for path in Path.cwd().iterdir()] == ["mine"]
        Path(name).unlink()
    Path("v.json").write_text("mine")
    assert infer("--output", "v.mp4", "--overwrite").code == 0
    assert "mine" not in Path("v.json").read_text()


def test_an_input_is_never_overwritten(infer, example_track: Path) -> None:
    shutil.copy(example_track, "song.mp4")
    before = Path("song.mp4").read_bytes()
    ran = infer("--music", "song.mp4", "--output", "./song.mp4", "--overwrite")
    assert ran.code == 2
    assert "is also an input" in ran.err
    assert Path("song.mp4").read_bytes() == before


def test_a_folder_that_cannot_be_written(infer, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write everywhere")
    check_refused(infer("--output", locked / "v.mp4"), "cannot be written")


def test_pictures_of_every_kind_are_taken(infer, tmp_path: Path, example_image: Path) -> None:
    picture = Image.open(example_image).resize((160, 96))
    picture.save(tmp_path / "animated.gif", save_all=True, append_images=[picture.rotate(90)])
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg")
    picture.convert("RGBA").save(tmp_path / "alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture.save(tmp_path / "turned.jpg", exif=exif)
    names = ("animated.gif", "cmyk.jpg", "alpha.png", "turned.jpg")
    lines = [f'{{"image": "{tmp_path / name}", "output": "{name}.mp4", "size": null, "fps": 6}}' for name in names]
    (tmp_path / "jobs.jsonl").write_text("\n".join(lines))
    ran = infer("--jobs", tmp_path / "jobs.jsonl")
    assert ran.code == 0, ran.err
    assert ran.out.split() == [f"{name}.mp4" for name in names]
    sizes = [video_size(Path(f"{name}.mp4")) for name in names]
    assert sizes[0] == sizes[1] == sizes[2] == sizes[3][::-1]
    assert sizes[0][0] > sizes[0][1]  # wide as the picture is, but for the turned one


def video_size(path: Path) -> tuple[int, int]:
    import av

    with av.open(str(path)) as file:
        return file.streams.video[0].width, file.streams.video[0].height


def test_silent_music_works_and_warns(infer, tmp_path: Path) -> None:
    write_sound(tmp_path / "silence.wav", 1, amplitude=0)
    ran = infer("--music", tmp_path / "silence.wav", "--output", "v.mp4")
    assert ran.code == 0
    assert Path("v.mp4").exists()
    warnings = [line for line in ran.err.splitlines() if "no beats" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("musedance: warning: ")


def test_an_untrained_model_says_so(infer) -> None:
    ran = infer()
    assert ran.code == 0
    assert ran.out == "dancer_beat_120bpm.mp4\n"
    assert "is not trained (random weights, size tiny, seed 0): expect noise" in ran.err.splitlines()[0]


def test_a_stage_1_folder_gives_a_still_and_says_so(infer, folder_copy: Path) -> None:
    import av

    index = folder_copy / "model_index.json"
    text = index.read_text()
    index.unlink()
    index.write_text(re.sub(r'"stage": 0', '"stage": 1', text))
    ran = infer("--model", folder_copy, "--output", "still.mp4")
    assert ran.code == 0, ran.err
    assert len([line for line in ran.err.splitlines() if "still" in line and "warning" in line]) == 1
    assert "not trained" not in ran.err
    with av.open("still.mp4") as file:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(video=0)]
    assert len(frames) == 6
    assert max(np.abs(frame - frames[0]).mean() for frame in frames) < 3  # but for the codec


COMMAND = [sys.executable, "-m", "musedance", "infer", "--prompt", "a dance"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # the other workers use the rest


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_a_disk_that_fills_up(tiny_folder: Path, example_image: Path, example_track: Path, tmp_path: Path) -> None:
    import resource

    given = ["--model", str(tiny_folder), "--image", str(example_image), "--music", str(example_track), *FAST]
    ran = subprocess.run(
        [*COMMAND, *given, "--output", "v.mp4"],
        cwd=tmp_path,
        env=ONE_THREAD,
        text=True,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "musedance: error: cannot write" in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(
    number: signal.Signals, tiny_folder: Path, example_image: Path, example_track: Path, tmp_path: Path
) -> None:
    given = ["--model", str(tiny_folder), "--image", str(example_image), "--music", str(example_track), *FAST]
    arguments = [*COMMAND, *given, "--duration", "8", "--output", "v.mp4"]
    process = subprocess.Popen(
        arguments,
        cwd=tmp_path,
        env=ONE_THREAD,
        text=True,
        stderr=subprocess.PIPE,
        # A shell that runs the tests in the background has them, and their children, ignore SIGINT.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.iterdir()):  # the first segment is being written
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert err.splitlines()[-1] == "musedance: interrupted, nothing written"
    assert process.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_unexpected_errors_are_one_line_unless_a_traceback_is_asked_for(infer, folder_copy: Path, monkeypatch) -> None:
    config = folder_copy / "scheduler" / "scheduler_config.json"
    config.unlink()
    config.write_text('{"_class_name": "NoSuchScheduler", "num_train_timesteps": 1000}')
    index = folder_copy / "model_index.json"
    text = index.read_text()
    index.unlink()
    index.write_text(text.replace("DDIMScheduler", "NoSuchScheduler"))
    ran = infer("--model", folder_copy)
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert ran.err.splitlines()[-1].startswith("musedance: error: unexpected ")
    assert "--traceback shows where" in ran.err
    monkeypatch.setenv("MUSEDANCE_TRACEBACK", "")  # so that the option's own setting is undone
    ran = infer("--model", folder_copy, "--traceback")
    assert ran.code == 1
    assert "Traceback" in ran.err
    assert list(Path.cwd().iterdir()) == []


def test_init_makes_a_folder_once(run) -> None:
    ran = run("init", "model", "--seed", "3", "--dtype", "bfloat16")
    assert ran.code == 0
    assert ran.out == "model\n"
    assert '"provenance": "random weights, size tiny, seed 3"' in Path("model/model_index.json").read_text()
    ran = run("init", "model")
    assert ran.code == 2
    assert "exists already" in ran.err.splitlines()[-1]


def test_init_and_assemble_refuse_bad_input(run) -> None:
    check_refused(run("init", "model", "--size", "huge"), "no size 'huge'")
    check_refused(run("init", "model", "--seed", "-1"), "seed")
    check_refused(run("assemble", "--sd", "a", "--motion", "b", "--output", "c"), "--ast")


def test_assemble_names_the_source_that_cannot_be_read(run) -> None:
    ran = run("assemble", "--sd", "./sd", "--motion", "./motion", "--ast", "./ast", "--output", "model")
    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith("musedance: error: ")
    assert "ast" in ran.err.splitlines()[-1]
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("command", [(), ("infer",), ("init",), ("assemble",)])
def test_help(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: musedance" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"musedance {musedance.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    heavy = "torch", "diffusers", "transformers", "numpy", "librosa", "av", "PIL"
    code = f"""
import sys
import musedance
from musedance.cli import main
try:
    main(["infer", "--help"])
except SystemExit as end:
    assert end.code == 0
print("LOADED", sorted(set({heavy!r}) & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert ran.stdout.splitlines()[-1] == "LOADED []"
