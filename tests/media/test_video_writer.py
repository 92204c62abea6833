"""Videos are written with the real encoders and read back; failing runs must leave nothing behind."""

import errno
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from musedance.errors import InputError
from musedance.media.audio import read_audio
from musedance.media.video_writer import VideoWriter

HEIGHT, WIDTH = 64, 96


def sine(first: int, last: int, rate: int, channels: int) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(first, last) / rate)
    return np.tile(wave, (channels, 1)).astype(np.float32)


def write_video(
    path: Path,
    *,
    fps: float | Fraction = 12,
    rate: int = 16000,
    channels: int = 1,
    pieces: tuple[int, ...] = (5, 7, 12),
) -> None:
    """Grey frames, each a step brighter, with a sine; in pieces of so many frames."""
    with VideoWriter(path, fps=fps, height=HEIGHT, width=WIDTH, audio_rate=rate, audio_channels=channels) as writer:
        done = 0
        for count in pieces:
            grey = np.arange(done, done + count, dtype=np.uint8) * 4 + 40
            frames = np.broadcast_to(grey[:, None, None, None], (count, HEIGHT, WIDTH, 3))
            first, last = round(done / fps * rate), round((done + count) / fps * rate)
            writer.write(frames, sine(first, last, rate, channels))
            done += count


def writer_at(path: Path, **changes: int) -> VideoWriter:
    arguments = {"fps": 12, "height": HEIGHT, "width": WIDTH, "audio_rate": 16000, "audio_channels": 1} | changes
    return VideoWriter(path, **arguments)


def read_frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def ends(path: Path) -> tuple[float, float]:
    """When video and audio end, in seconds, by the file's own account."""
    with av.open(str(path)) as container:
        streams = (container.streams.video[0], container.streams.audio[0])
        video, audio = (float((s.start_time + s.duration) * s.time_base) for s in streams)
    return video, audio


@pytest.mark.parametrize("fps", [12, 7.5, 23.976, Fraction(30000, 1001), 60])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (22050, 2), (44100, 2), (48000, 1)])
def test_video_and_audio_end_together(tmp_path: Path, fps: float | Fraction, rate: int, channels: int) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, fps=fps, rate=rate, channels=channels)
    video, audio = ends(path)
    assert video == pytest.approx(24 / fps, abs=2e-3)
    assert audio == pytest.approx(24 / fps, abs=2e-3)
    sound = read_audio(path)
    assert sound.sampling_rate == rate and sound.samples.shape[0] == channels
    assert sound.duration == pytest.approx(24 / fps, abs=2e-3)


@pytest.mark.parametrize(("rate", "channels"), [(5512, 1), (37800, 2), (192000, 2)])
def test_rates_that_aac_does_not_know_are_resampled(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, rate=rate, channels=channels)
    sound = read_audio(path)
    assert sound.sampling_rate == 48000 and sound.samples.shape[0] == channels
    assert sound.duration == pytest.approx(2.0, abs=2e-3)
    spectrum = np.abs(np.fft.rfft(sound.samples[0] * np.hanning(sound.samples.shape[1])))
    assert spectrum.argmax() / sound.duration == pytest.approx(440, abs=1)


@pytest.mark.parametrize("rate", [16000, 44100, 37800])
def test_sound_is_continuous_over_pieces_and_in_place(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, rate=rate, pieces=(1, 2, 3, 4, 5, 6, 3))
    sound = read_audio(path)
    expected = sine(0, sound.samples.shape[1], sound.sampling_rate, 1)
    inner = slice(2000, -2000)
    assert np.abs(sound.samples[:, inner] - expected[:, inner]).max() < 0.02


def test_every_frame_is_there_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, pieces=(1, 0, 11, 3, 9))
    greys = [frame.mean() for frame in read_frames(path)]
    np.testing.assert_allclose(greys, np.arange(24) * 4 + 40, atol=2)
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(24) / 12, atol=1e-6)


def test_colours_come_back(tmp_path: Path) -> None:
    stripes = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stripes[:, :32], stripes[:, 32:64], stripes[:, 64:] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    path = tmp_path / "a.mp4"
    with writer_at(path) as writer:
        writer.write(np.stack([stripes] * 12), np.zeros((1, 16000), np.float32))
    difference = np.abs(read_frames(path)[6].astype(int) - stripes)
    difference[:, [30, 31, 32, 33, 62, 63, 64, 65]] = 0  # colour has half the resolution
    assert difference.max() <= 4
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert tags == (1, 1, 1, 1)  # BT.709, limited range
        assert context.pix_fmt == "yuv420p"
        assert container.streams.audio[0].codec_context.name == "aac"


def test_the_index_stands_in_front_and_the_streams_are_interleaved(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, pieces=(12,) * 20)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    latest = {"video": 0.0, "audio": 0.0}
    with av.open(str(path)) as container:
        packets = sorted((p for p in container.demux() if p.dts is not None), key=lambda p: p.pos)
        for packet in packets:
            latest[packet.stream.type] = float(packet.dts * packet.time_base)
            assert abs(latest["video"] - latest["audio"]) < 1.5


def test_an_existing_video_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("old")
    write_video(path)
    assert len(read_frames(path)) == 24
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".mp4")
    write_video(path)
    assert len(read_frames(path)) == 24


def test_the_file_is_readable_by_others_as_the_umask_says(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    (tmp_path / "ordinary").touch()
    assert (tmp_path / "a.mp4").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("before", [0, 3, 200])  # frames; the encoder holds back about 50
def test_after_an_error_nothing_is_left(tmp_path: Path, error: type[BaseException], before: int) -> None:
    (tmp_path / "old.mp4").write_text("old")
    for name in ("new.mp4", "old.mp4"):
        with pytest.raises(error), writer_at(tmp_path / name) as writer:
            if before:
                noise = np.random.default_rng(0).integers(0, 256, (before, HEIGHT, WIDTH, 3), np.uint8)
                writer.write(noise, np.zeros((1, round(before / 12 * 16000)), np.float32))
            raise error
    assert [p.name for p in tmp_path.iterdir()] == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_text() == "old"


def test_while_writing_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("old")
    with writer_at(path) as writer:
        writer.write(np.zeros((12, HEIGHT, WIDTH, 3), np.uint8), np.zeros((1, 16000), np.float32))
        assert path.read_text() == "old"
    assert len(read_frames(path)) == 12


@pytest.mark.parametrize("seconds", [0.0, 1.2, 2.0])
def test_sound_that_does_not_match_the_frames_is_an_error(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"the frames last 1\.000 s"), writer_at(tmp_path / "a.mp4") as writer:
        writer.write(np.zeros((12, HEIGHT, WIDTH, 3), np.uint8), np.zeros((1, round(seconds * 16000)), np.float32))
    assert not list(tmp_path.iterdir())


def test_a_video_without_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no frames"), writer_at(tmp_path / "a.mp4"):
        pass
    assert not list(tmp_path.iterdir())


FRAMES, SOUND = np.zeros((2, HEIGHT, WIDTH, 3), np.uint8), np.zeros((1, 2667), np.float32)


@pytest.mark.parametrize(
    ("frames", "audio"),
    [
        (FRAMES.astype(np.float32), SOUND),
        (FRAMES[0], SOUND),
        (FRAMES[:, :-2], SOUND),
        (FRAMES[..., :1], SOUND),
        (FRAMES.transpose(0, 3, 1, 2), SOUND),
        (FRAMES, SOUND.astype(np.float64)),
        (FRAMES, SOUND[0]),
        (FRAMES, SOUND.repeat(2, axis=0)),
        (FRAMES, SOUND * np.nan),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, frames: np.ndarray, audio: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be|not finite"), writer_at(tmp_path / "a.mp4") as writer:
        writer.write(frames, audio)
    assert not list(tmp_path.iterdir())


def test_it_writes_inside_its_block_only(tmp_path: Path) -> None:
    writer = writer_at(tmp_path / "a.mp4")
    with pytest.raises(RuntimeError):
        writer.write(FRAMES, SOUND)
    with writer:
        writer.write(FRAMES, SOUND)
    with pytest.raises(RuntimeError):
        writer.write(FRAMES, SOUND)


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").touch()
    for name, reason in {
        "missing/a.mp4": "does not exist",
        "file/a.mp4": "does not exist",
        "folder.mp4": "is a folder",
        "a.avi": ".mp4",
        "a": ".mp4",
    }.items():
        with pytest.raises(InputError, match=reason) as caught:
            writer_at(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"height": 63}, {"width": 0}, {"fps": 0}, {"audio_channels": 3}, {"audio_rate": 0}, {"width": -2}]
)
def test_impossible_formats_are_refused(tmp_path: Path, changes: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        writer_at(tmp_path / "a.mp4", **changes)


FULL_DISK = """
import json, os, resource, sys
import numpy as np
from musedance.media.video_writer import VideoWriter

folder, report = sys.argv[1], []
path = os.path.join(folder, "a.mp4")
noise = np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), np.uint8)
sound = np.random.default_rng(0).uniform(-1, 1, (1, 5 * 16000)).astype(np.float32)

def write(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with VideoWriter(path, fps=12, height=64, width=64, audio_rate=16000, audio_channels=1) as writer:
            for k in range(5):
                writer.write(noise[12 * k : 12 * k + 12], sound[:, 16000 * k : 16000 * k + 16000])
    except OSError as error:
        return [error.errno, str(error)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

assert write(resource.RLIM_INFINITY) is None
size = os.path.getsize(path)
with open(path, "w") as file:
    file.write("old")
for limit in (0, 100, 5000, size // 3, size // 2, size - 3000, size - 1000, size - 1):
    error = write(limit)
    report.append([limit, error, os.listdir(folder), open(path).read() == "old"])
assert write(size) is None
print(json.dumps(report))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_is_an_oserror_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for limit, error, files, untouched in json.loads(run.stdout):
        assert error is not None, f"no error with room for {limit} bytes"
        assert error[0] == errno.EFBIG and "cannot write" in error[1] and "a.mp4" in error[1]
        assert files == ["a.mp4"] and untouched


MEMORY = """
import resource, sys
import numpy as np
from musedance.media.video_writer import VideoWriter

rng = np.random.default_rng(0)
with VideoWriter(sys.argv[1], fps=12, height=96, width=96, audio_rate=44100, audio_channels=2) as writer:
    for _ in range(int(sys.argv[2])):
        noise = rng.integers(0, 256, (12, 96, 96, 3), np.uint8)
        writer.write(noise, rng.uniform(-1, 1, (2, 44100)).astype(np.float32))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux")
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    peaks, sizes = [], []
    for seconds in (15, 75):
        command = [sys.executable, "-c", MEMORY, str(path), str(seconds)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        sizes.append(path.stat().st_size / 2**20)
    assert sizes[1] - sizes[0] > 5  # MiB that would lie in memory if packets waited; frames and sound are over 37
    assert peaks[1] - peaks[0] < 4


REPEATED = """
import sys
import numpy as np
from musedance.media.video_writer import VideoWriter

y, x = np.mgrid[:112, :112]
noise = np.random.default_rng(5).integers(-32, 32, (112, 112, 3))
files = set()
for repeat in range(12):
    for side in (112, 96):
        frames = np.stack([np.roll(noise, (2 * k, 3 * k), (0, 1)) + 128 for k in range(50)]).astype(np.uint8)
        with VideoWriter(sys.argv[1], fps=12, height=side, width=side, audio_rate=16000, audio_channels=1) as writer:
            writer.write(frames[:, :side, :side], np.zeros((1, 66667), np.float32))
        with open(sys.argv[1], "rb") as file:
            files.add((side, file.read()))
print(len(files))
"""


def test_the_same_frames_make_the_same_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REPEATED, str(tmp_path / "a.mp4")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(run.stdout) == 2  # one for each size


def test_the_preset_reaches_the_encoder(tmp_path: Path) -> None:
    sizes = []
    for preset in ("medium", "ultrafast"):
        arguments = {"fps": 12, "height": HEIGHT, "width": WIDTH, "audio_rate": 16000, "audio_channels": 1}
        noise = np.random.default_rng(0).integers(0, 256, (12, HEIGHT, WIDTH, 3), np.uint8)
        with VideoWriter(tmp_path / "a.mp4", **arguments, preset=preset) as writer:
            writer.write(noise, np.zeros((1, 16000), np.float32))
        sizes.append(len(read_frames(tmp_path / "a.mp4")) and (tmp_path / "a.mp4").stat().st_size)
    assert sizes[0] != sizes[1]
