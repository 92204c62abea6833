"""Curves over a number, as a picture."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

Curve = list[tuple[float, float]]  # (place, value), by place
Colour = tuple[int, int, int]

WIDTH, HEIGHT, MARGIN = 800, 450, (90, 90, 30, 50)  # of a panel, pixels; margins left, top, right, bottom
SCALE = 2  # drawn so many times as large and reduced, for smooth lines
TICKS, TITLE_SIZE, TEXT_SIZE, LINE, DOT = 5, 24, 18, 2, 6
BACKGROUND, INK, GRID = (255, 255, 255), (30, 30, 30), (225, 225, 225)
RAW, BLUE, ORANGE = (190, 210, 230), (0, 114, 178), (213, 94, 0)
# Told apart by the colour-blind too (Okabe and Ito).
COLOURS: list[Colour] = [BLUE, (86, 180, 233), (0, 158, 115), (230, 159, 0), ORANGE]


def draw_panels(panels: Sequence[Image.Image]) -> Image.Image:
    """Put panels two in a row."""
    rows = math.ceil(len(panels) / 2)
    picture = Image.new("RGB", (2 * WIDTH, rows * HEIGHT), BACKGROUND)
    for index, part in enumerate(panels):
        picture.paste(part, (index % 2 * WIDTH, index // 2 * HEIGHT))
    return picture


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from `low` to `high`, which is larger: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return [step * float(number) for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def draw_panel(
    title: str, curves: Sequence[Curve], colours: Sequence[Colour], names: Sequence[str] = ()
) -> Image.Image:
    """One diagram, from 0 onwards and upwards. A few values that tower above the others touch its top."""
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), BACKGROUND)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT_SIZE * SCALE)
    left, top, right, bottom = (margin * SCALE for margin in MARGIN)
    right, bottom = WIDTH * SCALE - right, HEIGHT * SCALE - bottom
    draw.text((left, 16 * SCALE), title, INK, ImageFont.load_default(TITLE_SIZE * SCALE))
    points = [point for curve in curves for point in curve]
    if not points:
        draw.text(((left + right) / 2, (top + bottom) / 2), "nothing yet", INK, font, anchor="mm")
        return image.reduce(SCALE)

    last, values = max(1.0, *(step for step, _ in points)), sorted(value for _, value in points)
    peak = min(values[-1], 2 * values[len(values) * 19 // 20]) * 1.05 or 1.0

    def place(step: float, value: float) -> tuple[float, float]:
        return left + (right - left) * step / last, bottom - (bottom - top) * min(value, peak) / peak

    for value in ticks(0, peak):
        y = place(0, value)[1]
        draw.line((left, y, right, y), GRID, SCALE)
        draw.text((left - 10 * SCALE, y), f"{value:.4g}", INK, font, anchor="rm")
    for step in filter(float.is_integer, ticks(0, last)):
        x = place(step, 0)[0]
        draw.line((x, bottom, x, bottom + 6 * SCALE), INK, SCALE)
        draw.text((x, bottom + 10 * SCALE), f"{step:.0f}", INK, font, anchor="mt")
    draw.line((left, bottom, right, bottom), INK, SCALE)
    for curve, colour in zip(curves, colours, strict=True):
        draw.line([place(*point) for point in curve], colour, LINE * SCALE, joint="curve")
        if len(curve) == 1:
            x, y = place(*curve[0])
            draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), colour)
    for index, name in enumerate(names):
        x, y = left + 125 * index * SCALE, top - 24 * SCALE
        draw.line((x, y, x + 24 * SCALE, y), colours[index], LINE * SCALE)
        draw.text((x + 34 * SCALE, y), name, INK, font, anchor="lm")
    return image.reduce(SCALE)
