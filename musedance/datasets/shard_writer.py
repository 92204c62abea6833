"""A dataset folder into tar shards."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from musedance.datasets.clip import SPLITS, Clip
from musedance.datasets.folder import SHARDS_FORMAT, Dataset, Part, write_info
from musedance.datasets.shards import INDEX_FILE, SHARDS_FOLDER, SUFFIXES, member_name
from musedance.errors import InputError
from musedance.files import appearing_folder

MEGABYTE = 10**6


def write_shards(dataset: Dataset, output: str | Path, shard_size: float = 256) -> Path:
    """Write a dataset's clips into tar files in their order, each clip's files side by side, with an index.

    The same clips give the same bytes. The output appears whole or not at all.

    Args:
        dataset: what to write.
        output: folder to make; may exist if it is empty.
        shard_size: where a shard ends, megabytes; a shard is larger only if a single clip is.

    Raises:
        InputError: the output has something in it, or a file of the dataset is missing.
    """
    if not shard_size > 0:
        raise InputError(f"the size of a shard has to be above 0 megabytes, not {shard_size}")
    with appearing_folder(output) as folder, tqdm(total=len(dataset.clips), unit="clip", disable=None) as bar:
        (folder / SHARDS_FOLDER).mkdir()
        for split in SPLITS:
            lines: list[str] = []
            for number, clips in enumerate(_groups(dataset, dataset.split(split), shard_size * MEGABYTE)):
                shard = folder / SHARDS_FOLDER / f"{split}-{number:06d}.tar"
                _write_shard(dataset, clips, shard, bar)
                lines += _index(clips, shard)
            if lines:
                (folder / split).mkdir()
                (folder / split / INDEX_FILE).write_text("".join(lines), encoding="utf-8")
        write_info(folder, SHARDS_FORMAT, dataset.info)
    return Path(output)


def _groups(dataset: Dataset, clips: Sequence[Clip], limit: float) -> Iterator[list[Clip]]:
    """Runs of clips whose files together stay within `limit` bytes."""
    group: list[Clip] = []
    total = 0
    for clip in clips:
        size = sum(_size(dataset, clip, part) for part in _parts(clip))
        if group and total + size > limit:
            yield group
            group, total = [], 0
        group.append(clip)
        total += size
    if group:
        yield group


def _parts(clip: Clip) -> list[Part]:
    """Which files a clip has."""
    return [part for part in SUFFIXES if part == "video" or getattr(clip, part)]


def _size(dataset: Dataset, clip: Clip, part: Part) -> int:
    with dataset.open(clip, part) as file:
        return file.seek(0, io.SEEK_END)


def _write_shard(dataset: Dataset, clips: Sequence[Clip], shard: Path, bar: tqdm) -> None:
    with tarfile.open(shard, "w", format=tarfile.GNU_FORMAT) as tar:
        for clip in clips:
            row = (clip.to_json() + "\n").encode()
            _add(tar, member_name(clip.id, "json"), io.BytesIO(row), len(row))
            for part in _parts(clip):
                with dataset.open(clip, part) as file:
                    size = file.seek(0, io.SEEK_END)
                    file.seek(0)
                    _add(tar, member_name(clip.id, SUFFIXES[part]), file, size)
            bar.update()


def _add(tar: tarfile.TarFile, name: str, file: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)  # owner, times and mode are the same for all
    member.size = size
    tar.addfile(member, file)


def _index(clips: Sequence[Clip], shard: Path) -> Iterator[str]:
    """A line for each clip: its row, the shard, and where in it the files begin, as the finished shard says."""
    with tarfile.open(shard) as tar:
        places = {member.name: [member.offset_data, member.size] for member in tar}
    for clip in clips:
        members = {part: places[member_name(clip.id, SUFFIXES[part])] for part in _parts(clip)}
        yield (
            json.dumps(json.loads(clip.to_json()) | {"shard": shard.name, "members": members}, ensure_ascii=False)
            + "\n"
        )
