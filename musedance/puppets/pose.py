"""How a dancer stands, whatever its build: what the moves make and what the skeleton reads."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """A pose in units of the dancer's own limbs; the default stands at ease.

    Angles are radians. The body's own axes are x to its left, y up, z forward. Limbs are mirrored: their first number
    counts outwards, away from the body.

    Attributes:
        x: where it stands, in leg lengths, positive to the right of the picture.
        sway: hips against the feet, in leg lengths, positive to the dancer's left.
        lift: the whole body off the floor, in leg lengths.
        crouch: hips below standing, in leg lengths; negative is on tiptoe.
        yaw: the body turned about the vertical; 0 faces the viewer, positive turns to its left.
        twist: shoulders turned against the hips.
        lean: torso tilted to its left.
        pitch: torso bent forward.
        tilt, nod: head tilted to its left, and forward.
        left_hand, right_hand: (outwards, up, forward) of the shoulder, in arm lengths; but inwards in half shoulder
            widths, so that at -1 the hands meet.
        left_foot, right_foot: (outwards, up, forward) of the point on the floor below the hips' middle, in leg lengths.
    """

    x: float = 0.0
    sway: float = 0.0
    lift: float = 0.0
    crouch: float = 0.03
    yaw: float = 0.0
    twist: float = 0.0
    lean: float = 0.0
    pitch: float = 0.0
    tilt: float = 0.0
    nod: float = 0.0
    left_hand: Vector = (0.3, -0.86, 0.2)
    right_hand: Vector = (0.3, -0.86, 0.2)
    left_foot: Vector = (0.26, 0.0, 0.0)
    right_foot: Vector = (0.26, 0.0, 0.0)

    def mirrored(self) -> Pose:
        """The same pose with left and right exchanged."""
        return Pose(
            -self.x, -self.sway, self.lift, self.crouch, -self.yaw, -self.twist, -self.lean, self.pitch, -self.tilt,
            self.nod, self.right_hand, self.left_hand, self.right_foot, self.left_foot,
        )  # fmt: skip

    def blended(self, other: Pose, weight: float) -> Pose:
        """The pose on the straight way to `other`: this one at weight 0, that one at 1; turns take the short way."""
        turn = (other.yaw - self.yaw + math.pi) % (2 * math.pi) - math.pi
        target = replace(other, yaw=self.yaw + turn)
        names = [field.name for field in fields(self)]
        return Pose(**{name: _between(getattr(self, name), getattr(target, name), weight) for name in names})


AT_EASE = Pose(left_hand=(0.6, -0.72, 0.12), right_hand=(0.6, -0.72, 0.12))
"""Every limb can be seen."""


def _between(a: Any, b: Any, weight: float) -> Any:
    """Numbers or vectors."""
    if isinstance(a, tuple):
        return a[0] + weight * (b[0] - a[0]), a[1] + weight * (b[1] - a[1]), a[2] + weight * (b[2] - a[2])
    return a + weight * (b - a)
