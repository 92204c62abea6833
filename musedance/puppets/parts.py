"""DensePose's 24 labels of body parts, and which of them show a joint.

Left and right are the dancer's own. Odd and even are back and front for the torso, lower and higher are back and front
for the limbs (7 is the back of the right thigh, 9 its front); 23 is the right half of the head, 24 the left one.
"""

from __future__ import annotations

from typing import Literal

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")

TORSO = (1, 2)  # (back, front) here and below
UPPER_LEG: dict[Side, tuple[int, int]] = {"right": (7, 9), "left": (8, 10)}
LOWER_LEG: dict[Side, tuple[int, int]] = {"right": (11, 13), "left": (12, 14)}
UPPER_ARM: dict[Side, tuple[int, int]] = {"left": (15, 17), "right": (16, 18)}
LOWER_ARM: dict[Side, tuple[int, int]] = {"left": (19, 21), "right": (20, 22)}
HAND: dict[Side, int] = {"right": 3, "left": 4}
FOOT: dict[Side, int] = {"left": 5, "right": 6}
HEAD: dict[Side, int] = {"right": 23, "left": 24}


def labels_at(joint: str) -> tuple[int, ...]:
    """The labels under which a joint of `musedance.puppets.skeleton.JOINTS` is seen rather than hidden."""
    side: Side = "left" if joint.startswith("left") else "right"
    match joint.split("_")[-1]:
        case "shoulder":
            return TORSO + UPPER_ARM[side]
        case "elbow":
            return UPPER_ARM[side] + LOWER_ARM[side]
        case "wrist":
            return (*LOWER_ARM[side], HAND[side])
        case "hip":
            return TORSO + UPPER_LEG[side]
        case "knee":
            return UPPER_LEG[side] + LOWER_LEG[side]
        case "ankle":
            return (*LOWER_LEG[side], FOOT[side])
    return tuple(HEAD.values())  # nose, eyes, ears
