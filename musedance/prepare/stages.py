"""The stages of the preparation, and how the command's options make them."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from musedance.errors import InputError
from musedance.media.video import VideoInfo, VideoReader
from musedance.prepare.captioner import Captioner
from musedance.prepare.cropping import SHAPES, Crop, DancerCrop
from musedance.prepare.cutting import SceneCuts, Shot
from musedance.prepare.dancer import DancerFinder, DetectedDancer
from musedance.prepare.densepose import DensePoseAnnotator, load_annotator
from musedance.prepare.motion import MovingDancer
from musedance.prepare.probing import Probe
from musedance.prepare.soundtrack import Soundtrack, Track

MAX_FPS, MAX_FRAMES, MIN_SIZE, MAX_SIZE = 120.0, 10_000, 32, 4096


class ProbeStage(Protocol):
    """Looks at a video file before anything else does."""

    def probe(self, path: Path) -> VideoInfo:
        """What the file holds; `Rejected` if it is not wanted."""
        ...


class CutStage(Protocol):
    """Finds shots."""

    def shots(self, video: VideoReader) -> list[Shot]:
        """All shots of a video in order."""
        ...


class CropStage(Protocol):
    """Plans one crop a clip."""

    def crop(self, width: int, height: int, boxes: np.ndarray) -> Crop:
        """From the picture's size and the dancer's (n, 4) boxes; `Rejected` if there is no good crop."""
        ...


class SoundtrackStage(Protocol):
    """Reads the music of a video."""

    def read(self, path: Path) -> Track:
        """The whole soundtrack with its beats; `Rejected` if it is not wanted."""
        ...


@dataclass(frozen=True)
class Stages:
    """What is done with a video, each by one object with one method, and the clips' length.

    Any may be replaced (`dataclasses.replace`) by an object with the same method. It has to be picklable, since it
    travels to the workers, and load what is heavy on first use. A stage says by a `Rejected` that it does not want a
    video, shot or clip. What a dataclass's fields hold is part of what makes two runs alike.

    Attributes:
        fps: frames per second of the clips.
        num_frames: of each clip.
        probe: a file -> what it holds.
        cuts: a video -> its shots.
        dancer: a shot -> where its one dancer is.
        crop: the dancer's boxes in a clip -> the part of the picture to keep.
        soundtrack: a file -> its music and beats.
        densepose: a clip's frames -> body parts; None makes no masks.
        captioner: some of a clip's frames -> words; None makes no captions.
    """

    fps: float
    num_frames: int
    probe: ProbeStage
    cuts: CutStage
    dancer: DancerFinder
    crop: CropStage
    soundtrack: SoundtrackStage
    densepose: DensePoseAnnotator | None = None
    captioner: Captioner | None = None

    @property
    def duration(self) -> float:
        """Of a clip, in seconds."""
        return self.num_frames / self.fps

    def describe(self) -> dict[str, str]:
        """Each stage in words that are the same whenever it does the same, as far as its `repr` tells."""
        return {field.name: _describe(getattr(self, field.name)) for field in fields(self)}


def make_stages(
    *,
    fps: float = 12.0,
    num_frames: int = 50,
    size: int = 640,
    min_size: int | None = None,
    shape: str = "auto",
    subject: str = "person",
    detector: str | None = None,
    densepose: str | None = None,
    captioner: str | None = None,
    caption_model: str | None = None,
    bpm: float | None = None,
) -> Stages:
    """The usual stages.

    Args:
        fps: frames per second of the clips.
        num_frames: of each clip.
        size: side of a square clip in pixels; portrait clips have as many pixels.
        min_size: crops with a shorter side (in the source's pixels) are left out; None is half of `size`.
        shape: auto, square or portrait.
        subject: what dances, in the detector's words; "any" takes whatever moves.
        detector: object detection model, folder or hub id; None finds the dancer by motion.
        densepose: TorchScript file, or detectron2's CONFIG:WEIGHTS; None makes no masks.
        captioner: address of an OpenAI-compatible endpoint, or a model's folder or hub id; None makes no captions.
        caption_model: the endpoint's name of its model.
        bpm: where to look for the tempo.

    Raises:
        InputError: a value that cannot be, or options that do not go together.
    """
    min_size = size // 2 if min_size is None else min_size
    _check_number("fps", fps, 1, MAX_FPS)
    _check_number("frames", num_frames, 1, MAX_FRAMES)
    _check_number("size", size, MIN_SIZE, MAX_SIZE)
    _check_number("min-size", min_size, 0, MAX_SIZE)
    if bpm is not None:
        _check_number("bpm", bpm, 30, 300)
    if caption_model is not None and captioner is None:
        raise InputError("--caption-model needs --captioner")
    if shape not in SHAPES:
        raise InputError(f"shape has to be one of {', '.join(SHAPES)}, not {shape!r}")
    if subject == "any" and detector is not None:
        raise InputError("a detector has to know what it looks for: name it with --subject, or leave --detector out")
    if subject != "person" and densepose is not None:
        raise InputError("DensePose knows people only: leave --densepose out, or take --subject person")
    finder = MovingDancer() if detector is None else DetectedDancer(_detector(detector), label=subject)
    return Stages(
        fps=float(fps),
        num_frames=num_frames,
        probe=Probe(num_frames / fps, float(fps), min_size),
        cuts=SceneCuts(),
        dancer=finder,
        crop=DancerCrop(size, shape, min_size),
        soundtrack=Soundtrack(bpm),
        densepose=None if densepose is None else _annotator(densepose),
        captioner=None if captioner is None else _captioner(captioner, caption_model),
    )


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} has to be from {low:g} to {high:g}, not {value:g}")


def _detector(model: str) -> Any:
    from musedance.prepare.detector import TransformersDetector

    return TransformersDetector(model)


def _annotator(files: str) -> DensePoseAnnotator:
    config, _, weights = files.rpartition(":")
    return load_annotator(weights, config or None)


def _captioner(where: str, model: str | None) -> Captioner:
    if where.startswith(("http://", "https://")):
        from musedance.prepare.captioner_openai import OpenAICaptioner

        return OpenAICaptioner(base_url=where) if model is None else OpenAICaptioner(model, where)
    if model is not None:
        raise InputError("--caption-model names the model of an endpoint: give its address as --captioner")
    from musedance.prepare.captioner_transformers import TransformersCaptioner

    return TransformersCaptioner(where)


def _describe(stage: Any) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(stage))  # of objects that say no more than where they lie
