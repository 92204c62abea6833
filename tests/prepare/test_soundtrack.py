"""The music of a video: whole, at 16 kHz, with its beats; and what of it belongs to a clip."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musedance.media.audio import Audio
from musedance.prepare.rejection import Rejected
from musedance.prepare.soundtrack import SAMPLING_RATE, Soundtrack, Track


def test_the_whole_track_with_its_beats(studio: Any, tmp_path: Path) -> None:
    path = studio.write(tmp_path / "a.mp4", studio.sway(2), studio.song(1, 8.0))  # longer than the pictures
    track = Soundtrack(bpm=120).read(path)
    assert track.music.sampling_rate == SAMPLING_RATE and track.music.samples.shape[0] == 1
    assert track.music.duration == pytest.approx(8.0, abs=0.1)
    inner = track.beats[(track.beats > 0.6) & (track.beats < 7.4)]
    assert len(inner) >= 12
    assert np.abs(inner * 2 - np.round(inner * 2)).max() < 0.14  # 70 ms


def test_a_clips_music_is_cut_out_of_it() -> None:
    samples = np.linspace(-1, 1, 10 * SAMPLING_RATE, dtype=np.float32)[None]
    track = Track(Audio(samples, SAMPLING_RATE), np.zeros(0), np.zeros((0, 2), np.int64))
    piece = track.cut(2.5, 4.0)
    np.testing.assert_array_equal(piece.samples, samples[:, 40000:64000])
    assert track.cut(9.0, 10.04).samples.shape == (1, 16640)  # a block that the encoder did not fill


def test_a_clip_needs_music() -> None:
    samples = np.ones((1, 10 * SAMPLING_RATE), np.float32)
    samples[:, : 5 * SAMPLING_RATE] = 1e-5
    track = Track(Audio(samples, SAMPLING_RATE), np.zeros(0), np.zeros((0, 2), np.int64))
    for start, end, reason in ((0.0, 4.0, "silent"), (8.0, 12.0, "sound ends early")):
        with pytest.raises(Rejected) as rejected:
            track.cut(start, end)
        assert rejected.value.reason == reason
    assert track.cut(4.0, 8.0).duration == 4.0
