"""`musedance prepare` as a user runs it: options, messages, exit codes, and a captioner with a key."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from musedance.cli import main
from musedance.datasets.folder import DatasetFolder
from musedance.media.video_writer import VideoWriter

SECRET = "sk-prepare-9876543210"
CAPTION = "The dancer sways from side to side."
SPANS = [{"start": 0.0, "end": 0.5, "text": "sways right"}, {"start": 0.5, "end": 1.0, "text": "sways left"}]
SMALL = ("--frames", "12", "--size", "64", "--min-size", "16", "--workers", "1")
SAMPLE = Path(__file__).resolve().parents[2] / ".." / "shared" / "samples" / "dance_real_24fps.mp4"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An OpenAI-compatible server on this machine. `.requests` are what it was asked; `.status` is what it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append((self.path, self.headers["Authorization"], body))
            message = {"role": "assistant", "content": json.dumps({"caption": CAPTION, "timeline": SPANS})}
            answer = json.dumps({"id": "1", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]})
            self.send_response(server.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    yield server
    server.shutdown()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """2 s of a swaying box with noise for music."""
    path = tmp_path / "in" / "my dance.mp4"
    path.parent.mkdir()
    frames = np.full((48, 120, 160, 3), 120, np.uint8)
    for number, frame in enumerate(frames):
        x = round(55 - 15 * np.cos(2 * np.pi * number / 24))
        frame[30:100, x : x + 24] = (220, 30, 30)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 32000)).astype(np.float32)
    with VideoWriter(path, fps=24, height=120, width=160, audio_rate=16000, audio_channels=1) as writer:
        writer.write(frames, noise)
    return path


def test_a_folder_becomes_a_dataset_with_captions(
    video: Path, endpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (video.parent / "broken.mp4").write_text("no video")
    output = tmp_path / "out"
    arguments = ("prepare", str(video.parent), str(output), *SMALL, "--captioner", endpoint.url)
    assert main([*arguments, "--caption-model", "tiny-vlm"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{output}\n"
    assert "musedance: broken.mp4: failed: cannot be read (cannot read broken.mp4 as video" in printed.err
    assert "2 clips (train 2, validation 0, test 0) of 1 tracks from 1 videos; 0 skipped, 1 failed" in printed.err
    clips = DatasetFolder(output).clips
    assert [clip.caption for clip in clips] == [CAPTION] * 2
    assert [[span.text for span in clip.timeline] for clip in clips] == [["sways right", "sways left"]] * 2
    assert len(endpoint.requests) == 2
    for path, authorisation, body in endpoint.requests:
        assert (path, body["model"]) == ("/v1/chat/completions", "tiny-vlm")
        assert authorisation == f"Bearer {SECRET}"
        pictures = [part for part in body["messages"][0]["content"] if part["type"] == "image_url"]
        assert len(pictures) == 2  # frames 0 and 10
    assert not [path for path in output.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]

    assert main([*arguments, "--caption-model", "tiny-vlm"]) == 0
    printed = capsys.readouterr()
    assert "nothing to do" in printed.err and printed.out == f"{output}\n"
    assert len(endpoint.requests) == 2

    assert main([*arguments, "--caption-model", "other"]) == 2
    assert "was made with other options (captioner was" in capsys.readouterr().err


def test_a_refused_key_stops_the_run_at_once(
    video: Path, endpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.status = 401
    arguments = ["prepare", str(video), str(tmp_path / "out"), *SMALL, "--captioner", endpoint.url]
    assert main(arguments) == 2
    assert "refuses the key in OPENAI_API_KEY" in capsys.readouterr().err
    assert not (tmp_path / "out" / "dataset.json").exists()
    endpoint.status = 200
    assert main(arguments) == 0
    assert len(DatasetFolder(tmp_path / "out").clips) == 2


def test_too_many_failures_are_a_failure(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (video.parent / "broken.mp4").write_text("no video")
    arguments = ["prepare", str(video.parent), str(tmp_path / "out"), *SMALL]
    assert main([*arguments, "--max-failures", "0.4"]) == 1
    assert "1 of 2 videos failed, more than --max-failures 0.4 allows" in capsys.readouterr().err
    assert len(DatasetFolder(tmp_path / "out").clips) == 2  # what could be made is there
    assert main([*arguments, "--max-failures", "0.5"]) == 0


def test_not_a_single_clip_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with av.open(str(tmp_path / "short.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=24)
        stream.width = stream.height = 64
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert main(["prepare", str(tmp_path / "short.mp4"), str(tmp_path / "out"), *SMALL]) == 1
    printed = capsys.readouterr()
    assert "not a single clip" in printed.err and "short.mp4: skipped: too short" in printed.err and not printed.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fps", "0"], "fps has to be from 1 to 120"),
        (["--frames", "0"], "frames has to be from 1"),
        (["--size", "8"], "size has to be from 32"),
        (["--bpm", "500"], "bpm has to be from 30 to 300"),
        (["--shape", "round"], "shape has to be one of auto, square, portrait"),
        (["--validation", "0.7", "--test", "0.4"], "shares of validation and test"),
        (["--max-failures", "2"], "--max-failures is a share"),
        (["--timeout", "0"], "timeout has to be above 0"),
        (["--workers", "0"], "at least one worker"),
        (["--subject", "any", "--detector", "x"], "name it with --subject"),
        (["--subject", "cat", "--densepose", "x"], "DensePose knows people only"),
        (["--densepose", "missing.torchscript"], "missing.torchscript"),
        (["--caption-model", "x"], "needs --captioner"),
        (["--captioner", "model", "--caption-model", "x"], "--caption-model names the model of an endpoint"),
    ],
)
def test_options_that_cannot_be_are_said_in_one_line(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["prepare", str(video), str(tmp_path / "out"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_no_input_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", str(tmp_path / "missing.mp4"), str(tmp_path / "out")]) == 2
    assert "there is no" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not SAMPLE.is_file(), reason="no samples")
def test_a_real_dancer(endpoint: Any, tmp_path: Path) -> None:
    """Found without any weights; the crop overlaps the box that was drawn by hand over the whole clip."""
    output = tmp_path / "out"
    assert main(["prepare", str(SAMPLE), str(output), "--size", "320", "--captioner", endpoint.url]) == 0
    clips = DatasetFolder(output).clips
    assert [(clip.num_frames, clip.fps, clip.width, clip.height) for clip in clips] == [(50, 12, 240, 424)] * 2
    assert all(clip.caption == CAPTION for clip in clips)
    assert 20 < len(clips[0].beats) < 40  # 12 s at about 120 BPM
