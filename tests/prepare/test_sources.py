"""Which files are taken for videos, and how they are told apart."""

import os
from pathlib import Path

import pytest

from musedance.datasets.clip import Clip, Span
from musedance.errors import InputError
from musedance.prepare.sources import BLOCK, BLOCKS, digest, find_files, identify


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(*inputs: Path, leave_out: Path = Path("out")) -> list[str]:
    return [name for name, _ in find_files(inputs, leave_out)]


def test_folders_are_searched_to_the_bottom(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MOV", "deep/er/c.webm", "notes.txt", "picture.png", ".hidden.mp4", "no_suffix"):
        put(tmp_path / "in" / name)
    assert names(tmp_path / "in") == ["a.MOV", "b.mp4", "deep/er/c.webm"]


def test_the_output_is_no_input(tmp_path: Path) -> None:
    put(tmp_path / "a.mp4")
    put(tmp_path / "out" / "train" / "clips" / "b.mp4")
    assert names(tmp_path, leave_out=tmp_path / "out") == ["a.mp4"]


def test_a_list_names_files_and_folders_from_where_it_lies(tmp_path: Path) -> None:
    put(tmp_path / "my videos" / "täньц 1.mp4")
    put(tmp_path / "other" / "x" / "b.mkv")
    absolute = put(tmp_path / "elsewhere" / "c.mp4")
    text = f"my videos/täньц 1.mp4\n\n  other  \n{absolute}\nmissing.mp4\n"
    listed = put(tmp_path / "list.txt", text.encode())
    assert names(listed) == sorted(["c.mp4", "missing.mp4", "täньц 1.mp4", "x/b.mkv"])
    _, _, unreadable = identify(find_files([listed], tmp_path / "out"))
    assert list(unreadable) == ["missing.mp4"]


def test_a_file_given_twice_is_one(tmp_path: Path) -> None:
    file = put(tmp_path / "a.mp4")
    assert names(tmp_path, file, tmp_path / ".." / tmp_path.name / "a.mp4") == ["a.mp4"]


def test_a_file_may_be_called_as_it_likes(tmp_path: Path) -> None:
    assert names(put(tmp_path / "download")) == ["download"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_what_is_not_there_or_no_list_is_said(tmp_path: Path, content: bytes | None) -> None:
    with pytest.raises(InputError, match=r"list\.txt"):
        names(tmp_path / "list.txt" if content is None else put(tmp_path / "list.txt", content))


def test_a_folder_without_videos_is_said(tmp_path: Path) -> None:
    put(tmp_path / "notes.doc")
    with pytest.raises(InputError, match="no videos found"):
        names(tmp_path)


def test_the_same_content_counts_once(tmp_path: Path) -> None:
    for name, content in (("b.mp4", b"one"), ("a.mp4", b"one"), ("c.mp4", b"two"), ("d/b.mp4", b"one")):
        put(tmp_path / name, content)
    sources, duplicates, _ = identify(find_files([tmp_path], tmp_path / "out"))
    assert [source.name for source in sources] == ["a.mp4", "c.mp4"]
    assert duplicates == {"b.mp4": "a.mp4", "d/b.mp4": "a.mp4"}


@pytest.mark.parametrize("size", [1000, BLOCK * BLOCKS + 1, 5 * BLOCK * BLOCKS])
@pytest.mark.parametrize("place", [0.0, 0.49, 0.9999])
def test_a_changed_block_is_another_video(tmp_path: Path, size: int, place: float) -> None:
    content = bytearray(os.urandom(size))
    before = digest(put(tmp_path / "a.mp4", bytes(content)))
    assert digest(put(tmp_path / "copy.mp4", bytes(content))) == before
    first = int(place * (size - 1))
    content[first : first + size // 8] = os.urandom(len(content[first : first + size // 8]))
    assert digest(put(tmp_path / "a.mp4", bytes(content))) != before
    assert digest(put(tmp_path / "a.mp4", bytes(content) + b"\0")) != before


@pytest.mark.parametrize("name", ["a b.mp4", "танец.mp4", "..mp4", "-.mp4", "x" * 200 + ".mp4", "été #1 (final).mov"])
def test_ids_suit_the_dataset_whatever_files_are_called(tmp_path: Path, name: str) -> None:
    ((source,), _, _) = identify([(name, put(tmp_path / "a.mp4"))])
    clip_id = f"{source.id}-0000"
    Clip("clips/a.mp4", clip_id, "train", source.id, "t", 0, 0, (), 1, 12.0, 8, 8, "", (Span(0.0, 0.01, ""),))
    assert source.digest[:12] in source.id
