"""The contact sheet of a validation: generated frames under the true ones, with the prompt and the scores."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MAX_FRAMES = 8  # of a video, in one row
CELL = 192  # width of a picture
MARGIN, GAP = 24, 8
TITLE_SIZE, TEXT_SIZE, LABEL_SIZE = 24, 20, 16
LINE, LABEL = 28, 24  # heights of a line of text and of what stands over a picture
MAX_LINES = 3  # of a prompt
BACKGROUND, INK, FAINT = (20, 22, 27), (240, 240, 240), (150, 154, 162)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Cell = tuple[str, Image.Image | None]  # what stands over a picture, and the picture


def draw_panel(
    name: str,
    prompt: str,
    scores: Mapping[str, float],
    reference: Image.Image,
    true: np.ndarray,
    generated: np.ndarray,
    times: Sequence[float],
) -> Image.Image:
    """Draw one sample: the reference and up to 8 true frames in a row, the generated ones under them.

    A single frame stands beside the reference and the true one.

    Args:
        name: of the sample.
        prompt: what the model was told.
        scores: `psnr` in dB and `ssim`.
        reference: the picture the model was shown.
        true: `(n, H, W, 3)` uint8.
        generated: the same shape.
        times: of the frames, seconds.
    """
    last, shown = len(true) - 1, min(len(true), MAX_FRAMES)
    numbers = [round(place * last / max(shown - 1, 1)) for place in range(shown)]
    rows = [
        [(f"{kind}, {times[number]:.2f} s", Image.fromarray(frames[number])) for number in numbers]
        for kind, frames in (("true", true), ("generated", generated))
    ]
    beside: Cell = ("reference", reference)
    grid: list[list[Cell]] = (
        [[beside, *rows[0], *rows[1]]] if shown == 1 else [[beside, *rows[0]], [("", None), *rows[1]]]
    )
    return _draw_grid(f"{_said(scores)}    {name}", prompt, grid, round(CELL * reference.height / reference.width))


def join_panels(title: str, scores: Mapping[str, float], panels: Sequence[Image.Image]) -> Image.Image:
    """Draw the panels under a title and the mean scores, side by side where they are narrow."""
    across = max(1, _width(1 + MAX_FRAMES) // panels[0].width)
    rows = [panels[first : first + across] for first in range(0, len(panels), across)]
    heights = [max(panel.height for panel in row) for row in rows]
    width = max(sum(panel.width for panel in row) + MARGIN * (len(row) - 1) for row in rows)
    sheet = Image.new("RGB", (width + 2 * MARGIN, 2 * LINE + sum(heights) + MARGIN * (len(rows) + 1)), BACKGROUND)
    ImageDraw.Draw(sheet).text((MARGIN, MARGIN), f"{title}    {_said(scores)}", INK, ImageFont.load_default(TITLE_SIZE))
    y = MARGIN + 2 * LINE
    for row, height in zip(rows, heights, strict=True):
        x = MARGIN
        for panel in row:
            sheet.paste(panel, (x, y))
            x += panel.width + MARGIN
        y += height + MARGIN
    return sheet


def _draw_grid(title: str, prompt: str, grid: Sequence[Sequence[Cell]], height: int) -> Image.Image:
    """Rows of labelled pictures, each brought to CELL x `height`, under a line of title and the prompt."""
    width, font = _width(len(grid[0])), ImageFont.load_default(TEXT_SIZE)
    lines = _wrapped(prompt or "(no prompt)", font, width)
    top = LINE * (1 + len(lines)) + GAP
    panel = Image.new("RGB", (width, top + len(grid) * (LABEL + height + GAP) - GAP), BACKGROUND)
    draw = ImageDraw.Draw(panel)
    draw.text((0, 0), title, INK, font)
    for number, line in enumerate(lines, 1):
        draw.text((0, LINE * number), line, FAINT, font)
    for row, cells in enumerate(grid):
        y = top + row * (LABEL + height + GAP)
        for column, (label, picture) in enumerate(cells):
            x = column * (CELL + GAP)
            draw.text((x, y), label, FAINT, ImageFont.load_default(LABEL_SIZE))
            if picture is not None:
                panel.paste(picture.resize((CELL, height), Image.Resampling.LANCZOS), (x, y + LABEL))
    return panel


def _said(scores: Mapping[str, float]) -> str:
    return f"PSNR {scores['psnr']:.2f} dB    SSIM {scores['ssim']:.3f}"


def _width(columns: int) -> int:
    return columns * (CELL + GAP) - GAP


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """The text in lines, cut with "..." after the last that there is room for."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > MAX_LINES:
        lines = lines[:MAX_LINES]
        lines[-1] = lines[-1].rsplit(" ", 1)[0] + " ..."
    return lines
