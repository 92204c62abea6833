"""One row of a dataset: what is known about a clip. docs/dataset.md describes the format."""

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from musedance.errors import InputError

SPLITS = ("train", "validation", "test")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # a file's stem everywhere
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # JSON can write them, UTF-8 cannot
_MAX_INTEGER = 2**53  # floats hold whole numbers up to here


@dataclass(frozen=True)
class Span:
    """What happens from `start` to `end`, in seconds from the clip's first frame."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Clip:
    """A clip: a few seconds of one dancer with their music.

    Attributes:
        file_name: the video, relative to the split's folder.
        id: unique in the dataset, and the stem of its files: letters, digits, `.`, `_` and `-`, at most 100.
        split: train, validation or test. Splits share no source and no track.
        source: which source video it was cut from.
        track: which music track is heard.
        source_start: where in the source video its first frame lies, seconds.
        track_start: where in the track, seconds.
        beats: of the whole track, seconds from its beginning, sorted.
        num_frames: how many frames the file has.
        fps: frames per second, constant.
        width: pixels.
        height: pixels.
        caption: how the dancer moves; may be empty.
        timeline: the same with times; one span over the whole clip if nothing is known of the order.
        densepose: a video of DensePose pictures, frame by frame, relative to the split's folder; empty = none.
        truth: ground truth of a drawn clip (`docs/puppets.md`), relative to the split's folder; empty = none.
        portrait: whether it only shows what its source's dancer looks like. Reference pictures come from there then,
            and nothing else does.
    """

    file_name: str
    id: str
    split: str
    source: str
    track: str
    source_start: float
    track_start: float
    beats: tuple[float, ...]
    num_frames: int
    fps: float
    width: int
    height: int
    caption: str
    timeline: tuple[Span, ...]
    densepose: str = ""
    truth: str = ""
    portrait: bool = False

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise InputError(f"clip {self.id!r}: {problem}")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.num_frames / self.fps

    def to_json(self) -> str:
        """The row as one line, keys in the order above, all times as floats to a tenth of a millisecond.

        Numbers are floats even where they are whole, since `datasets` wants the same types in every split.
        """
        row = asdict(self) | {"fps": float(self.fps), "beats": [_rounded(beat) for beat in self.beats]}
        row |= {key: _rounded(row[key]) for key in ("source_start", "track_start")}
        row["timeline"] = [
            {"start": _rounded(span.start), "end": _rounded(span.end), "text": span.text} for span in self.timeline
        ]
        return json.dumps(row, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "Clip":
        """The inverse of `to_json`; keys that are not ours are left out.

        Raises:
            InputError: the line is no JSON object, or a key is missing or has a value that cannot be.
        """
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # a plain ValueError: a number of over 4300 digits
            raise InputError(f"not a line of JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(f"not a JSON object but a {type(row).__name__}")
        row = {field.name: row[field.name] for field in fields(cls) if field.name in row}
        missing = [field.name for field in fields(cls) if field.name not in row and field.name not in _OPTIONAL]
        if missing:
            raise InputError(f"no {', '.join(missing)}")
        for key, kind in _KINDS.items():
            _check_kind(key, row.get(key, kind()), kind)
        row["beats"] = tuple(_numbers("beats", row["beats"]))
        row["timeline"] = tuple(_span(entry) for entry in row["timeline"])
        for key in ("source_start", "track_start", "fps"):
            row[key] = float(row[key])
        return cls(**row)


_OPTIONAL = {"densepose", "truth", "portrait"}
_KINDS: Mapping[str, type] = {
    **dict.fromkeys(("file_name", "id", "split", "source", "track", "caption", "densepose", "truth"), str),
    **dict.fromkeys(("source_start", "track_start", "fps"), float),
    **dict.fromkeys(("num_frames", "width", "height"), int),
    **dict.fromkeys(("beats", "timeline"), list),
    "portrait": bool,
}


def _check_kind(key: str, value: Any, kind: type) -> None:
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{key} has to be a {kind.__name__}, not {value!r:.50}")
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise InputError(f"{key} is too large")


def _numbers(key: str, values: list[Any]) -> list[float]:
    for value in values:
        _check_kind(f"each of {key}", value, float)
    return [float(value) for value in values]


def _span(entry: Any) -> Span:
    if not isinstance(entry, dict) or not {"start", "end", "text"} <= set(entry):
        raise InputError(f"each of timeline needs start, end and text, not {entry!r:.50}")
    _check_kind("text of a timeline", entry["text"], str)
    start, end = _numbers("timeline", [entry["start"], entry["end"]])
    return Span(start, end, entry["text"])


def _problems(clip: Clip) -> list[str]:
    """What cannot be, in words."""
    problems = []
    texts = (clip.file_name, clip.source, clip.track, clip.caption, clip.densepose, clip.truth)
    if any(_SURROGATE.search(text) for text in (*texts, *(span.text for span in clip.timeline))):
        problems.append("a text holds half a character (a lone surrogate), which no file can store")
    if not _ID.fullmatch(clip.id):
        problems.append("an id has up to 100 letters, digits, '.', '_' and '-', and begins with a letter or a digit")
    if clip.split not in SPLITS:
        problems.append(f"split has to be one of {', '.join(SPLITS)}, not {clip.split!r}")
    if not clip.source or not clip.track:
        problems.append("source and track have to be named")
    for name, suffix in ((clip.file_name, ".mp4"), (clip.densepose, ".mp4"), (clip.truth, ".safetensors")):
        if (name or name is clip.file_name) and not is_inside(name):
            problems.append(f"{name!r} is no path inside the dataset's folder")
        elif name and not name.endswith(suffix):  # by its name a reader takes a playlist for what it is
            problems.append(f"{name!r} has to end in {suffix}")
    numbers = (clip.source_start, clip.track_start, clip.fps, *clip.beats)
    numbers += tuple(time for span in clip.timeline for time in (span.start, span.end))
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        problems.append("times and fps have to be finite and not below 0")
    elif clip.fps == 0 or min(clip.num_frames, clip.width, clip.height) < 1:
        problems.append(f"{clip.num_frames} frames of {clip.width} x {clip.height} at {clip.fps} per second cannot be")
    elif not _rises(clip.beats):
        problems.append("beats have to be sorted, each once")
    elif not clip.timeline or not all(
        _rises((span.start, span.end)) and span.end <= clip.duration + 0.001 for span in clip.timeline
    ):
        problems.append(f"timeline needs spans with start < end within the clip's {clip.duration:.3f} s")
    return problems


def is_inside(name: str) -> bool:
    """Whether a path from a data file is plain and relative: no `..`, no root, no drive, no scheme, no backslash."""
    path = PurePosixPath(name)
    plain = not path.is_absolute() and ".." not in path.parts and path.parts != ()
    return plain and not any(sign in name for sign in (":", "\\", "\0"))


def _rises(times: Sequence[float]) -> bool:
    """Whether each is later than the one before, also as they are written."""
    return all(_rounded(a) < _rounded(b) for a, b in itertools.pairwise(times))


def _rounded(time: float) -> float:
    """Seconds to a tenth of a millisecond."""
    return round(float(time), 4)
