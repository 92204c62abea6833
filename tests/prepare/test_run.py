"""From videos to a dataset folder: what comes out, what a kill leaves, what another run does."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musedance.conditions.densepose import read_densepose_labels
from musedance.datasets.folder import DatasetFolder
from musedance.errors import InputError
from musedance.media.audio import read_audio
from musedance.media.video import VideoReader
from musedance.prepare import Stages, make_stages, prepare

OPTIONS: dict[str, Any] = {"num_frames": 12, "size": 64, "min_size": 16, "subject": "any"}
LIMITS: dict[str, Any] = {"workers": 1, "progress": False}
SECONDS = 3.5  # of each video: three clips of 1 s


@pytest.fixture(scope="module")
def videos(studio: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos; the first and the last have the same song, from different places on."""
    folder = tmp_path_factory.mktemp("videos")
    whole = studio.song(1, 10)
    studio.write(folder / "a.mp4", studio.sway(SECONDS), whole[: round(SECONDS * 16000)])
    studio.dance(folder / "b b" / "ü.mkv", seed=2, seconds=SECONDS, left=80)
    studio.write(folder / "c.mov", studio.sway(SECONDS, left=20), 0.3 * whole[7777:][: round(SECONDS * 16000)])
    return folder


@pytest.fixture(scope="module")
def stages() -> Stages:
    return make_stages(**OPTIONS)


@pytest.fixture(scope="module")
def finished(videos: Path, stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unbroken run; not to be changed."""
    output = tmp_path_factory.mktemp("unbroken") / "out"
    outcome = prepare([videos], output, stages=stages, validation=0.3, test=0.0, **LIMITS)
    assert (outcome.num_given, outcome.num_new, outcome.num_failed) == (3, 3, 0)
    return output


def test_rows_say_what_the_files_hold(finished: Path, videos: Path) -> None:
    clips = DatasetFolder(finished).clips
    assert len(clips) == 9
    for clip in clips:
        with VideoReader(DatasetFolder(finished).locate(clip)) as video:
            info = video.info
            assert (info.num_frames, info.fps, info.width, info.height) == (12, 12, clip.width, clip.height)
            assert len(list(video.stream(12))) == 12
        music = read_audio(DatasetFolder(finished).locate(clip))
        assert music.sampling_rate == 16000 and music.duration == pytest.approx(1.0, abs=0.01)
        assert clip.track_start == clip.source_start == pytest.approx(int(clip.id[-4:]), abs=1e-3)
        assert clip.beats and max(clip.beats) > 2  # of the whole track


def test_clips_show_their_piece_of_the_video(finished: Path, videos: Path) -> None:
    """Pictures and music both, at their times."""
    folder = DatasetFolder(finished)
    clip = next(clip for clip in folder.clips if clip.source.startswith("a-") and clip.source_start > 0.9)
    with VideoReader(folder.locate(clip)) as video:
        frames = np.stack(list(video.stream(12)))
    assert clip.width == clip.height == 64
    times = clip.source_start + (np.arange(12) + 0.25) / 12
    x = 40 + 30 * (0.5 - 0.5 * np.cos(2 * np.pi * np.floor(times * 24) / 24))
    is_red = (frames[..., 0] > 150) & (frames[..., 1] < 100)
    centres = [np.nonzero(picture.any(axis=0))[0].mean() for picture in is_red]
    # The crop is 84 high around the middle of where the figure goes, x = 67.
    np.testing.assert_allclose(centres, (x + 12 - (67 - 42)) * 64 / 84 - 0.5, atol=2.0)
    rows = np.nonzero(is_red.any(axis=(0, 2)))[0]
    np.testing.assert_allclose([rows.min(), rows.max() + 1], np.array([7, 77]) * 64 / 84, atol=3)

    whole = read_audio(videos / "a.mp4").mono(16000)
    piece = read_audio(folder.locate(clip)).samples[0][:16000]
    start = round(clip.source_start * 16000)
    expected = whole[start : start + len(piece)]
    assert np.corrcoef(piece, expected)[0, 1] > 0.98


def test_the_same_song_is_one_track_in_one_split(finished: Path) -> None:
    clips = DatasetFolder(finished).clips
    track_of = {clip.source[:1]: clip.track for clip in clips}
    assert track_of["a"] == track_of["c"] != track_of["u"]
    assert {clip.split for clip in clips if clip.source.startswith("u-")} == {"validation"}
    assert {clip.split for clip in clips if not clip.source.startswith("u-")} == {"train"}


def test_nothing_but_the_dataset_is_left(finished: Path, videos: Path) -> None:
    files = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    clips = {str(DatasetFolder(finished).locate(clip).relative_to(finished)) for clip in DatasetFolder(finished).clips}
    tables = {"dataset.json", "report.json", "train/metadata.jsonl", "validation/metadata.jsonl"}
    assert {name for name in files - clips - tables if not name.startswith(".prepare/")} == set()
    assert clips <= files and not (finished / ".prepare" / "clips").exists()
    assert sorted(path.name for path in finished.parent.iterdir()) == ["out"]
    assert sorted(path.name for path in videos.rglob("*")) == ["a.mp4", "b b", "c.mov", "ü.mkv"]


def test_another_run_changes_nothing(
    finished: Path, videos: Path, stages: Stages, listing: Callable[[Path], dict[str, tuple[int, bytes]]]
) -> None:
    before = listing(finished)
    outcome = prepare([videos], finished, stages=stages, validation=0.3, test=0.0, **LIMITS)
    assert (outcome.num_given, outcome.num_new) == (3, 0)
    assert listing(finished) == before


def test_other_stages_are_refused(finished: Path, videos: Path) -> None:
    with pytest.raises(InputError, match="other options"):
        prepare([videos], finished, stages=make_stages(**{**OPTIONS, "size": 128}), **LIMITS)


def content(folder: Path, listing: Callable[[Path], dict[str, tuple[int, bytes]]]) -> dict[str, bytes]:
    return {name: data for name, (_, data) in listing(folder).items()}


def test_two_kills_on_the_way_leave_no_trace(
    videos: Path, finished: Path, tmp_path: Path, listing: Callable[[Path], dict[str, tuple[int, bytes]]]
) -> None:
    output = tmp_path / "out"

    def start() -> subprocess.Popen[bytes]:
        arguments = "--subject any --frames 12 --size 64 --min-size 16 --validation 0.3 --test 0 --workers 1".split()  # noqa: SIM905
        command = [sys.executable, "-m", "musedance", "prepare", str(videos), str(output), *arguments]
        return subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def kill_when(pattern: str) -> int:
        """Kill a run once there is such a file; how many videos are done then."""
        process = start()
        end = time.monotonic() + 300
        while not list(output.glob(pattern)) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
        assert list(output.glob(pattern))
        assert not (output / "dataset.json").exists()
        return len(list(output.glob(".prepare/videos/*.json")))

    for _ in range(5):  # on a busy machine a kill may come so late that another video is done: then once more
        shutil.rmtree(output, ignore_errors=True)
        states = kill_when(".prepare/clips/*-0001.mp4"), kill_when(".prepare/videos/*.json")
        if states == (0, 1):
            break
    assert states == (0, 1)  # in the middle of the first video, and after it
    (record,) = output.glob(".prepare/videos/*.json")
    done = [record, *output.glob(".prepare/clips/a-*.mp4")]
    times = [path.stat().st_mtime_ns for path in done]
    assert start().wait(300) == 0
    assert record.stat().st_mtime_ns == times[0]  # not done twice
    assert [(output / "train" / "clips" / path.name).stat().st_mtime_ns for path in done[1:]] == times[1:]
    assert len(done) == 4
    assert content(output, listing) == content(finished, listing)


def test_a_run_that_ended_while_files_were_moved_is_finished(
    finished: Path,
    videos: Path,
    stages: Stages,
    tmp_path: Path,
    listing: Callable[[Path], dict[str, tuple[int, bytes]]],
) -> None:
    output = tmp_path / "out"
    shutil.copytree(finished, output)
    (output / "dataset.json").unlink()
    (output / ".prepare" / "clips").mkdir()
    moved = DatasetFolder(finished).clips[3:]
    for clip in moved[:2]:
        (output / clip.split / clip.file_name).rename(output / ".prepare" / clip.file_name)
    clip = moved[2]
    (output / "test" / "clips").mkdir(parents=True)  # from before other shares were asked for
    (output / clip.split / clip.file_name).rename(output / "test" / clip.file_name)
    (output / "train" / ".musedance-0123456789abcdef.jsonl").write_text('{"half')
    outcome = prepare([videos], output, stages=stages, validation=0.3, test=0.0, **LIMITS)
    assert outcome.num_new == 0
    assert content(output, listing) == content(finished, listing)


def test_what_others_are_writing_stays(finished: Path, videos: Path, stages: Stages, tmp_path: Path) -> None:
    """`musedance dataset cache` keeps its files in the dataset's folder, and may be at work."""
    output = tmp_path / "out"
    shutil.copytree(finished, output)
    theirs = output / "cache" / "clips" / ".musedance-0123456789abcdef.safetensors"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"half")
    packing = output / ".musedance-0123456789abcdef"  # a folder: shards are packed beside the name they get
    packing.mkdir()
    prepare([videos], output, stages=stages, validation=0.3, test=0.0, **LIMITS)
    assert theirs.read_bytes() == b"half"
    assert packing.is_dir()


def test_added_videos_are_added(
    finished: Path,
    videos: Path,
    stages: Stages,
    studio: Any,
    tmp_path: Path,
    listing: Callable[[Path], dict[str, tuple[int, bytes]]],
) -> None:
    """Also a duplicate, which is not; and a clip that somebody has deleted is made again."""
    output = tmp_path / "out"
    shutil.copytree(finished, output)
    (output / "dataset.json").write_text(
        (output / "dataset.json").read_text().replace('"license": ""', '"license": "X"')
    )
    more = tmp_path / "more"
    studio.dance(more / "d.mp4", seed=4, seconds=1.5)
    shutil.copy(videos / "a.mp4", more / "again.mp4")
    lost = DatasetFolder(output).locate(DatasetFolder(output).clips[0])
    lost.unlink()
    outcome = prepare([videos, more], output, stages=stages, validation=0.3, test=0.0, **LIMITS)
    assert (outcome.num_given, outcome.num_new) == (4, 2)
    assert outcome.report["videos"] == {"prepared": 4, "skipped": 0, "failed": 0, "duplicates": 1}
    (bad,) = outcome.report["bad_videos"]
    assert (bad["video"], bad["detail"]) == ("again.mp4", "the same content as a.mp4")
    folder = DatasetFolder(output)
    assert folder.info["license"] == "X"
    assert len(folder.clips) == 10 and all(folder.locate(clip).is_file() for clip in folder.clips)
    old = {clip.id: clip for clip in DatasetFolder(finished).clips}
    assert {clip.id for clip in folder.clips} > set(old)
    for clip in folder.clips:
        if clip.id in old:
            assert replace(clip, split=old[clip.id].split) == old[clip.id]


STAGES = '''
from dataclasses import dataclass
import numpy as np
from musedance.prepare import Rejected
from musedance.prepare.captioner import Caption, CaptionError
from musedance.datasets.clip import Span
from musedance.media.video import VideoReader

@dataclass(frozen=True)
class LeftHalf:
    """Finds dancers on the left only."""
    def find(self, video, shot):
        from musedance.prepare.motion import MovingDancer
        dancer = MovingDancer().find(video, shot)
        if dancer.boxes[:, 2].max() > 0.75 * video.info.width:
            raise Rejected("on the right", "x")
        return dancer

@dataclass(frozen=True)
class Box:
    """Part 2 is where the dancer is."""
    def annotate(self, frames, boxes=None):
        labels = np.zeros(frames.shape[:3], np.uint8)
        for plane, (x0, y0, x1, y1) in zip(labels, boxes.round().astype(int)):
            plane[y0:y1, x0:x1] = 2
        return labels

@dataclass(frozen=True)
class Counter:
    """Has no words for clips that start late."""
    def caption(self, frames, times, duration, name="the clip"):
        if name.endswith("-0002"):
            raise CaptionError(f"{name}: no words")
        return Caption(f"{len(frames)} frames", (Span(0.0, times[-1], "first"), Span(times[-1], duration, "last")))

@dataclass(frozen=True)
class Crash:
    def shots(self, video):
        if video.info.width == 160:
            raise ZeroDivisionError("ours")
        return []
'''


@pytest.fixture
def own_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "own_stages.py").write_text(STAGES)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("own_stages")
    del sys.modules["own_stages"]


def test_stages_can_be_replaced(own_stages: Any, videos: Path, stages: Stages, tmp_path: Path) -> None:
    mine = replace(stages, dancer=own_stages.LeftHalf(), densepose=own_stages.Box(), captioner=own_stages.Counter())
    outcome = prepare([videos / "a.mp4", videos / "b b"], tmp_path / "out", stages=mine, **LIMITS)
    folder = DatasetFolder(tmp_path / "out")
    assert [clip.source[:2] for clip in folder.clips] == ["a-"] * 3
    assert [clip.caption for clip in folder.clips] == ["2 frames", "2 frames", ""]
    assert [span.text for span in folder.clips[0].timeline] == ["first", "last"]
    assert outcome.report["reasons"] == {"no caption": 1, "on the right": 1}
    for clip in folder.clips:
        with VideoReader(folder.locate(clip, "densepose")) as video:
            assert (video.info.num_frames, video.info.width, video.info.height) == (12, clip.width, clip.height)
            labels = read_densepose_labels(np.stack(list(video.stream(12))))
        with VideoReader(folder.locate(clip)) as video:
            frames = np.stack(list(video.stream(12)))
        is_red = (frames[..., 0] > 150) & (frames[..., 1] < 100)
        assert set(np.unique(labels)) == {0, 2}
        assert np.mean(labels[is_red] == 2) > 0.98


def test_an_error_of_ours_costs_one_video_and_is_tried_again(
    own_stages: Any, videos: Path, stages: Stages, tmp_path: Path
) -> None:
    broken = replace(stages, cuts=own_stages.Crash())
    for _ in range(2):
        outcome = prepare([videos / "a.mp4"], tmp_path / "out", stages=broken, **LIMITS)
        assert (outcome.num_given, outcome.num_new, outcome.num_failed) == (1, 1, 1)
        (bad,) = outcome.report["bad_videos"]
        assert (bad["reason"], bad["detail"]) == ("unexpected error", "ZeroDivisionError: ours")
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_the_example_of_the_documentation_works(studio: Any, tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "prepare.md").read_text(encoding="utf-8")
    code = textwrap.dedent(text[text.index("    # my_prepare.py") :].split("\n- ")[0])
    assert "make_stages(size=512)" in code
    small = code.replace("size=512", "size=64, num_frames=12, min_size=16")
    (tmp_path / "my_prepare.py").write_text(small, encoding="utf-8")
    studio.dance(tmp_path / "videos" / "wide.mp4", seed=1, seconds=1.25)
    studio.dance(tmp_path / "videos" / "high.mp4", seed=2, seconds=1.25, left=10, size=(120, 160))
    done = subprocess.run([sys.executable, "my_prepare.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "wide.mp4: skipped: landscape (160 x 120)" in done.stdout
    assert [clip.source[:5] for clip in DatasetFolder(tmp_path / "dataset").clips] == ["high-"]


@pytest.mark.parametrize(
    "wrong", [{"validation": 0.6, "test": 0.4}, {"validation": -0.1}, {"workers": 0}, {"patience": 0.0}]
)
def test_arguments_that_cannot_be_are_refused(videos: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        prepare([videos], tmp_path / "out", **{**LIMITS, **wrong})
    assert not (tmp_path / "out").exists()
