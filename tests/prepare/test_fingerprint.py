"""The same music is recognised whatever was done to it, and other music is not taken for it."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soxr

from musedance.media.audio import read_audio
from musedance.prepare.fingerprint import fingerprint, same_music

RATE = 16000
SAMPLES = Path(__file__).resolve().parents[2] / ".." / "shared" / "samples"


def groups(*tracks: np.ndarray) -> list[int]:
    return same_music([fingerprint(track.astype(np.float32), RATE) for track in tracks]).tolist()


def through_aac(samples: np.ndarray, bit_rate: int) -> np.ndarray:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=RATE, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


@pytest.mark.parametrize("offset", [0.0, 0.5, 1.2345, 3.7])
def test_an_excerpt_belongs_to_its_track(studio: Any, offset: float) -> None:
    whole = studio.song(1, 12)
    excerpt = whole[round(offset * RATE) :][: 5 * RATE]
    changed = through_aac(0.2 * excerpt, bit_rate=32000)
    assert groups(whole, studio.song(2, 12), changed) == [0, 1, 0]


def test_noise_and_another_rate_leave_it_recognisable(studio: Any) -> None:
    whole = studio.song(1, 10)
    noise = np.random.default_rng(0).normal(0, 0.1 * whole.std(), len(whole))
    elsewhere = soxr.resample(whole, RATE, 44100)
    found = same_music([fingerprint(whole, RATE), fingerprint(elsewhere, 44100)])
    assert found.tolist() == [0, 0]
    assert groups(whole, (whole + noise)[20000:]) == [0, 0]


def test_thirty_songs_of_one_tempo_stay_apart(studio: Any) -> None:
    assert groups(*(studio.song(seed, 10) for seed in range(30))) == list(range(30))


def test_a_medley_joins_what_it_is_made_of(studio: Any) -> None:
    first, second = studio.song(1, 8), studio.song(2, 8)
    medley = np.concatenate([first[RATE : 6 * RATE], second[2 * RATE : 7 * RATE]])
    assert groups(first, second, studio.song(3, 8), medley) == [0, 0, 1, 0]


def test_silence_and_very_short_sounds_match_nothing(studio: Any) -> None:
    assert groups(np.zeros(RATE * 5), np.zeros(RATE * 5), np.zeros(0), studio.song(1, 0.05)) == [0, 1, 2, 3]
    assert same_music([]).tolist() == []


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples")
def test_real_music() -> None:
    pop = read_audio(SAMPLES / "music_kpop.wav").mono(RATE)
    dance = read_audio(SAMPLES / "dance_real_24fps.mp4").mono(RATE)
    kick = read_audio(SAMPLES / "kick_120bpm.mp3").mono(RATE)
    assert groups(pop, dance, kick, through_aac(pop[51234:], 48000), through_aac(0.3 * dance[40000:], 32000)) == [
        0, 1, 2, 0, 1,
    ]  # fmt: skip
