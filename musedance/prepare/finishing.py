"""From records to a dataset folder: tracks, splits, files in their places, tables. Does nothing where that is done."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from musedance.datasets.clip import SPLITS, Clip
from musedance.datasets.folder import DATASET_FILE, DatasetFolder, write_dataset
from musedance.errors import InputError
from musedance.prepare.fingerprint import same_music
from musedance.prepare.records import CLIPS, MASKS, Record, WorkFolder
from musedance.prepare.splits import assign_splits, name_groups

TEMPORARY = ".musedance-"  # how the names of files that are being written begin
KEPT = ("name", "description", "license")  # of dataset.json, which people edit


def finish(
    work: WorkFolder, records: Sequence[Record], fps: float, shares: Mapping[str, float], seed: int
) -> list[Clip]:
    """Make the dataset folder out of all finished videos; can be interrupted anywhere and done again.

    Args:
        work: holds the clips.
        records: of all finished videos.
        fps: of the clips.
        shares: of validation and test.
        seed: of the splits.

    Returns:
        All rows.
    """
    clips = _split(work, [record for record in records if record.clips], shares, seed)
    before = _read(work)
    info: dict[str, Any] = {"name": work.output.resolve().name, "description": "", "license": ""}
    info |= {key: before.info[key] for key in KEPT if before and key in before.info}
    info |= {"fps": fps}
    moves = [(name, clip.split) for clip in clips for name in (clip.file_name, clip.densepose) if name]
    moves = [(name, split) for name, split in moves if not (work.output / split / name).is_file()]
    if before is None or moves or not _same(before, info, clips):
        (work.output / DATASET_FILE).unlink(missing_ok=True)  # no dataset until all is in its place
        for name, split in moves:
            place, target = work.find(name), work.output / split / name
            assert place is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            place.replace(target)
        if clips:
            write_dataset(work.output, info, clips)
    _tidy(work)
    return clips


def _tidy(work: WorkFolder) -> None:
    """Remove what killed runs left."""
    for folder in (CLIPS, MASKS):
        shutil.rmtree(work.path / folder, ignore_errors=True)
    # Only where this command writes: a feature cache in this folder may be in the making.
    places = (work.output, work.path, *work.path.glob("*/"), *(work.output / split for split in SPLITS))
    for path in (path for place in places for path in place.glob(f"{TEMPORARY}*") if path.is_file()):
        path.unlink()


def _split(work: WorkFolder, records: Sequence[Record], shares: Mapping[str, float], seed: int) -> list[Clip]:
    """All rows, with their tracks and splits, sorted by id."""
    digests = [record.digest for record in records]
    groups = same_music([work.landmarks(digest) for digest in digests])
    track_of = name_groups(digests, groups.tolist())
    sizes: dict[str, int] = {}
    for record in records:
        track = track_of[record.digest]
        sizes[track] = sizes.get(track, 0) + len(record.clips)
    split_of = assign_splits(sizes, shares, seed)
    clips = []
    for record in records:
        track = track_of[record.digest]
        clips += [replace(clip, track=track, split=split_of[track]) for clip in record.clips]
    return sorted(clips, key=lambda clip: clip.id)


def _read(work: WorkFolder) -> DatasetFolder | None:
    try:
        return DatasetFolder(work.output)
    except InputError:
        return None


def _same(before: DatasetFolder, info: Mapping[str, Any], clips: Sequence[Clip]) -> bool:
    """Whether the tables say already what is to be written."""
    try:
        rows = sorted(before.clips, key=lambda clip: clip.id)
    except InputError:
        return False
    keys = {key: before.info.get(key) for key in info}
    return json.dumps(keys) == json.dumps(info) and [row.to_json() for row in rows] == [
        clip.to_json() for clip in clips
    ]
