"""Dancers for small pictures and small models: thick limbs, plain colours, few details, a soft outline."""

from __future__ import annotations

import numpy as np

from musedance.puppets.creatures import belly, pear, trunk_piece
from musedance.puppets.faces import BLACK, Layer
from musedance.puppets.figure import Character, LimbStyle, Piece, above, below, ellipse, limbs, outline, union
from musedance.puppets.people import HAIR, SKINS, hairline, head_piece, head_shape, on_head
from musedance.puppets.skeleton import Build
from musedance.puppets.textures import Colour, Texture, layered, mix, plain, random_colour

LINE, INK = 0.014, 0.62  # of the outline, in figure heights and brightness


def doll(rng: np.random.Generator) -> Character:
    """A person as a toy: skin, hair, a shirt with long sleeves, trousers, shoes."""
    build = Build(
        leg=0.31, arm=0.27, torso=0.3, head=0.31, face=0.15, neck=-0.01, shoulder=0.12, hip=0.065, foot=0.085,
        eye_height=0.42, eye_gap=0.42, shoulder_height=0.84,
    )  # fmt: skip
    skin, hair = plain(SKINS[int(rng.integers(len(SKINS)))]), plain(HAIR[int(rng.integers(len(HAIR)))])
    shirt, trousers = plain(random_colour(rng, low=0.5)), plain(random_colour(rng, low=0.3))
    shoes = plain(random_colour(rng, low=0.2))
    t, h, r = build.torso, build.head, build.face
    lower_arm = layered(shirt, (above(0.85 * build.arm / 2), skin))
    pieces = limbs(build, _limbs(shirt, lower_arm, trousers, trousers, shoes))
    body = outline(((-0.08, 0.0), (-0.075, 0.09), (0.0, 0.13), (0.5 * t, 0.13), (0.9 * t, 0.125), (t, 0.06)), 0.02)
    pieces.append(trunk_piece(build, body, layered(shirt, (below(0.18 * t), trousers))))
    fringe = 0.66 + 0.1 * rng.random()
    head = ellipse(0.5 * h, r, 0.5 * h)
    pieces.append(head_piece(build, head, layered(skin, *_face(build), (hairline(r, h, fringe, nape=0.15), hair))))
    if rng.integers(2):  # long hair, behind the head
        back = head_shape(h, 1.2 * r, -0.1 * h, 1.05 * h, ellipse(0.5 * h, 1.18 * r, 0.56 * h), hair, depth=0.0)
        pieces.append(on_head((0, 0, -0.3 * r), (0, h, -0.3 * r), back))
    return Character("doll", build, tuple(pieces), LINE, INK, centred=True)


def teddy(rng: np.random.Generator) -> Character:
    """A bear as a toy: fur of one colour, with a lighter belly and snout."""
    build = Build(
        leg=0.29, arm=0.27, torso=0.31, head=0.31, face=0.155, neck=-0.015, shoulder=0.12, hip=0.07, foot=0.09,
        eye_height=0.52, eye_gap=0.36, shoulder_height=0.82,
    )  # fmt: skip
    colour = random_colour(rng, low=0.45)
    fur, light = plain(colour), plain(mix(colour, (255, 245, 225), 0.6))
    h, r = build.head, build.face
    pieces = limbs(build, _limbs(fur, fur, fur, fur, fur))
    pieces.append(trunk_piece(build, pear(build.torso, 0.135, 0.165), layered(fur, belly(build, 0.1, light))))
    snout = (ellipse(0.3 * h, 0.5 * r, 0.17 * h), light), (ellipse(0.38 * h, 0.19 * r, 0.06 * h), BLACK)
    pieces.append(head_piece(build, ellipse(0.5 * h, r, 0.5 * h), layered(fur, *snout, *_face(build, mouth=None))))
    pieces += [_ear(build, side, fur) for side in (-1.0, 1.0)]
    return Character("teddy", build, tuple(pieces), LINE, INK, centred=True)


def _limbs(upper_arm: Texture, lower_arm: Texture, upper_leg: Texture, lower_leg: Texture, shoe: Texture) -> LimbStyle:
    return LimbStyle(
        arm=(0.07, 0.066, 0.06), leg=(0.08, 0.075, 0.068), hand=0.068, foot=0.065, upper_arm=upper_arm,
        lower_arm=lower_arm, upper_leg=upper_leg, lower_leg=lower_leg, shoe=shoe, hand_shape="round",
    )  # fmt: skip


def _face(build: Build, mouth: Colour | None = (150, 40, 50)) -> list[Layer]:
    """Two dots, and a mouth."""
    r, h, gap = build.face, build.head, 1.1 * build.eye_gap * build.face
    y = build.eye_height * h
    eyes = union(*(ellipse(y, 0.14 * r, 0.2 * r, x=side * gap) for side in (-1, 1)))
    smile: list[Layer] = [] if mouth is None else [(ellipse(y - 0.22 * h, 0.3 * r, 0.1 * r), plain(mouth))]
    return [(eyes, BLACK), *smile]


def _ear(build: Build, side: float, fur: Texture) -> Piece:
    r, h = build.face, build.head
    shape = head_shape(0.1, 0.07, -0.03, 0.11, ellipse(0.04, 0.065, 0.065), fur, depth=-0.005, left=side > 0)
    return on_head((side * 0.7 * r, 0.8 * h, 0), (side * 0.9 * r, 0.8 * h + 0.1, 0), shape)
