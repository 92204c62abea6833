"""Draw `docs/puppets.jpg`: a dancer to each genre, two frames a beat, the beats marked, and part maps.

python examples/draw_puppets.py [FILE]
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from musedance.conditions.densepose import draw_densepose
from musedance.puppets.choreography import Choreography
from musedance.puppets.compose import compose
from musedance.puppets.genres import GENRES
from musedance.puppets.scene import KINDS, Scene

SIDE, GAP, COLUMNS, LABEL = 118, 6, 9, 300  # pixels, and frames a row
BACKGROUND, INK, FAINT, BEAT = (20, 22, 27), (240, 240, 240), (150, 154, 162), (255, 122, 24)
SEED = 11


def row(genre: str, kind: str, seed: int) -> tuple[list[Image.Image], list[str]]:
    """The frames of four beats from a downbeat on, and the lines that say what they show."""
    look, sound, dance = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    scene = Scene.random(look, height=SIDE, width=SIDE, kind=kind)
    track = compose(sound, genre=genre, duration=12.0)
    choreography = Choreography.compose(track, dance, moves_per_clip=2, clip_duration=4 * 60 / track.bpm)
    start, half = float(track.downbeats[1]), 30 / track.bpm
    drawn = [scene.draw(choreography.pose(start + column * half)) for column in range(COLUMNS)]
    pictures = [Image.fromarray(frame.picture) for frame in drawn[:-1]]
    pictures.append(Image.fromarray(draw_densepose(drawn[0].parts)))
    caption = choreography.caption(start, start + (COLUMNS - 1) * half)
    return pictures, [f"{genre}, {track.bpm:.0f} BPM", kind, *caption.split(", ")]


def draw_sheet() -> Image.Image:
    """One row a genre, a person in every other one."""
    others = [kind for kind in KINDS if kind != "person"][::2]
    width = LABEL + COLUMNS * (SIDE + GAP) + 2 * GAP
    sheet = Image.new("RGB", (width, len(GENRES) * (SIDE + 2 * GAP) + GAP), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(20), ImageFont.load_default(15)
    for number, genre in enumerate(GENRES):
        kind = "person" if number % 2 == 0 else others[number // 2]
        pictures, lines = row(genre, kind, SEED + number)
        y = GAP + number * (SIDE + 2 * GAP)
        for line, text in enumerate(lines):
            pen.text((2 * GAP, y + 8 + 24 * line), text, INK if line == 0 else FAINT, large if line == 0 else small)
        for column, picture in enumerate(pictures):
            x = LABEL + column * (SIDE + GAP) + (GAP if column == COLUMNS - 1 else 0)
            sheet.paste(picture, (x, y))
            if column % 2 == 0 and column < COLUMNS - 1:
                pen.rectangle((x - 3, y - 3, x + SIDE + 2, y + SIDE + 2), None, BEAT, 4)
    return sheet


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "docs" / "puppets.jpg"
    draw_sheet().save(Path(sys.argv[1]) if len(sys.argv) > 1 else default, quality=75, optimize=True)
