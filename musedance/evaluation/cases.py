"""What a model is asked to make: a picture, music and a text for each video."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from musedance.datasets.clip import Clip
from musedance.datasets.tempo import tempo
from musedance.datasets.window_text import window_text
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos, Facts
from musedance.media.audio import Audio, read_audio
from musedance.media.image import canvas_size, fit_image, read_image

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".mp4")


@dataclass(frozen=True)
class Case:
    """One video to make.

    Attributes:
        id: of the video, a file's stem.
        facts: what is known of it.
        num_frames: of the video.
        canvas: (height, width), pixels.
        noise: name that the noise depends on; the id if not given. Videos of one name have the same.
    """

    id: str
    facts: Facts
    num_frames: int
    canvas: tuple[int, int]
    noise: str | None = None


@dataclass(frozen=True)
class Inputs:
    """What the pipeline is given.

    Attributes:
        picture: on the case's canvas.
        sound: as long as the video.
        bpm: of the whole track, where to look for the excerpt's tempo; `None` if it is not known.
        beats: s from the video's start, where the model is not to look for them itself.
    """

    picture: Image.Image
    sound: Audio
    bpm: float | None
    beats: np.ndarray | None = None


class Cases(ABC):
    """A list of videos to make.

    Attributes:
        cases: by id, sorted.
        fps: frames per second.
    """

    cases: dict[str, Case]
    fps: float

    @abstractmethod
    def inputs(self, name: str) -> Inputs:
        """Read what a case needs. InputError if that cannot be done."""

    def reference(self, name: str) -> np.ndarray:
        """The picture, `(H, W, 3)` uint8."""
        return np.asarray(self.inputs(name).picture)


class DatasetCases(Cases):
    """The clips of a split: their own music and words, and a picture of their dancer.

    Args:
        videos: the true videos, brought to what the model makes.
        from_other_clip: the picture is the first frame of another clip of the same source; see `sibling`.
    """

    def __init__(self, videos: DatasetVideos, from_other_clip: bool = False) -> None:
        self.videos, self.from_other_clip = videos, from_other_clip
        self.fps = next(iter(videos.clips.values())).fps
        self.cases = {name: self._case(name) for name in videos.ids}
        self._bpm = {clip.track: tempo(clip) for clip in videos.clips.values()}

    def _case(self, name: str) -> Case:
        length = self.videos.length(name)
        text = window_text(self.videos.clips[name], 0, length)
        facts = self.videos.facts(name)
        facts = Facts(prompt=text, groups=facts.groups, track=facts.track, beats=facts.beats)
        return Case(name, facts, length, self.videos.canvas(self.videos.clips[name]))

    def inputs(self, name: str) -> Inputs:
        clip = self.videos.clips[name]
        shown = sibling(self.videos.dataset.split(clip.split), clip) if self.from_other_clip else clip
        picture = Image.fromarray(self.videos.pictures(shown, [0], self.cases[name].canvas)[0])
        return Inputs(picture, self.videos.sound(name), self._bpm[clip.track])


class PictureCases(Cases):
    """Every picture with every track.

    Args:
        pictures: files; a folder's name above a file is the kind of who dances.
        tracks: files with sound; a folder's name above a file is the genre.
        prompt: how all of them move.
        seconds: length of the videos.
        fps: frames per second.
        pixels: of a canvas, height times width, about.
        multiple: of which both sides of a canvas are multiples.

    Raises:
        InputError: a file cannot be read, or a track is too short.
    """

    def __init__(
        self,
        pictures: Sequence[Path],
        tracks: Sequence[Path],
        prompt: str,
        *,
        seconds: float,
        fps: float,
        pixels: int,
        multiple: int,
    ) -> None:
        self.fps, self.cases = fps, {}
        self._files: dict[str, tuple[Path, Path]] = {}
        num_frames = round(seconds * fps)
        if num_frames < 1:
            raise InputError(f"videos of {seconds} s have no frame at {fps:g} frames per second")
        for track in tracks:
            length = read_audio(track).duration
            if length * fps < num_frames - 0.5:
                raise InputError(f"{track} has {length:.1f} s of music, and {seconds:g} s are wanted")
        for picture in pictures:
            canvas = canvas_size(read_image(picture).size, pixels, multiple)
            for track in tracks:
                name = f"{_name(picture)}_{_name(track)}"
                if name in self.cases:
                    raise InputError(f"two videos would be called {name}: give the files other names")
                groups = {"kind": picture.absolute().parent.name, "genre": track.absolute().parent.name}
                facts = Facts(prompt=prompt, groups=groups, track=_name(track))
                self.cases[name] = Case(name, facts, num_frames, canvas)
                self._files[name] = (picture, track)

    def inputs(self, name: str) -> Inputs:
        picture, track = self._files[name]
        case = self.cases[name]
        fitted = fit_image(read_image(picture), *case.canvas, "crop")
        return Inputs(fitted, read_audio(track).cut(0, case.num_frames / self.fps), None)


def sibling(clips: Iterable[Clip], clip: Clip) -> Clip:
    """Of some clips the portrait of the same source, or else the next, and after the last the first.

    Raises:
        InputError: there is none.
    """
    siblings = [other for other in clips if other.source == clip.source]
    portraits = [other for other in siblings if other.portrait]
    if portraits:
        return portraits[0]
    if len(siblings) < 2:
        raise InputError(f"clip {clip.id} is the only one of its source: no reference picture from another one")
    return siblings[(siblings.index(clip) + 1) % len(siblings)]


def files_in(paths: Sequence[str | Path], suffixes: Sequence[str]) -> list[Path]:
    """Files as they are named, and of folders all that have one of the suffixes, sub-folders too, sorted.

    Raises:
        InputError: there is none, or no such file.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"there is no file or folder {path}")
    if not found:
        raise InputError(f"there is nothing in {', '.join(map(str, paths))} that ends in {', '.join(suffixes)}")
    return found


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}" if path.parent.name else path.stem
