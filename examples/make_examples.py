"""Make the pictures and tracks of this folder with the built-in world: nobody else has rights in them.

    python examples/make_examples.py [FOLDER]

They come out the same every time.
"""

import sys
from pathlib import Path

import av
import numpy as np
import soxr
from PIL import Image

from musedance.puppets.compose import compose
from musedance.puppets.pose import AT_EASE
from musedance.puppets.scene import Scene

SIZE = 640  # pixels a side
RATE = 44100  # Hz
BIT_RATE = 160_000
WIDTH, WIDTH_DELAY = 0.25, 0.011  # of the stereo image: how loud the delayed copy is, and how late in seconds

PICTURES = {  # file: (seed, kind, background)
    "dancer.png": (104, "doll", "stage"),
    "doll.png": (101, "doll", "backdrop"),
    "teddy.png": (106, "teddy", "gradient"),
}
TRACKS = {  # file: (seed, genre, bpm, seconds, first beat)
    "beat_120bpm.mp3": (48, "house", 120.0, 8.0, 0.0),
    "hip_hop_88bpm.mp3": (22, "hip-hop", 88.0, 12.0, 0.25),
    "waltz_132bpm.mp3": (3, "waltz", 132.0, 10.0, 0.25),
}


def draw(seed: int, kind: str, background: str) -> Image.Image:
    """Someone at ease, as in the portraits that the built-in model has learned from: (640, 640) RGB."""
    scene = Scene.random(np.random.default_rng(seed), height=SIZE, width=SIZE, kind=kind, background=background)
    return Image.fromarray(scene.draw(AT_EASE).picture)


def play(seed: int, genre: str, bpm: float, seconds: float, first_beat: float) -> np.ndarray:
    """A track in stereo whose mean is the composed one: (2, n) float32."""
    track = compose(np.random.default_rng(seed), genre=genre, bpm=bpm, duration=seconds, first_beat=first_beat)
    middle = soxr.resample(track.samples, track.sampling_rate, RATE)
    delay = round(WIDTH_DELAY * RATE)
    side = WIDTH * np.concatenate([np.zeros(delay, np.float32), middle[:-delay]])
    return np.clip(np.stack([middle + side, middle - side]), -1, 1).astype(np.float32)


def write_mp3(path: Path, samples: np.ndarray) -> None:
    """Write (2, n) float32 samples as an MP3."""
    with av.open(str(path), "w", format="mp3") as file:
        stream = file.add_stream("libmp3lame", rate=RATE, layout="stereo")
        stream.bit_rate = BIT_RATE
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


def main(folder: Path) -> None:
    """Write all files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, look in PICTURES.items():
        draw(*look).save(folder / name, optimize=True)
    for name, music in TRACKS.items():
        write_mp3(folder / name, play(*music))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
