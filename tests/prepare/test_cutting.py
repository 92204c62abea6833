"""Cuts of videos whose scenes are known."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musedance.errors import InputError
from musedance.media.video import VideoReader
from musedance.prepare.cutting import SceneCuts


def scenes(studio: Any, *colours: tuple[int, int, int], frames: int = 36) -> list[np.ndarray]:
    """One scene for each colour of the background, with a figure that sways on through all of them."""
    pictures = studio.sway(frames * len(colours) / 24)
    for number, picture in enumerate(pictures):
        background = (picture != (220, 30, 30)).any(axis=-1)
        picture[background] = colours[number // frames]
    return pictures


@pytest.mark.parametrize("fps", [24, 30000 / 1001, 60])
def test_a_cut_is_found_to_the_frame(studio: Any, tmp_path: Path, fps: float) -> None:
    pictures = scenes(studio, (40, 60, 160), (200, 200, 60), (30, 120, 40))
    with VideoReader(studio.write(tmp_path / "cut.mp4", pictures, None, fps=fps)) as video:
        shots = SceneCuts().shots(video)
        assert [shot.start for shot in shots] == pytest.approx([0, 36 / fps, 72 / fps], abs=1e-6)
        assert [shot.end for shot in shots] == pytest.approx([36 / fps, 72 / fps, video.info.duration], abs=1e-6)


@pytest.mark.parametrize("fps", [12, 24, 30])
def test_no_frame_of_a_shot_comes_from_its_neighbour(studio: Any, tmp_path: Path, fps: float) -> None:
    colours = ((40, 60, 160), (200, 200, 60), (30, 120, 40))
    with VideoReader(studio.write(tmp_path / "cut.mp4", scenes(studio, *colours), None, fps=fps)) as video:
        for shot, colour in zip(SceneCuts().shots(video), colours, strict=True):
            for frame in video.stream(12, shot.start, shot.end):
                assert np.abs(frame[2, 2].astype(int) - colour).max() < 12


def test_dancing_is_no_cut(studio: Any, tmp_path: Path) -> None:
    with VideoReader(studio.write(tmp_path / "one.mp4", studio.sway(3), None)) as video:
        (shot,) = SceneCuts().shots(video)
        assert (shot.start, shot.end) == (0.0, video.info.duration)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scenedetect", None)
    with pytest.raises(InputError, match=r"musedance\[data\]"):
        SceneCuts()
