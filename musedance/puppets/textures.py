"""Patterns and pictures to cover bodies, clothes and walls with, made from a generator of random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Colour = tuple[float, float, float]
Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""x, y (in units of a figure's height, any shape) -> RGB in [0, 255], (..., 3) float."""

PATTERNS = ("plain", "stripes", "dots", "checks", "noise", "picture", "gradient", "zigzag")


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """RGB in [0, 255] of a hue in turns, a saturation and a value in [0, 1]."""
    return tuple(  # type: ignore[return-value]
        255 * value * (1 - saturation * min(max(min(k, 4 - k), 0.0), 1.0))
        for k in ((shift + 6 * hue) % 6 for shift in (5, 3, 1))
    )


def random_colour(rng: np.random.Generator, *, low: float = 0.35, high: float = 1.0) -> Colour:
    """A colour of any hue, mostly saturated, whose value lies between `low` and `high`."""
    return hsv(rng.random(), 0.25 + 0.7 * rng.random(), low + (high - low) * rng.random())


def contrast(colour: Colour, rng: np.random.Generator) -> Colour:
    """A random colour that is clearly lighter or darker than `colour`."""
    other = random_colour(rng)
    lightness, target = luma(colour), luma(other)
    if abs(lightness - target) >= 60:
        return other
    factor = (lightness - 70) / max(target, 1.0) if lightness > 128 else 1.0
    if factor < 1.0:
        return shade(other, max(factor, 0.15))
    return mix(other, (255, 255, 255), 0.75)


def luma(colour: Colour) -> float:
    """How light a colour looks, in [0, 255] (ITU-R BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def shade(colour: Colour, factor: float) -> Colour:
    """The colour darkened (below 1) or lightened."""
    return min(colour[0] * factor, 255.0), min(colour[1] * factor, 255.0), min(colour[2] * factor, 255.0)


def mix(a: Colour, b: Colour, weight: float) -> Colour:
    """`a` at weight 0, `b` at 1."""
    return tuple(u + weight * (v - u) for u, v in zip(a, b, strict=True))  # type: ignore[return-value]


def plain(colour: Colour) -> Texture:
    """One colour everywhere."""
    rgb = np.array(colour, np.float64)
    return lambda x, y: np.broadcast_to(rgb, (*np.broadcast_shapes(x.shape, y.shape), 3))


def random_texture(
    rng: np.random.Generator, colour: Colour, *, size: float = 0.06, pattern: str | None = None
) -> Texture:
    """A pattern of `PATTERNS` of about `size`, mainly in `colour`; often a plain colour if none is named."""
    if pattern is None:
        pattern = "plain" if rng.random() < 0.4 else PATTERNS[1 + int(rng.integers(len(PATTERNS) - 1))]
    other = contrast(colour, rng)
    size = size * (0.7 + 0.8 * rng.random())
    angle = (0.0, 0.25, 0.5, 0.75)[int(rng.integers(4))] * math.pi
    match pattern:
        case "plain":
            return plain(colour)
        case "stripes":
            return _two(colour, other, _stripes(angle, size, 0.3 + 0.4 * rng.random()))
        case "dots":
            return _two(colour, other, _dots(size, 0.06 + 0.08 * rng.random()))
        case "checks":
            return _two(colour, other, _checks(size))
        case "zigzag":
            return _two(colour, other, _zigzag(size))
        case "gradient":
            return _blend(colour, other, lambda x, y: _triangle(y / (6 * size) + x / (20 * size)))
        case "noise":
            return _blend(colour, other, _noise(rng, size))
        case "picture":
            return _picture(rng, colour, size)
    raise ValueError(f"there is no pattern {pattern!r}")


def layered(base: Texture, *layers: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], Texture]) -> Texture:
    """`base` with layers over it, each (where: x, y -> bool, texture)."""

    def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        colour = base(x, y)
        for where, texture in layers:
            colour = np.where(where(x, y)[..., None], texture(x, y), colour)
        return colour

    return paint


def _two(a: Colour, b: Colour, second: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Texture:
    return layered(plain(a), (second, plain(b)))


def _blend(a: Colour, b: Colour, weight: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Texture:
    start, way = np.array(a), np.array(b) - np.array(a)
    return lambda x, y: start + weight(x, y)[..., None] * way


def _wrap(values: np.ndarray) -> np.ndarray:
    return values - np.floor(values)


def _triangle(values: np.ndarray) -> np.ndarray:
    return np.abs(2 * _wrap(values) - 1)


def _stripes(angle: float, size: float, share: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    c, s = math.cos(angle), math.sin(angle)
    return lambda x, y: _wrap((c * x + s * y) / size) < share


def _dots(size: float, share: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        row = np.floor(y / size)
        u, v = _wrap(x / size + 0.5 * row) - 0.5, _wrap(y / size) - 0.5
        return u * u + v * v < share

    return inside


def _checks(size: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda x, y: _wrap((np.floor(x / size) + np.floor(y / size)) / 2) > 0.25


def _zigzag(size: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda x, y: _wrap(y / size + 0.6 * _triangle(x / size)) < 0.5


def _noise(rng: np.random.Generator, size: float, octaves: int = 3) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Value noise in [0, 1]: random numbers on a lattice, smoothly interpolated, on several scales."""
    lattice = rng.random((32, 32))

    def one(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        column, row = np.floor(x), np.floor(y)
        u, v = x - column, y - row
        u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
        i, j = column.astype(np.int64) % 32, row.astype(np.int64) % 32
        k, m = (i + 1) % 32, (j + 1) % 32
        top = lattice[j, i] + u * (lattice[j, k] - lattice[j, i])
        bottom = lattice[m, i] + u * (lattice[m, k] - lattice[m, i])
        return top + v * (bottom - top)

    def noise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.broadcast_arrays(x / (2 * size), y / (2 * size))
        total = sum(one(x * 2**k + 5 * k, y * 2**k + 11 * k) / 2**k for k in range(octaves))
        return np.clip((total / (2 - 2.0 ** (1 - octaves)) - 0.5) * 1.7 + 0.5, 0.0, 1.0)

    return noise


def _picture(rng: np.random.Generator, colour: Colour, size: float) -> Texture:
    """Something like a photograph or a print: blots of many colours, repeated at random over a lattice, on clouds."""
    clouds = _blend(colour, contrast(colour, rng), _noise(rng, 2 * size))
    palette = np.array([random_colour(rng, low=0.2) for _ in range(6)])
    kind, places = rng.integers(6, size=(16, 16)), 0.4 + 0.2 * rng.random((16, 16, 2))
    radii = 0.12 + 0.28 * rng.random((16, 16))  # none reaches beyond its cell

    def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.broadcast_arrays(x, y)
        u, v = x / (1.6 * size), y / (1.6 * size)
        i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
        place = places[j % 16, i % 16]
        du, dv = u - i - place[..., 0], v - j - place[..., 1]
        round_ = (kind[j % 16, i % 16] % 2)[...] == 0
        distance = np.where(round_, np.sqrt(du * du + dv * dv), np.maximum(np.abs(du), np.abs(dv)))
        blot = distance < radii[j % 16, i % 16]
        return np.where(blot[..., None], palette[kind[j % 16, i % 16]], clouds(x, y))

    return paint
