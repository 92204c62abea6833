"""Shards hold what the folder holds, for our own reader and for webdataset's."""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musedance.datasets.folder import DatasetFolder, write_dataset
from musedance.datasets.shard_writer import write_shards
from musedance.datasets.shards import ShardedDataset, open_dataset
from musedance.errors import InputError
from musedance.media.audio import read_audio
from musedance.media.video import VideoReader

SMALL = 0.1  # megabytes: two or three clips of the test's dataset


@pytest.fixture(scope="module")
def shards(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(open_dataset(dataset_folder), tmp_path_factory.mktemp("shards") / "packed", SMALL)


@pytest.fixture
def copy(shards: Path, tmp_path: Path) -> Path:
    """Shards that may be changed."""
    return shutil.copytree(shards, tmp_path / "shards-copy")


def change_index(folder: Path, **changes: Any) -> None:
    """Change the first row of the index of train."""
    index = folder / "train/index.jsonl"
    first, *others = index.read_text().splitlines(keepends=True)
    index.write_text(json.dumps(json.loads(first) | changes) + "\n" + "".join(others))


def test_shards_hold_what_the_folder_holds(shards: Path, dataset_folder: Path) -> None:
    folder, packed = open_dataset(dataset_folder), open_dataset(shards)
    assert isinstance(folder, DatasetFolder) and isinstance(packed, ShardedDataset)
    assert packed.clips == folder.clips
    assert packed.split("validation") == folder.split("validation")
    assert packed.info == folder.info | {"format": "musedance-shards"}
    for clip in folder.clips:
        for part, there in (("video", True), ("densepose", bool(clip.densepose)), ("truth", bool(clip.truth))):
            if there:
                assert packed.open(clip, part).read() == folder.open(clip, part).read()
            else:
                with pytest.raises(InputError, match=f"{clip.id} has no {part}"):
                    packed.open(clip, part)


def test_clips_are_decoded_from_shards(shards: Path, read_index: Callable[[np.ndarray], tuple[int, int]]) -> None:
    dataset = open_dataset(shards)
    clip = dataset.clips[6]
    with dataset.open(clip) as file:
        assert "validation-000000.tar: clip-06.mp4" in file.name
        with VideoReader(file) as reader:
            frames = reader.frames_at([49.5 / 12, 0.5 / 12])
        assert [read_index(frame) for frame in frames] == [(6, 49), (6, 0)]
        file.seek(0)
        assert read_audio(file).duration == pytest.approx(50 / 12, abs=1 / 12)


def test_shards_are_as_large_as_asked_and_in_order(shards: Path) -> None:
    names = sorted(path.name for path in (shards / "shards").iterdir())
    count = len(names) - 1
    assert 2 <= count <= 3
    assert names == [f"train-00000{number}.tar" for number in range(count)] + ["validation-000000.tar"]
    members: list[str] = []
    for name in names:
        with tarfile.open(shards / "shards" / name) as tar:
            members += tar.getnames()
            assert sum(member.size for member in tar) < SMALL * 1e6 + 5000  # and the rows
    keys = [name.split(".")[0] for name in members]
    assert list(dict.fromkeys(keys)) == [f"clip-{number:02d}" for number in range(8)]
    assert keys == sorted(keys)  # a clip's files lie side by side
    assert members[:4] == ["clip-00.json", "clip-00.mp4", "clip-00.densepose.mp4", "clip-00.truth.safetensors"]


def test_a_clip_larger_than_a_shard_gets_one_of_its_own(dataset_folder: Path, tmp_path: Path) -> None:
    write_shards(open_dataset(dataset_folder), tmp_path / "packed", 1e-6)
    assert len(list((tmp_path / "packed/shards").iterdir())) == 8
    assert open_dataset(tmp_path / "packed").clips == open_dataset(dataset_folder).clips


def test_the_same_clips_give_the_same_bytes(shards: Path, dataset_folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(dataset_folder, tmp_path / "elsewhere", copy_function=shutil.copyfile)  # other times
    again = write_shards(open_dataset(moved), tmp_path / "again", SMALL)
    files = sorted(path.relative_to(shards) for path in shards.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for file in files:
        assert (shards / file).read_bytes() == (again / file).read_bytes()
    with tarfile.open(shards / "shards/train-000000.tar") as tar:
        assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in tar} == {
            (0, 0, 0, "", 0o644)
        }


def test_shards_of_shards_are_the_same(shards: Path, tmp_path: Path) -> None:
    again = write_shards(open_dataset(shards), tmp_path / "again", SMALL)
    for file in (path.relative_to(shards) for path in shards.rglob("*") if path.is_file()):
        assert (shards / file).read_bytes() == (again / file).read_bytes()


def test_webdataset_reads_them(shards: Path, dataset_folder: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = [str(path) for path in sorted((shards / "shards").glob("train-*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    clips = open_dataset(dataset_folder).split("train")
    assert [sample["__key__"] for sample in samples] == [clip.id for clip in clips]
    for sample, clip in zip(samples, clips, strict=True):
        assert sample["json"] == json.loads(clip.to_json())
        assert sample["mp4"] == open_dataset(dataset_folder).open(clip).read()
        assert ("densepose.mp4" in sample) == bool(clip.densepose)
        assert ("truth.safetensors" in sample) == bool(clip.truth)


def test_dots_in_ids_do_not_split_them(dataset_copy: Path, tmp_path: Path) -> None:
    """webdataset takes a name up to its first dot for the key: `a.1` and `a.2` would become one sample `a`."""
    webdataset = pytest.importorskip("webdataset")
    clips = DatasetFolder(dataset_copy).clips
    ids = ["a.1", "a.2", "a", "a.json", "x" * 100, "a-1", "a_1", "9..9"]
    write_dataset(dataset_copy, {}, [replace(clip, id=name) for clip, name in zip(clips, ids, strict=True)])
    folder = open_dataset(dataset_copy)
    packed = open_dataset(write_shards(folder, tmp_path / "packed"))
    for clip in folder.clips:
        assert packed.open(clip).read() == folder.open(clip).read()
    urls = [str(path) for path in (packed.path / "shards").iterdir()]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert sorted(sample["json"]["id"] for sample in samples) == sorted(ids)
    pictures = {sample["json"]["id"]: sample["mp4"] for sample in samples}
    assert pictures == {clip.id: folder.open(clip).read() for clip in folder.clips}


def test_an_output_with_something_in_it_is_refused(dataset_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert write_shards(open_dataset(dataset_folder), tmp_path / "empty") == tmp_path / "empty"
    before = sorted(tmp_path.rglob("*"))
    for output in (tmp_path / "empty", tmp_path / "empty/dataset.json"):
        with pytest.raises(InputError, match="exists already"):
            write_shards(open_dataset(dataset_folder), output)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_fails_leaves_nothing(dataset_copy: Path, tmp_path: Path) -> None:
    (dataset_copy / "validation/clips/clip-07.mp4").unlink()
    with pytest.raises(InputError, match=r"clip clip-07: there is no file .*clip-07\.mp4"):
        write_shards(open_dataset(dataset_copy), tmp_path / "packed")
    assert os.listdir(tmp_path) == ["copy"]


@pytest.mark.parametrize("size", [0, -1, float("nan")])
def test_a_size_that_cannot_be_is_refused(dataset_folder: Path, tmp_path: Path, size: float) -> None:
    with pytest.raises(InputError, match="size of a shard"):
        write_shards(open_dataset(dataset_folder), tmp_path / "packed", size)


def test_a_shard_cut_short_is_named(copy: Path) -> None:
    shard = copy / "shards/train-000000.tar"
    dataset = open_dataset(copy)
    content = shard.read_bytes()
    shard.write_bytes(content[:50_000])
    dataset.open(dataset.clips[0]).close()  # the first 30 kB
    with pytest.raises(InputError, match=r"clip-01: .*train-000000\.tar is shorter than its index says"):
        dataset.open(dataset.clips[1])
    shard.unlink()
    with pytest.raises(InputError, match=r"clip-01: there is no file .*train-000000\.tar"):
        dataset.open(dataset.clips[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard": "../../secret.tar"}, "shard has to be a name"),
        ({"shard": "/etc/passwd"}, "shard has to be a name"),
        ({"shard": "train-000000.tar\n"}, "shard has to be a name"),
        ({"shard": None}, "shard has to be a name"),
        ({"members": None}, "members needs a video"),
        ({"members": {}}, "members needs a video"),
        ({"members": {"video": [0, 1], "other": [0, 1]}}, "members needs a video"),
        ({"members": {"video": [-1, 10]}}, "offset, size"),
        ({"members": {"video": [0, -10]}}, "offset, size"),
        ({"members": {"video": [0.5, 10]}}, "offset, size"),
        ({"members": {"video": [True, 10]}}, "offset, size"),
        ({"members": {"video": [0]}}, "offset, size"),
        ({"members": {"video": "01"}}, "offset, size"),
        ({"members": {"video": [10**400, 1]}}, "offset, size"),
        ({"members": {"video": [0, 1]}}, "do not agree on whether there is a densepose"),
        ({"file_name": "../a.mp4"}, "no path inside"),
    ],
)
def test_an_index_that_cannot_be_is_refused(copy: Path, changes: dict[str, Any], message: str) -> None:
    change_index(copy, **changes)
    with pytest.raises(InputError, match=rf"index\.jsonl, line 1: .*{message}"):
        _ = open_dataset(copy).clips


def test_nothing_outside_the_shard_is_read(copy: Path, tmp_path: Path) -> None:
    size = (copy / "shards/train-000000.tar").stat().st_size
    parts = {"densepose": [0, 1], "truth": [0, 1]}
    change_index(copy, members=parts | {"video": [size - 5, 6]})
    dataset = open_dataset(copy)
    with pytest.raises(InputError, match="shorter than its index says"):
        dataset.open(dataset.clips[0])
    shutil.move(copy / "shards", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", copy / "shards")
    with pytest.raises(InputError, match="leads out of"):
        dataset.open(dataset.clips[1])


def test_a_second_row_of_an_id_does_not_move_the_first(copy: Path) -> None:
    dataset = open_dataset(copy)
    content = dataset.open(dataset.clips[0]).read()
    index = copy / "train/index.jsonl"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines) + json.dumps(json.loads(lines[0]) | {"shard": "train-000009.tar"}) + "\n")
    dataset = open_dataset(copy)
    clips, problems = dataset.read_rows()
    assert len(problems) == 1 and "occurs twice" in problems[0]
    assert dataset.open(clips[0]).read() == content


def test_streams_can_be_sought_and_read_twice(shards: Path) -> None:
    dataset = open_dataset(shards)
    file = dataset.open(dataset.clips[0])
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    assert len(file.read()) == size > 0
    other = dataset.open(dataset.clips[0])
    assert other.tell() == 0 and file.tell() == size


def test_each_reader_refuses_the_other_kind(shards: Path, dataset_folder: Path) -> None:
    with pytest.raises(InputError, match="is a musedance-shards, not a musedance-dataset"):
        DatasetFolder(shards)
    with pytest.raises(InputError, match="is a musedance-dataset, not a musedance-shards"):
        ShardedDataset(dataset_folder)
