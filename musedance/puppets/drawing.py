"""Sprites: body parts painted once, then set into every frame stretched, turned and anti-aliased.

Pictures must be identical on every machine. So what is done for each frame is integer arithmetic, on coordinates
rounded to 1/64 px; what is done once for each sprite ends in integers too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Point = tuple[float, float]
Grid = tuple[np.ndarray, np.ndarray]
SUBPIXELS = 64
TURNS = 32
"""Views of a body of revolution: it turns in steps of 11 degrees."""

_ONE = 1 << 16  # fixed-point 1
_OFFSET = 0.0037  # px: keeps coordinates that are round numbers away from where rounding decides
_SHORTEST = 0.45  # a part that points at the viewer is not drawn shorter than this share of its length


@dataclass(frozen=True)
class Shape:
    """What a part looks like, in the part's own units: y runs from its first anchor to its second, x across.

    Attributes:
        length: from anchor to anchor.
        box: (left, right, low, high): nothing lies outside.
        inside: the silhouette: x, y -> bool.
        paint: the surface: x around the part (arc length, 0 in front), y -> RGB in [0, 255], float.
        label: the surface's part labels: angle around the part (radians, 0 in front), y -> uint8.
        turning: a body of revolution with `TURNS` views; else it has a front and a back.
        depth: how much the part's place is moved towards the viewer when parts are sorted.
        flatness: depth as a share of the width: how wide it is from the side.
        open_ends: (y, y): outside of these there is no outline, so that limbs join smoothly.
    """

    length: float
    box: tuple[float, float, float, float]
    inside: Callable[[np.ndarray, np.ndarray], np.ndarray]
    paint: Callable[[np.ndarray, np.ndarray], np.ndarray]
    label: Callable[[np.ndarray, np.ndarray], np.ndarray]
    turning: bool = False
    depth: float = 0.0
    flatness: float = 1.0
    open_ends: tuple[float, float] = (-math.inf, math.inf)


@dataclass
class Sprite:
    """A shape painted for one scale.

    `scale` is in px a unit; the outline is `line` px wide and `ink` times as bright as what it surrounds.
    """

    shape: Shape
    scale: float
    line: float
    ink: float
    _views: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        left, right, low, high = self.shape.box
        self.oversampling = 4 if self.scale < 250 else 2
        self.density = self.scale * self.oversampling
        margin = 2 * self.oversampling
        self.left = math.floor(left * self.density) - margin
        self.low = math.floor(low * self.density) - margin
        self.width: int = math.ceil(right * self.density) + margin - self.left
        self.height: int = math.ceil(high * self.density) + margin - self.low

    def draw(self, canvas: Canvas, start: Point, end: Point, yaw: float) -> None:
        """Set it into the picture from anchor to anchor (px), turned by `yaw` (radians)."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.sqrt(dx * dx + dy * dy)
        full = self.shape.length * self.scale
        direction = (dx / length, dy / length) if length > 0.02 * full else (0.0, 1.0)
        stretch = max(length / full, _SHORTEST)
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        first = _rounded(middle[0] - direction[0] * stretch * full / 2, SUBPIXELS)
        second = _rounded(middle[1] - direction[1] * stretch * full / 2, SUBPIXELS)
        across = math.sqrt(math.cos(yaw) ** 2 + (self.shape.flatness * math.sin(yaw)) ** 2)
        # One sample further along and across, in px.
        along = (_rounded(direction[0] * stretch, 4096), _rounded(direction[1] * stretch, 4096))
        aside = (_rounded(-direction[1] * across, 4096), _rounded(direction[0] * across, 4096))
        rgba, labels = self.view(yaw)
        canvas.stamp(rgba, labels, self._samples(first, second, along, aside, canvas))

    def view(self, yaw: float) -> tuple[np.ndarray, np.ndarray]:
        """Seen turned by `yaw`: (RGBA as uint32, its colours multiplied by alpha; labels uint8), both flat."""
        views = TURNS if self.shape.turning else 2
        index = math.floor(yaw / (2 * math.pi) * views + 0.5 + 1e-6) % views
        if index not in self._views:
            self._views[index] = self._paint(index * 2 * math.pi / views)
        return self._views[index]

    def _samples(self, x: float, y: float, along: Point, aside: Point, canvas: Canvas) -> _Samples | None:
        """Which sample of the sprite each pixel around it shows; None if it is outside of the picture."""
        n = self.oversampling
        corners = [
            (x + (i * aside[0] + j * along[0]) / n, y + (i * aside[1] + j * along[1]) / n)
            for i in (self.left, self.left + self.width)
            for j in (self.low, self.low + self.height)
        ]
        x0, x1 = max(math.floor(min(c[0] for c in corners)), 0), math.ceil(max(c[0] for c in corners))
        y0, y1 = max(math.floor(min(c[1] for c in corners)), 0), math.ceil(max(c[1] for c in corners))
        x1, y1 = min(x1, canvas.width), min(y1, canvas.height)
        if x0 >= x1 or y0 >= y1:
            return None
        determinant = aside[0] * along[1] - aside[1] * along[0]
        sx, sy = n * along[1] / determinant, -n * along[0] / determinant
        tx, ty = -n * aside[1] / determinant, n * aside[0] / determinant
        columns, rows = canvas.columns[x0:x1], canvas.rows[y0:y1]
        i = _affine(columns, rows, sx, sy, (0.5 - x) * sx + (0.5 - y) * sy - self.left + 0.5)
        j = _affine(columns, rows, tx, ty, (0.5 - x) * tx + (0.5 - y) * ty - self.low + 0.5)
        np.minimum(np.maximum(i, 0, out=i), self.width - 1, out=i)
        np.minimum(np.maximum(j, 0, out=j), self.height - 1, out=j)
        j *= self.width
        j += i
        return _Samples(slice(y0, y1), slice(x0, x1), j)

    def _paint(self, yaw: float) -> tuple[np.ndarray, np.ndarray]:
        n, shape = self.oversampling, self.shape
        x = (np.arange(self.width)[None] + 0.5 + self.left) / self.density
        y = (np.arange(self.height)[:, None] + 0.5 + self.low) / self.density
        x, y = np.broadcast_arrays(x, y)
        inside = shape.inside(x, y)
        radius = np.where(inside, np.abs(x), 0.0).max(axis=1, keepdims=True) + 1.0 / self.density
        across = np.clip(x / radius, -0.999, 0.999)
        angle = np.arcsin(across) + yaw
        angle = angle - 2 * math.pi * np.floor(angle / (2 * math.pi) + 0.5)
        colour = shape.paint(angle * radius if shape.turning else x, y)
        colour = colour * (1.04 - 0.26 * (across - 0.15 * inside) ** 2)[..., None]
        edge = _spread(~inside, max(1, round(self.line * n))) & (y > shape.open_ends[0]) & (y < shape.open_ends[1])
        colour = np.where(edge[..., None], colour * self.ink, colour)
        rgba = np.full((*inside.shape, 4), 255, np.uint16)
        rgba[..., :3] = np.clip(np.floor(colour + 0.5), 0, 255)
        rgba = _box_mean(rgba * inside[..., None], n).astype(np.uint8)
        rgba[[0, -1]] = 0
        rgba[:, [0, -1]] = 0  # what pixels outside see
        return rgba.reshape(-1).view(np.uint32), shape.label(angle, y).astype(np.uint8).reshape(-1)


@dataclass(frozen=True)
class _Samples:
    rows: slice
    columns: slice
    index: np.ndarray


class Canvas:
    """A picture being drawn, (H, W, 3) uint8, and its part labels, (H, W) uint8."""

    def __init__(self, background: np.ndarray) -> None:
        self.picture = background.copy()
        self.height, self.width = int(background.shape[0]), int(background.shape[1])
        self.parts = np.zeros((self.height, self.width), np.uint8)
        self.columns, self.rows = np.arange(self.width), np.arange(self.height)

    def stamp(self, rgba: np.ndarray, labels: np.ndarray, samples: _Samples | None) -> None:
        """Set samples of a sprite over what is there; what covers half of a pixel names its part."""
        if samples is None:
            return
        pixels = rgba.take(samples.index).view(np.uint8).reshape(*samples.index.shape, 4)
        alpha = pixels[..., 3]
        under = self.picture[samples.rows, samples.columns]
        kept = under * (256 - alpha.astype(np.uint16) - (alpha >> 7))[..., None]
        kept >>= 8
        under[...] = kept.astype(np.uint8) + pixels[..., :3]
        parts = self.parts[samples.rows, samples.columns]
        np.copyto(parts, labels.take(samples.index), where=alpha > 127)


def shadow(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """Darken an ellipse on the floor around (x, y) px, softly; it belongs to no part."""
    x, y, radius = _rounded(x, SUBPIXELS), _rounded(y, SUBPIXELS), _rounded(radius, SUBPIXELS)
    rows = slice(max(math.floor(y - radius / 3), 0), max(math.ceil(y + radius / 3), 0))
    columns = slice(max(math.floor(x - radius), 0), max(math.ceil(x + radius), 0))
    dx = np.floor((canvas.columns[columns] + 0.5 - x) * (256 / radius)).astype(np.int64)
    dy = np.floor((canvas.rows[rows] + 0.5 - y) * (768 / radius)).astype(np.int64)
    squared = (dx * dx)[None] + (dy * dy)[:, None]
    light = np.minimum(150 + (squared * 107 >> 16), 256).astype(np.uint16)
    under = canvas.picture[rows, columns]
    under[...] = under * light[..., None] >> 8


def _affine(columns: np.ndarray, rows: np.ndarray, x: float, y: float, start: float) -> np.ndarray:
    """floor(start + x * column + y * row) for every pixel, in fixed-point numbers."""
    across = columns * math.floor(x * _ONE + 0.5) + math.floor(start * _ONE + 0.5)
    down = rows * math.floor(y * _ONE + 0.5)
    grid = across[None] + down[:, None]
    grid >>= 16
    return grid


def _rounded(value: float, steps: int) -> float:
    return math.floor((value + _OFFSET) * steps + 0.5) / steps


def _spread(mask: np.ndarray, steps: int) -> np.ndarray:
    """The mask grown by `steps` samples: alternately as a cross and as a square, which makes an octagon."""
    for step in range(steps):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        sideways = grown if step % 2 else mask
        grown[:, 1:] |= sideways[:, :-1].copy()
        grown[:, :-1] |= sideways[:, 1:].copy()
        mask = grown
    return mask


def _box_mean(values: np.ndarray, n: int) -> np.ndarray:
    """The mean of n x n values, uint16 up to 255, before each: one pixel's width, for smooth edges. n is even.

    Value k of the result stands for the place between samples k - 1 and k.
    """
    height, width = values.shape[:2]
    padded = np.pad(values, ((n // 2, n // 2), (n // 2, n // 2), (0, 0)))
    tall = sum((padded[k : k + height] for k in range(1, n)), padded[:height])
    total = sum((tall[:, k : k + width] for k in range(1, n)), tall[:, :width])
    return (total + n * n // 2) // (n * n)
