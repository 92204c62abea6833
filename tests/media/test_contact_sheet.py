"""Every frame gets a colour of its own, so that the sheet tells which frames it shows, and where."""

import numpy as np
import pytest
from PIL import Image

from musedance.media.contact_sheet import BACKGROUND, BEAT, MARGIN, contact_sheet


def colour(index: int) -> tuple[int, int, int]:
    return (index % 250, 200, index // 250)


def sheet_of(count: int, beats: set[int], size: tuple[int, int] = (48, 64), title: str = "title") -> Image.Image:
    frames = [Image.new("RGB", size, colour(index)) for index in range(count)]
    times = [index / 12 for index in range(count)]
    return contact_sheet(frames, times, [index in beats for index in range(count)], title)


def shown(sheet: Image.Image) -> dict[int, tuple[int, int, int, int]]:
    """Frame index -> (left, top, right, bottom) of its place on the sheet."""
    red, green, blue = np.asarray(sheet).astype(int).transpose(2, 0, 1)
    indices = np.where((green == 200) & (red < 250), red + 250 * blue, -1)
    values, counts = np.unique(indices, return_counts=True)
    places = {}
    for index in values[(values >= 0) & (counts > 1000)].tolist():
        ys, xs = np.nonzero(indices == index)
        places[index] = (int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max()))
    return places


@pytest.mark.parametrize("count", [1, 2, 12, 47, 48])
def test_up_to_48_frames_are_all_shown_in_order(count: int) -> None:
    places = shown(sheet_of(count, set()))
    assert list(places) == list(range(count))
    reading_order = sorted(places, key=lambda index: (places[index][1], places[index][0]))
    assert reading_order == list(range(count))
    for left, top, right, bottom in places.values():
        assert (bottom - top + 1) / (right - left + 1) == pytest.approx(64 / 48, rel=0.02)


def test_longer_videos_are_thinned_evenly_and_keep_their_beats() -> None:
    beats = set(range(3, 480, 10))  # one in each run of ten frames
    assert set(shown(sheet_of(480, beats))) == beats
    without = sorted(shown(sheet_of(480, set())))
    assert without == list(range(0, 480, 10))
    assert len(shown(sheet_of(100, {50}))) == 48


def test_beats_are_marked_and_nothing_else() -> None:
    beats = {0, 5, 23}
    sheet = sheet_of(24, beats)
    for index, (left, top, right, bottom) in shown(sheet).items():
        middle = (left + right) // 2
        around = [(left - 3, top - 3), (right + 3, bottom + 3), (middle, top - 3), (middle, bottom + 3)]
        assert [sheet.getpixel(p) == BEAT for p in around] == [index in beats] * 4
        caption = np.asarray(sheet.crop((left, bottom + 10, right, bottom + 36)))
        assert (caption == BEAT).all(axis=2).any() == (index in beats)  # the dot
        assert (caption != BACKGROUND).any()  # the time


def test_times_are_written_under_the_frames() -> None:
    places = shown(sheet_of(24, set()))
    sheet = sheet_of(24, set())

    def caption(index: int) -> bytes:
        left, _, right, bottom = places[index]
        return sheet.crop((left, bottom + 7, right, bottom + 36)).tobytes()

    assert len({caption(index) for index in range(24)}) == 24


@pytest.mark.parametrize("size", [(48, 64), (64, 64), (160, 90), (90, 160), (64, 192), (192, 64)])
def test_sheets_are_roughly_16_to_10(size: tuple[int, int]) -> None:
    for count in (24, 48):
        sheet = sheet_of(count, set(), size)
        assert sheet.mode == "RGB"
        assert 1.2 < sheet.width / sheet.height < 2.1


def test_long_titles_are_shortened() -> None:
    short, long = sheet_of(4, set(), title="dance"), sheet_of(4, set(), title="dance\n" + "x y " * 500)
    assert long.size == short.size
    header = np.asarray(long.crop((0, 0, long.width, 65)))
    ink = np.nonzero((header != BACKGROUND).any(axis=(0, 2)))[0]
    assert ink.min() >= MARGIN - 2 and 0.9 * long.width < ink.max() < long.width - MARGIN + 2
    assert np.nonzero((header != BACKGROUND).any(axis=(1, 2)))[0].max() < 60  # one line
    assert short.tobytes() != sheet_of(4, set(), title="other").tobytes()


def test_lists_of_different_length_are_an_error() -> None:
    frame = Image.new("RGB", (8, 8))
    for times, beats in (([], []), ([0.0], []), ([0.0, 1.0], [True])):
        with pytest.raises(ValueError):
            contact_sheet([frame], times, beats, "title")
    with pytest.raises(ValueError):
        contact_sheet([], [], [], "title")
