"""Masks are written with the real encoder and must come back bit for bit."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from musedance.media.lossless import KEY_FRAME_INTERVAL, write_lossless
from musedance.media.video import VideoReader


@pytest.mark.parametrize("size", [(64, 64), (63, 95), (128, 40), (1, 1)])
@pytest.mark.parametrize("fps", [12, Fraction(30000, 1001)])
def test_every_bit_comes_back(tmp_path: Path, size: tuple[int, int], fps: Fraction | int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, *size, 3), np.uint8)
    write_lossless(tmp_path / "a.mp4", noise, fps)
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert reader.info.num_frames == 20 and reader.info.fps == fps
        np.testing.assert_array_equal(np.stack(list(reader.stream(fps))), noise)
        for number in (19, 3, 11, 0):
            np.testing.assert_array_equal(reader.frames_at([number / fps])[0], noise[number])


def test_a_single_frame_is_never_far_from_a_key_frame(tmp_path: Path) -> None:
    still = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8), 50, axis=0)
    write_lossless(str(tmp_path / "a.mp4"), still, 12)
    with av.open(str(tmp_path / "a.mp4")) as container:
        keys = [number for number, packet in enumerate(container.demux(video=0)) if packet.is_keyframe and packet.size]
    assert np.diff([*keys, 50]).max() <= KEY_FRAME_INTERVAL


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3))]
)
def test_other_arrays_are_refused(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(ValueError):
        write_lossless(tmp_path / "a.mp4", frames, 12)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), np.uint8)
    write_lossless(tmp_path / "a.mp4", frames, 12)
    before = (tmp_path / "a.mp4").read_bytes()

    class Interrupting(np.ndarray):
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield from list(np.asarray(self))[:5]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lossless(tmp_path / "a.mp4", (255 - frames).view(Interrupting), 12)
    assert (tmp_path / "a.mp4").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
