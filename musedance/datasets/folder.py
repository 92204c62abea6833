"""A dataset folder: `dataset.json`, and for each split a `metadata.jsonl` with the clips' files beside it."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from musedance.datasets.clip import SPLITS, Clip
from musedance.errors import InputError
from musedance.files import appearing

FORMAT, VERSION = "musedance-dataset", 1
DATASET_FILE, METADATA_FILE = "dataset.json", "metadata.jsonl"

Part = Literal["video", "densepose", "truth"]


class DatasetFolder:
    """Reads a dataset folder; its files are only named, not opened.

    Args:
        path: the folder.

    Raises:
        InputError: there is none, or one of another version. Rows are read on first use and raise as well: a broken
            line, an id that occurs twice, a source or track in two splits, named with file and line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.info = _read_info(self.path)

    @cached_property
    def clips(self) -> list[Clip]:
        """All clips: train, validation, test, each in its file's order."""
        clips, problems = read_rows(self.path)
        for problem in problems:
            raise InputError(problem)
        return clips

    def split(self, name: str) -> list[Clip]:
        """The clips of one split; empty if there is none of that name."""
        if name not in SPLITS:
            raise InputError(f"split has to be one of {', '.join(SPLITS)}, not {name!r}")
        return [clip for clip in self.clips if clip.split == name]

    def locate(self, clip: Clip, part: Part = "video") -> Path:
        """Where a clip's file is.

        Raises:
            InputError: the clip has none, or it leads out of the dataset's folder (by a link).
        """
        name = {"video": clip.file_name, "densepose": clip.densepose, "truth": clip.truth}[part]
        if not name:
            raise InputError(f"clip {clip.id} has no {part}")
        path = self.path / clip.split / name
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise InputError(f"clip {clip.id}: {name} leads out of {self.path}")
        return path


def read_rows(folder: Path) -> tuple[list[Clip], list[str]]:
    """All rows that can be used, and what is wrong with the others, each with file and line."""
    clips: list[Clip] = []
    problems: list[str] = []
    ids: set[str] = set()
    split_of: dict[tuple[str, str], str] = {}  # of each ("source" or "track", its id)
    for split in SPLITS:
        file = folder / split / METADATA_FILE
        if not file.exists():
            continue
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            try:
                clip = Clip.from_json(line.decode("utf-8"))
                _check_place(clip, split, ids, split_of)
            except (InputError, UnicodeDecodeError) as error:
                problems.append(f"{file}, line {number}: {error}")
                continue
            ids.add(clip.id)
            split_of |= {("source", clip.source): split, ("track", clip.track): split}
            clips.append(clip)
    return clips, problems


def write_dataset(folder: str | Path, info: Mapping[str, Any], clips: Iterable[Clip]) -> None:
    """Write the tables of a dataset whose files are in place; `dataset.json`, which makes it one, comes last.

    Args:
        folder: the dataset's folder.
        info: more keys of `dataset.json`, such as `name`, `description` and `license`.
        clips: all rows; sorted by id here.
    """
    folder = Path(folder)
    by_split: dict[str, list[str]] = {split: [] for split in SPLITS}
    for clip in sorted(clips, key=lambda clip: clip.id):
        by_split[clip.split].append(clip.to_json() + "\n")
    for split, lines in by_split.items():
        table = folder / split / METADATA_FILE
        if lines:
            table.parent.mkdir(parents=True, exist_ok=True)
            _write(table, "".join(lines))
        else:
            table.unlink(missing_ok=True)
    _write(folder / DATASET_FILE, json.dumps({"format": FORMAT, "version": VERSION, **info}, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    with appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _check_place(clip: Clip, split: str, ids: set[str], split_of: Mapping[tuple[str, str], str]) -> None:
    if clip.split != split:
        raise InputError(f"clip {clip.id} says that it belongs to {clip.split}")
    if clip.id in ids:
        raise InputError(f"the id {clip.id} occurs twice")
    for kind, name in (("source", clip.source), ("track", clip.track)):
        other = split_of.get((kind, name), split)
        if other != split:
            raise InputError(f"{kind} {name} of clip {clip.id} is also in {other}: splits must not share any")


def _read_info(folder: Path) -> dict[str, Any]:
    file = folder / DATASET_FILE
    if not file.is_file():
        raise InputError(f"{folder} is no dataset folder: it has no {DATASET_FILE}")
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if not isinstance(info, dict) or info.get("format") != FORMAT or info.get("version") != VERSION:
        raise InputError(f"{file} is not of format {FORMAT}, version {VERSION}")
    return info
