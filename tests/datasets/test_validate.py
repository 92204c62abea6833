"""Each way in which a dataset can be wrong is put into a real one and has to be found, and nothing else with it."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from safetensors.numpy import save_file

from musedance.conditions.densepose import draw_densepose
from musedance.datasets.clip import Span
from musedance.datasets.folder import DatasetFolder, write_dataset
from musedance.datasets.shard_writer import write_shards
from musedance.datasets.shards import open_dataset
from musedance.datasets.validate import Report, check_clip, validate
from musedance.media.lossless import write_lossless
from musedance.media.video_writer import VideoWriter


def check(folder: Path) -> Report:
    return validate(open_dataset(folder), workers=2)


def rewrite(folder: Path, number: int, **changes: Any) -> None:
    clips = DatasetFolder(folder).clips
    clips[number] = replace(clips[number], **changes)
    write_dataset(folder, {}, clips)


def write_video(
    path: Path, count: int = 50, fps: float = 12, size: tuple[int, int] = (64, 64), sound: float | None = None
) -> None:
    """A grey clip; `sound` are the seconds of it, as many as of the picture if not given."""
    path.unlink(missing_ok=True)
    height, width = size
    seconds = count / fps if sound is None else sound
    with VideoWriter(path, fps=fps, height=height, width=width, audio_rate=16000, audio_channels=1) as writer:
        frames = np.full((count, height, width, 3), 99, np.uint8)
        writer.write(frames, np.zeros((1, round(seconds * 16000)), np.float32))


def silent(path: Path, times: list[int] | None = None) -> None:
    """A clip without sound, its frames at the given multiples of 1/24 s."""
    path.unlink()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12, width=64, height=64, options={"bf": "0"})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 24)
        for time in times or range(0, 100, 2):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def with_short_sound(path: Path) -> None:
    """The pictures of a clip with half of its sound."""
    whole = path.with_name("whole.mp4")
    write_video(whole)
    path.unlink()
    with av.open(str(whole)) as source, av.open(str(path), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            is_late = packet.stream.type == "audio" and packet.pts is not None and packet.pts * packet.time_base > 2
            if packet.dts is not None and not is_late:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    whole.unlink()


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def damage(path: Path) -> None:
    """Noise over the pictures, the container left as it was."""
    content = bytearray(path.read_bytes())
    start = content.rindex(b"mdat") + 1000
    content[start : start + 4000] = np.random.default_rng(0).bytes(4000)
    path.write_bytes(content)


def lossy_densepose(path: Path) -> None:
    """What an ordinary encoder makes of a mask."""
    path.unlink()
    labels = np.random.default_rng(0).integers(0, 25, (16, 16), np.uint8).repeat(4, 0).repeat(4, 1)
    with VideoWriter(path, fps=12, height=64, width=64, audio_rate=16000, audio_channels=1) as writer:
        frames = np.repeat(draw_densepose(labels)[None], 50, axis=0)
        writer.write(frames, np.zeros((1, 66667), np.float32))


def masks(count: int, size: tuple[int, int] = (64, 64)) -> Callable[[Path], None]:
    return lambda path: write_lossless(path, draw_densepose(np.zeros((count, *size), np.uint8)), 12)


def truth(**tensors: np.ndarray) -> Callable[[Path], None]:
    return lambda path: save_file(tensors, path)


JOINTS, VISIBLE = np.zeros((50, 17, 2), np.float32), np.ones((50, 17), bool)
VIDEO, MASK, TRUTH = "train/clips/clip-00.mp4", "train/densepose/clip-00.mp4", "train/truth/clip-00.safetensors"

BROKEN_FILES: list[tuple[str, Callable[[Path], object], str]] = [
    (VIDEO, Path.unlink, "there is no file"),
    (VIDEO, lambda path: path.write_bytes(b""), "cannot read"),
    (VIDEO, lambda path: path.write_bytes(b"not a video" * 999), "cannot read"),
    (VIDEO, lambda path: path.write_text("#EXTM3U\n/etc/passwd\n"), "cannot read"),
    (VIDEO, cut_off, "ends in the middle of something"),
    (VIDEO, damage, "is damaged"),
    (VIDEO, silent, "has no sound"),
    (VIDEO, with_short_sound, r"sound lasts 2\.\d+ s, the picture 4\.167 s: cut the music"),
    (VIDEO, lambda path: write_video(path, count=49), "has 49 frames, the row says 50"),
    (VIDEO, lambda path: write_video(path, size=(64, 96)), "is 96 x 64, the row says 64 x 64"),
    (VIDEO, lambda path: write_video(path, fps=12.5), r"has 12\.5 frames per second, the row says 12"),
    (VIDEO, lambda path: silent(path, sorted({*range(0, 99, 2), 7} - {8})), "variable frame rate"),
    (MASK, Path.unlink, "there is no file"),
    (MASK, masks(49), "clip-00.mp4 has 49 frames, the row says 50"),
    (MASK, masks(50, (32, 64)), "is 64 x 32, the row says 64 x 64"),
    (MASK, lossy_densepose, "frame 0 has colours that are no DensePose part's"),
    (TRUTH, Path.unlink, "there is no file"),
    (TRUTH, lambda path: path.write_bytes(b"\xff" * 100), "no safetensors file"),
    (TRUTH, lambda path: path.write_bytes(b""), "no safetensors file"),
    (TRUTH, truth(joints=JOINTS), "needs the tensors joints and visible, and has joints"),
    (TRUTH, truth(joints=JOINTS[:49], visible=VISIBLE), r"joints has to be \(50, joints, 2\)"),
    (TRUTH, truth(joints=JOINTS, visible=VISIBLE[:, :3]), r"visible has to be \(50, 17\)"),
    (TRUTH, truth(joints=JOINTS * np.float32("nan"), visible=VISIBLE), "finite floats"),
    (TRUTH, truth(joints=JOINTS.astype(np.int32), visible=VISIBLE), "finite floats"),
]


def test_a_good_folder_has_no_problems(dataset_folder: Path) -> None:
    assert check(dataset_folder) == Report(clips=8, problems=[], warnings=[])


def test_shards_are_checked_alike(dataset_copy: Path, tmp_path: Path) -> None:
    assert check(write_shards(open_dataset(dataset_copy), tmp_path / "good")) == Report(8, [], [])
    damage(dataset_copy / VIDEO)
    masks(49)(dataset_copy / "validation/densepose/clip-06.mp4")
    report = check(write_shards(open_dataset(dataset_copy), tmp_path / "bad"))
    assert [problem.split(":")[0] for problem in report.problems] == ["clip-00", "clip-06"]
    assert "damaged" in report.problems[0] and "49 frames" in report.problems[1]


@pytest.mark.parametrize(("name", "spoil", "message"), BROKEN_FILES)
def test_a_broken_file_is_found(dataset_copy: Path, name: str, spoil: Callable[[Path], object], message: str) -> None:
    spoil(dataset_copy / name)
    dataset = open_dataset(dataset_copy)
    problems = list(check_clip(dataset, dataset.clips[0]))
    assert any(re.search(message, problem) for problem in problems), problems
    assert not any("\n" in problem or "clip clip-00" in problem for problem in problems)


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"num_frames": 51}, ["clips/clip-01.mp4 has 50 frames, the row says 51", "densepose/clip-01.mp4 has 50"]),
        ({"width": 66}, ["clips/clip-01.mp4 is 64 x 64, the row says 66 x 64", "densepose/clip-01.mp4 is 64 x 64"]),
        (
            {"fps": 12.5, "timeline": (Span(0, 4, "x"),)},
            ["clips/clip-01.mp4 has 12 frames", "densepose/clip-01.mp4 has", "sound lasts 4.167 s, the picture 4.000"],
        ),
        ({"file_name": "clips/none.mp4"}, ["there is no file"]),
        ({"beats": (1.0, 2.0)}, ["clip-00 has other beats for the track track-alpha"]),
        ({"track": "other", "beats": tuple(range(0, 5000, 500))}, ["0.12 beats a minute: give them in seconds"]),
        ({"file_name": "clips/clip-00.mp4"}, ["clips/clip-00.mp4 belongs to clip-00 already"]),
        ({"file_name": "./clips//clip-00.mp4"}, ["clip-00.mp4 belongs to clip-00 already"]),
    ],
)
def test_rows_that_do_not_fit_the_files_or_each_other(
    dataset_copy: Path, changes: dict[str, Any], messages: list[str]
) -> None:
    rewrite(dataset_copy, 1, **changes)
    if "file_name" in changes:
        (dataset_copy / "train/clips/clip-01.mp4").unlink()
    report = check(dataset_copy)
    assert len(report.problems) == len({problem for text in messages for problem in report.problems if text in problem})
    for text in messages:
        assert any(text in problem for problem in report.problems), report.problems
    assert {problem.split(":")[0] for problem in report.problems} == {"clip-01"}


def test_rows_that_cannot_be_read_are_problems_and_the_others_are_checked(dataset_copy: Path) -> None:
    table = dataset_copy / "train/metadata.jsonl"
    lines = table.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | {"file_name": "../../secret.mp4"})
    table.write_text("\n".join([*lines, "{broken"]))
    damage(dataset_copy / VIDEO)
    report = check(dataset_copy)
    assert report.clips == 7 and len(report.problems) == 3
    assert "line 2: clip 'clip-01': '../../secret.mp4' is no path inside" in report.problems[0]
    assert "line 7: not a line of JSON" in report.problems[1]
    assert report.problems[2].startswith("clip-00: ")
    assert report.warnings == []  # the files of row 2 are not called superfluous


def test_an_empty_dataset_is_a_problem(tmp_path: Path) -> None:
    write_dataset(tmp_path, {}, [])
    assert check(tmp_path).problems == [f"{tmp_path}: there are no clips: no split has a table with a row"]


def test_files_that_no_row_names_are_warned_of(dataset_copy: Path) -> None:
    for number in range(7):
        shutil.copy(dataset_copy / VIDEO, dataset_copy / f"train/clips/old-{number}.mp4")
    (dataset_copy / "index.html").write_text("the page")
    (dataset_copy / "validation/.musedance-1234.mp4").write_text("half a file")
    report = check(dataset_copy)
    assert report.problems == []
    first = ", ".join(f"train/clips/old-{number}.mp4" for number in range(5))
    assert report.warnings == [
        f"train: no row names {first} and 2 more; remove what is not needed",
        "validation: no row names validation/.musedance-1234.mp4; remove what is not needed",
    ]


def test_a_clip_without_a_beat_is_warned_of(dataset_copy: Path) -> None:
    rewrite(dataset_copy, 5, track_start=60)
    report = check(dataset_copy)
    assert report.problems == []
    assert report.warnings == ["clip-05: no beat falls in the clip; check track_start and beats"]


def test_music_without_any_beats_is_no_problem(dataset_copy: Path) -> None:
    rewrite(dataset_copy, 5, beats=())
    assert check(dataset_copy).problems == []
