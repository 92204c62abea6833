"""Is a dataset what its rows say? Every file of every clip is opened and decoded."""

import itertools
import os
import statistics
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load
from tqdm import tqdm

from musedance.conditions.beats import BPM_RANGE, beats_to_frames
from musedance.conditions.densepose import PART_COLOURS
from musedance.datasets.clip import SPLITS, Clip
from musedance.datasets.folder import METADATA_FILE, Dataset, DatasetFolder
from musedance.errors import InputError
from musedance.media.audio import read_audio
from musedance.media.video import VideoReader

NAMED_STRAYS = 5
SMALL = 64  # pixels a side; three times as fast as whole pictures of 640


@dataclass(frozen=True)
class Report:
    """What is wrong with a dataset: one line each, the clip's id or the file first."""

    clips: int
    problems: list[str]
    warnings: list[str]


def validate(dataset: Dataset, workers: int | None = None) -> Report:
    """Check every row and decode every file, in threads: libav decodes outside Python's lock (two: 1.9 times as fast).

    Problems make clips unusable or wrong; warnings are what may well be meant: no beat in a clip, files that no row
    names.

    Args:
        dataset: from `open_dataset`.
        workers: threads; one a core if not given.

    Raises:
        InputError: `workers` is below 1.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers has to be at least 1, not {workers}")
    clips, problems = dataset.read_rows()
    warnings: list[str] = []
    if isinstance(dataset, DatasetFolder) and not problems:  # else the files of rows that cannot be read
        warnings += _strays(dataset, clips)
    if not clips and not problems:
        problems.append(f"{dataset.path}: there are no clips: no split has a table with a row")
    problems += _between_clips(clips)
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        checked = pool.map(lambda clip: list(check_clip(dataset, clip)), clips)
        for clip, found in zip(clips, tqdm(checked, total=len(clips), unit="clip", disable=None), strict=True):
            problems += [f"{clip.id}: {problem}" for problem in found]
            if not beats_to_frames(np.asarray(clip.beats), clip.track_start, clip.num_frames, clip.fps).any():
                warnings.append(f"{clip.id}: no beat falls in the clip; check track_start and beats")
    finally:
        pool.shutdown(cancel_futures=True)
    return Report(len(clips), problems, warnings)


def check_clip(dataset: Dataset, clip: Clip) -> Iterator[str]:
    """What is wrong with one clip, in words that say what to do."""
    checks: list[Callable[[Dataset, Clip], Iterable[str]]] = [_check_video, _check_sound, _check_beats]
    checks += [_check_densepose] if clip.densepose else []
    checks += [_check_truth] if clip.truth else []
    for check in checks:
        try:
            yield from check(dataset, clip)
        except (InputError, OSError) as error:
            message = str(error).removeprefix(f"clip {clip.id}: ")
            yield message
            if check is _check_video:  # nothing else can be said
                return


def _check_video(dataset: Dataset, clip: Clip) -> Iterator[str]:
    with dataset.open(clip) as file, VideoReader(file) as reader:
        yield from _differences(clip, reader, clip.file_name)
        for _ in reader.stream(reader.info.fps, max_side=SMALL):  # raises at the first picture that is damaged
            pass


def _check_densepose(dataset: Dataset, clip: Clip) -> Iterator[str]:
    colours = _packed(PART_COLOURS)
    with dataset.open(clip, "densepose") as file, VideoReader(file) as reader:
        yield from _differences(clip, reader, clip.densepose)
        for number, picture in enumerate(reader.stream(reader.info.fps)):
            if not np.isin(_packed(picture), colours, kind="table").all():
                yield (
                    f"{clip.densepose}: frame {number} has colours that are no DensePose part's: write it without loss "
                    "(write_lossless)"
                )
                return


def _differences(clip: Clip, reader: VideoReader, name: str) -> Iterator[str]:
    """Where a video is not what the row says."""
    info = reader.info
    if info.is_truncated:
        yield f"{name} ends in the middle of something: make it again"
    if info.num_frames != clip.num_frames:
        yield f"{name} has {info.num_frames} frames, the row says {clip.num_frames}: correct num_frames or cut it again"
    if (info.width, info.height) != (clip.width, clip.height):
        sizes = f"{info.width} x {info.height}, the row says {clip.width} x {clip.height}"
        yield f"{name} is {sizes}: correct width and height or scale it"
    if not info.is_constant_rate:
        yield f"{name} has a variable frame rate: re-encode it at {clip.fps:g} frames per second"
    elif abs(float(info.fps) / clip.fps - 1) > 1e-3:
        rates = f"{float(info.fps):g} frames per second, the row says {clip.fps:g}"
        yield f"{name} has {rates}: correct fps or re-encode it"


def _check_sound(dataset: Dataset, clip: Clip) -> Iterator[str]:
    with dataset.open(clip) as file:
        sound = read_audio(file)
    if abs(sound.duration - clip.duration) > 1 / clip.fps + 1e-3:
        lengths = f"the sound lasts {sound.duration:.3f} s, the picture {clip.duration:.3f} s"
        yield f"{clip.file_name}: {lengths}: cut the music to the clip"


def _check_beats(dataset: Dataset, clip: Clip) -> Iterator[str]:
    if len(clip.beats) > 1:
        tempo = 60 / statistics.median(b - a for a, b in itertools.pairwise(clip.beats))
        if not BPM_RANGE[0] <= tempo <= BPM_RANGE[1]:
            yield f"its beats make {tempo:.3g} beats a minute: give them in seconds"


def _check_truth(dataset: Dataset, clip: Clip) -> Iterator[str]:
    with dataset.open(clip, "truth") as file:
        content = file.read()
    try:
        tensors = load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        yield f"{clip.truth} is no safetensors file: {error}"
        return
    joints, visible = tensors.get("joints"), tensors.get("visible")
    if joints is None or visible is None:
        yield f"{clip.truth} needs the tensors joints and visible, and has {', '.join(sorted(tensors)) or 'none'}"
    elif joints.ndim != 3 or joints.shape[0] != clip.num_frames or joints.shape[2] != 2:
        yield f"{clip.truth}: joints has to be ({clip.num_frames}, joints, 2), not {joints.shape}"
    elif visible.shape != joints.shape[:2]:
        yield f"{clip.truth}: visible has to be {joints.shape[:2]} as joints is, not {visible.shape}"
    elif not np.issubdtype(joints.dtype, np.floating) or not np.isfinite(joints).all():
        yield f"{clip.truth}: joints has to hold finite floats"


def _between_clips(clips: Iterable[Clip]) -> Iterator[str]:
    """Clips that do not fit together."""
    owner: dict[str, str] = {}
    first_of: dict[str, Clip] = {}
    for clip in clips:
        for name in filter(None, (clip.file_name, clip.densepose, clip.truth)):
            other = owner.setdefault(os.path.normpath(f"{clip.split}/{name}"), clip.id)
            if other != clip.id:
                yield f"{clip.id}: {name} belongs to {other} already: give each clip files of its own"
        first = first_of.setdefault(clip.track, clip)
        if clip.beats != first.beats:
            yield f"{clip.id}: {first.id} has other beats for the track {clip.track}: give each all of them"


def _strays(dataset: DatasetFolder, clips: Iterable[Clip]) -> Iterator[str]:
    """Files in the splits' folders that no row names."""
    named = {Path(clip.split, name) for clip in clips for name in (clip.file_name, clip.densepose, clip.truth) if name}
    for split in SPLITS:
        files = (path.relative_to(dataset.path) for path in (dataset.path / split).rglob("*") if not path.is_dir())
        strays = sorted(set(files) - named - {Path(split, METADATA_FILE)})
        if strays:
            names = ", ".join(path.as_posix() for path in strays[:NAMED_STRAYS])
            more = f" and {len(strays) - NAMED_STRAYS} more" if len(strays) > NAMED_STRAYS else ""
            yield f"{split}: no row names {names}{more}; remove what is not needed"


def _packed(picture: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 to (...) int32, a number a colour."""
    red, green, blue = np.moveaxis(picture.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue
