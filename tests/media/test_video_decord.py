"""decord agrees with PyAV on what it accepts, and refuses by name what it would read wrongly.

It runs in a process of its own with a time limit, since it can hang in native code.
"""

import importlib.util
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = """
import json, sys
import numpy as np
from musedance.errors import InputError
from musedance.media.video import VideoReader

reports = []
for path in sys.argv[1:]:
    try:
        with VideoReader(path) as ours, VideoReader(path, backend="decord") as theirs:
            times = (np.arange(ours.info.num_frames) + 0.5) * ours.info.duration / ours.info.num_frames
            jumps = np.random.default_rng(0).permutation(times)
            rate = float(ours.info.fps)
            pairs = [
                (ours.frames_at(times), theirs.frames_at(times)),
                (ours.frames_at(jumps), theirs.frames_at(jumps)),
                (ours.frames_at(times, max_side=32), theirs.frames_at(times, max_side=32)),
                (np.stack(list(ours.stream(10))), np.stack(list(theirs.stream(10)))),
            ]
        reports.append([float(np.abs(a.astype(int) - b).mean(axis=(1, 2, 3)).max()) for a, b in pairs])
    except InputError as error:
        reports.append(str(error))
print(json.dumps(reports))
"""
needs_decord = pytest.mark.skipif(not importlib.util.find_spec("decord"), reason="needs decord")


def compare(paths: list[Path]) -> list[Any]:
    """For each file the refusal, or by how many levels the worst frame differs in four ways of reading."""
    command = [sys.executable, "-c", SCRIPT, *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@needs_decord
def test_accepted_files_agree_with_pyav(tmp_path: Path, numbered: Any) -> None:
    b_frames = {"bf": "3", "g": "12"}
    steps = np.random.default_rng(0).choice([0.010, 0.033, 0.120], 47)
    paths = [
        numbered.write(tmp_path / "a.mp4", options=b_frames),
        numbered.write(tmp_path / "a.mkv", options=b_frames, fps=Fraction(30000, 1001)),
        numbered.write(tmp_path / "a.mov", options=b_frames, start=2),
        numbered.write(tmp_path / "late.mkv", options=b_frames, start=2),
        numbered.write(tmp_path / "variable.mp4", options=b_frames, times=[0.0, *np.cumsum(steps).tolist()]),
        numbered.write(tmp_path / "variable.mkv", options=b_frames, times=[0.0, *np.cumsum(steps).tolist()]),
        numbered.write(tmp_path / "vp9.webm", "libvpx-vp9", options={"g": "12"}),
        numbered.write(tmp_path / "hevc.mp4", "libx265", options={"x265-params": "log-level=none"}),
    ]
    for path, report in zip(paths, compare(paths), strict=True):
        assert isinstance(report, list), report
        assert max(report) < 5, path  # another frame would differ by over 20


@needs_decord
def test_what_decord_reads_wrongly_is_refused_with_the_reason(tmp_path: Path, numbered: Any) -> None:
    open_gop = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"}
    whole = numbered.write(tmp_path / "whole.mp4", count=60, options={"g": "20", "bf": "3"})
    files = {
        "edit list": numbered.cut(whole, tmp_path / "edit.mp4", Fraction(30, 24)),
        "AV1": numbered.write(tmp_path / "av1.mp4", "libsvtav1", options={"preset": "12"}, count=5),
        "rotated": numbered.write(tmp_path / "r.mp4", change=lambda s: s.set_display_rotation(90, hflip=True)),
        "open GOPs": numbered.write(tmp_path / "open.mp4", options=open_gop),
        "container": numbered.write(tmp_path / "a.ts", options={"g": "12", "bf": "3"}),
        "transparency": numbered.write(tmp_path / "a.mov", "png", count=3, pix_fmt="rgba"),
    }
    truncated = numbered.write(tmp_path / "short.mp4", muxing={"movflags": "faststart"})
    truncated.write_bytes(truncated.read_bytes()[: truncated.stat().st_size * 6 // 10])
    files["damage"] = truncated
    for reason, report in zip(files, compare(list(files.values())), strict=True):
        assert isinstance(report, str) and reason in report and 'backend "pyav"' in report
        assert "\n" not in report


def test_without_decord_the_message_says_how_to_get_it(tmp_path: Path, numbered: Any) -> None:
    path = numbered.write(tmp_path / "a.mp4", count=3)
    script = "import sys\nsys.modules['decord'] = None\n" + SCRIPT
    run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert 'pip install "musedance[decord]"' in json.loads(run.stdout)[0]
