"""What stands behind a dancer: drawn once for each scene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from musedance.puppets.textures import Texture, hsv, mix, plain, random_colour, random_texture, shade

Painter = Callable[[np.random.Generator, np.ndarray, np.ndarray, float], np.ndarray]
"""(generator, x, y, floor) -> (H, W, 3) in [0, 255]; x and y are in picture heights from the upper left corner."""


def draw_background(
    rng: np.random.Generator, height: int, width: int, *, floor: float, kind: str | None = None
) -> np.ndarray:
    """One of `BACKGROUNDS`, at random if none is named: (height, width, 3) uint8.

    `floor` is where the dancer's feet are, in picture heights from above.
    """
    chosen = tuple(BACKGROUNDS)[int(rng.integers(len(BACKGROUNDS)))]
    # Four samples a pixel: edges of patterns are smooth, and a picture of any size shows the same.
    x = (np.arange(2 * width)[None] + 0.5 - width) / (2 * height)
    y = (np.arange(2 * height)[:, None] + 0.5) / (2 * height)
    x, y = np.broadcast_arrays(x, y)
    colours = np.clip(np.floor(BACKGROUNDS[kind or chosen](rng, x, y, floor) + 0.5), 0, 255).astype(np.uint32)
    tall = colours[0::2] + colours[1::2]
    return ((tall[:, 0::2] + tall[:, 1::2] + 2) // 4).astype(np.uint8)


def _where(mask: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], yes, no)


def _ramp(values: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 at `low`, 1 at `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _lerp(a: np.ndarray | tuple[float, ...], b: np.ndarray | tuple[float, ...], weight: np.ndarray) -> np.ndarray:
    start, end = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return start + weight[..., None] * (end - start)


def _gradient(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    slope = rng.random() - 0.5
    first, second = random_colour(rng, low=0.2), random_colour(rng, low=0.2)
    return _lerp(first, second, np.clip(y + slope * x, 0, 1))


def _backdrop(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    """Photographers' paper: one colour that runs into the floor, lighter in the middle."""
    colour = random_colour(rng, low=0.5)
    near = 1.08 - 0.5 * (x * x + (y - 0.45) ** 2)
    return near[..., None] * np.array(colour) * (1 - 0.16 * _ramp(y, floor - 0.12, floor + 0.02))[..., None]


def _wallpaper(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    """A patterned wall: stripes, tiles, dots or a zigzag."""
    pattern = ("stripes", "checks", "dots", "zigzag")[int(rng.integers(4))]
    texture = random_texture(rng, random_colour(rng, low=0.3), size=0.09, pattern=pattern)
    grey = np.asarray(random_colour(rng, low=0.4))
    return 0.6 * texture(x, y) + 0.4 * grey  # paler than the dancer


def _clouds(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    texture = random_texture(rng, random_colour(rng, low=0.25), size=0.13, pattern="noise")
    return texture(x, y)


def _mural(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    """A painted wall over a plain floor."""
    texture = random_texture(rng, random_colour(rng, low=0.3), size=0.12, pattern="picture")
    wall = 0.72 * texture(x, y) + 0.28 * np.asarray(random_colour(rng))
    return _floor(wall, plain(random_colour(rng, low=0.3)), x, y, floor - 0.06)


def _floor(wall: np.ndarray, texture: Texture, x: np.ndarray, y: np.ndarray, horizon: float) -> np.ndarray:
    """A floor in perspective below `horizon`."""
    far = 0.16 / np.maximum(y - horizon + 0.16, 0.02)
    ground = texture(x * far * 2.2, far * 2.0) * (0.75 + 0.25 * _ramp(y, horizon, 1.0))[..., None]
    return _where(y > horizon, ground, wall)


def _room(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    """A wall with a skirting board, a window or a picture, and a floor of boards or tiles."""
    colour, horizon = random_colour(rng, low=0.5), floor - 0.04 - 0.06 * rng.random()
    wall = random_texture(rng, mix(colour, (235, 230, 220), 0.5), size=0.07, pattern=("plain", "stripes")[
        int(rng.integers(2))])(x, y)  # fmt: skip
    wall = 0.75 * wall + 0.25 * np.array(mix(colour, (235, 230, 220), 0.5))
    left, top, wide, high = -0.42 + 0.6 * rng.random(), 0.1 + 0.1 * rng.random(), 0.2, 0.2 + 0.12 * rng.random()
    u, v = (x - left) / wide, (y - top) / high
    frame = (np.abs(u - 0.5) < 0.58) & (np.abs(v - 0.5) < 0.56)
    glass = (np.abs(u - 0.5) < 0.5) & (np.abs(v - 0.5) < 0.5) & (np.abs(u - 0.5) > 0.03)
    inside = _lerp(hsv(0.58, 0.5, 0.95), hsv(0.55, 0.1, 1.0), np.clip(v, 0, 1))
    if rng.random() < 0.5:
        inside = random_texture(rng, random_colour(rng), size=0.06, pattern="picture")(x, y)
    wall = _where(glass, inside, _where(frame, np.array(shade(colour, 0.5)), wall))
    wall = _where(y > horizon - 0.025, np.array(mix(colour, (255, 255, 255), 0.7)), wall)
    wood = hsv(0.07 + 0.03 * rng.random(), 0.4 + 0.3 * rng.random(), 0.35 + 0.4 * rng.random())
    boards = random_texture(rng, wood, size=0.12, pattern=("stripes", "checks", "plain")[int(rng.integers(3))])
    ground = _floor(wall, boards, x, y, horizon)
    return _where(y > horizon, 0.5 * ground + 0.5 * np.array(wood), wall)


def _stage(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    """Curtains or darkness, two or three beams of coloured light, and boards."""
    dark, horizon = random_colour(rng, low=0.12, high=0.3), floor - 0.07
    folds = np.abs(2 * ((x / 0.11) % 1.0) - 1)
    scene = np.array(dark) * (0.7 + 0.6 * folds * int(rng.integers(2)))[..., None]
    scene = _where(y > horizon, np.array(hsv(0.07, 0.5, 0.38)) * (0.7 + 0.5 * _ramp(y, horizon, 1.0))[..., None], scene)
    for _ in range(2 + int(rng.integers(2))):
        colour, source, aim = np.array(random_colour(rng, low=0.8)), rng.random() - 0.5, 0.5 * (rng.random() - 0.5)
        middle, reach = source + (aim - source) * y, 0.03 + 0.14 * y
        light = (1 - _ramp(np.abs(x - middle), 0.5 * reach, reach)) * (0.6 - 0.25 * y)
        pool = 1 - _ramp((x - aim) ** 2 + 12 * (y - floor) ** 2, 0.01, 0.05)
        scene = scene + colour * (0.6 * light * (y < floor) + 0.35 * pool)[..., None]
    return scene


def _disco(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    """A floor of coloured panels under a dark wall with bulbs."""
    horizon, size = floor - 0.1, 0.16
    palette = np.array([random_colour(rng, low=0.55) for _ in range(5)])
    choice = rng.integers(5, size=(16, 16))

    def panels(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        i, j = np.floor(u / size).astype(np.int64), np.floor(v / (2 * size)).astype(np.int64)
        seam = (np.abs(u / size - i - 0.5) > 0.46) | (np.abs(v / (2 * size) - j - 0.5) > 0.46)
        return _where(seam, np.array((25.0, 22.0, 30.0)), palette[choice[j % 16, i % 16]])

    wall = _lerp(random_colour(rng, low=0.1, high=0.25), random_colour(rng, low=0.2, high=0.4), y)
    bulbs = np.minimum(np.abs(2 * (x / 0.1 % 1) - 1) ** 2 + np.abs(2 * (y / 0.1 % 1) - 1) ** 2, 1.0)
    wall = wall + (1 - _ramp(bulbs, 0.02, 0.12))[..., None] * np.array(random_colour(rng, low=0.7)) * 0.7
    return _floor(wall, panels, x, y, horizon)


def _outdoors(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, floor: float) -> np.ndarray:
    """Sky, a sun or moon, clouds, hills or a skyline, and ground."""
    hour = int(rng.integers(3))  # day, evening, night
    top = (hsv(0.58, 0.65, 0.9), hsv(0.72, 0.5, 0.55), hsv(0.65, 0.7, 0.2))[hour]
    low = (hsv(0.54, 0.2, 1.0), hsv(0.06, 0.6, 1.0), hsv(0.68, 0.5, 0.42))[hour]
    horizon = floor - 0.05 - 0.1 * rng.random()
    scene = _lerp(top, low, np.clip(y / horizon, 0, 1))
    sun = (x + 0.4 - 0.8 * rng.random()) ** 2 + (y - 0.16) ** 2
    scene = _where(sun < 0.006, np.array((255.0, 246.0, 205.0)), scene)
    puffs = random_texture(rng, (0, 0, 0), size=0.16, pattern="noise")(x * 0.5, y * 1.4)[..., 0]
    cloudy = _ramp(puffs, puffs.max() * 0.55, puffs.max()) * (1 - _ramp(y, 0.25, 0.45))
    scene = _lerp(scene, (255, 252, 248), 0.5 * cloudy)
    if rng.random() < 0.5:  # hills
        for distance in (2, 1, 0):
            ridge = horizon - 0.06 * distance - 0.05 + 0.06 * _wave(x * (3 + distance) + 9 * rng.random())
            green = hsv(0.25 + 0.12 * rng.random(), 0.45, (0.75, 0.6, 0.45)[distance] * (1, 0.7, 0.4)[hour])
            scene = _where(y > ridge, np.array(green), scene)
    else:  # houses
        heights, column = 0.08 + 0.28 * rng.random(64), np.floor((x + 2) / 0.13).astype(np.int64) % 64
        house = y > horizon - heights[column]
        window, storey = (x + 2) / 0.0325, y / 0.05
        lit = rng.random((64, 64))[np.floor(storey).astype(np.int64) % 64, np.floor(window).astype(np.int64) % 64] < 0.5
        lit &= (window % 1 < 0.5) & (storey % 1 < 0.5)
        wall = np.array(hsv(rng.random(), 0.25, (0.6, 0.4, 0.15)[hour]))
        scene = _where(house, _where(lit, np.array((250.0, 225.0, 140.0)), wall + 0.0 * scene), scene)
    ground = hsv((0.28, 0.1, 0.6)[int(rng.integers(3))], 0.4, (0.6, 0.45, 0.3)[hour])
    return _floor(scene, random_texture(rng, ground, size=0.05, pattern="noise"), x, y, horizon)


def _wave(x: np.ndarray) -> np.ndarray:
    """A smooth periodic curve in [0, 1] made of parabolas."""
    t = 2 * np.abs(2 * (x - np.floor(x)) - 1) - 1
    return 0.5 + 0.5 * t * (2 - np.abs(t))


BACKGROUNDS: dict[str, Painter] = {
    "gradient": _gradient,
    "backdrop": _backdrop,
    "wallpaper": _wallpaper,
    "clouds": _clouds,
    "mural": _mural,
    "room": _room,
    "stage": _stage,
    "disco": _disco,
    "outdoors": _outdoors,
}
