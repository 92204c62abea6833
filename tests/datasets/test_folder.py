"""Dataset folders are read as written; whatever leads out of them, or is broken, is refused by file and line."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from musedance.datasets.folder import DatasetFolder, read_rows, write_dataset
from musedance.errors import InputError


def change_row(table: Path, number: int, **changes: Any) -> None:
    """Change a row of a table as an editor would."""
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_clips_come_split_by_split_in_the_order_of_their_files(dataset_folder: Path) -> None:
    dataset = DatasetFolder(dataset_folder)
    assert [clip.id for clip in dataset.clips] == [f"clip-{number:02d}" for number in range(8)]
    assert dataset.clips == [*dataset.split("train"), *dataset.split("validation")]
    assert dataset.split("test") == []
    assert dataset.info["name"] == "blocks"
    with pytest.raises(InputError, match="split has to be one of"):
        dataset.split("dev")


def test_files_are_located_and_opened(dataset_folder: Path) -> None:
    dataset = DatasetFolder(dataset_folder)
    clip = dataset.clips[0]
    assert dataset.locate(clip) == dataset_folder / "train" / "clips" / "clip-00.mp4"
    for part, folder, suffix in (
        ("video", "clips", "mp4"),
        ("densepose", "densepose", "mp4"),
        ("truth", "truth", "safetensors"),
    ):
        with dataset.open(clip, part) as file:
            assert file.read() == (dataset_folder / "train" / folder / f"clip-00.{suffix}").read_bytes()
    for part in ("densepose", "truth"):
        with pytest.raises(InputError, match=f"clip-02 has no {part}"):
            dataset.open(dataset.clips[2], part)


def test_what_is_written_is_read_back(dataset_folder: Path, tmp_path: Path) -> None:
    dataset = DatasetFolder(dataset_folder)
    write_dataset(tmp_path, dataset.info | {"name": "tänze \u2028"}, reversed(dataset.clips))
    again = DatasetFolder(tmp_path)
    assert again.clips == dataset.clips
    assert again.info == dataset.info | {"name": "tänze \u2028"}
    assert (tmp_path / "train/metadata.jsonl").read_bytes() == (dataset_folder / "train/metadata.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "dataset.json",
        "metadata.jsonl",
        "metadata.jsonl",
    ]


def test_a_split_that_has_become_empty_is_removed(dataset_copy: Path) -> None:
    train = DatasetFolder(dataset_copy).split("train")
    write_dataset(dataset_copy, {}, train)
    assert DatasetFolder(dataset_copy).clips == train
    assert not (dataset_copy / "validation/metadata.jsonl").exists()


def test_unicode_in_texts_and_line_separators_within_them(dataset_copy: Path) -> None:
    clips = DatasetFolder(dataset_copy).clips
    clips[0] = replace(clips[0], caption="踊る\u2028\x85 \x1c💃 \u0000", source="naïve/..//\\n")
    clips[1:3] = [replace(clip, source=clips[0].source) for clip in clips[1:3]]
    write_dataset(dataset_copy, {}, clips)
    assert DatasetFolder(dataset_copy).clips == clips


def test_rows_that_could_not_be_read_back_are_not_written(dataset_copy: Path) -> None:
    clips = DatasetFolder(dataset_copy).clips
    before = (dataset_copy / "train/metadata.jsonl").read_bytes()
    clips[0] = replace(clips[0], id="clip-01", caption="changed")
    with pytest.raises(InputError, match="clip-01 occurs twice"):
        write_dataset(dataset_copy, {}, clips)
    assert (dataset_copy / "train/metadata.jsonl").read_bytes() == before


@pytest.mark.parametrize("kind", ["source", "track"])
def test_splits_share_no_source_and_no_track(dataset_copy: Path, kind: str) -> None:
    shared = getattr(DatasetFolder(dataset_copy).clips[0], kind)
    clips = DatasetFolder(dataset_copy).clips
    with pytest.raises(InputError, match=f"{kind} {shared} of clip clip-07 is also in train"):
        write_dataset(dataset_copy, {}, [*clips[:7], replace(clips[7], **{kind: shared})])
    change_row(dataset_copy / "validation/metadata.jsonl", 1, **{kind: shared})
    with pytest.raises(InputError, match=rf"metadata.jsonl, line 2: {kind} {shared} of clip clip-07 is also in train"):
        _ = DatasetFolder(dataset_copy).clips


def test_every_broken_row_is_named_and_the_others_are_read(dataset_copy: Path) -> None:
    table = dataset_copy / "train/metadata.jsonl"
    change_row(table, 0, file_name="/etc/passwd")
    change_row(table, 2, id="clip-01")
    change_row(dataset_copy / "validation/metadata.jsonl", 1, split="train")
    table.write_bytes(table.read_bytes() + b'{"id": \xff}\n{"half a\n')
    clips, problems = read_rows(dataset_copy)
    assert [clip.id for clip in clips] == ["clip-01", "clip-03", "clip-04", "clip-05", "clip-06"]
    expected = ["line 1: clip 'clip-00': '/etc/passwd'", "line 3: the id clip-01", "line 7: ", "line 8: not a line"]
    for problem, text in zip(problems[:4], expected, strict=True):
        assert f"train/metadata.jsonl, {text}" in problem
    assert "validation/metadata.jsonl, line 2: clip clip-07 says that it belongs to train" in problems[4]
    with pytest.raises(InputError, match="line 1"):
        _ = DatasetFolder(dataset_copy).clips


def test_a_row_that_was_refused_does_not_count_for_the_others(dataset_copy: Path) -> None:
    """Else a row with a wrong id would blame rows that are right."""
    change_row(dataset_copy / "train/metadata.jsonl", 1, id="clip-00", source="delta", track="track-delta")
    clips, problems = read_rows(dataset_copy)
    assert len(clips) == 7 and len(problems) == 1 and "clip-00 occurs twice" in problems[0]


def link_file(folder: Path, outside: Path) -> None:
    target = shutil.move(folder / "train/clips/clip-00.mp4", outside / "a.mp4")
    os.symlink(target, folder / "train/clips/clip-00.mp4")


def link_folder(folder: Path, outside: Path) -> None:
    os.symlink(shutil.move(folder / "train/clips", outside / "clips"), folder / "train/clips")


@pytest.mark.parametrize("link", [link_file, link_folder])
def test_links_that_lead_out_are_refused(
    dataset_copy: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link(dataset_copy, outside)
    dataset = DatasetFolder(dataset_copy)
    for call in (dataset.locate, dataset.open):
        with pytest.raises(InputError, match=r"clip-00: train/clips/clip-00\.mp4 leads out of"):
            call(dataset.clips[0])


@pytest.mark.parametrize("name", ["train", "train/metadata.jsonl", "dataset.json"])
def test_tables_that_lie_elsewhere_are_refused(dataset_copy: Path, tmp_path: Path, name: str) -> None:
    os.symlink(shutil.move(dataset_copy / name, tmp_path / "elsewhere"), dataset_copy / name)
    with pytest.raises(InputError, match="leads out of"):
        _ = DatasetFolder(dataset_copy).clips


def test_links_within_the_folder_are_followed(dataset_copy: Path) -> None:
    target = shutil.move(dataset_copy / "train/clips/clip-00.mp4", dataset_copy / "moved.mp4")
    os.symlink(target, dataset_copy / "train/clips/clip-00.mp4")
    dataset = DatasetFolder(dataset_copy)
    with dataset.open(dataset.clips[0]) as file:
        assert file.read() == Path(target).read_bytes()


def test_missing_files_folders_and_pipes_are_no_files(dataset_copy: Path) -> None:
    """Opening a pipe would wait for ever."""
    clips = dataset_copy / "train/clips"
    for number, make in enumerate((lambda path: None, os.mkdir, os.mkfifo)):
        (clips / f"clip-0{number}.mp4").unlink()
        make(clips / f"clip-0{number}.mp4")
    dataset = DatasetFolder(dataset_copy)
    for clip in dataset.clips[:3]:
        with pytest.raises(InputError, match=f"clip {clip.id}: there is no file"):
            dataset.open(clip)
    table = dataset_copy / "validation/metadata.jsonl"
    table.unlink()
    os.mkfifo(table)
    with pytest.raises(InputError, match="is not a file"):
        _ = DatasetFolder(dataset_copy).clips


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"format": "musedance-dataset"}',
        '{"format": "musedance-dataset", "version": 2}',
        '{"format": "other", "version": 1}',
        '{"format": ["musedance-dataset"], "version": 1}',
    ],
)
def test_other_formats_and_versions_are_refused(dataset_copy: Path, content: str) -> None:
    (dataset_copy / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=r"dataset\.json"):
        DatasetFolder(dataset_copy)


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"no dataset folder: it has no dataset\.json"):
            DatasetFolder(path)
