"""A dancer somewhere: draws one pose after the other, with joints and part labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from musedance.puppets.backgrounds import draw_background
from musedance.puppets.characters import KINDS, random_character
from musedance.puppets.drawing import SUBPIXELS, Canvas, Sprite, shadow
from musedance.puppets.figure import Character
from musedance.puppets.parts import labels_at
from musedance.puppets.pose import Pose, Vector
from musedance.puppets.skeleton import JOINTS, Body, place

__all__ = ["JOINTS", "KINDS", "Drawn", "Scene"]

FLOOR, TALL = 0.91, 0.74  # of the picture's height: where who is centred stands, and how tall
_DOWNWARDS = 0.22  # how far what is nearer to the viewer lies lower in the picture, as a share of its distance
_FACE = 0.25  # of a unit vector: how far a face may turn aside before its joints are hidden
_SEEN = {joint: np.isin(np.arange(25), labels_at(joint)) for joint in JOINTS}


@dataclass(frozen=True)
class Drawn:
    """One frame and what is known about it.

    Attributes:
        picture: (H, W, 3) uint8, RGB.
        parts: (H, W) uint8, DensePose's labels from 1 to 24; 0 is background.
        joints: (17, 2) float32, the `JOINTS` as (x, y) px; (0, 0) is the upper left corner of the picture.
        visible: (17,) bool: inside the picture and not behind another part of the body.
    """

    picture: np.ndarray
    parts: np.ndarray
    joints: np.ndarray
    visible: np.ndarray


class Scene:
    """A character before a background.

    Args:
        character: who dances.
        background: (H, W, 3) uint8.
        scale: px a unit of the character's build.
        feet: (x, y) px of the point on the floor between its feet.
        turn: radians that it is turned to its left when a pose says 0.
        shaded: whether it casts a shadow on the floor.
    """

    def __init__(
        self,
        character: Character,
        background: np.ndarray,
        *,
        scale: float,
        feet: tuple[float, float],
        turn: float = 0.0,
        shaded: bool = True,
    ) -> None:
        self.character, self.background = character, background
        self.scale, self.feet, self.turn, self.shaded = scale, feet, turn, shaded
        line = max(character.line * scale, 0.6) if character.line else 0.0
        self._sprites = [Sprite(piece.shape, scale, line, character.ink) for piece in character.pieces]

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        *,
        height: int,
        width: int,
        kind: str | None = None,
        background: str | None = None,
    ) -> Scene:
        """Someone somewhere: a pure function of the generator's state, the size and the names given.

        Args:
            rng: best a `PCG64`, whose numbers are the same everywhere.
            height, width: px.
            kind: one of `KINDS`; any if none is given.
            background: one of `musedance.puppets.backgrounds.BACKGROUNDS`; any if none is given.
        """
        character = random_character(rng, kind)
        floor = 0.87 + 0.06 * rng.random()
        tall = min(0.66 + 0.1 * rng.random(), 0.72 * width / height)
        aside = 0.06 * (rng.random() - 0.5) * width / height
        turn, shaded = 0.9 * (rng.random() - 0.5), bool(rng.integers(6))
        if character.centred:
            floor, tall, aside, turn = FLOOR, min(TALL, 0.72 * width / height), 0.0, 0.0
        scenery = draw_background(rng, height, width, floor=floor, kind=background)
        scale = tall * height / character.build.height
        feet = (width / 2 + aside * height, floor * height)
        return cls(character, scenery, scale=scale, feet=feet, turn=turn, shaded=shaded)

    def draw(self, pose: Pose) -> Drawn:
        """The dancer in that pose."""
        body = place(pose, self.character.build, turn=self.turn)
        canvas = Canvas(self.background)
        if self.shaded:
            x, _ = self._project((body.points["pelvis"][0], 0.0, 0.0))
            shadow(canvas, x, self.feet[1], self.scale * (0.26 - 0.2 * min(max(pose.lift, 0.0), 0.6)))
        for _, start, end, yaw, sprite in sorted(self._placed(body), key=lambda placed: placed[0]):
            sprite.draw(canvas, start, end, yaw)
        return Drawn(canvas.picture, canvas.parts, *self._joints(body, canvas.parts))

    def _placed(self, body: Body) -> list[tuple[float, tuple[float, float], tuple[float, float], float, Sprite]]:
        """(depth, start, end, yaw, sprite) of every piece; start and end in px."""
        placed = []
        for piece, sprite in zip(self.character.pieces, self._sprites, strict=True):
            start, end = piece.start.place(body), piece.end.place(body)
            depth = math.floor((start[2] + end[2]) * 500) / 1000 + piece.shape.depth
            yaw = body.frames[piece.frame].yaw
            placed.append((depth, self._project(start), self._project(end), yaw, sprite))
        return placed

    def _project(self, point: Vector) -> tuple[float, float]:
        """World to px: parallel, from slightly above."""
        x, y, z = point
        return self.feet[0] + self.scale * x, self.feet[1] - self.scale * (y - _DOWNWARDS * z)

    def _joints(self, body: Body, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = parts.shape
        joints, visible = np.zeros((len(JOINTS), 2), np.float32), np.zeros(len(JOINTS), bool)
        origin = body.frames["head"].origin
        for index, name in enumerate(JOINTS):
            point = body.points[name]
            x, y = (math.floor(value * SUBPIXELS + 0.5) / SUBPIXELS for value in self._project(point))
            joints[index] = x, y
            column, row = math.floor(x), math.floor(y)
            if 0 <= column < width and 0 <= row < height:
                facing = index > 2 or point[2] - origin[2] > _FACE * self.character.build.face
                visible[index] = facing and _SEEN[name][parts[row, column]]
        return joints, visible
