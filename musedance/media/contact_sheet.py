"""A whole video on one picture: its frames in a grid, with their times and the beats."""

import itertools
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

MAX_CELLS, MAX_COLUMNS = 48, 16  # with more columns the times would not fit
SHEET_WIDTH, SHEET_ASPECT = 1920, 1.6
MARGIN, GAP, BORDER = 32, 16, 6
TITLE_SIZE, TEXT_SIZE = 34, 20
HEADER, CAPTION = 108, 34  # heights of the lines above the grid and of the line under a frame
BACKGROUND, INK, FAINT, BEAT = (20, 22, 27), (240, 240, 240), (150, 154, 162), (255, 122, 24)


def contact_sheet(
    frames: Sequence[Image.Image], times: Sequence[float], beats: Sequence[bool], title: str
) -> Image.Image:
    """Draw up to 48 of the frames (RGB, one size) on one sheet of roughly 16:10, ready to be saved as PNG.

    `times` are seconds, `beats` says which frames have a beat; both are as long as `frames`. With more than 48 frames
    each cell stands for a run of equal length and shows that run's first beat, or its first frame if it has none. The
    title is shortened to one line.
    """
    if not len(frames) == len(times) == len(beats) or not len(frames):
        raise ValueError(f"need as many times and beats as frames: {len(frames)}, {len(times)}, {len(beats)}")
    shown = _choose(beats)
    aspect = frames[0].width / frames[0].height
    columns = min(range(1, MAX_COLUMNS + 1), key=lambda n: abs(math.log(_sheet_aspect(n, len(shown), aspect))))
    width, height = _cell(columns, aspect)
    rows = math.ceil(len(shown) / columns)

    sheet = Image.new("RGB", (SHEET_WIDTH, HEADER + rows * (height + CAPTION + GAP) + MARGIN - GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    text = f"{len(shown)} of {len(frames)} frames, {times[0]:.2f} to {times[-1]:.2f} s, beats: {sum(map(bool, beats))}"
    _draw_header(draw, title, text)
    for cell, index in enumerate(shown):
        x = MARGIN + cell % columns * (width + GAP)
        y = HEADER + cell // columns * (height + CAPTION + GAP)
        sheet.paste(frames[index].convert("RGB").resize((width, height), Image.Resampling.LANCZOS), (x, y))
        if beats[index]:
            draw.rectangle(
                (x - BORDER, y - BORDER, x + width + BORDER - 1, y + height + BORDER - 1), None, BEAT, BORDER
            )
        _draw_caption(draw, x + width // 2, y + height + BORDER + TEXT_SIZE // 2 + 2, times[index], bool(beats[index]))
    return sheet


def _choose(beats: Sequence[bool]) -> list[int]:
    """The frame to show of each of up to 48 runs of equal length."""
    cells = min(len(beats), MAX_CELLS)
    edges = [len(beats) * cell // cells for cell in range(cells + 1)]
    return [next((i for i in range(*run) if beats[i]), run[0]) for run in itertools.pairwise(edges)]


def _cell(columns: int, aspect: float) -> tuple[int, int]:
    """(width, height) of a frame on a sheet with that many columns."""
    width = (SHEET_WIDTH - 2 * MARGIN + GAP) // columns - GAP
    return width, max(1, round(width / aspect))


def _sheet_aspect(columns: int, cells: int, aspect: float) -> float:
    """The sheet's aspect, 1 for the wanted one."""
    height = HEADER + math.ceil(cells / columns) * (_cell(columns, aspect)[1] + CAPTION + GAP) + MARGIN
    return SHEET_WIDTH / height / SHEET_ASPECT


def _draw_header(draw: ImageDraw.ImageDraw, title: str, text: str) -> None:
    title_font, text_font = ImageFont.load_default(TITLE_SIZE), ImageFont.load_default(TEXT_SIZE)
    title = " ".join(title.split())
    if title_font.getlength(title) > SHEET_WIDTH - 2 * MARGIN:
        while title_font.getlength(title + "...") > SHEET_WIDTH - 2 * MARGIN:
            title = title[:-1]
        title = title.rstrip() + "..."
    draw.text((MARGIN, 20), title, INK, title_font)
    y = 78
    box = (MARGIN, y - 10, MARGIN + 30, y + 10)
    draw.rectangle(box, None, BEAT, BORDER - 2)
    draw.circle((MARGIN + 46, y), 7, BEAT)
    draw.text((MARGIN + 62, y), "beat", INK, text_font, anchor="lm")
    draw.text((SHEET_WIDTH - MARGIN, y), text, FAINT, text_font, anchor="rm")


def _draw_caption(draw: ImageDraw.ImageDraw, x: int, y: int, time: float, beat: bool) -> None:
    font, label = ImageFont.load_default(TEXT_SIZE), f"{time:.2f} s"
    draw.text((x, y), label, BEAT if beat else FAINT, font, anchor="mm")
    if beat:
        draw.circle((x - font.getlength(label) / 2 - 14, y), 7, BEAT)
