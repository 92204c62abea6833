"""Datasets in tar files, for clusters: the webdataset convention, with an index beside it for reading clips at will."""

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from musedance.datasets.clip import Clip
from musedance.datasets.folder import SHARDS_FORMAT, Dataset, DatasetFolder, Part, contained, read_info, read_rows
from musedance.errors import InputError

SHARDS_FOLDER, INDEX_FILE = "shards", "index.jsonl"
SUFFIXES: dict[Part, str] = {"video": "mp4", "densepose": "densepose.mp4", "truth": "truth.safetensors"}
_SHARD_NAME = re.compile(r"[a-z]+-[0-9]{6,}\.tar")


class ShardedDataset(Dataset):
    """A dataset in tar files, as `musedance dataset shard` writes it."""

    FORMAT = SHARDS_FORMAT

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._places: dict[str, Place] = {}

    def read_rows(self) -> tuple[list[Clip], list[str]]:
        return read_rows(self.path, INDEX_FILE, self._parse)

    def open(self, clip: Clip, part: Part = "video") -> BinaryIO:
        if not self._places:
            self.read_rows()
        place = self._places.get(clip.id)
        if place is None or part not in place.members:
            raise InputError(f"clip {clip.id} has no {part}")
        shard = contained(self.path, f"{SHARDS_FOLDER}/{place.shard}", f"clip {clip.id}")
        if not shard.is_file():
            raise InputError(f"clip {clip.id}: there is no file {shard}")
        offset, size = place.members[part]
        with open(shard, "rb") as file:
            if offset + size > file.seek(0, io.SEEK_END):
                raise InputError(f"clip {clip.id}: {shard} is shorter than its index says: copy it again")
            file.seek(offset)
            return Member(file.read(size), f"{shard}: {member_name(clip.id, SUFFIXES[part])}")

    def _parse(self, line: str) -> Clip:
        clip = Clip.from_json(line)
        place = Place.from_row(json.loads(line))
        for part, name in (("densepose", clip.densepose), ("truth", clip.truth)):
            if bool(name) != (part in place.members):
                raise InputError(f"clip {clip.id}: row and members do not agree on whether there is a {part}")
        self._places.setdefault(clip.id, place)  # a second row of the id is refused
        return clip


@dataclass(frozen=True)
class Place:
    """Where a clip's files are: the shard's name, and for each part (offset, size) in bytes."""

    shard: str
    members: dict[Part, tuple[int, int]]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Place":
        """Read `shard` and `members` of a row of the index. InputError if they cannot be."""
        shard, members = row.get("shard"), row.get("members")
        if not isinstance(shard, str) or not _SHARD_NAME.fullmatch(shard):
            raise InputError(f"shard has to be a name such as train-000000.tar, not {shard!r:.50}")
        if not isinstance(members, dict) or "video" not in members or not members.keys() <= SUFFIXES.keys():
            raise InputError(f"members needs a video and may have densepose and truth, not {members!r:.50}")
        for span in members.values():
            numbers = span if isinstance(span, list) else []
            if len(numbers) != 2 or not all(type(number) is int and 0 <= number < 2**53 for number in numbers):
                raise InputError(f"each of members has to be [offset, size] in bytes, not {span!r:.50}")
        return cls(shard, {part: (span[0], span[1]) for part, span in members.items()})


class Member(io.BytesIO):
    """The bytes of a file in a shard, with a name for messages."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def member_name(clip_id: str, suffix: str) -> str:
    """What a clip's file is called in a shard.

    webdataset takes a name up to its first dot for the key, so that dots of an id become `~`, which no id has.
    """
    return f"{clip_id.replace('.', '~')}.{suffix}"


def open_dataset(path: str | Path) -> DatasetFolder | ShardedDataset:
    """A dataset as it is stored: plain files or shards. InputError if it is neither."""
    is_sharded = read_info(Path(path))["format"] == SHARDS_FORMAT
    return ShardedDataset(path) if is_sharded else DatasetFolder(path)
