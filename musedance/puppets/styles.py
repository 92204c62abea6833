"""How a genre is danced, whatever the move."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from musedance.puppets.moves import Move
from musedance.puppets.pose import Pose


@dataclass(frozen=True)
class Style:
    """A way to dance.

    Attributes:
        snap: how abruptly a movement leaves one beat and arrives at the next: 1.4 flows, 5 jerks and holds.
        amplitude: of every move, around 1.
        stance: how low it is danced, in leg lengths; negative is on tiptoe.
        hips: how far they go to the side of the move's accent and back, in leg lengths.
        lean, tilt: how far body and head go with them, in radians.
        stoop: how far the body is bent forward, in radians.
        nod: how far the head nods on every other beat, in radians.
    """

    snap: float
    amplitude: float = 1.0
    stance: float = 0.0
    hips: float = 0.0
    lean: float = 0.0
    tilt: float = 0.0
    stoop: float = 0.0
    nod: float = 0.0

    def pose(self, move: Move, phase: float, amplitude: float) -> Pose:
        """The move at `phase` beats from its start, danced in this style; `amplitude` is around 1."""
        beat = math.floor(phase)
        phase = beat + ease(phase - beat, self.snap)
        pose, swing = move.pose(phase, amplitude * self.amplitude), math.cos(math.pi * phase)
        aside = -move.side * swing
        return replace(
            pose,
            crouch=pose.crouch + self.stance,
            sway=pose.sway + self.hips * aside,
            lean=pose.lean + self.lean * aside,
            tilt=pose.tilt + self.tilt * aside,
            pitch=pose.pitch + self.stoop,
            nod=pose.nod + self.nod * (0.5 + 0.5 * swing),
        )


def ease(share: float, snap: float) -> float:
    """From 0 to 1 with a stop at both ends; the larger `snap`, the more of the way lies in the middle."""
    rise, fall = share**snap, (1 - share) ** snap
    return rise / (rise + fall)


STYLES: dict[str, Style] = {
    "house": Style(snap=2.2, stance=0.04, hips=0.05, amplitude=1.05),
    "rock": Style(snap=3.0, stance=0.06, nod=0.45, amplitude=1.15),
    "hip-hop": Style(snap=2.6, stance=0.2, hips=0.1, lean=0.08, stoop=0.18, amplitude=0.95),
    "drum-and-bass": Style(snap=3.6, stance=0.12, stoop=0.08, amplitude=0.9),
    "waltz": Style(snap=1.5, stance=-0.03, hips=0.08, lean=0.12, tilt=0.15),
    "latin": Style(snap=2.0, stance=0.06, hips=0.2, lean=-0.12),
    "ballad": Style(snap=1.4, lean=0.05, tilt=0.14, amplitude=0.85),
    "chiptune": Style(snap=5.0),
}
"""By the name of the genre (`musedance.puppets.genres.GENRES`)."""
