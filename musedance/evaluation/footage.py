"""Videos to be scored, wherever they lie, and what is known about them."""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load

from musedance.datasets.clip import Clip
from musedance.datasets.failures import reading
from musedance.datasets.folder import Dataset
from musedance.datasets.reader import read_pictures, read_sound
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.media.audio import Audio, read_audio
from musedance.media.image import fit_image
from musedance.media.video import VideoReader
from musedance.metrics.pose import read_keypoints

SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v")
KEYPOINTS = ".safetensors"
MAX_BYTES = 4 * 2**30  # of a video's frames in memory: ten minutes of 256 x 256 at 30 fps


@dataclass(frozen=True)
class Facts:
    """What is known of a video without looking at it.

    Attributes:
        prompt: how the dancer was to move.
        groups: such as {"genre": "waltz", "kind": "cat"}.
        track: which music; videos with the same are not independent.
        beats: of the music, seconds from the first frame, also before and after the video; `None` = not known.
    """

    prompt: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    track: str = ""
    beats: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Footage:
    """A video, read.

    Attributes:
        frames: `(n, H, W, 3)` uint8 RGB.
        fps: frames per second.
        sound: `None` if it has none.
        joints: `(n, J, 2)` x and y in pixels of a picture `height` high, if they are known.
        visible: `(n, J)` bool.
        height: see `joints`.
    """

    frames: np.ndarray
    fps: float
    sound: Audio | None
    joints: np.ndarray | None = None
    visible: np.ndarray | None = None
    height: int = 1


class VideoSet(ABC):
    """Videos by id.

    Attributes:
        ids: sorted.
    """

    ids: list[str]

    @abstractmethod
    def file(self, name: str) -> str:
        """Where the video is, for the report."""

    @abstractmethod
    def key(self, name: str) -> str:
        """Changes when the video does; its pixels are not read."""

    @abstractmethod
    def facts(self, name: str) -> Facts:
        """What is known of it."""

    @abstractmethod
    def read(self, name: str) -> Footage:
        """Read it. InputError if that cannot be done."""


class FolderVideos(VideoSet):
    """The videos of a folder, named by their stems; `NAME.safetensors` beside a video holds its keypoints.

    Args:
        folder: with the videos.
        known: where facts come from, for ids that it has too.
        size: (height, width) that pictures are brought to, cropped around the centre; as they are if not given.
        names: only these; all if not given.

    Raises:
        InputError: there is no such folder, no video in it, or two of one name.
    """

    def __init__(
        self,
        folder: str | Path,
        known: Mapping[str, Facts] | None = None,
        size: tuple[int, int] | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        self.folder, self.size, self._known = Path(folder), size, known or {}
        if not self.folder.is_dir():
            raise InputError(f"there is no folder {self.folder}")
        self._files: dict[str, Path] = {}
        for path in sorted(self.folder.iterdir()):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            if names is not None and path.stem not in names:
                continue
            if path.stem in self._files:
                raise InputError(f"{path} and {self._files[path.stem].name} have one name: videos are known by it")
            self._files[path.stem] = path
        if not self._files:
            raise InputError(f"there are no videos in {self.folder} ({', '.join(SUFFIXES)})")
        self.ids = sorted(self._files)

    def file(self, name: str) -> str:
        return str(self._files[name])

    def key(self, name: str) -> str:
        path = self._files[name]
        return f"{_status(path)} {_status(path.with_suffix(KEYPOINTS))} {self.size}"

    def facts(self, name: str) -> Facts:
        return self._known.get(name, Facts(track=name))

    def read(self, name: str) -> Footage:
        path = self._files[name]
        with VideoReader(path) as video:
            info = video.info
            if info.num_frames * info.width * info.height * 3 > MAX_BYTES:
                raise InputError(f"{path} is too long to be scored at once ({info.duration:.0f} s): cut it into clips")
            frames = _sized(np.stack(list(video.stream(info.fps))), self.size)
        keypoints = path.with_suffix(KEYPOINTS)
        joints, visible = read_keypoints(keypoints) if keypoints.is_file() else (None, None)
        if joints is not None and len(joints) != len(frames):
            raise InputError(f"{keypoints} has keypoints of {len(joints)} frames, the video has {len(frames)}")
        sound = read_audio(path) if info.has_audio else None
        return Footage(frames, float(info.fps), sound, joints, visible, info.height)


class DatasetVideos(VideoSet):
    """Clips of a dataset, as true videos.

    Args:
        dataset: from `open_dataset`.
        clips: some of its clips.
        spec: what the clips are brought to, and the frame rate they have to have; as they are if not given.
        num_frames: how many of each clip, from its first; all if not given.
        size: as in `FolderVideos`, where no `spec` says.

    Raises:
        InputError: a clip has another frame rate than the model.
    """

    def __init__(
        self,
        dataset: Dataset,
        clips: Sequence[Clip],
        spec: ClipSpec | None = None,
        num_frames: int | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.dataset, self.spec, self.num_frames, self.size = dataset, spec, num_frames, size
        self.clips = {clip.id: clip for clip in clips}
        for clip in self.clips.values():
            if spec is not None and abs(clip.fps - spec.fps) > 1e-3:
                raise InputError(
                    f"clip {clip.id} has {clip.fps:g} frames per second, the model {spec.fps:g}: "
                    f"prepare the dataset for this model"
                )
        self.ids = sorted(self.clips)
        self._facts: dict[str, Facts] = {}

    def file(self, name: str) -> str:
        clip = self.clips[name]
        return str(self.dataset.path / clip.split / clip.file_name)

    def key(self, name: str) -> str:
        clip = self.clips[name]
        files = [_status(self.dataset.path / clip.split / file) for file in (clip.file_name, clip.truth) if file]
        return f"{clip.to_json()} {files} {self.spec} {self.num_frames} {self.size}"

    def length(self, name: str) -> int:
        """How many frames the video has."""
        whole = self.clips[name].num_frames
        return whole if self.num_frames is None else min(whole, self.num_frames)

    def canvas(self, clip: Clip) -> tuple[int, int]:
        """(height, width) of the video of a clip."""
        if self.spec is not None:
            return self.spec.canvas(clip)
        return self.size or (clip.height, clip.width)

    def facts(self, name: str) -> Facts:
        if name not in self._facts:
            self._facts[name] = _facts(self.dataset, self.clips[name])
        return self._facts[name]

    def pictures(self, clip: Clip, numbers: list[int], canvas: tuple[int, int] | None = None) -> np.ndarray:
        """Some frames, `(n, H, W, 3)` uint8, on the clip's canvas or another one."""
        lanczos = Image.Resampling.LANCZOS
        return read_pictures(self.dataset, clip, "video", numbers, canvas or self.canvas(clip), lanczos).numpy()

    def sound(self, name: str) -> Audio:
        """As long as the video."""
        clip = self.clips[name]
        return read_sound(self.dataset, clip).cut(0, self.length(name) / clip.fps)

    def read(self, name: str) -> Footage:
        clip, length = self.clips[name], self.length(name)
        frames, sound = self.pictures(clip, list(range(length))), self.sound(name)
        if not clip.truth:
            return Footage(frames, clip.fps, sound)
        tensors, _ = read_truth(self.dataset, clip)
        joints, visible = tensors["joints"][:length].astype(np.float64), tensors["visible"][:length]
        return Footage(frames, clip.fps, sound, joints, visible, clip.height)


def _status(path: Path) -> str:
    """Tells versions of a file apart; empty if there is none, as of a clip in a shard."""
    if not path.is_file():
        return ""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _sized(frames: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    if size is None or frames.shape[1:3] == size:
        return frames
    return np.stack([np.asarray(fit_image(Image.fromarray(frame), *size, "crop")) for frame in frames])


def _facts(dataset: Dataset, clip: Clip) -> Facts:
    """What a row says, and of drawn clips what their ground truth says: who dances, to what kind of music.

    A damaged truth file is not complained of here, where it would end the run, but by `read`, which names the clip.
    """
    beats = tuple(beat - clip.track_start for beat in clip.beats)
    groups: dict[str, str] = {}
    if clip.truth:
        with suppress(InputError):
            _, told = read_truth(dataset, clip)
            groups = {key: told[key] for key in ("genre", "kind") if isinstance(told.get(key), str)}
    return Facts(prompt=clip.caption, groups=groups, track=clip.track, beats=beats or None)


def read_truth(dataset: Dataset, clip: Clip) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors of a drawn clip's truth file, and what its header tells.

    Raises:
        UnreadableClip: it is damaged or of another length than the clip.
    """
    with reading(clip), dataset.open(clip, "truth") as file:
        content = file.read()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        told = json.loads(header.get("__metadata__", {}).get("truth", "{}"))
        tensors = load(content)
        if not {"joints", "visible"} <= set(tensors):
            raise InputError("its ground truth has no joints")
        if len(tensors["joints"]) != clip.num_frames:
            raise InputError(f"its ground truth has {len(tensors['joints'])} frames, the clip {clip.num_frames}")
    return tensors, told
