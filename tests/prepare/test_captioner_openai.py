"""Captions from an endpoint: a real HTTP server on this machine that answers as the test wants."""

import base64
import io
import json
import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image

from musedance.datasets.clip import Span
from musedance.errors import InputError
from musedance.prepare.captioner import CaptionError
from musedance.prepare.captioner_openai import KEY, OpenAICaptioner

pytest.importorskip("openai")

SECRET = "sk-test-0123456789abcdef"
TIMES = (0.0, 10 / 12, 20 / 12)
DURATION = 50 / 12
Answer = tuple[int, str, str]  # status, content type, body


class Endpoint:
    """Plays back answers and keeps the requests; the last answer is given again and again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[Answer | float] = []  # seconds: no answer for so long
        self.requests: list[dict[str, Any]] = []
        self.closing = threading.Event()

    def says(self, *answers: Answer | float) -> None:
        self.answers = list(answers)

    def next(self) -> Answer | float:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def chat(content: str | None, reason: str = "stop", **message: Any) -> Answer:
    """A chat completion as OpenAI documents it."""
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content, **message}}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return 200, "application/json", json.dumps(body)


def failure(status: int, message: str = "no", **details: Any) -> Answer:
    return status, "application/json", json.dumps({"error": {"message": message, **details}})


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.requests.append({"path": self.path, "headers": self.headers, "body": body})
            answer = endpoint.next()
            if isinstance(answer, float):
                endpoint.closing.wait(answer)
                return
            status, kind, text = answer
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Retry-After-Ms", "10")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield endpoint
    endpoint.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def frames() -> list[np.ndarray]:
    """Three frames of one colour each."""
    return [np.full((900, 600, 3), colour, np.uint8) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]


def caption(endpoint: Endpoint, frames: list[np.ndarray], **options: Any) -> Any:
    return OpenAICaptioner("a model", endpoint.url, **options).caption(frames, TIMES, DURATION, "dance_007")


def test_the_request_holds_every_frame_with_its_time_and_asks_for_motion_only(
    endpoint: Endpoint, frames: list[np.ndarray]
) -> None:
    endpoint.says(chat("The dancer sways."))
    caption(endpoint, frames)
    (request,) = endpoint.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["Authorization"] == f"Bearer {SECRET}"
    assert request["body"]["model"] == "a model" and request["body"]["response_format"] == {"type": "json_object"}
    (message,) = request["body"]["messages"]
    texts = [part["text"] for part in message["content"] if part["type"] == "text"]
    assert "Ignore appearance and background" in texts[0] and "4.17 seconds" in texts[0]
    assert texts[1:] == ["Frame at 0.00 s:", "Frame at 0.83 s:", "Frame at 1.67 s:"]
    urls = [part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url"]
    assert [part["type"] for part in message["content"]] == ["text"] + ["text", "image_url"] * 3
    for url, frame in zip(urls, frames, strict=True):
        kind, data = url.split(",", 1)
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert kind == "data:image/jpeg;base64" and image.format == "JPEG"
        assert image.size == (341, 512)
        assert np.abs(np.asarray(image).mean((0, 1)) - frame[0, 0]).max() < 6
    assert SECRET not in json.dumps(request["body"])


def test_small_frames_are_sent_as_they_are(endpoint: Endpoint) -> None:
    endpoint.says(chat("The dancer sways."))
    caption(endpoint, [np.zeros((50, 40, 3), np.uint8)] * 3)
    url = endpoint.requests[0]["body"]["messages"][0]["content"][2]["image_url"]["url"]
    assert Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).size == (40, 50)


def test_json_gives_a_timeline_and_plain_text_one_span(endpoint: Endpoint, frames: list[np.ndarray]) -> None:
    spans = [{"start": 0.0, "end": 2.0, "text": "sways"}, {"start": 2.0, "end": 60.0, "text": "jumps"}]
    endpoint.says(chat(json.dumps({"caption": "The dancer sways and jumps.", "timeline": spans})), chat("It sways."))
    found = caption(endpoint, frames)
    assert found.text == "The dancer sways and jumps."
    assert found.timeline == (Span(0.0, 2.0, "sways"), Span(2.0, DURATION, "jumps"))
    assert caption(endpoint, frames).timeline == (Span(0.0, DURATION, "It sways."),)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint, frames: list[np.ndarray], status: int) -> None:
    endpoint.says(failure(status), failure(status), chat("The dancer sways."))
    assert caption(endpoint, frames).text == "The dancer sways."
    assert len(endpoint.requests) == 3


def test_an_endpoint_that_stays_broken_is_given_up(endpoint: Endpoint, frames: list[np.ndarray]) -> None:
    endpoint.says(failure(500, "boom"))
    with pytest.raises(CaptionError, match=r"^dance_007: .*boom"):
        caption(endpoint, frames, retries=2)
    assert len(endpoint.requests) == 3


def test_an_endpoint_that_hangs_is_given_up_when_the_time_is_over(endpoint: Endpoint, frames: list[np.ndarray]) -> None:
    endpoint.says(60.0)
    with pytest.raises(CaptionError, match=r"^dance_007: .*within 0\.6 s"):
        caption(endpoint, frames, timeout=0.6, retries=3)
    assert len(endpoint.requests) <= 2  # each may take half of the time, whatever number of retries is left


def test_one_hanging_attempt_leaves_time_for_another(endpoint: Endpoint, frames: list[np.ndarray]) -> None:
    endpoint.says(60.0, chat("The dancer sways."))
    assert caption(endpoint, frames, timeout=4.0).text == "The dancer sways."


def test_endpoints_without_json_mode_are_asked_without_it(endpoint: Endpoint, frames: list[np.ndarray]) -> None:
    endpoint.says(failure(400, "response_format is not supported"), chat("The dancer sways."))
    assert caption(endpoint, frames).text == "The dancer sways."
    assert ["response_format" in request["body"] for request in endpoint.requests] == [True, False]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (chat(""), "empty"),
        (chat(None), "empty"),
        (chat(None, refusal="I won't."), "refused"),
        (chat("half a sen", "content_filter"), "refused"),
        (chat("I'm sorry, I can't help with that."), "refused"),
        (chat('{"caption": "cut', "length"), "broken JSON"),
        ((200, "text/html", "<html>welcome</html>"), "does not answer as chat completions do"),
        ((200, "application/json", "{}"), "does not answer as chat completions do"),
        ((200, "application/json", "[1, 2]"), "does not answer as chat completions do"),
        ((200, "application/json", "{broken"), "no caption from 127.0.0.1"),
        (failure(400, "too many images"), "too many images"),
        ((413, "text/plain", "too large"), "413"),
    ],
)
def test_no_usable_answer_is_an_error_that_names_the_clip(
    endpoint: Endpoint, frames: list[np.ndarray], answer: Answer, reason: str
) -> None:
    endpoint.says(answer)
    with pytest.raises(CaptionError, match=f"^dance_007: .*{reason}") as raised:
        caption(endpoint, frames)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (failure(401, "Incorrect API key provided"), f"refuses the key in {KEY}"),
        (failure(403, "no access"), f"refuses the key in {KEY}"),
        (failure(404, "no such model"), "knows no model 'a model'"),
        (failure(429, "pay", code="insufficient_quota"), "no quota left"),
    ],
)
def test_what_would_fail_for_every_clip_is_the_users_to_mend(
    endpoint: Endpoint, frames: list[np.ndarray], answer: Answer, reason: str
) -> None:
    endpoint.says(answer)
    with pytest.raises(InputError, match=reason):
        caption(endpoint, frames)


def test_no_endpoint_at_the_address_is_the_users_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    captioner = OpenAICaptioner("m", "http://127.0.0.1:9/v1", retries=1)  # the discard port: nobody listens
    with pytest.raises(InputError, match="no captioner can be reached at http://127"):
        captioner.caption([np.zeros((8, 8, 3), np.uint8)], [0.0], 1.0, "clip")


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_the_key_shows_up_nowhere_even_if_the_endpoint_repeats_it(
    endpoint: Endpoint, frames: list[np.ndarray], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.says(failure(status, f"wrong key {SECRET}", param=SECRET, code=SECRET))
    captioner = OpenAICaptioner("a model", endpoint.url, retries=1)
    with pytest.raises((InputError, CaptionError), match=r"\*\*\*") as raised:
        captioner.caption(frames, TIMES, DURATION, "dance_007")
    assert raised.value.__cause__ is None and raised.value.__context__ is None
    shown = ["".join(traceback.format_exception(raised.value)), repr(captioner), str(vars(captioner))]
    assert not any(SECRET in text for text in [*shown, pickle.dumps(captioner).decode("latin1")])
    assert caplog.records and not any(SECRET in record.getMessage() for record in caplog.records)


def test_a_captioner_can_be_pickled_and_reads_the_key_where_it_runs(
    endpoint: Endpoint, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.says(chat("The dancer sways."))
    copied = pickle.dumps(OpenAICaptioner("a model", endpoint.url))
    monkeypatch.setenv(KEY, "another-key")
    assert pickle.loads(copied).caption(frames, TIMES, DURATION).text == "The dancer sways."
    assert endpoint.requests[0]["headers"]["Authorization"] == "Bearer another-key"


def test_captions_can_be_asked_for_by_many_threads(endpoint: Endpoint, frames: list[np.ndarray]) -> None:
    endpoint.says(chat("The dancer sways."))
    captioner, found = OpenAICaptioner("a model", endpoint.url), []
    ask: Callable[[], None] = lambda: found.append(captioner.caption(frames, TIMES, DURATION).text)  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["The dancer sways."] * 4


def test_local_servers_need_no_key(
    endpoint: Endpoint, frames: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY)
    endpoint.says(chat("The dancer sways."))
    assert caption(endpoint, frames).text == "The dancer sways."


def test_openai_needs_a_key_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(InputError, match=f"need a key in the environment variable {KEY}"):
        OpenAICaptioner()
    monkeypatch.setenv(KEY, SECRET)
    assert OpenAICaptioner().base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize("address", ["127.0.0.1:8000/v1", "ftp://host/v1", "http://", "", "/v1"])
def test_an_address_that_is_none_is_an_input_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    with pytest.raises(InputError, match="address has to be like"):
        OpenAICaptioner("m", address)


@pytest.mark.parametrize("address", [f"http://user:{SECRET}@host/v1", f"https://host/v1?api_key={SECRET}"])
def test_keys_in_the_address_are_refused_without_repeating_them(address: str) -> None:
    with pytest.raises(InputError, match=KEY) as raised:
        OpenAICaptioner("m", address)
    assert SECRET not in str(raised.value)


def test_a_key_that_cannot_be_sent_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, f"{SECRET}\nX-Other: header")
    with pytest.raises(InputError, match="cannot be a key") as raised:
        OpenAICaptioner("m", "http://127.0.0.1:9/v1")
    assert SECRET not in str(raised.value)
