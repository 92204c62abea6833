"""A folder of everything that can be wrong with a video, prepared in one go: each is named, the others are used."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from musedance.datasets.folder import DatasetFolder
from musedance.media.video import VideoReader
from musedance.prepare import make_stages, prepare
from musedance.prepare.run import Outcome

BAD = {  # name: (status, reason, what the detail says)
    "not a video.mp4": ("failed", "cannot be read", "not a video.mp4 as video"),
    "empty.mp4": ("failed", "cannot be read", "empty.mp4"),
    "zero frames.mp4": ("failed", "cannot be read", "no video stream"),
    "header only.mkv": ("failed", "cannot be read", "no pictures"),
    "cut off.mp4": ("failed", "cannot be read", "cut off.mp4"),
    "corrupt middle.mp4": ("failed", "cannot be read", "damaged"),
    "hdr.mp4": ("failed", "cannot be read", "HDR"),
    "silent film.mp4": ("skipped", "no sound", ""),
    "half a second.mp4": ("skipped", "too short", "0.50 s"),
    "slow.mp4": ("skipped", "frame rate too low", "6.00 frames/s"),
    "tiny.mp4": ("skipped", "picture too small", "30 x 20"),
    "zz again.mp4": ("duplicate", "duplicate", "the same content as short sound.mp4"),
}
DROPPED = {  # by name, the reasons of shots and clips left out
    "short sound.mp4": ["sound ends early"],
    "still.mp4": ["nothing moves"],
    "two.mp4": ["several dancers"],
    "long break.mp4": ["silent"],
    "cuts.mp4": ["shot too short"] * 4,
}
GOOD = {
    "8k.mp4": 1,
    "alpha.mov": 1,
    "odd sides.mkv": 1,
    "ünï çödé 舞.mp4": 1,
    "short sound.mp4": 1,
    "long break.mp4": 1,
}


@pytest.fixture(scope="module")
def folder(studio: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, with a second to one and a half each where nothing else is said."""
    folder = tmp_path_factory.mktemp("bad")
    figure, sway, song, write = studio.figure, studio.sway, studio.song, studio.write
    (folder / "not a video.mp4").write_text("no video at all\n" * 99)
    (folder / "empty.mp4").touch()
    write_sound(folder / "zero frames.mp4", song(1, 2))
    (folder / "header only.mkv").write_bytes(write(folder / "x.mkv", sway(1.25), None).read_bytes()[:700])
    (folder / "x.mkv").unlink()
    whole = write(folder / "cut off.mp4", sway(2), song(2, 2))
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    damage(write(folder / "corrupt middle.mp4", sway(2), song(16, 2), g="12"))
    write(
        folder / "hdr.mp4",
        sway(1.25),
        song(3, 1.25),
        **{"x264-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"},
    )
    write(folder / "silent film.mp4", sway(1.25), None)
    write(folder / "half a second.mp4", sway(0.5), song(4, 0.5))
    write(folder / "slow.mp4", sway(2, fps=6), song(5, 2), fps=6)
    write(folder / "tiny.mp4", [frame[:20, :30] for frame in sway(1.25)], song(6, 1.25))
    write(folder / "short sound.mp4", sway(2.5), song(7, 1.5))
    shutil.copy(folder / "short sound.mp4", folder / "zz again.mp4")
    write(folder / "still.mp4", [figure((40, 30, 64, 100))] * 30, song(8, 1.25))
    write(folder / "two.mp4", both(sway(1.25, left=4, reach=20), sway(1.25, left=110, reach=20)), song(9, 1.25))
    write(folder / "long break.mp4", sway(2.5), np.concatenate([song(10, 0.9), np.zeros(26000, np.float32)]))
    write(folder / "cuts.mp4", flicker(sway(2)), song(11, 2))
    write(folder / "8k.mp4", [huge(frame) for frame in sway(1.1, fps=12)], song(12, 1.1), fps=12, preset="ultrafast")
    alpha = [np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)]) for frame in sway(1.25)]
    write(folder / "alpha.mov", alpha, song(13, 1.25), codec="prores_ks", pix_fmt="yuva444p10le", profile="4444")
    odd = [frame[:119, :159] for frame in sway(1.25)]
    write(folder / "odd sides.mkv", odd, song(14, 1.25), codec="ffv1", pix_fmt="yuv444p")
    write(folder / "ünï çödé 舞.mp4", sway(1.25), song(15, 1.25))
    return folder


def write_sound(path: Path, samples: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def damage(path: Path) -> None:
    """Overwrite a piece in the middle of the pictures, after which the container still reads."""
    content = bytearray(path.read_bytes())
    first = len(content) // 2
    content[first : first + len(content) // 6] = bytes(len(content) // 6)
    path.write_bytes(bytes(content))


def both(frames: list[np.ndarray], others: list[np.ndarray]) -> list[np.ndarray]:
    for frame, other in zip(frames, others, strict=True):
        red = (other == (220, 30, 30)).all(axis=-1)
        frame[red] = other[red]
    return frames


def flicker(frames: list[np.ndarray]) -> list[np.ndarray]:
    """A cut every half second."""
    return [frame if number // 12 % 2 else 255 - frame for number, frame in enumerate(frames)]


def huge(frame: np.ndarray) -> np.ndarray:
    """160 x 120 -> 7680 x 4320, the lower 90 rows, as planes of 4:2:0."""
    small = av.VideoFrame.from_ndarray(frame[30:], format="rgb24").reformat(format="yuv420p").to_ndarray()
    luma, chroma = small[:90], small[90:].reshape(2, 45, 80)
    large = chroma.repeat(48, axis=1).repeat(48, axis=2).reshape(2160, 7680)
    return np.concatenate([luma.repeat(48, axis=0).repeat(48, axis=1), large])


@pytest.fixture(scope="module")
def outcome(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    output = tmp_path_factory.mktemp("prepared") / "out"
    stages = make_stages(num_frames=12, size=64, min_size=24, subject="any")
    return output, prepare([folder], output, stages=stages, workers=2, test=0.2, progress=False)


def test_each_is_named_with_its_reason(outcome: tuple[Path, Outcome]) -> None:
    entries = {entry["video"]: entry for entry in outcome[1].report["bad_videos"]}
    assert entries.keys() == BAD.keys()
    for name, (status, reason, detail) in BAD.items():
        assert (entries[name]["status"], entries[name]["reason"]) == (status, reason), entries[name]
        assert detail in entries[name]["detail"], entries[name]
        assert any(line.startswith(f"{name}: {status}: {reason}") for line in outcome[1].lines)


def test_what_is_left_out_of_the_others_is_counted(outcome: tuple[Path, Outcome]) -> None:
    found: dict[str, list[str]] = {}
    for drop in outcome[1].report["dropped"]:
        found.setdefault(drop["video"], []).append(drop["reason"])
    assert found == DROPPED
    reasons = [reason for _, reason, _ in BAD.values()] + [reason for named in DROPPED.values() for reason in named]
    assert outcome[1].report["reasons"] == {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def test_the_others_are_used(outcome: tuple[Path, Outcome]) -> None:
    output, result = outcome
    statuses = [status for status, _, _ in BAD.values()]
    assert result.report["videos"] == {
        "prepared": len(GOOD) + len(DROPPED.keys() - GOOD.keys()),
        "skipped": statuses.count("skipped"),
        "failed": statuses.count("failed"),
        "duplicates": 1,
    }
    assert (result.num_failed, result.num_given) == (statuses.count("failed"), 20)
    dataset = DatasetFolder(output)
    assert len(dataset.clips) == sum(GOOD.values()) == result.report["clips"]
    for clip in dataset.clips:
        with VideoReader(dataset.locate(clip)) as video:
            frames = np.stack(list(video.stream(12)))
        assert frames.shape == (12, clip.height, clip.width, 3)
        assert ((frames[..., 0] > 150) & (frames[..., 1] < 100)).mean() > 0.1  # the figure


def test_bad_videos_are_not_looked_at_again(
    outcome: tuple[Path, Outcome], folder: Path, listing: Callable[[Path], dict[str, tuple[int, bytes]]]
) -> None:
    output, _ = outcome
    before = listing(output)
    stages = make_stages(num_frames=12, size=64, min_size=24, subject="any")
    again = prepare([folder], output, stages=stages, test=0.2, progress=False)
    assert again.num_new == 0 and again.lines == outcome[1].lines
    assert listing(output) == before
