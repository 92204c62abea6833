"""Which videos there are to prepare."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from musedance.errors import InputError

SUFFIXES = (
    ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv",
    ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
BLOCK, BLOCKS = 65536, 16  # bytes, and how many of them tell one video from another


@dataclass(frozen=True)
class Source:
    """A video file.

    Attributes:
        path: where it is.
        name: what it is called in the report: its path inside the folder that was given.
        digest: of its content, 16 hexadecimal digits: its size and 16 blocks of 64 KiB spread over it.
        id: its name in the dataset, made of name and digest.
    """

    path: Path
    name: str
    digest: str

    @property
    def id(self) -> str:
        """Letters, digits and `-`: what is left of the file's name in ASCII, then its digest."""
        plain = unicodedata.normalize("NFKD", Path(self.name).stem).encode("ascii", "ignore").decode()
        slug = re.sub(r"[^A-Za-z0-9]+", "-", plain)[:40].strip("-") or "video"
        return f"{slug}-{self.digest[:12]}"


def find_files(inputs: Iterable[str | Path], leave_out: Path) -> list[tuple[str, Path]]:
    """All video files, as (name, path), sorted by name, each path once.

    Args:
        inputs: video files; folders, of which all files that are called like videos are taken, at any depth; `.txt`
            files with a path a line, relative to the list's own folder.
        leave_out: a folder in which nothing is looked for: the output.

    Raises:
        InputError: something does not exist, or there is no video at all.
    """
    found: dict[Path, str] = {}
    for given in inputs:
        for name, path in _files_of(Path(given), leave_out.resolve()):
            found.setdefault(path.resolve(), name)
    if not found:
        raise InputError(f"no videos found: files have to end in {', '.join(SUFFIXES)}")
    return sorted((name, path) for path, name in found.items())


def identify(files: Sequence[tuple[str, Path]]) -> tuple[list[Source], dict[str, str], dict[str, str]]:
    """Tell files apart by their content.

    Args:
        files: (name, path) of each.

    Returns:
        The videos, each content once; the names of duplicates with the name they repeat; the names of files that
        cannot be read with the reason.
    """
    sources: dict[str, Source] = {}
    duplicates: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for name, path in files:
        try:
            source = Source(path, name, digest(path))
        except OSError as error:
            unreadable[name] = error.strerror or str(error)
            continue
        if source.digest in sources:
            duplicates[name] = sources[source.digest].name
        else:
            sources[source.digest] = source
    return list(sources.values()), duplicates, unreadable


def digest(path: Path) -> str:
    """What tells a file's content from others' without reading all of a large one: see `Source.digest`."""
    size = path.stat().st_size
    content = hashlib.blake2b(str(size).encode(), digest_size=8)
    with open(path, "rb") as file:
        if size <= BLOCK * BLOCKS:
            content.update(file.read())
        else:
            for block in range(BLOCKS):
                file.seek(block * (size - BLOCK) // (BLOCKS - 1))
                content.update(file.read(BLOCK))
    return content.hexdigest()


def _files_of(given: Path, leave_out: Path) -> list[tuple[str, Path]]:
    if not given.exists():
        raise InputError(f"there is no {given}: give video files, folders, or a .txt file with a path a line")
    if given.is_dir() or given.suffix.lower() != ".txt":
        return _videos_of(given, leave_out)
    try:
        lines = given.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{given} is no list of paths in UTF-8") from error
    listed = [given.parent / line.strip() for line in lines if line.strip()]
    return [pair for path in listed for pair in _videos_of(path, leave_out)]


def _videos_of(given: Path, leave_out: Path) -> list[tuple[str, Path]]:
    if not given.is_dir():
        return [(given.name, given)]
    return [
        (path.relative_to(given).as_posix(), path)
        for path in given.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")
        and not path.resolve().is_relative_to(leave_out)
    ]
