"""`musedance puppets` as a user meets it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from musedance.cli import main
from musedance.commands.puppets import _parse_range
from musedance.datasets.folder import DatasetFolder
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos

SMALL = ("--size", "64x96", "--frames", "8", "--fps", "8", "--workers", "1")


def test_it_writes_a_dataset_and_prints_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["puppets", "new/puppets", "--clips", "9", "--seed", "3", "--kinds", "cat,bird", *SMALL]) == 0
    assert capfd.readouterr().out == "new/puppets\n"
    folder = DatasetFolder(tmp_path / "new" / "puppets")
    assert [len(folder.split(split)) for split in ("train", "validation", "test")] == [4, 4, 1]
    assert {(clip.width, clip.height, clip.num_frames, clip.fps) for clip in folder.clips} == {(64, 96, 8, 8.0)}
    assert folder.info["puppets"]["seed"] == 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["puppets"]


def test_what_is_danced_to_what_and_where_can_be_chosen(tmp_path: Path) -> None:
    chosen = ("--moves", "jump, bow", "--genres", "waltz", "--bpm", "150-155", "--backgrounds", "backdrop")
    assert main(["puppets", str(tmp_path / "new"), "--clips", "5", "--split", "test", *chosen, *SMALL]) == 0
    folder = DatasetFolder(tmp_path / "new")
    assert [len(folder.split(split)) for split in ("train", "validation", "test")] == [0, 0, 5]
    world = {"moves": ["jump", "bow"], "genres": ["waltz"], "bpm": [150, 155], "backgrounds": ["backdrop"]}
    assert {name: folder.info["puppets"][name] for name in world} == world
    videos = DatasetVideos(folder, folder.clips)
    for clip in folder.clips:
        beats = videos.facts(clip.id).beats
        assert videos.facts(clip.id).groups["genre"] == "waltz"
        assert beats is not None and 150 <= 60 / (beats[1] - beats[0]) <= 155


@pytest.mark.parametrize(
    ("text", "bpm"),
    [("120", (120, 120)), ("80-140", (80, 140)), ("87.5-90.25", (87.5, 90.25)), ("140-80", (140, 80))],
)
def test_tempi_are_a_number_or_a_range(text: str, bpm: tuple[float, float]) -> None:
    assert _parse_range(text) == bpm


@pytest.mark.parametrize("text", ["", "-", "fast", "80-", "-140", "80-100-120", "80 - 140", "8.0.0", ".", "1e2", "nan"])
def test_other_tempi_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--bpm has to be like 120 or 80-140"):
        _parse_range(text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--clips", "0"], "clips has to lie between 1 and"),
        (["--clips", "many"], "--clips: invalid int value"),
        ([], "required: --clips"),
        (["--clips", "1", "--size", "100"], "multiples of 8 from 64 to 1024"),
        (["--clips", "1", "--size", "2048"], "multiples of 8 from 64 to 1024"),
        (["--clips", "1", "--size", "128:128"], "size has to be like 128 or 192x128"),
        (["--clips", "1", "--kinds", "cat,dragon"], "no dancer of kind 'dragon'"),
        (["--clips", "1", "--kinds", ""], "no dancer of kind"),
        (["--clips", "1", "--fps", "1000"], "fps has to lie between"),
        (["--clips", "1", "--frames", "0"], "2 to 600 frames"),
        (["--clips", "1", "--moves-per-clip", "9"], "1 to 8 moves"),
        (["--clips", "1", "--seed", "-1"], "seed has to lie"),
        (["--clips", "1", "--workers", "0"], "at least 1 worker"),
        (["--clips", "1", "--moves", "jump,moonwalk"], "no move 'moonwalk'"),
        (["--clips", "1", "--backgrounds", ""], "no background"),
        (["--clips", "1", "--genres", "polka"], "no genre 'polka'"),
        (["--clips", "1", "--bpm", "fast"], "--bpm has to be like 120 or 80-140, not 'fast'"),
        (["--clips", "1", "--bpm", "140-80"], "tempi have to lie between 70 and 160 BPM"),
        (["--clips", "1", "--bpm", "20"], "tempi have to lie between 70 and 160 BPM"),
        (["--clips", "1", "--split", "exam"], "split has to be one of train, validation, test"),
    ],
)
def test_mistakes_get_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["puppets", str(tmp_path / "puppets"), *options]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and words in lines[0], lines
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert main(["puppets", str(tmp_path), "--clips", "1"]) == 2
    assert "exists already; choose another name or remove it first" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, and being told to end, after the first clips were written by two workers."""
    command = [sys.executable, "-m", "musedance", "puppets", str(tmp_path / "puppets"), "--clips", "4000"]
    process = subprocess.Popen(
        [*command, "--size", "64", "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them, and their children, ignore SIGINT.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("clips/*.mp4")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "musedance: interrupted, nothing written"
    assert not list(tmp_path.iterdir())


def is_running(process: str) -> bool:
    """Whether a process is there and no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_workers_do_not_outlive_a_killed_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "musedance", "puppets", str(tmp_path / "puppets"), "--clips", "4000"]
    process = subprocess.Popen([*command, "--size", "64", "--workers", "2"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("clips/*.mp4")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.kill()
    process.wait()
    while any(is_running(child) for child in children):
        assert time.monotonic() < deadline, "the workers are still there"
        time.sleep(0.05)
    assert not (tmp_path / "puppets").exists()
