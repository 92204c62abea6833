"""Faces, painted on heads that turn: x runs around the head (0 in front), y up from the chin."""

from __future__ import annotations

import numpy as np

from musedance.puppets.figure import Region, ellipse, union
from musedance.puppets.skeleton import Build
from musedance.puppets.textures import Colour, Texture, plain

Layer = tuple[Region, Texture]
BLACK, WHITE = plain((28, 22, 26)), plain((252, 250, 246))


def face(
    build: Build,
    rng: np.random.Generator,
    *,
    iris: Colour,
    mouth: Colour | None = (150, 40, 50),
    brows: Colour | None = None,
) -> list[Layer]:
    """Eyes, and perhaps a mouth, brows, cheeks and glasses, as layers over a head's texture."""
    r, head = build.face, build.head
    y, gap = build.eye_height * head, 1.06 * build.eye_gap * r
    size = r * (0.17 + 0.08 * rng.random())
    layers: list[Layer] = []
    if rng.random() < 0.45:
        cheeks = union(*(ellipse(y - 0.15 * head, 0.2 * r, 0.14 * r, x=s * 1.25 * gap) for s in (-1, 1)))
        layers.append((cheeks, plain((240, 130, 130))))
    style = int(rng.integers(3))
    if style == 0:  # dots
        layers.append((_both(gap, y, 0.75 * size, 1.05 * size), BLACK))
        layers.append((_both(gap, y + 0.4 * size, 0.25 * size, 0.3 * size, 0.2 * size), WHITE))
    else:  # white with an iris
        tall = size * (1.15 if style == 1 else 1.5)
        layers.append((_both(gap, y, 1.25 * size, 1.2 * tall), BLACK))
        layers.append((_both(gap, y, 1.05 * size, tall), WHITE))
        layers.append((_both(gap, y - 0.1 * tall, 0.65 * size, 0.75 * tall), plain(iris)))
        layers.append((_both(gap, y - 0.1 * tall, 0.4 * size, 0.5 * tall), BLACK))
        layers.append((_both(gap, y + 0.2 * tall, 0.2 * size, 0.2 * size, 0.2 * size), WHITE))
    if brows is not None:
        raised, thick = y + size * (2.0 + 0.5 * rng.random()), 0.05 * r + 0.06 * r * rng.random()
        layers.append((_both(gap, raised, 1.4 * size, thick), plain(brows)))
    smile = int(rng.integers(4))
    if mouth is not None:
        layers.append((_mouth(smile, r, y - 0.24 * head), plain(mouth)))
    if rng.random() < 0.2:
        layers.append((_glasses(gap, y, 1.9 * size), BLACK))
    return layers


def _both(gap: float, y: float, across: float, along: float, shift: float = 0.0) -> Region:
    return union(ellipse(y, across, along, x=gap + shift), ellipse(y, across, along, x=shift - gap))


def _mouth(style: int, r: float, y: float) -> Region:
    wide = (0.3, 0.36, 0.2, 0.4)[style] * r
    if style == 2:  # round
        return ellipse(y, 0.16 * r, 0.15 * r)
    high = (0.26, 0.34, 0.0, 0.22)[style] * r
    outer = ellipse(y + 0.1 * r, wide, high)
    if style == 1:  # laughing
        return lambda u, v: outer(u, v) & (v < y + 0.1 * r)
    inner = ellipse(y + 0.24 * r, wide, high)
    return lambda u, v: outer(u, v) & ~inner(u, v)


def _glasses(gap: float, y: float, size: float) -> Region:
    outer, inner = _both(gap, y, size, size), _both(gap, y, 0.78 * size, 0.78 * size)
    return lambda u, v: (outer(u, v) & ~inner(u, v)) | ((np.abs(v - y) < 0.12 * size) & (np.abs(u) < gap - 0.8 * size))
