"""Draw `docs/built-in-tempo.jpg`: the same picture, words, noise and music at 85 and at 140 BPM.

    python examples/draw_tempi.py [FILE]

All frames of a segment, those nearest to a beat framed; below them how much each differs from the one before. A minute
on a laptop.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from musedance import BUILT_IN, MuseDancePipeline, MuseDancePipelineOutput
from musedance.puppets.compose import compose
from musedance.puppets.track import Track

EXAMPLES = Path(__file__).parent
TEMPI = (85.0, 140.0)  # BPM
DANCES = (
    ("dancer.png", "house", "a person waves with the right hand"),
    ("teddy.png", "rock", "a bear does jumping jacks"),
)
SIDE, GAP, CURVE, LABEL = 84, 4, 60, 24  # pixels
BACKGROUND, INK, FAINT, BEAT = (20, 22, 27), (240, 240, 240), (150, 154, 162), (255, 122, 24)
SEED = 5


def dance(pipeline: MuseDancePipeline, picture: str, prompt: str, track: Track) -> list[Image.Image]:
    """One segment to a track, from its start."""
    video = pipeline(
        EXAMPLES / picture,
        (track.samples, track.sampling_rate),
        prompt,
        num_frames=pipeline.unet.config.num_frames,
        beats=track.beats,
        generator=torch.Generator().manual_seed(0),
    )
    assert isinstance(video, MuseDancePipelineOutput)
    return list(video.frames)


def strip(frames: list[Image.Image], beats: np.ndarray, fps: float, title: str) -> Image.Image:
    """Frames in a row, with beats marked, and the curve of their change."""
    pictures = [frame.resize((SIDE, SIDE), Image.Resampling.LANCZOS) for frame in frames]
    width = len(pictures) * (SIDE + GAP) + GAP
    image = Image.new("RGB", (width, LABEL + SIDE + CURVE + 4 * GAP), BACKGROUND)
    pen = ImageDraw.Draw(image)
    pen.text((GAP, 2), title, INK, ImageFont.load_default(16))
    near = set(np.round(beats * fps).astype(int))
    for number, picture in enumerate(pictures):
        x, y = GAP + number * (SIDE + GAP), LABEL + GAP
        image.paste(picture, (x, y))
        if number in near:
            pen.rectangle((x - 2, y - 2, x + SIDE + 1, y + SIDE + 1), None, BEAT, 3)
    stack = np.stack([np.asarray(frame, np.float32) for frame in frames])
    change = np.abs(np.diff(stack, axis=0)).mean((1, 2, 3))
    foot, height = image.height - GAP, CURVE / change.max()
    line = [((n + 1) * (SIDE + GAP), foot - value * height) for n, value in enumerate(change)]
    for beat in beats[beats * fps < len(frames)]:
        x = GAP + SIDE / 2 + beat * fps * (SIDE + GAP)
        pen.line((x, foot - CURVE, x, foot), BEAT, 2)
    pen.line(line, FAINT, 3)
    return image


def draw_sheet() -> Image.Image:
    """A strip for each of `DANCES` and `TEMPI`."""
    pipeline, strips = MuseDancePipeline.from_pretrained(BUILT_IN, dtype=torch.float32), []
    for picture, genre, prompt in DANCES:
        for bpm in TEMPI:
            track = compose(np.random.default_rng(SEED), genre=genre, bpm=bpm, duration=4.0, first_beat=0.0)
            frames = dance(pipeline, picture, prompt, track)
            title = f"{prompt}, {genre}, {bpm:.0f} BPM"
            strips.append(strip(frames, np.asarray(track.beats), pipeline.unet.config.fps, title))
    sheet = Image.new("RGB", (strips[0].width, sum(s.height for s in strips)), BACKGROUND)
    for number, one in enumerate(strips):
        sheet.paste(one, (0, number * one.height))
    return sheet


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "docs" / "built-in-tempo.jpg"
    draw_sheet().save(Path(sys.argv[1]) if len(sys.argv) > 1 else default, quality=75, optimize=True)
