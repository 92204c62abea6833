"""Sound files of every usual kind are written with a real encoder and must come back where they were."""

import io
import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from musedance.errors import InputError
from musedance.media.audio import Audio, read_audio

RATE = 44100
CLICKS = (0.1, 1.0, 2.0, 2.9)  # seconds


def clicks(rate: int = RATE, channels: int = 2) -> np.ndarray:
    """3 s of silence with four short clicks: (channels, n) float32."""
    samples = np.zeros((channels, 3 * rate), np.float32)
    for time in CLICKS:
        samples[:, round(time * rate) : round(time * rate) + 20] = 0.9
    return samples


def tone(frequency: float, rate: int = RATE, seconds: float = 2.0, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave, (channels, 1)).astype(np.float32)


def write(path: Path, codec: str, samples: np.ndarray, rate: int, *, video: bool = False, start: float = 0.0) -> Path:
    """Encode `samples`, beginning at `start` seconds, beside a black 25 fps video of 3 s if asked."""
    layout = {1: "mono", 2: "stereo", 4: "quad", 5: "5.0", 6: "5.1"}[len(samples)]
    with av.open(str(path), "w") as container:
        audio = container.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
        if video:
            pictures = container.add_stream("libx264", rate=25, width=32, height=32)
            for _ in range(75):
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(start * rate)
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


def click_errors(audio: Audio, start: float = 0.0) -> list[float]:
    """How many ms each click lies from where it was put."""
    errors = []
    for time in CLICKS:
        first = round((time + start - 0.06) * audio.sampling_rate)
        window = np.abs(audio.samples[0, first : first + round(0.12 * audio.sampling_rate)])
        assert window.max() > 0.2, f"no click near {time + start} s"
        errors.append(1000 * ((first + window.argmax()) / audio.sampling_rate - time - start))
    return errors


FORMATS = [  # file, codec, rate, beside a video
    ("a.wav", "pcm_s16le", RATE, False),
    ("a24.wav", "pcm_s24le", 96000, False),
    ("a8.wav", "pcm_u8", RATE, False),
    ("a.aiff", "pcm_s16be", RATE, False),
    ("a.mp3", "libmp3lame", RATE, False),
    ("low.mp3", "libmp3lame", 22050, False),
    ("a.flac", "flac", RATE, False),
    ("a.ogg", "vorbis", RATE, False),
    ("a.opus", "libopus", 48000, False),
    ("a.m4a", "aac", RATE, False),
    ("a.mp4", "aac", RATE, True),
    ("a.mov", "aac", RATE, True),
    ("a.mkv", "aac", RATE, True),
    ("a.ts", "aac", RATE, True),
    ("a.webm", "libopus", 48000, False),
]


@pytest.mark.parametrize(("name", "codec", "rate", "video"), FORMATS, ids=[f[0] for f in FORMATS])
def test_every_format_comes_back_unshifted(tmp_path: Path, name: str, codec: str, rate: int, video: bool) -> None:
    audio = read_audio(write(tmp_path / name, codec, clicks(rate), rate, video=video))
    assert audio.sampling_rate == rate
    assert audio.samples.shape[0] == 2 and audio.samples.dtype == np.float32
    assert np.abs(audio.samples).max() <= 1.0
    assert np.abs(click_errors(audio)).max() < 2.0
    # Most formats say where the sound ends within the last block; these do not.
    assert 0 <= audio.duration - 3.0 < (0.05 if name in ("a.mkv", "a.ts", "a.ogg") else 0.001)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.mp4"])
def test_a_stream_is_read_as_the_file_is(tmp_path: Path, name: str) -> None:
    codec, rate = next((codec, rate) for other, codec, rate, _ in FORMATS if other == name)
    path = write(tmp_path / name, codec, clicks(rate), rate, video=name == "a.mp4")
    with open(path, "rb") as file:
        audio = read_audio(file)
    assert audio.sampling_rate == rate
    np.testing.assert_array_equal(audio.samples, read_audio(path).samples)
    with pytest.raises(InputError, match=r"cannot read the sound"):
        read_audio(io.BytesIO(b"not media" * 100))


def test_lossless_files_keep_every_sample(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 5000)).astype(np.float32)
    audio = read_audio(write(tmp_path / "a.wav", "pcm_f32le", noise, RATE))
    np.testing.assert_array_equal(audio.samples, noise)
    audio = read_audio(str(write(tmp_path / "b.flac", "flac", noise, RATE)))
    assert np.abs(audio.samples - noise).max() <= 1 / 32768


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_sound_that_starts_after_the_first_picture_keeps_its_place(tmp_path: Path, name: str) -> None:
    audio = read_audio(write(tmp_path / name, "aac", clicks(), RATE, video=True, start=0.5))
    assert np.abs(click_errors(audio, start=0.5)).max() < 2.0
    assert np.abs(audio.samples[:, : RATE // 2]).max() < 0.01


def test_a_sound_file_starts_with_its_sound(tmp_path: Path) -> None:
    audio = read_audio(write(tmp_path / "late.mka", "aac", clicks(), RATE, start=0.5))
    assert np.abs(click_errors(audio)).max() < 2.0


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "cover.mp3"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("libmp3lame", rate=RATE, layout="stereo")
        cover = container.add_stream("png", width=16, height=16, pix_fmt="rgb24")
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(picture))
        frame = av.AudioFrame.from_ndarray(clicks(), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert np.abs(click_errors(read_audio(path))).max() < 2.0


def test_a_gap_in_the_time_stamps_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "gap.mka"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for start in (0, 2):  # one second each
            frame = av.AudioFrame.from_ndarray(tone(440, seconds=1.0), format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start * RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    audio = read_audio(path)
    loudness = [float(np.sqrt(np.mean(audio.cut(t + 0.1, t + 0.9).samples ** 2))) for t in (0, 1, 2)]
    assert audio.duration == pytest.approx(3.0, abs=0.01)
    assert loudness == pytest.approx([0.354, 0.0, 0.354], abs=0.01)


@pytest.mark.parametrize("channels", [4, 5, 6])
def test_more_channels_are_mixed_to_two_without_distortion(tmp_path: Path, channels: int) -> None:
    loud = 1.9 * tone(1000, rate=48000, channels=channels)  # 0.95 of full scale on every channel
    audio = read_audio(write(tmp_path / "surround.flac", "flac", loud, 48000))
    assert audio.samples.shape == (2, 96000)
    assert 0.3 < np.abs(audio.samples).max() < 1.0
    spectrum = np.abs(np.fft.rfft(audio.samples[0] * np.hanning(96000)))
    harmonics = [spectrum[2 * f - 5 : 2 * f + 5].max() for f in (2000, 3000, 5000)]
    assert max(harmonics) < 1e-3 * spectrum.max()  # clipping would add them


def test_mono_stays_mono(tmp_path: Path) -> None:
    assert read_audio(write(tmp_path / "a.mp3", "libmp3lame", tone(440), RATE)).samples.shape == (1, 2 * RATE)


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.mp3", "libmp3lame"), ("a.flac", "flac")])
def test_a_truncated_file_gives_what_it_holds(tmp_path: Path, name: str, codec: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3 * RATE)).astype(np.float32)
    path = write(tmp_path / name, codec, noise, RATE)
    whole = read_audio(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    half = read_audio(path)
    assert 1.2 < half.duration < 1.6
    same = half.samples.shape[1] - 5000  # the last block may be damaged
    np.testing.assert_array_equal(half.samples[:, :same], whole.samples[:, :same])


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.m4a", "aac")])
def test_damage_in_the_middle_does_not_end_the_track(tmp_path: Path, name: str, codec: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.05, 0.05, (2, 3 * RATE)).astype(np.float32)
    path = write(tmp_path / name, codec, clicks() + noise, RATE)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = np.random.default_rng(1).bytes(1500)
    path.write_bytes(data)
    audio = read_audio(path)
    assert abs(audio.duration - 3.0) < 0.2
    assert np.abs(audio.samples[0, -RATE // 5 :]).max() > 0.5  # the last click
    if name == "a.m4a":  # whose packets have time stamps
        assert abs(click_errors(audio)[-1]) < 60


def message(source: object) -> str:
    with pytest.raises(InputError) as caught:
        read_audio(source)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_is_no_sound_file_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "there is no audio file" in message(tmp_path / "none.mp3")
    assert "is a folder" in message(tmp_path)
    for name, data in {"a.mp3": b"", "b.wav": b"hello\nworld" * 100, "c.m4a": bytes(5000)}.items():
        (tmp_path / name).write_bytes(data)
        assert "cannot read" in message(tmp_path / name)
    m4a = write(tmp_path / "cut.m4a", "aac", clicks(), RATE)
    m4a.write_bytes(m4a.read_bytes()[:1000])  # the index, which is at the end, is lost
    assert "cannot read" in message(m4a)


def test_a_video_or_picture_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=32, height=32)
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "has no sound" in message(path)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", "pcm_s16le", tone(440), RATE)
    data = bytearray(path.read_bytes())
    start = data.index(b"data")
    path.write_bytes(data[: start + 4] + bytes(4))
    assert "is empty" in message(path)


def test_a_file_with_nan_or_unscaled_samples_is_refused(tmp_path: Path) -> None:
    samples = tone(440)
    samples[0, 1000] = np.nan
    assert "not finite" in message(write(tmp_path / "nan.wav", "pcm_f32le", samples, RATE))
    assert "scale them" in message(write(tmp_path / "big.wav", "pcm_f32le", 20000 * tone(440), RATE))


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.wav", "pcm_s16le", tone(440), RATE).rename(tmp_path / "http:song.wav")
    monkeypatch.chdir(tmp_path)
    assert read_audio("http:song.wav").duration == 2.0


def test_arrays_are_taken_as_they_are() -> None:
    wave = tone(440, channels=2)
    np.testing.assert_array_equal(read_audio((wave, RATE)).samples, wave)
    mono = read_audio((wave[0].astype(np.float64), np.int64(RATE)))
    assert mono.samples.shape == (1, 2 * RATE) and mono.samples.dtype == np.float32
    assert type(mono.sampling_rate) is int
    overshoot = read_audio((np.array([0.5, 1.2, -3.0]), 8000)).samples
    np.testing.assert_array_equal(overshoot, np.float32([[0.5, 1.0, -1.0]]))


@pytest.mark.parametrize(
    ("dtype", "values"), [(np.int16, (-32768, 0, 16384)), (np.uint8, (0, 128, 192)), (np.int32, (-(2**31), 0, 2**30))]
)
def test_integers_are_scaled_by_their_type(dtype: type, values: tuple[int, int, int]) -> None:
    np.testing.assert_array_equal(read_audio((np.array(values, dtype), 8000)).samples, np.float32([[-1.0, 0.0, 0.5]]))


@pytest.mark.parametrize(
    ("array", "rate", "reason"),
    [
        (np.zeros((2, 0)), 8000, "is empty"),
        (np.zeros(0), 8000, "is empty"),
        (np.zeros((800, 2)), 8000, "shaped"),
        (np.zeros((3, 800)), 8000, "shaped"),
        (np.zeros((1, 2, 800)), 8000, "shaped"),
        (np.array([0.0, np.nan]), 8000, "not finite"),
        (np.array([0.0, np.inf]), 8000, "not finite"),
        (np.array([0.0, 1000.0]), 8000, "scale them"),
        (np.zeros(800, complex), 8000, "floats or integers"),
        (np.zeros(800, bool), 8000, "floats or integers"),
        (np.zeros(800), 0, "sampling rate"),
        (np.zeros(800), -8000, "sampling rate"),
        (np.zeros(800), 8000.5, "sampling rate"),
        (np.zeros(800), float("nan"), "sampling rate"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, rate: int, reason: str) -> None:
    assert reason in message((array, rate))


def test_cuts_adjoin_and_are_padded_with_silence() -> None:
    audio = Audio(np.random.default_rng(0).uniform(-1, 1, (2, 1000)).astype(np.float32), 441)
    times = [k / 12 for k in range(40)]  # past the end, which is at 2.27 s
    pieces = [audio.cut(a, b).samples for a, b in itertools.pairwise(times)]
    joined = np.concatenate(pieces, axis=1)
    assert joined.shape == (2, round(times[-1] * 441))
    np.testing.assert_array_equal(joined[:, :1000], audio.samples)
    assert not joined[:, 1000:].any()
    assert audio.cut(5.0, 6.0).samples.shape == (2, 441) and not audio.cut(5.0, 6.0).samples.any()
    with pytest.raises(ValueError):
        audio.cut(1.0, 0.5)
    with pytest.raises(ValueError):
        audio.cut(-1.0, 0.5)


def level(wave: np.ndarray) -> float:
    """RMS in dB, without the ends, where a resampler's filter sees the edge."""
    inner = wave[1000:-1000].astype(np.float64)
    return 20 * np.log10(np.sqrt(np.mean(inner**2)) + 1e-12)


def test_resampling_keeps_the_band_and_does_not_alias() -> None:
    reference = level(tone(1000)[0])
    kept = Audio(tone(1000), RATE).mono(16000)
    assert kept.dtype == np.float32 and kept.shape == (32000,)
    assert level(kept) == pytest.approx(reference, abs=0.1)
    aliased = Audio(tone(9000), RATE).mono(16000)  # over 8 kHz: must vanish, not fold to 7 kHz
    assert level(aliased) < reference - 60


def test_mono_is_the_mean_of_the_channels() -> None:
    left, right = tone(300)[0], tone(500)[0]
    np.testing.assert_allclose(Audio(np.stack([left, right]), RATE).mono(RATE), (left + right) / 2, atol=1e-6)


def test_resampling_does_not_shift() -> None:
    mono = Audio(clicks(), RATE).mono(16000)
    assert np.abs(click_errors(Audio(mono[None], 16000))).max() < 1.0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp3\n#EXT-X-ENDLIST\n"),
        ("a.mp3", "ffconcat version 1.0\nfile secret.mp3\n"),
    ],
)
def test_playlists_are_not_followed(name: str, text: str, tmp_path: Path, example_track: Path) -> None:
    (tmp_path / "secret.mp3").write_bytes(example_track.read_bytes())
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="cannot read"):
        read_audio(tmp_path / name)
