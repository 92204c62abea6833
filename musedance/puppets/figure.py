"""What every dancer is made of: a build, and painted pieces hung between its joints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from musedance.puppets import parts
from musedance.puppets.drawing import Shape
from musedance.puppets.parts import Side
from musedance.puppets.pose import Vector
from musedance.puppets.skeleton import Body, Build
from musedance.puppets.textures import Texture

Region = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""x, y -> bool."""


@dataclass(frozen=True)
class Anchor:
    """A point of the body, moved by `offset` along the axes of `frame`."""

    point: str
    frame: str = "hips"
    offset: Vector = (0.0, 0.0, 0.0)

    def place(self, body: Body) -> Vector:
        """Where it is in the world."""
        x, y, z = body.points[self.point]
        dx, dy, dz = body.frames[self.frame].along(self.offset)
        return x + dx, y + dy, z + dz


@dataclass(frozen=True)
class Piece:
    """A shape between two anchors, turned as `frame` is."""

    start: Anchor
    end: Anchor
    frame: str
    shape: Shape


@dataclass(frozen=True)
class Character:
    """Someone who dances: its kind, its build, its pieces, and how they are outlined.

    `line` is the outline's width in figure heights, `ink` how bright it is against what it surrounds. Who is `centred`
    stands in the middle of the picture, always as large, and faces the viewer.
    """

    kind: str
    build: Build
    pieces: tuple[Piece, ...]
    line: float
    ink: float
    centred: bool = False


def capsule(length: float, start: float, end: float) -> Region:
    """A rod along y with round ends of these radii."""

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        share = np.clip(y / length, 0.0, 1.0)
        radius, beyond = start + share * (end - start), y - share * length
        return x * x + beyond * beyond <= radius * radius

    return inside


def ellipse(y: float, across: float, along: float, x: float = 0.0) -> Region:
    """An ellipse around (x, y) with these half axes."""
    return lambda u, v: ((u - x) / across) ** 2 + ((v - y) / along) ** 2 <= 1.0


def box(low: float, high: float, half: float, corner: float, x: float = 0.0) -> Region:
    """A rectangle from y `low` to `high`, 2 `half` wide, with round corners."""

    def inside(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        dx = np.maximum(np.abs(u - x) - half + corner, 0.0)
        dy = np.maximum(np.abs(v - (low + high) / 2) - (high - low) / 2 + corner, 0.0)
        return dx * dx + dy * dy <= corner * corner

    return inside


def outline(points: tuple[tuple[float, float], ...], smooth: float = 0.02) -> Region:
    """A body of revolution: (y, half width) from below, joined by lines rounded over `smooth`."""
    ys, widths = np.array(points).T

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # Rounding is a mean over neighbours; ends are kept closed.
        width = sum(np.interp(y + smooth * k / 3, ys, widths, left=0.0, right=0.0) for k in range(-3, 4)) / 7
        return (np.abs(x) <= width) & (y >= ys[0]) & (y <= ys[-1])

    return inside


def triangle(low: float, high: float, half: float, lean: float = 0.0) -> Region:
    """From a base at `low`, 2 `half` wide, to a tip at `high`, moved aside by `lean`."""

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        share = (y - low) / (high - low)
        return (share >= 0) & (np.abs(x - share * lean) <= half * (1 - share))

    return inside


def union(*regions: Region) -> Region:
    """What lies in any of them."""

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        total = regions[0](x, y)
        for region in regions[1:]:
            total = total | region(x, y)
        return total

    return inside


def above(y: float) -> Region:
    """What lies farther along than `y`."""
    return lambda u, v: (v > y) & (u == u)


def below(y: float) -> Region:
    """What does not lie farther along than `y`."""
    return lambda u, v: (v <= y) & (u == u)


def front_back(labels: tuple[int, int]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(back, front) labels by the angle around a part."""
    return lambda angle, y: np.where(np.abs(angle) <= np.pi / 2, labels[1], labels[0])


def left_right(labels: dict[Side, int]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Labels by side: the dancer's left has positive angles."""
    return lambda angle, y: np.where(angle > 0, labels["left"], labels["right"])


@dataclass(frozen=True)
class LimbStyle:
    """Thickness (radii) and surface of arms and legs; y runs from 0 at the first joint of a piece.

    Attributes:
        arm, leg: radii at shoulder, elbow, wrist; at hip, knee, ankle.
        hand: radius; foot: half width.
        upper_arm, lower_arm, upper_leg, lower_leg, shoe: textures.
        claws: fingers on round hands, for robots and birds: their number.
    """

    arm: tuple[float, float, float]
    leg: tuple[float, float, float]
    hand: float
    foot: float
    upper_arm: Texture
    lower_arm: Texture
    upper_leg: Texture
    lower_leg: Texture
    shoe: Texture
    hand_shape: str = "mitten"


def limbs(build: Build, style: LimbStyle) -> list[Piece]:
    """Two arms with hands, two legs with feet."""
    return [piece for side in parts.SIDES for piece in (*_arm(side, build, style), *_leg(side, build, style))]


def _arm(side: Side, build: Build, style: LimbStyle) -> list[Piece]:
    bone, (a, b, c), hand = build.arm / 2, style.arm, style.hand
    palm = ellipse(bone + 0.6 * hand, hand, 1.15 * hand)
    if style.hand_shape == "mitten":
        thumb = ellipse(bone + 0.45 * hand, 0.75 * hand, 0.4 * hand, x=(0.7 if side == "left" else -0.7) * hand)
        palm = union(palm, thumb)
    elif style.hand_shape == "claw":
        palm = union(
            ellipse(bone + 0.3 * hand, hand, 0.6 * hand),
            box(bone, bone + 2 * hand, 0.3 * hand, 0.2 * hand, x=0.75 * hand),
            box(bone, bone + 2 * hand, 0.3 * hand, 0.2 * hand, x=-0.75 * hand),
        )
    elif style.hand_shape == "wing":
        palm = union(ellipse(bone * 0.85, 1.3 * hand, 0.75 * bone), ellipse(bone + 0.9 * hand, 0.8 * hand, 1.2 * hand))
    arm, fore = front_back(parts.UPPER_ARM[side]), front_back(parts.LOWER_ARM[side])
    widest = max(b, c, 1.5 * hand)
    return [
        Piece(
            Anchor(f"{side}_shoulder"), Anchor(f"{side}_elbow"), "torso",
            Shape(bone, (-max(a, b), max(a, b), -a, bone + b), capsule(bone, a, b), style.upper_arm, arm,
                  depth=0.04, open_ends=(0.3 * a, bone)),
        ),
        Piece(
            Anchor(f"{side}_elbow"), Anchor(f"{side}_wrist"), "torso",
            Shape(bone, (-widest, widest, -b, bone + 2.6 * hand), union(capsule(bone, b, c), palm), style.lower_arm,
                  lambda angle, y: np.where(y > bone, parts.HAND[side], fore(angle, y)), depth=0.045,
                  open_ends=(0.3 * b, 9.0)),
        ),
    ]  # fmt: skip


def _leg(side: Side, build: Build, style: LimbStyle) -> list[Piece]:
    bone, (a, b, c), foot, size = build.leg / 2, style.leg, style.foot, build.foot
    thigh, shin = front_back(parts.UPPER_LEG[side]), front_back(parts.LOWER_LEG[side])
    hip, knee, ankle, toes = (Anchor(f"{side}_{name}") for name in ("hip", "knee", "ankle", "toes"))
    return [
        Piece(hip, knee, "hips",
              Shape(bone, (-max(a, b), max(a, b), -a, bone + b), capsule(bone, a, b), style.upper_leg, thigh,
                    depth=-0.02, open_ends=(0.0, bone))),
        Piece(knee, ankle, "hips",
              Shape(bone, (-max(b, c), max(b, c), -b, bone + c), capsule(bone, b, c), style.lower_leg, shin,
                    depth=-0.025, open_ends=(0.3 * b, bone))),
        Piece(ankle, toes, "hips",
              Shape(size, (-foot, foot, -0.4 * size, 1.2 * size), ellipse(0.4 * size, foot, 0.75 * size), style.shoe,
                    lambda angle, y: np.full(np.broadcast_shapes(angle.shape, y.shape), parts.FOOT[side]),
                    depth=-0.03)),
    ]  # fmt: skip
