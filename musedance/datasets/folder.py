"""A dataset folder: `dataset.json`, and for each split a `metadata.jsonl` with the clips' files beside it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal

from musedance.datasets.clip import SPLITS, Clip
from musedance.errors import InputError
from musedance.files import appearing

FOLDER_FORMAT, SHARDS_FORMAT, VERSION = "musedance-dataset", "musedance-shards", 1
DATASET_FILE, METADATA_FILE = "dataset.json", "metadata.jsonl"

Part = Literal["video", "densepose", "truth"]


class Dataset(ABC):
    """Clips with their files, however they are stored; `musedance.datasets.shards.open_dataset` opens any kind.

    Attributes:
        path: the folder.
        info: what `dataset.json` says.

    Raises:
        InputError: there is no dataset of this kind and version. Rows are read on first use and raise as well: a
            broken line, an id that occurs twice, a source or track in two splits, named with file and line.
    """

    FORMAT: ClassVar[str]

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.info = read_info(self.path)
        if self.info["format"] != self.FORMAT:
            raise InputError(f"{self.path} is a {self.info['format']}, not a {self.FORMAT}")

    @cached_property
    def clips(self) -> list[Clip]:
        """All clips: train, validation, test, each in its file's order."""
        clips, problems = self.read_rows()
        for problem in problems:
            raise InputError(problem)
        return clips

    @cached_property
    def by_id(self) -> dict[str, Clip]:
        """The same by their ids."""
        return {clip.id: clip for clip in self.clips}

    def split(self, name: str) -> list[Clip]:
        """The clips of one split; empty if there is none of that name."""
        if name not in SPLITS:
            raise InputError(f"split has to be one of {', '.join(SPLITS)}, not {name!r}")
        return [clip for clip in self.clips if clip.split == name]

    def dances(self, name: str) -> list[Clip]:
        """The clips of one split that are no portraits."""
        return [clip for clip in self.split(name) if not clip.portrait]

    def portraits(self, name: str) -> dict[str, Clip]:
        """The portraits of one split by source."""
        return {clip.source: clip for clip in self.split(name) if clip.portrait}

    @abstractmethod
    def read_rows(self) -> tuple[list[Clip], list[str]]:
        """All rows that can be used, and what is wrong with the others, each with file and line."""

    @abstractmethod
    def open(self, clip: Clip, part: Part = "video") -> BinaryIO:
        """A clip's file as a seekable stream whose `name` is fit for messages.

        Raises:
            InputError: the clip has none, it is missing, or it leads out of the dataset's folder.
        """


class DatasetFolder(Dataset):
    """A dataset as plain files."""

    FORMAT = FOLDER_FORMAT

    def read_rows(self) -> tuple[list[Clip], list[str]]:
        return read_rows(self.path)

    def locate(self, clip: Clip, part: Part = "video") -> Path:
        """Where a clip's file is; whether there is one is not looked at.

        Raises:
            InputError: the clip has none, or it leads out of the dataset's folder (by a link).
        """
        name = part_name(clip, part)
        return contained(self.path, f"{clip.split}/{name}", f"clip {clip.id}")

    def open(self, clip: Clip, part: Part = "video") -> BinaryIO:
        path = self.locate(clip, part)
        if not path.is_file():
            raise InputError(f"clip {clip.id}: there is no file {path}")
        return open(path, "rb")


def part_name(clip: Clip, part: Part) -> str:
    """What the row calls a part's file. InputError if the clip has none."""
    name = {"video": clip.file_name, "densepose": clip.densepose, "truth": clip.truth}[part]
    if not name:
        raise InputError(f"clip {clip.id} has no {part}")
    return name


def contained(folder: Path, name: str, what: str) -> Path:
    """The path of `name` in `folder`. InputError if links lead out of the folder; `what` begins the message."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{what}: {name} leads out of {folder}")
    return path


def read_rows(
    folder: Path, table: str = METADATA_FILE, parse: Callable[[str], Clip] = Clip.from_json
) -> tuple[list[Clip], list[str]]:
    """All rows of all splits that can be used, and what is wrong with the others, each with file and line.

    Args:
        folder: the dataset's folder.
        table: the name of the file with the rows in each split's folder.
        parse: makes a clip of a line.
    """
    clips: list[Clip] = []
    problems: list[str] = []
    places = _Places()
    for split in SPLITS:
        file = folder / split / table
        if not file.exists():
            continue
        try:
            lines = _read(contained(folder, f"{split}/{table}", "the rows")).splitlines()
        except InputError as error:
            problems.append(str(error))
            continue
        for number, line in enumerate(lines, 1):
            try:
                clip = parse(line.decode("utf-8"))
                if clip.split != split:
                    raise InputError(f"clip {clip.id} says that it belongs to {clip.split}")
                places.add(clip)
            except (InputError, UnicodeDecodeError) as error:
                problems.append(f"{file}, line {number}: {error}")
                continue
            clips.append(clip)
    return clips, problems


def write_dataset(folder: str | Path, info: Mapping[str, Any], clips: Iterable[Clip]) -> None:
    """Write the tables of a dataset whose files are in place; `dataset.json`, which makes it one, comes last.

    Args:
        folder: the dataset's folder.
        info: more keys of `dataset.json`, such as `name`, `description` and `license`.
        clips: all rows; sorted by id here.

    Raises:
        InputError: an id occurs twice, or splits share a source or a track; nothing is written then.
    """
    folder = Path(folder)
    by_split: dict[str, list[str]] = {split: [] for split in SPLITS}
    places = _Places()
    for clip in sorted(clips, key=lambda clip: clip.id):
        places.add(clip)
        by_split[clip.split].append(clip.to_json() + "\n")
    for split, lines in by_split.items():
        table = folder / split / METADATA_FILE
        if lines:
            table.parent.mkdir(parents=True, exist_ok=True)
            _write(table, "".join(lines))
        else:
            table.unlink(missing_ok=True)
    write_info(folder, FOLDER_FORMAT, info)


def write_info(folder: Path, format_name: str, info: Mapping[str, Any]) -> None:
    """Write `dataset.json`."""
    whole = {"format": format_name, "version": VERSION}
    whole |= {key: value for key, value in info.items() if key not in whole}
    _write(folder / DATASET_FILE, json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    with appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class _Places:
    """What may occur once only: an id in the dataset, a source and a track in one of the splits."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._split_of: dict[tuple[str, str], str] = {}  # of each ("source" or "track", its name)

    def add(self, clip: Clip) -> None:
        """InputError if the clip cannot stand beside the others; it is not counted then."""
        if clip.id in self._ids:
            raise InputError(f"the id {clip.id} occurs twice")
        named = [("source", clip.source), ("track", clip.track)]
        for kind, name in named:
            other = self._split_of.get((kind, name), clip.split)
            if other != clip.split:
                raise InputError(f"{kind} {name} of clip {clip.id} is also in {other}: splits must not share any")
        self._ids.add(clip.id)
        self._split_of |= dict.fromkeys(named, clip.split)


def read_info(folder: Path) -> dict[str, Any]:
    """What `dataset.json` says. InputError if there is none of a format and version that is known here."""
    if not (folder / DATASET_FILE).is_file():
        raise InputError(f"{folder} is no dataset folder: it has no {DATASET_FILE}")
    file = contained(folder, DATASET_FILE, "the dataset")
    content = _read(file)
    try:
        info = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    formats = (FOLDER_FORMAT, SHARDS_FORMAT)
    if not isinstance(info, dict) or info.get("format") not in formats or info.get("version") != VERSION:
        raise InputError(f"{file} is not of format {' or '.join(formats)}, version {VERSION}")
    return info


def _read(path: Path) -> bytes:
    """InputError for a folder, or a pipe, which would be waited for."""
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    return path.read_bytes()
