"""One video to make: the options that say which, checked as far as that goes without opening a file."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from musedance.errors import InputError

SIZE_MULTIPLE, MAX_SIDE = 8, 2048  # pixels; the pipeline's own, known here before it is loaded
MAX_FPS = 120
MAX_SEED = 2**63 - 1
Fit = Literal["letterbox", "crop"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """The options of `musedance infer` that belong to one video; a line of a `--jobs` file holds them as a JSON object.

    Args:
        image: file of the picture that dances.
        music: file with sound.
        prompt: how it moves.
        negative_prompt: what to keep away from.
        output: mp4 to write; `<image>_<music>.mp4` in the current folder if not given.
        duration: seconds; one segment of the model, or as much as there is music, if not given.
        start: where in the music the video begins, seconds.
        fps: frames per second, 1 to 120; the model's own if not given.
        size: `"512"` or `"WIDTHxHEIGHT"`, multiples of 8 up to 2048; the picture's own shape if not given.
        fit: "letterbox" or "crop", for a picture that has not the shape of `size`.
        steps: denoising steps per segment.
        guidance: scale of guidance.
        music_guidance: a scale of its own for music and beats.
        seed: 0 to 2^63 - 1; drawn at random if not given.
        densepose: file of the picture's DensePose mask.
        bpm: the music's tempo, 30 to 300, where librosa's own estimate is off.
        preview: also write a contact sheet.

    Raises:
        InputError: a value has the wrong type or is out of range.
    """

    image: str
    music: str
    prompt: str
    negative_prompt: str = ""
    output: str | None = None
    duration: float | None = None
    start: float = 0.0
    fps: float | None = None
    size: str | None = None
    fit: Fit = "letterbox"
    steps: int = 25
    guidance: float = 3.5
    music_guidance: float | None = None
    seed: int | None = None
    densepose: str | None = None
    bpm: float | None = None
    preview: bool = False

    def __post_init__(self) -> None:
        for name in ("image", "music", "output", "densepose"):
            _check_path(name, getattr(self, name), optional=name in ("output", "densepose"))
        for name in ("prompt", "negative_prompt"):
            _check_text(name, getattr(self, name))
        for name in ("start", "guidance"):
            _check_number(name, getattr(self, name))
        for name in ("duration", "fps", "music_guidance", "bpm"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name))
        if self.fps is not None and not 1 <= self.fps <= MAX_FPS:
            raise InputError(f"fps has to lie between 1 and {MAX_FPS}, not {self.fps}")
        _check_whole("steps", self.steps, 1)
        if self.seed is not None:
            _check_whole("seed", self.seed, 0, MAX_SEED)
        if self.fit not in get_args(Fit):
            raise InputError(f"fit has to be {' or '.join(get_args(Fit))}, not {self.fit!r}")
        if not isinstance(self.preview, bool):
            raise InputError(f"preview has to be true or false, not {self.preview!r}")
        if self.output_path.suffix.lower() != ".mp4":
            raise InputError(f"videos are written as .mp4: output {self.output!r} should end in .mp4")
        self.canvas  # noqa: B018 - a size that cannot be read raises here

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "Job":
        """A job from option names (with underscores) and their values; `None` stands for "not given".

        Raises:
            InputError: a name is unknown, a required one is missing, or a value cannot be used.
        """
        known = [field.name for field in fields(cls)]
        options = {name: value for name, value in options.items() if value is not None}
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise InputError(f"unknown option {unknown[0]!r}; possible: {', '.join(known)}")
        missing = [field.name for field in fields(cls) if field.default is MISSING and field.name not in options]
        if missing:
            raise InputError(f"{' and '.join(missing)} not given")
        if isinstance(options.get("size"), int):  # 512 as a JSON number
            options["size"] = str(options["size"])
        return cls(**options)

    @property
    def output_path(self) -> Path:
        """The video to write."""
        return Path(self.output or f"{Path(self.image).stem}_{Path(self.music).stem}.mp4")

    @property
    def record_path(self) -> Path:
        """The JSON file beside it."""
        return self.output_path.with_suffix(".json")

    @property
    def preview_path(self) -> Path | None:
        """The contact sheet beside it, if it is wanted."""
        return self.output_path.with_suffix(".png") if self.preview else None

    @property
    def outputs(self) -> list[Path]:
        """Every file that will be written."""
        return [path for path in (self.output_path, self.record_path, self.preview_path) if path is not None]

    @property
    def canvas(self) -> tuple[int, int] | None:
        """`size` as (height, width) in pixels."""
        if self.size is None:
            return None
        match = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", self.size) if isinstance(self.size, str) else None
        if match is None:
            raise InputError(f"size has to be like 512 or 384x640 (width x height, pixels), not {self.size!r}")
        width, height = int(match[1]), int(match[2] or match[1])
        for side in (width, height):
            if not 0 < side <= MAX_SIDE or side % SIZE_MULTIPLE:
                raise InputError(
                    f"size {self.size} cannot be used: both sides have to be multiples of {SIZE_MULTIPLE} "
                    f"from {SIZE_MULTIPLE} to {MAX_SIDE}"
                )
        return height, width


def parse_line(line: str, defaults: Mapping[str, Any]) -> Job:
    """A job from one line of a `--jobs` file; what the line does not say comes from `defaults`.

    Raises:
        InputError: it is no JSON object, or not one of valid options.
    """
    try:
        options = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a JSON object: {error}") from error
    if not isinstance(options, dict):
        raise InputError(f"not a JSON object: {line.strip()[:40]}")
    return Job.from_options({**defaults, **options})


def _check_path(name: str, value: Any, optional: bool) -> None:
    if value is None and optional:
        return
    if not isinstance(value, str) or not value or "\0" in value:
        raise InputError(f"{name} has to be the name of a file, not {value!r}")


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InputError(f"{name} has to be text, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} is not valid Unicode: {value!r}") from error


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(_as_float(value)):
        raise InputError(f"{name} has to be a finite number, not {value!r}")


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


def _check_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    limits = f"from {least} to {most}" if most is not None else f"from {least} up"
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise InputError(f"{name} has to be a whole number {limits}, not {value!r}")
