"""Make the films of this folder with the built-in model: three dancers, three tracks, three moves.

    python examples/make_videos.py [FOLDER]

Each is a GIF of 4 s; a minute or two on a laptop. The tempo is given, not
found. infer.py makes them with sound: --bpm, --seed 0, --duration 4, --dtype float32.
"""

import sys
from pathlib import Path

import torch
from PIL import Image

from musedance import BUILT_IN, MuseDancePipeline, MuseDancePipelineOutput

EXAMPLES = Path(__file__).parent
SECONDS = 4.0
COLOURS = 128
FILMS = {  # file: (picture, track, its tempo, prompt)
    "dancer.gif": ("dancer.png", "beat_120bpm.mp3", 120.0, "a person waves with the right hand"),
    "doll.gif": ("doll.png", "hip_hop_88bpm.mp3", 88.0, "a girl sways with raised arms"),
    "teddy.gif": ("teddy.png", "waltz_132bpm.mp3", 132.0, "a bear does jumping jacks"),
}


def film(pipeline: MuseDancePipeline, name: str) -> list[Image.Image]:
    """The frames of one of `FILMS`, with seed 0."""
    picture, track, bpm, prompt = FILMS[name]
    video = pipeline(
        EXAMPLES / picture,
        EXAMPLES / track,
        prompt,
        duration=SECONDS,
        bpm=bpm,
        generator=torch.Generator().manual_seed(0),
    )
    assert isinstance(video, MuseDancePipelineOutput)
    return list(video.frames)


def write_gif(path: Path, frames: list[Image.Image], fps: float) -> None:
    """One palette for all frames, so that even areas do not shimmer."""
    palette = frames[0].quantize(COLOURS)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    first.save(path, save_all=True, append_images=others, duration=round(1000 / fps), loop=0)


def main(folder: Path) -> None:
    """Make all films."""
    pipeline = MuseDancePipeline.from_pretrained(BUILT_IN, dtype=torch.float32)
    for name in FILMS:
        write_gif(folder / name, film(pipeline, name), pipeline.unet.config.fps)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES)
