"""The page is parsed as a browser would: what it shows, and that nothing of a dataset becomes markup or a script."""

import base64
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from musedance.conditions.densepose import read_densepose_labels
from musedance.datasets.clip import Span
from musedance.datasets.folder import DatasetFolder, write_dataset
from musedance.datasets.page import spread, write_page
from musedance.datasets.page_pictures import choose_cells
from musedance.datasets.shard_writer import write_shards
from musedance.datasets.shards import open_dataset
from musedance.errors import InputError

HOSTILE = (
    "</script><script>alert(1)</script>\"><img src=x onerror=alert(1)> ' onload=x &lt;b> javascript:alert(1) </style>"
)


class Page(HTMLParser):
    """The page's tags with their attributes in order, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.scripts += [""] * (tag == "script")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.text += data

    def all(self, tag: str, css_class: str = "") -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag and css_class in (found.get("class") or "")]


def picture(address: str | None) -> Image.Image:
    assert address is not None and address.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


@pytest.fixture(scope="module")
def page(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_page(open_dataset(dataset_folder), tmp_path_factory.mktemp("page") / "blocks.html"))


def test_every_clip_is_shown_with_its_caption_and_place(page: Page) -> None:
    articles = page.all("article")
    assert len(articles) == 8
    assert [article["data-split"] for article in articles] == ["train"] * 6 + ["validation"] * 2
    assert articles[3]["data-source"] == "beta"
    assert "number 3 stops" in (articles[3]["data-search"] or "")
    for text in (
        "blocks",
        "moving blocks",
        "CC0-1.0",
        "clip-05",
        "then number 5 stops.",
        "64 x 64",
        "4.17 s at 12 fps",
    ):
        assert text in page.text
    assert "source alpha at 3.00 s" in page.text and "track track-alpha at 6.00 s" in page.text


def test_the_strip_shows_the_frames_that_it_says(
    page: Page, dataset_folder: Path, read_index: Callable[[np.ndarray], tuple[int, int]]
) -> None:
    strips = [picture(image["src"]) for image in page.all("img") if image.get("alt") == "frames"]
    for clip, strip in zip(DatasetFolder(dataset_folder).clips, strips, strict=True):
        cells = choose_cells(clip)
        pixels = np.asarray(strip.convert("RGB"))
        assert pixels.shape[1] % len(cells) == 0
        for cell, shown in zip(cells, np.split(pixels, len(cells), axis=1), strict=True):
            assert read_index(shown) == (int(clip.id[-2:]), cell.frame)


def test_frames_with_a_beat_are_marked(page: Page, dataset_folder: Path) -> None:
    """Beats of clip 5 (90 BPM from 0.25 s) fall on frames 3, 11, 19, 27, 35 and 43."""
    clip = DatasetFolder(dataset_folder).clips[5]
    cells = choose_cells(clip)
    assert [cell.frame for cell in cells if cell.is_beat] == [3, 11, 19, 27, 35, 43]
    clip_5 = page.html.split("<article")[6]
    assert clip_5.count('class="cell beat"') == 6
    assert clip_5.count('class="cell"') == len(cells) - 6
    assert clip_5.count("<line") == 6
    places = [float(x) for x in re.findall(r'<line x1="([\d.]+)"', clip_5)]
    assert np.diff(places) == pytest.approx(280 * (60 / 90) / clip.duration, abs=0.02)


@pytest.mark.parametrize(
    ("num_frames", "width", "height"), [(1, 64, 64), (5, 64, 64), (50, 9, 16), (50, 16, 9), (500, 1, 9)]
)
def test_cells_stand_for_the_whole_clip(dataset_folder: Path, num_frames: int, width: int, height: int) -> None:
    clip = DatasetFolder(dataset_folder).clips[0]
    timeline = (Span(0, num_frames / 12, "x"),)
    clip = replace(clip, num_frames=num_frames, width=width, height=height, timeline=timeline)
    cells = choose_cells(clip)
    assert 1 <= len(cells) <= min(20, num_frames)
    for number, cell in enumerate(cells):
        assert number - 1 < cell.frame * len(cells) / num_frames < number + 1


def test_masks_are_shown_in_their_own_colours(page: Page, dataset_folder: Path) -> None:
    masks = [picture(image["src"]) for image in page.all("img", "densepose")]
    with_densepose = [clip for clip in DatasetFolder(dataset_folder).clips if clip.densepose]
    assert len(masks) == len(with_densepose) == 4
    labels = read_densepose_labels(np.asarray(masks[0].convert("RGB")))
    row = labels[labels.shape[0] // 2, : labels.shape[1] // len(choose_cells(with_densepose[0]))]
    runs = row[np.flatnonzero(np.diff(row, prepend=255))]
    assert runs.tolist() == [*range(1, 15), 0]  # 14 lies beside the background: nothing is blended


def test_timelines_are_drawn_against_time(page: Page) -> None:
    spans = re.findall(r'<div class="lane"><span style="left:([\d.]+)%;width:([\d.]+)%"', page.html)
    assert [(float(left), float(width)) for left, width in spans] == [(0, 48)] * 2  # 2 of 4.167 s
    assert page.text.count("Number 6 stops.") == 1
    assert page.text.count("A block moves to the right, then number 1 stops.") == 1  # the caption, not repeated below


def test_spans_that_overlap_lie_below_each_other(dataset_copy: Path) -> None:
    clips = DatasetFolder(dataset_copy).clips
    clips[1] = replace(clips[1], timeline=(Span(0, 2, "legs"), Span(1, 3, "arms"), Span(2, 4, "head")))
    write_dataset(dataset_copy, {}, clips)
    lanes = Page(write_page(open_dataset(dataset_copy))).html.split("<article")[2].split('<div class="lane">')[1:]
    assert [re.findall(r">(\w+)</span>", lane) for lane in lanes] == [["legs", "head"], ["arms"]]


def test_nothing_is_fetched(page: Page) -> None:
    addresses = [found[key] for _, found in page.tags for key in ("src", "href", "poster") if found.get(key)]
    assert all((address or "").startswith("data:image/") or (address or "").endswith(".mp4") for address in addresses)
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "base", "form")]
    assert "url(" not in page.html and "@import" not in page.html and "http:" not in page.html


def test_the_policy_lets_only_the_pages_own_script_run(page: Page) -> None:
    (policy,) = (found["content"] or "" for found in page.all("meta") if "http-equiv" in found)
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy
    assert not [key for _, found in page.tags for key in found if key.startswith("on")]


def test_text_of_a_dataset_stays_text(dataset_copy: Path) -> None:
    clips = DatasetFolder(dataset_copy).clips
    for number in range(3):
        timeline = (Span(0, 1, HOSTILE), Span(1, 2, HOSTILE))
        clips[number] = replace(clips[number], source=HOSTILE, track=HOSTILE, caption=HOSTILE, timeline=timeline)
    write_dataset(dataset_copy, {"name": HOSTILE, "description": HOSTILE, "license": [HOSTILE, {"x": 1}]}, clips)
    page, plain = Page(write_page(open_dataset(dataset_copy))), Page(dataset_copy / "index.html")
    assert len(page.all("script")) == 1 and len(page.scripts) == 1
    assert len(page.all("article")) == 8 and plain.text == page.text
    assert not [key for _, found in page.tags for key in found if key.startswith("on")]
    assert page.text.count("<img src=x onerror=alert(1)>") >= 3 * 5
    allowed = {"data:image/jpeg", "data:image/png"}
    assert {(image["src"] or "").split(";")[0] for image in page.all("img")} == allowed


def test_clips_are_linked_from_where_the_page_lies(dataset_copy: Path, tmp_path: Path) -> None:
    clips = DatasetFolder(dataset_copy).clips
    odd = "clips/a b#1?%20'\"ä.mp4"
    (dataset_copy / "train/clips/clip-00.mp4").rename(dataset_copy / "train" / odd)
    clips[0] = replace(clips[0], file_name=odd)
    write_dataset(dataset_copy, {}, clips)
    other = tmp_path / "pages"
    other.mkdir()
    for page in (write_page(open_dataset(dataset_copy)), write_page(open_dataset(dataset_copy), other / "a.html")):
        links = [video["src"] or "" for video in Page(page).all("video")]
        assert len(links) == 8 and not any(sign in link for link in links for sign in "#?\"'")
        for link, clip in zip(links, clips, strict=True):
            assert (page.parent / unquote(link)).samefile(dataset_copy / clip.split / clip.file_name)
    assert (dataset_copy / "index.html").is_file()


def test_shards_are_shown_too(dataset_folder: Path, tmp_path: Path) -> None:
    shards = write_shards(open_dataset(dataset_folder), tmp_path / "shards")
    page = Page(write_page(open_dataset(shards)))
    assert len(page.all("article")) == 8 and not page.all("video")
    folder = Page(write_page(open_dataset(dataset_folder), tmp_path / "folder.html"))
    strips = [[image["src"] for image in p.all("img") if image.get("alt") == "frames"] for p in (page, folder)]
    assert strips[0] == strips[1]


def test_a_clip_that_cannot_be_read_is_shown_with_the_reason(dataset_copy: Path) -> None:
    (dataset_copy / "train/clips/clip-02.mp4").write_bytes(b"nothing")
    page = Page(write_page(open_dataset(dataset_copy)))
    assert len(page.all("article")) == 8 and len(page.all("p", "problem")) == 1
    assert "cannot read" in page.html.split("<article")[3]


def test_clips_shown_are_spread_over_sources_and_splits(dataset_folder: Path) -> None:
    clips = DatasetFolder(dataset_folder).clips
    assert [clip.id[-1] for clip in spread(clips, 4)] == ["0", "3", "5", "6"]
    assert [clip.id[-1] for clip in spread(clips, 6)] == ["0", "1", "3", "5", "6", "7"]
    assert [clip.id[-1] for clip in spread(clips, 2)] == ["0", "6"]
    for count in range(1, 12):
        chosen = spread(clips, count)
        assert len({clip.id for clip in chosen}) == len(chosen) == min(count, 8)
        assert chosen == sorted(chosen, key=clips.index)
    with pytest.raises(InputError, match="at least 1"):
        write_page(open_dataset(dataset_folder), None, 0)


def test_a_page_of_some_clips_says_so(dataset_folder: Path, tmp_path: Path) -> None:
    page = Page(write_page(open_dataset(dataset_folder), tmp_path / "a.html", 3))
    assert len(page.all("article")) == 3 and "3 of 8 clips" in page.text
    assert len(page.html) < 60_000 * 3


def test_an_output_that_cannot_be_written_is_refused(dataset_folder: Path, tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "none" / "a.html"):
        with pytest.raises(InputError, match="cannot be written"):
            write_page(open_dataset(dataset_folder), output)
