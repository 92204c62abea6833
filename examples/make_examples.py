"""Draw `dancer.png` and synthesise `beat_120bpm.mp3`, the inputs of `make demo`. Both come out the same every time.

python examples/make_examples.py [FOLDER]
"""

import math
import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Point = tuple[float, float]

SIZE = 640  # pixels a side
SCALE = 4  # everything is drawn this much larger and scaled down, which smooths the edges

SKIN, SKIN_SHADE = "#e8a87c", "#cf8a60"
HAIR = "#3a2430"
SHIRT, SHIRT_SHADE = "#ffc83d", "#e3a51c"
TROUSERS, TROUSERS_SHADE = "#3457b0", "#27428c"
SHOE, SOLE = "#f2553d", "#fff6e9"

RATE = 44100  # Hz
BPM = 120
SECONDS = 8


class Canvas:
    """An image drawn `SCALE` times too large, with coordinates in final pixels."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.pen = ImageDraw.Draw(image)

    def circle(self, centre: Point, radius: float, colour: str) -> None:
        self.ellipse(centre, radius, radius, colour)

    def ellipse(self, centre: Point, rx: float, ry: float, colour: str) -> None:
        (x, y), s = centre, SCALE
        self.pen.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=colour)

    def polygon(self, points: list[Point], colour: str) -> None:
        self.pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)

    def arc(self, centre: Point, radius: float, start: float, end: float, colour: str, width: float) -> None:
        (x, y), s = centre, SCALE
        box = ((x - radius) * s, (y - radius) * s, (x + radius) * s, (y + radius) * s)
        self.pen.arc(box, start, end, fill=colour, width=round(width * s))

    def limb(self, points: list[Point], radii: list[float], colour: str) -> None:
        """A rounded shape along `points` whose thickness goes through `radii`."""
        for point, radius in zip(points, radii, strict=True):
            self.circle(point, radius, colour)
        for i in range(len(points) - 1):
            (x0, y0), (x1, y1), r0, r1 = points[i], points[i + 1], radii[i], radii[i + 1]
            length = math.hypot(x1 - x0, y1 - y0)
            nx, ny = (y0 - y1) / length, (x1 - x0) / length
            corners = [(x0 + nx * r0, y0 + ny * r0), (x1 + nx * r1, y1 + ny * r1)]
            corners += [(x1 - nx * r1, y1 - ny * r1), (x0 - nx * r0, y0 - ny * r0)]
            self.polygon(corners, colour)


def vertical_gradient(width: int, height: int, top: str, bottom: str) -> Image.Image:
    """An RGB image that fades from `top` to `bottom`."""
    ramp = Image.linear_gradient("L").resize((width, height))
    return Image.composite(Image.new("RGB", (width, height), bottom), Image.new("RGB", (width, height), top), ramp)


def draw_stage() -> Image.Image:
    """The background: a dusk-coloured wall with two spotlights and a wooden floor."""
    full, horizon = SIZE * SCALE, 452 * SCALE
    stage = Image.new("RGB", (full, full))
    stage.paste(vertical_gradient(full, horizon, "#22315f", "#a8578b"), (0, 0))
    stage.paste(vertical_gradient(full, full - horizon, "#9a5f4c", "#e0a678"), (0, horizon))

    canvas = Canvas(stage)
    for x in range(-20, 28):  # floor boards, all meeting far above the horizon
        top, bottom = 320 + (x - 3.5) * 42, 320 + (x - 3.5) * 84
        canvas.pen.line((top * SCALE, horizon, bottom * SCALE, full), fill="#a96c50", width=SCALE)
    canvas.pen.line((0, horizon, full, horizon), fill="#6d3b4e", width=3 * SCALE)

    for corners in ([(60, -20), (110, -20), (480, 560), (190, 560)], [(580, -20), (530, -20), (160, 560), (450, 560)]):
        beam = Image.new("L", (full, full))
        ImageDraw.Draw(beam).polygon([(x * SCALE, y * SCALE) for x, y in corners], fill=72)
        stage.paste(Image.new("RGB", stage.size, "#ffe9c9"), (0, 0), beam.filter(ImageFilter.GaussianBlur(14 * SCALE)))

    shadow = Image.new("L", (full, full), 0)
    ImageDraw.Draw(shadow).ellipse([v * SCALE for v in (208, 556, 446, 602)], fill=120)
    stage.paste(Image.new("RGB", stage.size, "#4a2530"), (0, 0), shadow.filter(ImageFilter.GaussianBlur(7 * SCALE)))
    return stage


def draw_shoe(canvas: Canvas, ankle: Point, direction: int) -> None:
    """A sneaker seen from the side, its toe to the right (1) or to the left (-1)."""
    x, y = ankle
    canvas.limb([(x - 6 * direction, y + 20), (x + 32 * direction, y + 20)], [8, 8], SOLE)
    canvas.limb([(x, y + 6), (x + 4 * direction, y + 12), (x + 30 * direction, y + 15)], [13, 13, 9], SHOE)


def draw_legs(canvas: Canvas) -> None:
    """Both legs, apart, the left knee bent."""
    draw_shoe(canvas, (242, 560), -1)
    draw_shoe(canvas, (402, 560), 1)
    canvas.limb([(298, 372), (262, 462), (244, 558)], [29, 22, 15], TROUSERS)
    canvas.limb([(344, 372), (392, 456), (402, 558)], [29, 22, 15], TROUSERS_SHADE)
    canvas.limb([(296, 366), (346, 366)], [27, 27], TROUSERS)


def draw_arm(canvas: Canvas, shoulder: Point, elbow: Point, hand: Point) -> None:
    """A raised arm in a short sleeve."""
    canvas.limb([shoulder, elbow, hand], [17, 14, 10], SKIN)
    canvas.circle(hand, 14, SKIN)
    (sx, sy), (ex, ey) = shoulder, elbow
    hem = (sx + 0.66 * (ex - sx), sy + 0.66 * (ey - sy))
    cuff = (sx + 0.56 * (ex - sx), sy + 0.56 * (ey - sy))
    canvas.limb([shoulder, hem], [20, 19], SHIRT_SHADE)
    canvas.limb([shoulder, cuff], [21, 20], SHIRT)


def draw_head(canvas: Canvas) -> None:
    """Head with hair in a bun and a smiling face, a little tilted to the right."""
    canvas.limb([(322, 198), (324, 172)], [15, 14], SKIN_SHADE)
    canvas.circle((348, 58), 24, HAIR)
    canvas.ellipse((328, 116), 56, 58, HAIR)
    canvas.ellipse((328, 128), 47, 51, SKIN)
    canvas.circle((280, 132), 9, SKIN)
    canvas.circle((376, 130), 9, SKIN)
    canvas.polygon([(280, 118), (288, 84), (330, 70), (370, 84), (377, 114), (352, 98), (322, 102), (300, 104)], HAIR)
    for x in (310, 347):
        canvas.ellipse((x, 131), 5.5, 7, "#2b1c25")
        canvas.circle((x + 1.8, 128), 1.9, "white")
    for x in (297, 361):
        canvas.ellipse((x, 148), 8, 5, "#f08f78")
    canvas.arc((309, 120), 10, 205, 330, HAIR, 2.5)
    canvas.arc((348, 119), 10, 210, 335, HAIR, 2.5)
    canvas.arc((329, 144), 15, 25, 155, "#a23b3b", 3.5)


def draw_dancer(canvas: Canvas) -> None:
    """The figure, back to front: one arm up, one hand out to the side."""
    draw_legs(canvas)
    draw_arm(canvas, (284, 222), (206, 252), (160, 178))
    draw_arm(canvas, (358, 222), (432, 174), (452, 84))
    canvas.limb([(284, 222), (358, 222)], [21, 21], SHIRT)
    canvas.polygon([(267, 234), (375, 234), (362, 306), (376, 380), (266, 380), (280, 306)], SHIRT)
    canvas.polygon([(266, 372), (376, 372), (377, 382), (265, 382)], SHIRT_SHADE)
    canvas.ellipse((322, 201), 25, 16, SHIRT_SHADE)
    canvas.ellipse((322, 200), 19, 12, SKIN_SHADE)
    draw_head(canvas)


def draw_image() -> Image.Image:
    """The whole picture, (640, 640) RGB."""
    image = draw_stage()
    draw_dancer(Canvas(image))
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def pulse(seconds: float, frequency: float, decay: float, sweep: float = 0.0) -> np.ndarray:
    """A sine that dies away: `decay` in 1/s, its pitch starting `sweep` Hz above `frequency` (a drum skin). (n,)"""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = frequency * t + sweep * (1 - np.exp(-40 * t)) / 40
    return np.sin(2 * np.pi * phase) * np.exp(-decay * t)


def hiss(rng: np.random.Generator, seconds: float, decay: float) -> np.ndarray:
    """High-passed noise that dies away: hats and the snare's wires. (n,)"""
    n = round(seconds * RATE)
    return np.diff(rng.normal(size=n + 1)) * 0.5 * np.exp(-decay * np.arange(n) / RATE)


def tone(seconds: float, midi_note: int, overtones: int, decay: float) -> np.ndarray:
    """A soft saw of a few overtones with a 5 ms attack and a 30 ms release. (n,)"""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = 440 * 2 ** ((midi_note - 69) / 12)
    wave = sum(np.sin(2 * np.pi * k * pitch * t) / k**1.5 for k in range(1, overtones + 1))
    return wave * np.exp(-decay * t) * np.clip(t / 0.005, 0, 1) * np.clip((seconds - t) / 0.03, 0, 1)


def synthesise() -> np.ndarray:
    """One bar each of Am, F, C and G: kick on every beat, snare on two and four, hats, bass, chords. (2, n) float32."""
    rng = np.random.default_rng(0)
    beat = 60 / BPM
    mix = np.zeros((2, SECONDS * RATE))

    def add(sound: np.ndarray, at: float, gain: float, pan: float = 0.0) -> None:
        start = round(at * RATE)
        end = min(start + len(sound), mix.shape[1])
        mix[0, start:end] += gain * (1 - pan) * sound[: end - start]
        mix[1, start:end] += gain * (1 + pan) * sound[: end - start]

    for i in range(round(SECONDS / beat)):
        now = i * beat
        add(pulse(0.3, 48, 14, sweep=110), now, 0.9)
        if i % 2 == 1:
            add(pulse(0.2, 185, 28), now, 0.3)
            add(hiss(rng, 0.2, 22), now, 0.3, 0.1)
        add(hiss(rng, 0.05, 90), now, 0.14, -0.3)
        add(hiss(rng, 0.12, 40), now + beat / 2, 0.2, 0.3)
    for bar, (root, third) in enumerate([(45, 3), (41, 4), (48, 4), (43, 4)]):  # A2 minor, F2, C3 and G2 major
        start = bar * 4 * beat
        for i in range(4):
            add(tone(beat * 0.9, root - 12, 6, 3), start + i * beat, 0.2)
        for i, note in enumerate((root + 12, root + 12 + third, root + 19)):
            add(tone(4 * beat, note, 4, 0.6), start, 0.07, (i - 1) * 0.5)
    return (0.8 * mix / np.abs(mix).max()).astype(np.float32)


def write_mp3(path: Path, samples: np.ndarray) -> None:
    """Write (2, n) float32 samples as an MP3 of 160 kbit/s."""
    with av.open(str(path), "w", format="mp3") as file:
        stream = file.add_stream("libmp3lame", rate=RATE, layout="stereo")
        stream.bit_rate = 160_000
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


def main(folder: Path) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_image().save(folder / "dancer.png", optimize=True)
    write_mp3(folder / f"beat_{BPM}bpm.mp3", synthesise())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
