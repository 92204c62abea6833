"""The moves: each a pure function of the beat phase to a pose.

A phase counts beats from the start of the move. Every move takes two beats and turns round on each of them: its joints
are slowest exactly when the phase is a whole number, which is what "on the beat" means here. What happens on even
beats is the accent that the move is named after.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from musedance.puppets.pose import Pose, Vector

PERIOD = 2
"""Beats after which a move repeats."""


@dataclass(frozen=True)
class Move:
    """One thing to do.

    Attributes:
        name: as in `MOVES`.
        pose: (phase in beats, amplitude around 1) -> pose. Amplitudes from 0.6 to 1.3 make sense.
        phrases: what a caption says about it; all mean the same.
        side: 1 if its accents go to the dancer's right or to both sides, -1 if they go to the left.
    """

    name: str
    pose: Callable[[float, float], Pose]
    phrases: tuple[str, ...]
    side: int = 1


def _swing(phase: float) -> float:
    """1 on even beats, -1 on odd ones."""
    return math.cos(math.pi * phase)


def _accent(phase: float) -> float:
    """1 on even beats, 0 on odd ones."""
    return 0.5 + 0.5 * _swing(phase)


def _turn(phase: float) -> float:
    """Half a turn a beat, in radians, with a stop on each."""
    return math.pi * phase - 0.5 * math.sin(2 * math.pi * phase)


def _arm(degrees: float, reach: float = 0.95, forward: float = 0.12) -> Vector:
    """Where a hand is when the arm is raised sideways by so much: 0 hangs, 90 is level, 180 points up."""
    angle = math.radians(degrees)
    return reach * math.sin(angle), -reach * math.cos(angle), forward


def _aside(distance: float) -> float:
    """The first number of a hand that is so many arm lengths outwards of its shoulder, also across the body.

    Half of the shoulders' width is about 0.36 arm lengths: thus the hand passes its shoulder at an even speed.
    """
    return distance if distance > 0 else distance / 0.36


_ON_HIP: Vector = (0.28, -0.62, 0.1)


def wave(phase: float, amplitude: float) -> Pose:
    """The raised right hand goes from side to side, outermost on the beats."""
    s = _swing(phase)
    angle = math.radians(24 + 42 * amplitude * s)
    hand = (0.5 + 0.48 * math.sin(angle), 0.2 + 0.48 * math.cos(angle), 0.15)
    return Pose(right_hand=hand, left_hand=_ON_HIP, sway=-0.05 * amplitude * s, tilt=-0.1 * amplitude * s)


def bounce(phase: float, amplitude: float) -> Pose:
    """Knees and arms bend, deepest on even beats."""
    down = amplitude * _accent(phase)
    hand = (0.42, -0.2 - 0.35 * down, 0.4)
    return Pose(crouch=0.34 * down, left_hand=hand, right_hand=hand, left_foot=(0.3, 0, 0), right_foot=(0.3, 0, 0))


def side_step(phase: float, amplitude: float) -> Pose:
    """To one side and to the other, a step a beat."""
    s, apart = -_swing(phase), abs(math.sin(math.pi * phase))
    lifted, out = 0.22 * amplitude * apart * s, 0.17 + 0.2 * amplitude * apart
    return Pose(
        x=0.45 * amplitude * s, crouch=0.04 + 0.05 * apart, lean=0.1 * s,
        left_hand=_arm(28 + 14 * s, 0.85), right_hand=_arm(28 - 14 * s, 0.85),
        left_foot=(out, max(-lifted, 0.0), 0.0), right_foot=(out, max(lifted, 0.0), 0.0),
    )  # fmt: skip


def clap(phase: float, amplitude: float) -> Pose:
    """Hands meet on even beats."""
    together = _accent(phase)
    apart = (0.35 + 0.4 * amplitude) * (1 - together) - 0.31 * together
    hand = (_aside(apart), -0.22 + 0.1 * together, 0.3 + 0.3 * together)
    return Pose(left_hand=hand, right_hand=hand, crouch=0.03 + 0.05 * together)


def spin(phase: float, amplitude: float) -> Pose:
    """Once around in two beats, facing front or back on them."""
    hand = _arm(50 + 25 * amplitude)
    return Pose(yaw=_turn(phase), left_hand=hand, right_hand=hand, left_foot=(0.15, 0, 0), right_foot=(0.15, 0, 0))


def kick(phase: float, amplitude: float) -> Pose:
    """The right leg goes out, highest on even beats."""
    high = amplitude * _accent(phase)
    return Pose(
        right_foot=(0.2 + 0.62 * high, 0.5 * high, 0.25 * high), left_foot=(0.08, 0, 0), lean=0.22 * high,
        right_hand=_arm(35 + 35 * high), left_hand=_arm(35 + 50 * high), crouch=0.04,
    )  # fmt: skip


def jump(phase: float, amplitude: float) -> Pose:
    """Crouched on even beats, in the air on odd ones."""
    down = _accent(phase)
    high = max(0.0, 0.75 - down) / 0.75
    hand = _arm(25 + 125 * (1 - down))
    out = 0.24 + 0.14 * high
    return Pose(lift=0.45 * amplitude * high, crouch=0.34 * down + 0.1 * high, pitch=0.3 * down, left_hand=hand,
                right_hand=hand, left_foot=(out, 0.14 * high, 0), right_foot=(out, 0.14 * high, 0))  # fmt: skip


def twist(phase: float, amplitude: float) -> Pose:
    """Shoulders turn against the hips, farthest on the beats."""
    s = -amplitude * _swing(phase)
    hand = (0.4, -0.32, 0.65)
    return Pose(twist=1.15 * s, yaw=-0.4 * s, crouch=0.16, left_hand=hand, right_hand=hand, tilt=0.08 * s)


def bow(phase: float, amplitude: float) -> Pose:
    """Bends forward, lowest on even beats."""
    low = min(amplitude, 1.15) * _accent(phase)
    return Pose(yaw=0.55, pitch=1.2 * low, nod=0.25 * low, right_hand=(-0.7, -0.5, 0.45), left_hand=_arm(40 + 25 * low),
                left_foot=(0.16, 0, 0), right_foot=(0.16, 0, 0))  # fmt: skip


def arm_circles(phase: float, amplitude: float) -> Pose:
    """Both hands go round, outwards on even beats."""
    angle = _turn(phase)
    # Outwards on even beats, over the head to the chest on odd ones, and on below.
    hand = (_aside(0.3 + 0.55 * amplitude * math.cos(angle)), 0.1 + 0.75 * amplitude * math.sin(angle), 0.3)
    return Pose(left_hand=hand, right_hand=hand)


def march(phase: float, amplitude: float) -> Pose:
    """Knees rise in turn, highest on the beats."""
    s = _swing(phase)
    right, left = amplitude * max(s, 0.0), amplitude * max(-s, 0.0)
    return Pose(
        right_foot=(0.16, 0.5 * right, 0.25 * right), left_foot=(0.16, 0.5 * left, 0.25 * left),
        left_hand=(0.28, -0.5 + 0.38 * amplitude * s, 0.4), right_hand=(0.28, -0.5 - 0.38 * amplitude * s, 0.4),
    )  # fmt: skip


def point(phase: float, amplitude: float) -> Pose:
    """The right hand points up on even beats, down across the body on odd ones."""
    up, s = _accent(phase), _swing(phase)
    high, low = _arm(120 + 20 * amplitude, 1.0), (-0.4, -0.62, 0.3)
    hand = (
        _aside(low[0] + up * (high[0] - low[0])),
        low[1] + up * (high[1] - low[1]),
        low[2] + up * (high[2] - low[2]),
    )
    return Pose(right_hand=hand, left_hand=_ON_HIP, sway=-0.12 * amplitude * s, lean=0.1 * s, tilt=-0.15 * up,
                left_foot=(0.3, 0, 0), right_foot=(0.36, 0, 0))  # fmt: skip


def sway(phase: float, amplitude: float) -> Pose:
    """Raised arms and body lean from side to side, farthest on the beats."""
    s = -amplitude * _swing(phase)
    return Pose(lean=0.32 * s, sway=0.12 * s, tilt=0.15 * s, left_hand=_arm(160), right_hand=_arm(160),
                left_foot=(0.3, 0, 0), right_foot=(0.3, 0, 0))  # fmt: skip


def jumping_jack(phase: float, amplitude: float) -> Pose:
    """Arms and legs apart on even beats, together on odd ones."""
    wide = _accent(phase)
    hand, out = _arm(20 + (110 + 25 * amplitude) * wide), 0.12 + 0.42 * amplitude * wide
    hop = 0.1 * math.sin(math.pi * phase) ** 2
    return Pose(lift=hop, left_hand=hand, right_hand=hand, left_foot=(out, 0, 0), right_foot=(out, 0, 0))


def arm_swing(phase: float, amplitude: float) -> Pose:
    """Hanging arms swing from side to side, farthest on the beats."""
    s = -amplitude * _swing(phase)
    left, right = _swung(s), _swung(-s)
    return Pose(left_hand=left, right_hand=right, sway=-0.16 * s, crouch=0.1, left_foot=(0.3, 0, 0),
                right_foot=(0.3, 0, 0))  # fmt: skip


def freeze(phase: float, amplitude: float) -> Pose:
    """Stands still."""
    return Pose(left_hand=(0.35, 0.62, 0.2), right_hand=_ON_HIP, left_foot=(0.34, 0, 0), right_foot=(0.24, 0, 0))


def _swung(s: float) -> Vector:
    """A hanging hand swung outwards (1) or across the body (-1)."""
    return _aside(0.66 * s), -0.82 + 0.12 * s * s, 0.3


def mirrored(move: Callable[[float, float], Pose]) -> Callable[[float, float], Pose]:
    """The move with left and right exchanged."""
    return lambda phase, amplitude: move(phase, amplitude).mirrored()


def _sided(name: str, pose: Callable[[float, float], Pose], phrases: tuple[str, ...]) -> tuple[Move, Move]:
    """A move of the right side and its mirror image; "{side}" stands for the side in the phrases."""
    right, left = (tuple(p.format(side=side) for p in phrases) for side in ("right", "left"))
    return Move(f"{name}_right", pose, right), Move(f"{name}_left", mirrored(pose), left, side=-1)


MOVES: dict[str, Move] = {
    move.name: move
    for move in (
        *_sided("wave", wave, ("waves with the {side} hand", "waves the {side} hand", "gives a {side} hand wave")),
        Move("bounce", bounce, ("bounces in the knees", "bounces up and down", "bobs up and down")),
        Move("side_step", side_step, ("steps from side to side", "side-steps", "takes steps to the side")),
        Move("clap", clap, ("claps", "claps the hands", "claps along")),
        Move("spin", spin, ("spins around", "turns around", "does a spin")),
        *_sided("kick", kick, ("kicks with the {side} leg", "kicks the {side} leg out", "kicks to the {side}")),
        Move("jump", jump, ("jumps", "jumps up", "leaps into the air")),
        Move("twist", twist, ("twists", "twists the body", "does the twist")),
        Move("bow", bow, ("bows", "takes a bow", "bends forward in a bow")),
        Move("arm_circles", arm_circles, ("circles both arms", "swings both arms in circles", "makes big arm circles")),
        Move("march", march, ("marches on the spot", "marches in place", "marches with high knees")),
        *_sided("point", point, (
            "points up with the {side} hand", "points to the sky with the {side} arm", "points up to the {side}")),
        Move("sway", sway, ("sways with raised arms", "sways with the arms up", "sways, arms in the air")),
        Move("jumping_jack", jumping_jack, ("does jumping jacks", "jumps arms and legs apart", "does star jumps")),
        Move("arm_swing", arm_swing, (
            "swings both arms from side to side", "swings the arms across the body", "does the floss")),
        Move("freeze", freeze, ("freezes", "stands still", "holds still")),
    )
}  # fmt: skip
