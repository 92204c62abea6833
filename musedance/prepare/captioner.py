"""How a dancer moves, in words: the interface, what a vision-language model is asked, and how its answer is read."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from musedance.datasets.clip import Span

# The paper's section 4.1: motion and action only, so that the picture alone decides on appearance. At most 50 words,
# because Stable Diffusion's text encoder reads 77 tokens.
INSTRUCTIONS = """\
You describe how a dancer moves. You get frames of one short video in order, each with its time.
Describe only the motion: which parts of the body move and in which direction, the steps, turns, jumps and gestures, \
how fast, how large and how smooth they are, what repeats, and what changes over time.
Ignore appearance and background: not a word about who the dancer is, about face, body, hair, clothes or colours, \
about the place, other objects, the light, the camera or the style of the picture. Say "the dancer", \
also of an animal, a drawn character or an object.
Answer with JSON only: {"caption": "...", "timeline": [{"start": 0.0, "end": 1.5, "text": "..."}]}
caption: the whole motion in one or two plain sentences in the present tense, at most 50 words.
timeline: what happens when, in order, without gaps or overlaps, in seconds from the beginning of the video."""

SHORTEST = 0.001  # seconds of a span
_REFUSAL = re.compile(
    r"\W*(sorry|unfortunately|i apologi[sz]e"
    r"|i ?(['\u2019]?m|am) (sorry|unable|not able)|i (cannot|can not|can['\u2019]?t))\b",
    re.IGNORECASE,
)


class CaptionError(RuntimeError):
    """The model gave no caption for this clip. The message names the clip; others may well succeed."""


@dataclass(frozen=True)
class Caption:
    """A description of the motion in a clip.

    Attributes:
        text: one or two sentences, not empty.
        timeline: spans within the clip by start; one over the whole clip if the model said nothing of the order.
    """

    text: str
    timeline: tuple[Span, ...]


class Captioner(Protocol):
    """Describes the motion in a clip. Backends: `captioner_openai`, `captioner_transformers`."""

    def caption(
        self, frames: Sequence[np.ndarray], times: Sequence[float], duration: float, name: str = "the clip"
    ) -> Caption:
        """Caption one clip.

        Args:
            frames: some frames of the clip in order, each (height, width, 3) uint8 RGB. The paper takes every tenth.
            times: when they are, seconds from the clip's first frame.
            duration: the clip's length in seconds.
            name: what to call the clip in an error.

        Raises:
            CaptionError: no usable answer for this clip.
            InputError: no answer can be expected for any clip: a wrong key, address or model.
        """
        ...


def question(duration: float) -> str:
    """What is asked before the frames."""
    return f"These are frames of a video of {duration:.2f} seconds."


def frame_note(time: float) -> str:
    """What stands before each frame."""
    return f"Frame at {time:.2f} s:"


def read_answer(answer: str, duration: float, name: str) -> Caption:
    """What a model said, as a caption.

    JSON as asked for, also inside a code fence or between other words; plain text is a caption without timeline.
    Of the timeline, what cannot be read or does not lie in the clip is left out, and the rest cut to the clip.

    Args:
        answer: the model's words.
        duration: the clip's length in seconds.
        name: what to call the clip in an error.

    Raises:
        CaptionError: the answer is empty, a refusal, or JSON that is broken or has no caption.
    """
    answer = answer.strip()
    content: Any = {"caption": answer}
    if "{" in answer:
        try:
            content = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])
        except (ValueError, RecursionError) as error:
            raise CaptionError(f"{name}: the model's answer is broken JSON: {answer[:80]!r}") from error
    text = content.get("caption") if isinstance(content, dict) else None
    if not isinstance(text, str):
        raise CaptionError(f"{name}: the model's answer has no caption: {answer[:80]!r}")
    text = " ".join(text.split())
    if not text:
        raise CaptionError(f"{name}: the model gave an empty answer")
    if _REFUSAL.match(text):
        raise CaptionError(f"{name}: the model refused: {text[:80]!r}")
    spans = [_span(entry, duration) for entry in _list(content.get("timeline"))]
    timeline = sorted((span for span in spans if span is not None), key=lambda span: span.start)
    return Caption(text, tuple(timeline) or (Span(0.0, duration, text),))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _span(entry: Any, duration: float) -> Span | None:
    """One entry of an answered timeline, cut to the clip; None if nothing of it is left."""
    try:
        start, end, text = float(entry["start"]), float(entry["end"]), " ".join(entry["text"].split())
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
    if not (text and math.isfinite(start) and math.isfinite(end)):
        return None
    start, end = max(start, 0.0), min(end, duration)
    return Span(start, end, text) if end - start >= SHORTEST else None
