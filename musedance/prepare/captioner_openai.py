"""Captions from any endpoint that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, ..."""

import asyncio
import base64
import importlib.util
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from musedance.errors import InputError
from musedance.prepare.captioner import INSTRUCTIONS, Caption, CaptionError, frame_note, question, read_answer

OPENAI = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"  # the environment variable; the only place a key is read from, and it is written nowhere
MAX_SIDE = 512  # pixels of a frame's longer side as it is sent: enough to see motion, and one tile of GPT-4o's
JPEG_QUALITY = 85


@dataclass(frozen=True)
class OpenAICaptioner:
    """Asks an OpenAI-compatible endpoint. One call of `caption` is one request; run several for more speed.

    The key comes from the environment variable OPENAI_API_KEY whenever a request is made, and is neither kept nor part
    of any error. Endpoints other than OpenAI's may do without.

    Args:
        model: the endpoint's name of a model that reads images.
        base_url: where the endpoint is, up to and with `/v1`.
        timeout: seconds that one caption may take in all, retries included.
        retries: how often a request is repeated, each time after a longer wait, when the answer is 429 or 5xx, slow or
            cut off.

    Raises:
        InputError: the package `openai` or the key is missing, or the address is none.
    """

    model: str = "gpt-4o"
    base_url: str = OPENAI
    timeout: float = 120.0
    retries: int = 4

    def __post_init__(self) -> None:
        if importlib.util.find_spec("openai") is None:
            raise InputError('captions need the package openai: pip install "musedance[data]"')
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InputError("the captioner's address has to be like https://api.openai.com/v1")
        if address.username or address.password or address.query:
            raise InputError(f"no key in the captioner's address: put it in the environment variable {KEY}")
        if not (_key().isascii() and _key().isprintable()):
            raise InputError(f"what the environment variable {KEY} holds cannot be a key")
        if address.hostname == urlsplit(OPENAI).hostname and not os.environ.get(KEY):
            raise InputError(f"captions from {address.hostname} need a key in the environment variable {KEY}")

    def caption(
        self, frames: Sequence[np.ndarray], times: Sequence[float], duration: float, name: str = "the clip"
    ) -> Caption:
        """See `Captioner.caption`."""
        answer, failure = asyncio.run(self._ask(_content(frames, times, duration), name))
        if failure is not None:
            raise failure  # only here, where none of openai's errors, which hold the request with its key, is attached
        return read_answer(answer, duration, name)

    async def _ask(self, content: list[dict[str, Any]], name: str) -> tuple[str, Exception | None]:
        """The model's words, or the error that stands for their absence."""
        import openai

        try:
            async with asyncio.timeout(self.timeout):
                completion = await self._request(content)
        except TimeoutError:
            return "", CaptionError(f"{name}: no answer from {self._host} within {self.timeout:g} s")
        except (openai.OpenAIError, ValueError) as error:
            return "", self._failure(error, name)
        choices = getattr(completion, "choices", None)
        if not choices:
            return "", CaptionError(
                f"{name}: {self._host} does not answer as chat completions do; is the address right?"
            )
        if choices[0].finish_reason == "content_filter" or getattr(choices[0].message, "refusal", None):
            return "", CaptionError(f"{name}: the model refused")
        return choices[0].message.content or "", None

    async def _request(self, content: list[dict[str, Any]]) -> Any:
        """Ask for JSON, and without that wish where the endpoint does not know it."""
        import openai

        # Half of the time for each attempt, so that one that hangs leaves time for another.
        async with openai.AsyncOpenAI(
            api_key=_key(), base_url=self.base_url, timeout=self.timeout / 2, max_retries=self.retries
        ) as client:
            messages: Any = [{"role": "user", "content": content}]
            try:
                return await client.chat.completions.create(
                    model=self.model, messages=messages, response_format={"type": "json_object"}
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not any(word in str(error) for word in ("response_format", "json_object")):
                    raise
            return await client.chat.completions.create(model=self.model, messages=messages)

    def _failure(self, error: Exception, name: str) -> Exception:
        """The same in our words, without the key: InputError if the next clip would fare no better."""
        import openai

        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        reason = reason.replace(_key(), "***")
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return InputError(f"{self._host} refuses the key in {KEY}: {reason}")
        if isinstance(error, openai.NotFoundError):
            return InputError(f"{self._host} knows no model {self.model!r} or no chat completions: {reason}")
        if isinstance(error, openai.RateLimitError) and error.code == "insufficient_quota":
            return InputError(f"the account at {self._host} has no quota left: {reason}")
        if isinstance(error, openai.APITimeoutError):
            return CaptionError(f"{name}: {self._host} is too slow: no answer within {self.timeout:g} s")
        if isinstance(error, openai.APIConnectionError):
            return InputError(f"no captioner can be reached at {self.base_url}")
        return CaptionError(f"{name}: no caption from {self._host}: {reason}")

    @property
    def _host(self) -> str:
        return urlsplit(self.base_url).netloc


def _key() -> str:
    return os.environ.get(KEY, "").strip() or "none"  # the package insists on one; local servers read none


def _content(frames: Sequence[np.ndarray], times: Sequence[float], duration: float) -> list[dict[str, Any]]:
    """The parts of the one message that is sent: instructions, then each frame after its time."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": f"{INSTRUCTIONS}\n\n{question(duration)}"}]
    for frame, time in zip(frames, times, strict=True):
        parts.append({"type": "text", "text": frame_note(time)})
        parts.append({"type": "image_url", "image_url": {"url": jpeg_url(frame)}})
    return parts


def jpeg_url(frame: np.ndarray) -> str:
    """A (height, width, 3) uint8 RGB frame as a data URL, its longer side at most `MAX_SIDE`."""
    image = Image.fromarray(frame)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
