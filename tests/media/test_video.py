"""Every frame carries its number: what is read is compared with what must be on screen by its time stamps."""

import bisect
import contextlib
import io
import itertools
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from musedance.errors import InputError
from musedance.media.audio import read_audio
from musedance.media.video import VideoReader, probe
from musedance.media.video_writer import VideoWriter

QUIET = {"x265-params": "log-level=none"}
OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"}
B_FRAMES = {"bf": "3", "g": "12", "x264-params": "b-adapt=0"}
FILES: dict[str, dict[str, Any]] = {
    "h264.mp4": {"options": B_FRAMES},
    "h264.mkv": {"options": B_FRAMES},
    "h264.mov": {"options": B_FRAMES},
    "h264.ts": {"options": B_FRAMES},
    "h264.flv": {"options": B_FRAMES},
    "one_key_frame.mp4": {"options": {"g": "999"}},
    "open_gop.mp4": {"options": OPEN_GOP},
    "open_gop.mkv": {"options": OPEN_GOP},
    "open_gop.ts": {"options": OPEN_GOP},
    "fragments.mp4": {"options": B_FRAMES, "muxing": {"movflags": "frag_keyframe+empty_moov"}},
    "late.mp4": {"options": B_FRAMES, "start": 2},
    "late.mkv": {"options": B_FRAMES, "start": 2},
    "odd.mp4": {"size": (63, 95), "pix_fmt": "yuv444p"},
    "odd.webm": {"codec": "libvpx-vp9", "size": (63, 95)},
    "hevc10.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": QUIET},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "12"}},
    "vp8_hidden_frames.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "1M"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12", "g": "12"}},
    "av1.mkv": {"codec": "libsvtav1", "options": {"preset": "12", "g": "12"}},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "b": "2M"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "b": "2M"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2", "b": "2M"}},
    "wmv.wmv": {"codec": "wmv2", "options": {"b": "2M"}},
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_comes_back_frame_for_frame(tmp_path: Path, numbered: Any, name: str) -> None:
    path = numbered.write(tmp_path / name, **FILES[name])
    with VideoReader(path) as reader:
        assert reader.info.num_frames == 48 and reader.info.fps == 24 and reader.info.is_constant_rate
        assert reader.info.duration == pytest.approx(2.0, abs=2e-3)
        assert [numbered.read(frame) for frame in reader.stream(24)] == list(range(48))
        assert [numbered.read(frame) for frame in reader.stream(12)] == list(range(0, 48, 2))
        jumps = np.random.default_rng(0).integers(0, 48, 40)
        assert [numbered.read(frame) for frame in reader.frames_at(jumps / 24)] == jumps.tolist()
        for number in (47, 0, 30, 29, 13, 11, 12, 46, 1):  # each a jump of its own
            assert numbered.read(reader.frames_at([number / 24])[0]) == number
        assert reader.damaged_packets == 0
    height, width = FILES[name].get("size", (64, 96))
    info = probe(path)
    assert (info.width, info.height) == (width, height)
    assert info.codec == {"av1.mp4": "av1", "hevc10.mp4": "hevc", "vp9.webm": "vp9"}.get(name, info.codec)


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), 25, Fraction(30000, 1001), 50, Fraction(60000, 1001), 12, 10])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])  # mkv rounds times to 1/1000 s
def test_frame_rates_are_converted_to_the_nearest_frame(
    tmp_path: Path, numbered: Any, fps: Fraction | int, name: str
) -> None:
    path = numbered.write(tmp_path / name, fps=fps, count=100)
    with VideoReader(path) as reader:
        assert reader.info.fps == (fps if name == "a.mp4" else pytest.approx(fps, rel=1e-4))
        assert [numbered.read(frame) for frame in reader.stream(fps)] == list(range(100))
        slack = fps * Fraction(
            1, 990 if name == "a.mkv" else 10**6
        )  # frames; within it of a change either side is right
        for output, start in itertools.product((12, 24, Fraction(30000, 1001)), (0, Fraction(1, 2))):
            half = min(1 / Fraction(fps), 1 / Fraction(output)) / 2
            at = [(start + Fraction(k) / output + half) * fps for k in range(400)]
            frames = [numbered.read(frame) for frame in reader.stream(output, float(start))]
            assert sum(a < 100 - slack for a in at) <= len(frames) <= sum(a < 100 + slack for a in at)
            assert all(math.floor(a - slack) <= frame <= a + slack for frame, a in zip(frames, at, strict=False))
            if Fraction(fps) / output in (1, 2, 4, 5):  # as far as can be from every change
                assert frames == [int(a) for a in at if a < 100]


def test_twelve_becomes_twenty_four_by_showing_each_twice(tmp_path: Path, numbered: Any) -> None:
    with VideoReader(numbered.write(tmp_path / "a.mkv", fps=12, count=20)) as reader:
        assert [numbered.read(frame) for frame in reader.stream(24)] == [k // 2 for k in range(40)]
        assert [numbered.read(frame) for frame in reader.stream(12, 0.5, 1.0)] == list(range(6, 12))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_variable_rates_show_what_is_on_screen(tmp_path: Path, numbered: Any, name: str) -> None:
    steps = np.random.default_rng(0).choice([0.010, 0.033, 0.040, 0.120, 0.500], 59)
    times = [0.0, *np.round(np.cumsum(steps), 3).tolist()]
    path = numbered.write(tmp_path / name, times=times, count=60, options={"g": "15", "bf": "3"})
    with VideoReader(path) as reader:
        assert not reader.info.is_constant_rate
        assert [numbered.read(frame) for frame in reader.frames_at(times)] == list(range(60))
        moments = np.random.default_rng(1).uniform(0, times[-1], 200)
        expected = [bisect.bisect_right(times, time + 1e-3) - 1 for time in moments]
        assert [numbered.read(frame) for frame in reader.frames_at(moments)] == expected
        half = np.median(np.diff(times)) / 2
        expected = [bisect.bisect_right(times, k / 10 + half) - 1 for k in range(int(times[-1] * 10))]
        assert [numbered.read(frame) for frame in reader.stream(10)][: len(expected)] == expected


@pytest.mark.parametrize("key_frames", [20, 999])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_what_an_edit_list_hides_is_not_there(tmp_path: Path, numbered: Any, name: str, key_frames: int) -> None:
    options = {"g": str(key_frames), "bf": "3", "sc_threshold": "0"}
    whole = numbered.write(tmp_path / "whole.mp4", count=60, options=options)
    path = numbered.cut(whole, tmp_path / name, Fraction(30, 24))
    assert b"elst" in path.read_bytes()
    with av.open(str(path)) as container:  # or the test would show nothing
        assert any(packet.is_discard for packet in container.demux(video=0))
    with VideoReader(path) as reader:
        assert reader.info.num_frames == 30 and reader.info.duration == pytest.approx(1.25)
        assert [numbered.read(frame) for frame in reader.stream(24)] == list(range(30, 60))
        for number in (25, 3, 9, 10, 0, 29):
            assert numbered.read(reader.frames_at([number / 24])[0]) == 30 + number


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.flv"])
@pytest.mark.parametrize(("picture_start", "sound_start"), [(0, 0.0), (1, 0.0), (0, 0.5), (2, 1.5)])
def test_sound_and_picture_share_their_clock(
    tmp_path: Path, numbered: Any, name: str, picture_start: int, sound_start: float
) -> None:
    flash = picture_start + 40 / 24  # when frame 40 comes, on the clock of the file that is written
    sound = np.zeros(4 * 48000)
    sound[round((flash - sound_start) * 48000) :][:30] = 0.9
    path = numbered.write(tmp_path / name, start=picture_start, sound=sound, sound_start=sound_start)
    track = read_audio(path)
    click = np.abs(track.samples[0]).argmax() / track.sampling_rate
    with VideoReader(path) as reader:
        assert reader.info.has_audio
        before, after = reader.frames_at([click - 0.005, click + 0.005])
    assert (numbered.read(before), numbered.read(after)) == (39, 40)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_rotated_videos_come_upright(tmp_path: Path, numbered: Any, angle: int, mirrored: bool) -> None:
    """The display matrix turns the stored picture counter-clockwise by `angle`, then mirrors it."""

    def stored(upright: np.ndarray) -> np.ndarray:
        return np.rot90(upright[:, ::-1] if mirrored else upright, -angle // 90)

    size = (64, 96)
    path = numbered.write(
        tmp_path / "a.mp4",
        count=70,
        size=stored(np.zeros(size)).shape,
        picture=lambda number: stored(numbered.draw(number, *size)),
        change=lambda stream: stream.set_display_rotation(angle, hflip=mirrored),
    )
    with VideoReader(path) as reader:
        assert (reader.info.height, reader.info.width) == size
        frames = reader.frames_at(np.arange(70) / 24)
        assert [numbered.read(frame) for frame in frames] == list(range(70))
        assert reader.frames_at([0.0], max_side=48).shape == (1, 32, 48, 3)


def test_other_angles_are_refused(tmp_path: Path, numbered: Any) -> None:
    path = numbered.write(tmp_path / "a.mp4", count=2, change=lambda stream: stream.set_display_rotation(30))
    assert "multiple of 90" in message(path)


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(16, 15), Fraction(2, 3)])
def test_pixels_become_square(tmp_path: Path, numbered: Any, aspect: Fraction) -> None:
    def stretch(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    with VideoReader(numbered.write(tmp_path / "a.mp4", change=stretch)) as reader:
        assert (reader.info.width, reader.info.height) == (round(96 * aspect), 64)
        frames = list(reader.stream(24))
    assert frames[0].shape == (64, round(96 * aspect), 3)
    assert [numbered.read(frame) for frame in frames] == list(range(48))


def test_pictures_are_reduced_not_enlarged(tmp_path: Path, numbered: Any) -> None:
    with VideoReader(numbered.write(tmp_path / "a.mp4", size=(128, 192))) as reader:
        small = reader.frames_at([0.5, 1.0], max_side=48)
        assert small.shape == (2, 32, 48, 3) and [numbered.read(frame) for frame in small] == [12, 24]
        assert next(reader.stream(24, max_side=500)).shape == (128, 192, 3)
        full = reader.frames_at([0.5])[0].astype(float)
        mean = full.reshape(32, 4, 48, 4, 3).mean(axis=(1, 3))  # no aliasing: close to the mean of the pixels
        assert np.abs(mean - small[0]).mean() < 6


def test_8k_is_read_and_more_than_16384_a_side_is_not(tmp_path: Path, numbered: Any) -> None:
    path = numbered.write(
        tmp_path / "8k.mov",
        "mjpeg",
        count=2,
        size=(4320, 7680),
        pix_fmt="yuvj420p",
        picture=lambda number: numbered.draw(number, 54, 96).repeat(80, axis=0).repeat(80, axis=1),
    )
    with VideoReader(path) as reader:
        assert (reader.info.width, reader.info.height) == (7680, 4320)
        frames = list(reader.stream(24, max_side=256))
    assert frames[0].shape == (144, 256, 3) and [numbered.read(frame) for frame in frames] == [0, 1]
    wide = numbered.write(tmp_path / "wide.mov", "mjpeg", count=1, size=(16, 16400), pix_fmt="yuvj420p")
    assert "at most 16384 pixels a side" in message(wide)


def test_what_the_writer_wrote_comes_back_close(tmp_path: Path) -> None:
    y, x = np.mgrid[:128, :128]
    smooth = np.stack([40 + x, 230 - y, 60 + (x + y) / 2], axis=-1).astype(np.uint8)
    path = tmp_path / "a.mp4"
    with VideoWriter(path, fps=12, height=128, width=128, audio_rate=16000, audio_channels=1) as writer:
        writer.write(np.stack([smooth] * 12), np.zeros((1, 16000), np.float32))
    with VideoReader(path) as reader:
        frames = np.stack(list(reader.stream(12)))
    assert frames.shape == (12, 128, 128, 3)
    difference = np.abs(frames.astype(int) - smooth)
    assert difference.mean() < 1 and difference.max() <= 6


BT709, BT601 = (0.2126, 0.0722), (0.299, 0.114)


def grey_levels(rgb: tuple[int, int, int], weights: tuple[float, float], full_range: bool) -> tuple[int, int, int]:
    """Y, Cb, Cr of a colour (ITU-R BT.709 / BT.601, 8 bits)."""
    red, green, blue = (value / 255 for value in rgb)
    kr, kb = weights
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    if full_range:
        return round(255 * luma), round(128 + 255 * cb), round(128 + 255 * cr)
    return round(16 + 219 * luma), round(128 + 224 * cb), round(128 + 224 * cr)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("height", "tag", "weights"), [(64, 2, BT601), (720, 2, BT709), (64, 1, BT709), (720, 6, BT601), (720, 5, BT601)]
)
def test_colours_follow_the_tags(
    tmp_path: Path, height: int, tag: int, weights: tuple[float, float], full_range: bool
) -> None:
    colours = [(200, 30, 60), (20, 180, 40), (40, 60, 220)]
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12, width=64, height=height, options={"crf": "1"})
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, 2 if full_range else 0
        for colour in colours:
            planes = [np.full((height, 64), level, np.uint8) for level in grey_levels(colour, weights, full_range)]
            frame = av.VideoFrame.from_ndarray(np.stack(planes), format="yuv444p")
            frame.colorspace, frame.color_range = tag, 2 if full_range else 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with VideoReader(path) as reader:
        for frame, colour in zip(reader.stream(12), colours, strict=True):
            assert np.abs(frame.reshape(-1, 3).mean(axis=0) - colour).max() <= 3


def test_transparency_lies_over_white(tmp_path: Path, numbered: Any) -> None:
    def half_transparent(number: int) -> np.ndarray:
        picture = np.full((64, 96, 4), 60, np.uint8)
        picture[..., 3] = np.where(np.arange(96) < 48, 0, 255)
        return picture

    path = numbered.write(tmp_path / "a.mov", "png", count=3, pix_fmt="rgba", picture=half_transparent)
    with VideoReader(path) as reader:
        frames = np.stack(list(reader.stream(24)))
    assert (frames[:, :, :48] == 255).all() and (frames[:, :, 48:] == 60).all()
    path = numbered.write(tmp_path / "b.mov", "prores_ks", count=3, pix_fmt="yuva444p10le", picture=half_transparent)
    with VideoReader(path) as reader:
        frames = np.stack(list(reader.stream(24)))
    assert frames[:, :, :44].min() > 250 and np.abs(frames[:, :, 52:].astype(int) - 60).max() <= 4


def message(source: Any) -> str:
    with pytest.raises(InputError) as caught:
        probe(source)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_transparent_vp9_and_hdr_are_refused(tmp_path: Path, numbered: Any) -> None:
    path = numbered.write(tmp_path / "a.webm", "libvpx-vp9", count=2, pix_fmt="yuva420p")
    assert "transparency" in message(path)
    for number, name in {16: "PQ", 18: "HLG"}.items():

        def tag(stream: Any, number: int = number) -> None:
            context = stream.codec_context
            context.color_trc, context.color_primaries, context.colorspace = number, 9, 9

        path = numbered.write(tmp_path / "a.mkv", "libx265", count=8, pix_fmt="yuv420p10le", options=QUIET, change=tag)
        assert f"is HDR ({name})" in message(path) and "tonemap" in message(path)


def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, numbered: Any) -> None:
    assert "there is no video file" in message(tmp_path / "none.mp4")
    assert "is a folder" in message(tmp_path)
    junk = np.random.default_rng(0).bytes(5000)
    for name, data in {"a.mp4": b"", "b.mp4": b"hello\nworld" * 100, "c.mp4": bytes(5000), "d.mkv": junk}.items():
        (tmp_path / name).write_bytes(data)
        assert "cannot read" in message(tmp_path / name)
    (tmp_path / "song.txt").write_text("a text file, which libav would draw as a film\n" * 50)
    assert "cannot read" in message(tmp_path / "song.txt")
    still = tmp_path / "still.png"
    with av.open(str(still), "w", format="image2", container_options={"update": "1"}) as container:
        stream = container.add_stream("png", width=16, height=16, pix_fmt="rgb24")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
    assert "cannot read" in message(still)


def test_playlists_are_not_followed(tmp_path: Path, numbered: Any) -> None:
    numbered.write(tmp_path / "secret.ts", count=5)
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile secret.ts\n")
    assert "cannot read" in message(tmp_path / "a.m3u8") and "cannot read" in message(tmp_path / "a.mp4")


def test_sound_and_cover_art_are_no_video(tmp_path: Path) -> None:
    for name, codec in {"song.mp3": "libmp3lame", "song.m4a": "aac", "song.wav": "pcm_s16le"}.items():
        with av.open(str(tmp_path / name), "w") as container:
            audio = container.add_stream(codec, rate=44100, layout="mono")
            if name == "song.mp3":
                cover = container.add_stream("png", width=16, height=16, pix_fmt="rgb24")
                cover.disposition = Disposition.attached_pic
                picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                container.mux(cover.encode(picture))
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
        assert "has no video stream" in message(tmp_path / name)


def test_a_video_without_pictures_or_times_is_refused(tmp_path: Path, numbered: Any) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        container.add_stream("libx264", rate=24, width=64, height=64).pix_fmt = "yuv420p"
        container.start_encoding()
    assert "is empty" in message(tmp_path / "a.mkv") or "cannot read" in message(tmp_path / "a.mkv")
    assert "no time stamps" in message(numbered.write(tmp_path / "raw.h264"))
    assert "AVI" in message(numbered.write(tmp_path / "a.avi", options=B_FRAMES))
    jump = numbered.write(tmp_path / "jump.mkv", times=[0.0, 0.1, 5000.0], count=3)
    assert "jump by 5000 s" in message(jump)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "pipe or a device" in message(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["with space.mp4", "tänzer 舞.mp4", "a:b.mp4", "http:x.mp4", "100%d.mp4", "-i.mp4"])
def test_names_are_only_names(tmp_path: Path, numbered: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    numbered.write(tmp_path / "a.mp4", count=5).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(name).num_frames == 5


def test_binary_streams_are_read(tmp_path: Path, numbered: Any) -> None:
    data = numbered.write(tmp_path / "a.mp4", options=B_FRAMES).read_bytes()
    with VideoReader(io.BytesIO(data)) as reader:
        assert [numbered.read(frame) for frame in reader.frames_at([1.5, 0.25, 0.0])] == [36, 6, 0]
    with open(tmp_path / "a.mp4", "rb") as file, VideoReader(file) as reader:
        assert [numbered.read(frame) for frame in reader.stream(24)] == list(range(48))
    with pytest.raises(InputError, match="cannot read"):
        VideoReader(io.BytesIO(b"no video"))


def test_times_outside_the_video_are_refused(tmp_path: Path, numbered: Any) -> None:
    with VideoReader(numbered.write(tmp_path / "a.mp4")) as reader:
        assert reader.frames_at([]).shape == (0, 64, 96, 3)
        assert numbered.read(reader.frames_at([1.9999])[0]) == 47
        for time in (-0.01, 2.0, 2.01, float("nan"), float("inf")):
            with pytest.raises(InputError, match="has no picture at"):
                reader.frames_at([0.0, time])
        for fps, start, end in ((24, 2.0, None), (24, -1, None), (24, 1.0, 0.5), (24, 0.0, 3.0), (0, 0.0, None)):
            with pytest.raises(InputError):
                reader.stream(fps, start, end)
        with pytest.raises(InputError, match="backend"):
            VideoReader(tmp_path / "a.mp4", backend="opencv")  # type: ignore[arg-type]


def test_streams_may_be_left_and_mixed_with_jumps(tmp_path: Path, numbered: Any) -> None:
    with VideoReader(numbered.write(tmp_path / "a.mp4", options=B_FRAMES)) as reader:
        first, second = reader.stream(24), reader.stream(12)
        seen = []
        for _ in range(10):
            seen.append((numbered.read(next(first)), numbered.read(next(second))))
            assert numbered.read(reader.frames_at([40 / 24])[0]) == 40
        assert seen == [(k, 2 * k) for k in range(10)]
        next(first)[:] = 0  # whoever writes into a frame changes no other
        frames = list(itertools.islice(reader.stream(48), 2))
        frames[0][:] = 0
        assert numbered.read(reader.frames_at([0.0])[0]) == 0 and frames[1].any()


def packets(path: Path) -> list[tuple[int, int, bool, float]]:
    """Where each packet lies in the file, how long it is, whether it is a key frame, when it is shown."""
    with av.open(str(path)) as container:
        found = [p for p in container.demux(video=0) if p.size]
        return [(p.pos, p.size, p.is_keyframe, float(p.pts * p.time_base)) for p in found]  # type: ignore[operator, misc]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mp4", "mpeg4"), ("a.mov", "mjpeg"), ("a.mp4", "libsvtav1")]
)
def test_a_damaged_picture_never_becomes_another(tmp_path: Path, numbered: Any, name: str, codec: str) -> None:
    options = {"g": "12", "bf": "0", "b": "2M", "preset": "12"} if codec == "libsvtav1" else {"g": "12", "b": "2M"}
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = numbered.write(tmp_path / name, codec, options=options, pix_fmt=pix_fmt)
    with VideoReader(path) as reader:
        clean = list(reader.stream(24))
    candidates = [p for p in packets(path)[13:24] if codec == "mjpeg" or not p[2]]
    position, size, _, time = max(candidates, key=lambda packet: packet[1])
    data = bytearray(path.read_bytes())
    data[position + 6 : position + size] = bytes(size - 6)
    path.write_bytes(data)
    lost = []
    with VideoReader(path) as reader:
        for number in [*range(48), *range(47, -1, -3)]:
            try:
                np.testing.assert_array_equal(reader.frames_at([number / 24])[0], clean[number])
            except InputError as error:
                assert f"at {number / 24:.3f} s cannot be decoded" in str(error)
                lost.append(number)
        assert reader.damaged_packets >= 1
        assert round(time * 24) in lost
        assert set(lost) <= set(range(12, 27))  # the group of pictures that the damage lies in
        with pytest.raises(InputError, match="cannot be decoded"):
            list(reader.stream(24))
        assert len(list(reader.stream(24, 28 / 24))) == 20  # what comes after is still good


def test_half_a_picture_is_noticed_and_so_is_what_rests_on_it(tmp_path: Path, numbered: Any) -> None:
    """The decoder fills the rest in and says so when the picture comes out, which is after B-frames that rest on it."""
    path = numbered.write(tmp_path / "a.mp4", options=B_FRAMES)
    with VideoReader(path) as reader:
        clean = list(reader.stream(24))
    whole = path.read_bytes()
    for position, size, _, _ in packets(path)[12:24]:
        data = bytearray(whole)
        data[position + size // 2 : position + size] = bytes(size - size // 2)
        path.write_bytes(data)
        lost = 0
        for number in range(10, 28):
            with VideoReader(path) as reader:
                try:
                    np.testing.assert_array_equal(reader.frames_at([number / 24])[0], clean[number])
                except InputError:
                    lost += 1
        assert lost


def test_damage_at_the_start_leaves_the_rest(tmp_path: Path, numbered: Any) -> None:
    path = numbered.write(tmp_path / "a.mp4", options=B_FRAMES)
    position, size, _, _ = packets(path)[0]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert reader.info.num_frames == 48
        with pytest.raises(InputError, match=r"at 0\.000 s cannot be decoded"):
            reader.frames_at([0.0])
        assert numbered.read(reader.frames_at([30 / 24])[0]) == 30


def test_a_video_without_one_good_picture_is_refused(tmp_path: Path, numbered: Any) -> None:
    path = numbered.write(tmp_path / "a.mp4", options=B_FRAMES)
    data = bytearray(path.read_bytes())
    for position, size, _, _ in packets(path):
        data[position : position + size] = bytes(size)
    path.write_bytes(data)
    assert "nothing of" in message(path) and "can be decoded" in message(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.flv"])
def test_a_truncated_file_gives_what_it_holds(tmp_path: Path, numbered: Any, name: str) -> None:
    """Wherever it is cut: what a cut group of B-frames leaves is not shown for longer than it was."""
    muxing = {"movflags": "faststart"} if name == "a.mp4" else None
    path = numbered.write(tmp_path / name, options=B_FRAMES, muxing=muxing)
    whole = path.read_bytes()
    for percent in range(50, 90, 3):
        path.write_bytes(whole[: len(whole) * percent // 100])
        seen = []
        with VideoReader(path) as reader:
            assert reader.info.is_truncated or name != "a.mp4"
            for number in range(48):
                with contextlib.suppress(InputError):
                    assert numbered.read(reader.frames_at([number / 24])[0]) == number
                    seen.append(number)
        assert 10 < len(seen) < 46
    path.write_bytes(whole[:20])
    assert "cannot read" in message(path) or name == "a.flv"


MEMORY = """
import resource, sys
from musedance.media.video import VideoReader
with VideoReader(sys.argv[1]) as reader:
    frames = reader.stream(24, 0.0, float(sys.argv[2]))
    count = sum(1 for _ in frames)
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux")
def test_memory_does_not_grow_with_the_length(tmp_path: Path, numbered: Any) -> None:
    path = numbered.write(tmp_path / "a.mp4", count=150, size=(240, 320))  # 230 kB a frame
    results = []
    for end in ("0.5", "6.25"):
        command = [sys.executable, "-c", MEMORY, str(path), end]
        results.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert [result[0] for result in results] == ["12", "150"]
    assert int(results[1][1]) - int(results[0][1]) < 12  # MiB; 138 frames are over 30
