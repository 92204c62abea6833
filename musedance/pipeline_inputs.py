"""What a call asks for -> arrays for all of its videos, read and checked before any network runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from musedance.conditions.music import check_segment_length, segment_beats, segment_waveforms
from musedance.conditions.reference import Fit, ImageInput, densepose_pixels, picture_pixels
from musedance.errors import InputError
from musedance.media.audio import Audio, read_audio
from musedance.media.image import MAX_ASPECT, read_image
from musedance.timeline import Timeline, plan_timeline

MusicInput = str | Path | tuple[np.ndarray, int] | Audio
T = TypeVar("T")


@dataclass(frozen=True)
class Pictures:
    """The pictures of n videos on their canvas.

    Attributes:
        pixels: `(n, 3, H, W)` in [-1, 1].
        densepose: `(n, 3, H, W)` in [0, 1], or `None`.
    """

    pixels: Tensor
    densepose: Tensor | None


@dataclass(frozen=True)
class Music:
    """The music of n videos.

    Attributes:
        tracks: whole, one a video.
        timelines: of one length, each with its own start.
        waveforms: `(n, segments, samples)`, mono float32 at the music encoder's rate.
        beats: `(n, segments, K)` of 0 and 1.
    """

    tracks: list[Audio]
    timelines: list[Timeline]
    waveforms: np.ndarray
    beats: np.ndarray


def spread(image: ImageInput | list[ImageInput], **arguments: Any) -> dict[str, list[Any]]:
    """The picture and other arguments of a call, each as a list with one for each video.

    A list has one for each picture already; anything else holds for all.

    Raises:
        InputError: a list is empty, or does not have one for each picture.
    """
    images = image if isinstance(image, list) else [image]
    if not images:
        raise InputError("image is an empty list: give at least one picture")
    lists = {"image": images}
    for name, value in arguments.items():
        if not isinstance(value, list):
            value = [value] * len(images)
        elif not isinstance(image, list):
            raise InputError(f"{name} is a list: give a list of pictures too, one for each video")
        elif len(value) != len(images):
            raise InputError(
                f"{name} is a list of {len(value)} and image one of {len(images)}: give one for each video"
            )
        lists[name] = value
    return lists


def map_videos(function: Callable[..., T], *values: list[Any]) -> list[T]:
    """A function of each video's values, called once for values that several videos share.

    Args:
        function: what it refuses is put down to the video, "video 3 of 8: ...".
        *values: a list or more with one for each video.
    """
    results: list[T] = []
    known: dict[tuple[int, ...], T] = {}
    for number, arguments in enumerate(zip(*values, strict=True), 1):
        same = tuple(map(id, arguments))  # the same objects: arrays have no hash, and comparing them costs more
        if same not in known:
            try:
                known[same] = function(*arguments)
            except InputError as error:
                if len(values[0]) == 1:
                    raise
                raise InputError(f"video {number} of {len(values[0])}: {error}") from error
        results.append(known[same])
    return results


def read_pictures(
    image: list[ImageInput],
    densepose: list[ImageInput | None],
    *,
    height: int | None,
    width: int | None,
    fit: Fit,
    default_size: Callable[[Image.Image], tuple[int, int]],
    multiple: int,
    max_side: int,
) -> Pictures:
    """Read the pictures of a call and bring them to its canvas: `height` x `width`, or what `default_size` says of all.

    Raises:
        InputError: a picture cannot be read or used, the size cannot be used, or the pictures come to several.
    """
    count, fits = len(image), [fit] * len(image)
    pictures = map_videos(read_image, image)
    if height is None and width is None:
        sizes = map_videos(default_size, pictures)
        height, width = sizes[0]
        for number, size in enumerate(sizes, 1):
            if size != sizes[0]:
                raise InputError(
                    f"video {number} of {count}: its picture comes to {size[0]} x {size[1]}, the first one's to "
                    f"{height} x {width}: give height and width"
                )
        # The canvas has the picture's shape but for rounding: cut a few pixels, draw no thin bars.
        fits = ["crop" if max(picture.size) <= MAX_ASPECT * min(picture.size) else fit for picture in pictures]
    size = _checked_size(height, width, multiple, max_side)
    pixels = map_videos(lambda picture, fit: picture_pixels(picture, *size, fit), pictures, fits)
    without = [drawn is None for drawn in densepose]
    if all(without):
        return Pictures(torch.cat(pixels), None)
    if any(without):
        number = without.index(True) + 1
        raise InputError(f"video {number} of {count} has no DensePose picture and others have: give all, or none")
    masks = map_videos(
        lambda drawn, picture, fit: densepose_pixels(drawn, picture, *size, fit), densepose, pictures, fits
    )
    return Pictures(torch.cat(pixels), torch.cat(masks))


def read_music(
    music: list[MusicInput],
    start: list[float],
    bpm: list[float | None],
    beats: list[np.ndarray | None],
    *,
    duration: float | None,
    num_frames: int | None,
    fps: float,
    segment_frames: int,
    ast_config: Mapping[str, Any],
    sampling_rate: int,
) -> Music:
    """Read the tracks of a call, choose the frames of its videos, track the beats.

    Raises:
        InputError: a track cannot be read or is too short, or the length cannot be used.
    """

    def plan(track: Audio, start: float) -> Timeline:
        return plan_timeline(
            track.duration,
            segment_frames=segment_frames,
            fps=fps,
            start=start,
            duration=duration,
            num_frames=num_frames,
        )

    tracks = map_videos(lambda track: track if isinstance(track, Audio) else read_audio(track), music)
    timelines = map_videos(plan, tracks, start)
    longest = max(timeline.num_frames for timeline in timelines)
    for number, timeline in enumerate(timelines, 1):
        if timeline.num_frames < longest:
            raise InputError(
                f"video {number} of {len(music)}: its music is enough for {timeline.num_frames} frames, another's for "
                f"{longest}: give duration or num_frames"
            )
    check_segment_length(timelines[0], ast_config)
    waveforms = map_videos(lambda track, line: segment_waveforms(track, line, sampling_rate), tracks, timelines)
    binary = map_videos(segment_beats, tracks, timelines, bpm, beats)
    return Music(tracks, timelines, np.stack(waveforms), np.stack(binary))


def _checked_size(height: int | None, width: int | None, multiple: int, max_side: int) -> tuple[int, int]:
    if height is None or width is None:
        raise InputError("give height and width, or neither")
    for name, side in (("height", height), ("width", width)):
        if not (isinstance(side, int) and 0 < side <= max_side and side % multiple == 0):
            raise InputError(f"{name} has to be a multiple of {multiple} from {multiple} to {max_side}, not {side}")
    return height, width
