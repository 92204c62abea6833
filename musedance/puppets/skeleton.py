"""From a pose to the places of the joints, for any build: frames of reference and two-bone limbs in space."""

from __future__ import annotations

import math
from dataclasses import dataclass

from musedance.puppets.parts import SIDES
from musedance.puppets.pose import Pose, Vector

JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""COCO's 17 keypoints, in COCO's order."""

_REACH = 0.995  # of a limb's length: a straight one has no defined bend
_TOES = (0.45, 0.0, 0.9)  # where feet point: outwards, up, forward


@dataclass(frozen=True)
class Build:
    """The proportions of a dancer. Lengths are in one unit of its choice: only the ratios count.

    Attributes:
        leg, arm: from hip to ankle, from shoulder to wrist; the knee and the elbow are in the middle.
        ankle: height of the ankle above the floor; foot: from the ankle to the toes.
        hip, shoulder: half of the distance between the two.
        torso: from the hips to the neck; shoulder_height: the shoulders' place on it, as a share.
        neck: from there to the chin; head: from chin to crown; face: half of the head's width.
        eye_height: above the chin as a share of the head; eye_gap: half of the distance, as a share of `face`.
    """

    leg: float = 0.38
    arm: float = 0.31
    ankle: float = 0.04
    foot: float = 0.08
    hip: float = 0.055
    shoulder: float = 0.11
    torso: float = 0.29
    shoulder_height: float = 0.9
    neck: float = 0.01
    head: float = 0.25
    face: float = 0.11
    eye_height: float = 0.42
    eye_gap: float = 0.42

    @property
    def height(self) -> float:
        """From the floor to the crown, standing."""
        return self.ankle + self.leg + self.torso + self.neck + self.head


@dataclass(frozen=True)
class Frame:
    """A place and three orthonormal axes: right-handed, x to the dancer's left, y up, z forward."""

    origin: Vector
    x: Vector
    y: Vector
    z: Vector

    def at(self, point: Vector) -> Vector:
        """A point of this frame, in the world."""
        return _add(self.origin, self.along(point))

    def along(self, vector: Vector) -> Vector:
        """A direction of this frame, in the world."""
        a, b, c = vector
        (x0, x1, x2), (y0, y1, y2), (z0, z1, z2) = self.x, self.y, self.z
        return a * x0 + b * y0 + c * z0, a * x1 + b * y1 + c * z1, a * x2 + b * y2 + c * z2

    def turned(self, axis: str, angle: float, origin: Vector | None = None) -> Frame:
        """This frame turned about one of its own axes, and moved to `origin` (of this frame)."""
        place = self.origin if origin is None else self.at(origin)
        c, s = math.cos(angle), math.sin(angle)
        if axis == "x":
            return Frame(place, self.x, self.along((0, c, s)), self.along((0, -s, c)))
        if axis == "y":
            return Frame(place, self.along((c, 0, -s)), self.y, self.along((s, 0, c)))
        return Frame(place, self.along((c, s, 0)), self.along((-s, c, 0)), self.z)

    @property
    def yaw(self) -> float:
        """How far the frame is turned away from the viewer, radians in (-pi, pi]."""
        return math.atan2(self.z[0], self.z[2])


@dataclass(frozen=True)
class Body:
    """A build in a pose: points and frames in the world (x right, y up from the floor, z towards the viewer)."""

    points: dict[str, Vector]
    frames: dict[str, Frame]


def place(pose: Pose, build: Build, *, turn: float = 0.0) -> Body:
    """Where everything is, for a dancer who stands turned `turn` radians to its left when the pose says 0.

    Points are the `JOINTS`, "left_toes", "right_toes", "pelvis", "neck", "chin", "crown" and "knees" (their middle);
    frames are "hips", "torso" (at the neck) and "head" (at the chin).
    """
    stand = build.ankle + _REACH * build.leg
    ground = Frame((pose.x * build.leg, 0.0, 0.0), (1, 0, 0), (0, 1, 0), (0, 0, 1)).turned("y", pose.yaw + turn)
    height = stand + (pose.lift - pose.crouch) * build.leg
    hips = ground.turned("z", 0.0, (pose.sway * build.leg, height, 0.0))
    spine = hips.turned("y", pose.twist).turned("z", -pose.lean).turned("x", pose.pitch)
    torso = spine.turned("z", 0.0, (0.0, build.torso, 0.0))
    head = torso.turned("z", -pose.tilt).turned("x", pose.nod)
    head = head.turned("z", 0.0, (0.0, build.neck, 0.0))

    points = {"pelvis": hips.origin, "neck": torso.origin, "chin": head.origin, "crown": head.at((0, build.head, 0))}
    points |= _face(head, build)
    for side in SIDES:
        out = 1.0 if side == "left" else -1.0
        points |= _arm(side, out, pose.left_hand if out > 0 else pose.right_hand, spine, build)
        points |= _leg(side, out, pose.left_foot if out > 0 else pose.right_foot, pose.lift, ground, hips, build)
    left, right = points["left_knee"], points["right_knee"]
    points["knees"] = _scale(_add(left, right), 0.5)
    return Body(points, {"hips": hips, "torso": torso, "head": head})


def _face(head: Frame, build: Build) -> dict[str, Vector]:
    y, depth = build.eye_height * build.head, build.face
    eye = build.eye_gap * build.face
    forward = math.sqrt(depth**2 - eye**2)
    return {
        "nose": head.at((0, y - 0.1 * build.head, depth)),
        "left_eye": head.at((eye, y, forward)),
        "right_eye": head.at((-eye, y, forward)),
        "left_ear": head.at((0.95 * depth, y, 0)),
        "right_ear": head.at((-0.95 * depth, y, 0)),
    }


def _arm(side: str, out: float, hand: Vector, spine: Frame, build: Build) -> dict[str, Vector]:
    shoulder = spine.at((out * build.shoulder, build.shoulder_height * build.torso, 0))
    aside = hand[0] * (build.arm if hand[0] > 0 else build.shoulder)
    target = _add(shoulder, spine.along((out * aside, hand[1] * build.arm, hand[2] * build.arm)))
    # Outwards, down and back, so that no usual reach is parallel to it.
    elbow, wrist = _bend(shoulder, target, build.arm / 2, spine.along((out, -0.8, -0.55)))
    return {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_wrist": wrist}


def _leg(
    side: str, out: float, foot: Vector, lift: float, ground: Frame, hips: Frame, build: Build
) -> dict[str, Vector]:
    hip = hips.at((out * build.hip, 0, 0))
    size = build.leg
    target = ground.at((out * foot[0] * size, build.ankle + (foot[1] + lift) * size, foot[2] * size))
    knee, ankle = _bend(hip, target, size / 2, hips.along((0.75 * out, 0.1, 1.0)))
    toes = _add(ankle, hips.along((out * _TOES[0] * build.foot, -0.6 * build.ankle, _TOES[2] * build.foot)))
    return {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": ankle, f"{side}_toes": toes}


def _bend(root: Vector, target: Vector, bone: float, pole: Vector) -> tuple[Vector, Vector]:
    """The middle and the end of a limb of two equal bones that reaches for `target` and bends towards `pole`."""
    way = _add(target, root, -1.0)
    distance = math.sqrt(_dot(way, way))
    reach = min(distance, 2 * _REACH * bone)
    axis = _scale(way, 1 / distance) if distance > 1e-9 else (0.0, -1.0, 0.0)
    aside = _add(pole, axis, -_dot(pole, axis))
    aside = _scale(aside, 1 / max(math.sqrt(_dot(aside, aside)), 1e-9))
    middle = _add(_add(root, axis, reach / 2), aside, math.sqrt(bone**2 - (reach / 2) ** 2))
    return middle, _add(root, axis, reach)


def _add(a: Vector, b: Vector, factor: float = 1.0) -> Vector:
    return a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]


def _scale(a: Vector, factor: float) -> Vector:
    return a[0] * factor, a[1] * factor, a[2] * factor


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
