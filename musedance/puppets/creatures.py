"""Dancers that are not human: the same skeleton under other shapes."""

from __future__ import annotations

import itertools

import numpy as np

from musedance.puppets import parts
from musedance.puppets.drawing import Shape
from musedance.puppets.faces import BLACK, WHITE, Layer, face
from musedance.puppets.figure import (
    Anchor,
    Character,
    LimbStyle,
    Piece,
    Region,
    above,
    below,
    box,
    capsule,
    ellipse,
    front_back,
    limbs,
    outline,
    triangle,
    union,
)  # fmt: skip
from musedance.puppets.people import head_piece, head_shape, on_head, random_outline
from musedance.puppets.pose import Vector
from musedance.puppets.skeleton import Build
from musedance.puppets.textures import (
    Colour,
    Texture,
    hsv,
    layered,
    luma,
    mix,
    plain,
    random_colour,
    random_texture,
    shade,
)  # fmt: skip

Generator = np.random.Generator


def cat(rng: Generator) -> Character:
    """Pointed ears, whiskers, a long tail, a light muzzle."""
    build = Build(
        leg=0.33, arm=0.27, torso=0.27, head=0.29, face=0.165, neck=0.0, shoulder=0.085, hip=0.05, foot=0.08,
        eye_height=0.45, eye_gap=0.45, shoulder_height=0.86,
    )  # fmt: skip
    colour = _coat(rng, hsv(0.07, 0.65, 0.9), hsv(0.6, 0.08, 0.45), hsv(0.08, 0.3, 0.85), hsv(0.05, 0.4, 0.35))
    fur, light = _fur(rng, colour), mix(colour, (255, 250, 240), 0.75)
    r, h = build.face, build.head
    muzzle = union(ellipse(0.25 * h, 0.22 * r, 0.1 * h, x=-0.18 * r), ellipse(0.25 * h, 0.22 * r, 0.1 * h, x=0.18 * r))
    whiskers = union(
        *(_bar(side * 0.75 * r, (0.22 + 0.07 * k) * h, 0.3 * r, 0.012 * h) for side in (-1, 1) for k in (0, 1))
    )
    layers = [(muzzle, plain(light)), *_animal_face(build, rng), (whiskers, BLACK if luma(colour) > 90 else WHITE)]
    layers.append((ellipse(0.33 * h, 0.11 * r, 0.035 * h), plain((235, 120, 140))))
    skull = ellipse(0.48 * h, r, 0.5 * h)
    pieces = _limbs(rng, build, fur, plain(light), arm=0.034, leg=0.042, hand=0.036)
    pieces.append(trunk_piece(build, pear(build.torso, 0.11, 0.125), layered(fur, belly(build, 0.075, plain(light)))))
    pieces.append(head_piece(build, skull, layered(fur, *layers)))
    for side in (-1.0, 1.0):
        ear = head_shape(0.13, 0.1, -0.02, 0.15, triangle(-0.02, 0.15, 0.085), layered(
            fur, (triangle(-0.01, 0.1, 0.05), plain((240, 160, 165)))), depth=-0.005, left=side > 0)  # fmt: skip
        pieces.append(on_head((side * 0.62 * r, 0.78 * h, 0), (side * 0.85 * r, 0.78 * h + 0.13, 0), ear))
    pieces += _tail(build, fur, ((0, 0.02, -0.06), (0.2, 0.0, -0.1), (0.24, 0.2, -0.1)), 0.024)
    return Character("cat", build, tuple(pieces), *random_outline(rng))


def bear(rng: Generator) -> Character:
    """Round ears, a round belly, thick limbs."""
    build = Build(
        leg=0.3, arm=0.28, torso=0.31, head=0.29, face=0.145, neck=-0.015, shoulder=0.11, hip=0.07, foot=0.09,
        eye_height=0.52, eye_gap=0.36, shoulder_height=0.82,
    )  # fmt: skip
    colour = _coat(rng, hsv(0.07, 0.6, 0.5), hsv(0.08, 0.35, 0.8), hsv(0.6, 0.03, 0.95), hsv(0.9, 0.4, 0.9))
    fur, light = _fur(rng, colour), mix(colour, (255, 235, 205), 0.6)
    r, h = build.face, build.head
    snout = ellipse(0.3 * h, 0.5 * r, 0.17 * h)
    layers = [(snout, plain(light)), *_animal_face(build, rng), (ellipse(0.38 * h, 0.19 * r, 0.055 * h), BLACK)]
    pieces = _limbs(rng, build, fur, fur, arm=0.05, leg=0.06, hand=0.045, foot=0.05)
    pieces.append(trunk_piece(build, pear(build.torso, 0.13, 0.17), layered(fur, belly(build, 0.1, plain(light)))))
    pieces.append(head_piece(build, ellipse(0.5 * h, r, 0.5 * h), layered(fur, *layers)))
    for side in (-1.0, 1.0):
        ear = head_shape(0.1, 0.06, -0.02, 0.1, ellipse(0.04, 0.055, 0.055), layered(
            fur, (ellipse(0.045, 0.03, 0.03), plain(light))), depth=-0.005, left=side > 0)  # fmt: skip
        pieces.append(on_head((side * 0.7 * r, 0.8 * h, 0), (side * 0.9 * r, 0.8 * h + 0.1, 0), ear))
    return Character("bear", build, tuple(pieces), *random_outline(rng))


def bird(rng: Generator) -> Character:
    """A beak, wings, a tuft, thin legs."""
    build = Build(
        leg=0.33, arm=0.3, torso=0.31, head=0.27, face=0.125, neck=-0.03, shoulder=0.1, hip=0.045, foot=0.1, ankle=0.03,
        eye_height=0.55, eye_gap=0.5, shoulder_height=0.8,
    )  # fmt: skip
    colour = random_colour(rng, low=0.5)
    plumage, light = _fur(rng, colour), mix(colour, (255, 255, 240), 0.7)
    horn, r, h = hsv(0.07 + 0.06 * rng.random(), 0.9, 1.0), build.face, build.head
    legs = plain(shade(horn, 0.85))
    wing = random_texture(rng, shade(colour, 0.75), size=0.05)
    style = LimbStyle(
        arm=(0.04, 0.035, 0.03), leg=(0.034, 0.016, 0.014), hand=0.05, foot=0.035, upper_arm=plumage, lower_arm=wing,
        upper_leg=plumage, lower_leg=legs, shoe=legs, hand_shape="wing",
    )  # fmt: skip
    pieces = limbs(build, style)
    pieces.append(
        trunk_piece(build, pear(build.torso, 0.12, 0.15), layered(plumage, belly(build, 0.095, plain(light))))
    )
    eyes = _animal_face(build, rng, mouth=None)
    pieces.append(head_piece(build, ellipse(0.5 * h, r, 0.5 * h), layered(plumage, *eyes)))
    upper = head_shape(0.12, 0.07, -0.03, 0.12, triangle(-0.03, 0.12, 0.06), plain(horn), depth=0.03)
    lower = head_shape(0.09, 0.05, -0.03, 0.09, triangle(-0.03, 0.09, 0.05), plain(shade(horn, 0.7)), depth=0.025)
    pieces.append(on_head((0, 0.42 * h, 0.85 * r), (0, 0.28 * h, 0.85 * r + 0.12), upper))
    pieces.append(on_head((0, 0.36 * h, 0.85 * r), (0, 0.2 * h, 0.85 * r + 0.07), lower))
    for lean in (-0.05, 0.0, 0.05):
        feather = head_shape(0.09, 0.02, -0.02, 0.1, capsule(0.08, 0.018, 0.01), wing, depth=-0.005)
        pieces.append(on_head((0.3 * lean, -0.02, 0), (lean, 0.08 - abs(lean), 0), feather, "crown"))
    pieces += _tail(build, wing, ((0, 0.03, -0.1), (0, -0.06, -0.24)), 0.045)
    return Character("bird", build, tuple(pieces), *random_outline(rng))


def robot(rng: Generator) -> Character:
    """Boxes and tubes, an antenna, a panel with lamps, claws."""
    build = Build(
        leg=0.36, arm=0.31, torso=0.29, head=0.22, face=0.125, neck=0.03, shoulder=0.145, hip=0.065, foot=0.09,
        eye_height=0.55, eye_gap=0.45, shoulder_height=0.86,
    )  # fmt: skip
    colour = hsv(0.58, 0.1, 0.7 + 0.2 * rng.random()) if rng.random() < 0.4 else random_colour(rng, low=0.45)
    metal, joint = random_texture(rng, colour, size=0.05), plain((70, 74, 84))
    r, h, t = build.face, build.head, build.torso
    lamp = plain(hsv(rng.random(), 0.8, 1.0))
    eyes = union(*(_bar(s * build.eye_gap * r, 0.58 * h, 0.24 * r, 0.1 * h) for s in (-1, 1)))
    visor, grille = _bar(0, 0.58 * h, 0.85 * r, 0.17 * h), _bar(0, 0.22 * h, 0.5 * r, 0.07 * h)

    def bars(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return grille(x, y) & (np.floor(x / (0.12 * r)) % 2 == 0)

    head = layered(metal, (visor, BLACK), (eyes, lamp), (grille, joint), (bars, WHITE))
    shape = box(0.0, h, r, 0.03)
    pieces = limbs(build, LimbStyle(
        arm=(0.036, 0.03, 0.03), leg=(0.042, 0.038, 0.042), hand=0.034, foot=0.046, hand_shape="claw",
        upper_arm=_ribbed(metal, joint, build.arm), lower_arm=layered(metal, (above(0.49 * build.arm), joint)),
        upper_leg=_ribbed(metal, joint, build.leg), lower_leg=metal, shoe=joint,
    ))  # fmt: skip
    panel = box(0.35 * t, 0.8 * t, 0.075, 0.01)
    lamps = [(ellipse(0.68 * t, 0.016, 0.016, x=x), plain(hsv(rng.random(), 0.8, 1.0))) for x in (-0.045, 0.0, 0.045)]
    dial = (_bar(0.0, 0.48 * t, 0.05, 0.018), lamp)
    trunk = layered(metal, (panel, plain(shade((120, 128, 140), 0.6))), *lamps, dial)
    pieces.append(trunk_piece(build, union(box(0.02, t, 0.13, 0.02), box(-0.05, 0.1, 0.09, 0.02)), trunk, half=0.14))
    neck = head_shape(0.04, 0.04, -0.03, 0.06, box(-0.03, 0.06, 0.035, 0.0), joint, depth=-0.01)
    pieces.append(on_head((0, -0.04, 0), (0, 0, 0), neck))
    pieces.append(head_piece(build, shape, head))
    stick = head_shape(0.1, 0.03, -0.01, 0.13, union(box(-0.01, 0.1, 0.008, 0.0), ellipse(0.1, 0.026, 0.026)), layered(
        joint, (above(0.074), lamp)), depth=0.0)  # fmt: skip
    pieces.append(on_head((0, 0, 0), (0.0, 0.1, 0), stick, "crown"))
    return Character("robot", build, tuple(pieces), *random_outline(rng))


def cactus(rng: Generator) -> Character:
    """A ribbed column with spines and a flower; head and body are one."""
    build = Build(
        leg=0.2, arm=0.29, torso=0.37, head=0.3, face=0.125, neck=-0.06, shoulder=0.125, hip=0.055, foot=0.085,
        ankle=0.03, eye_height=0.42, eye_gap=0.42, shoulder_height=0.68,
    )  # fmt: skip
    colour = hsv(0.27 + 0.16 * rng.random(), 0.5 + 0.3 * rng.random(), 0.45 + 0.35 * rng.random())
    spine = plain(mix(colour, (255, 255, 215), 0.85))
    flesh = _cactus_skin(colour, spine)
    h, t, r = build.head, build.torso, build.face
    pieces = _limbs(rng, build, flesh, flesh, arm=0.048, leg=0.05, hand=0.048, round_hands=True)
    pieces.append(trunk_piece(build, capsule(t, 0.12, 0.125), flesh, half=0.13, top=0.13))
    pieces.append(head_piece(build, union(box(-0.1 * h, 0.6 * h, r, 0.02), ellipse(0.55 * h, r, 0.45 * h)), layered(
        flesh, *face(build, rng, iris=hsv(rng.random(), 0.5, 0.4))), joined=True))  # fmt: skip
    petal, heart = plain(hsv(0.85 + 0.3 * rng.random(), 0.6, 1.0)), plain((255, 220, 90))
    places = ((-0.035, 0.03), (0.035, 0.03), (-0.02, 0.07), (0.02, 0.07))
    petals = union(*(ellipse(y, 0.03, 0.03, x=x) for x, y in places))
    flower = head_shape(0.07, 0.08, -0.02, 0.11, petals, layered(petal, (ellipse(0.035, 0.02, 0.02), heart)))
    pieces.append(on_head((0.02, -0.02, 0), (0.03, 0.05, 0), flower, "crown"))
    return Character("cactus", build, tuple(pieces), *random_outline(rng))


def carrot(rng: Generator) -> Character:
    """An orange cone, wide above, with a tuft of leaves."""
    build = Build(
        leg=0.24, arm=0.29, torso=0.34, head=0.24, face=0.125, neck=-0.04, shoulder=0.115, hip=0.03, foot=0.08,
        ankle=0.03, eye_height=0.4, eye_gap=0.42, shoulder_height=0.82,
    )  # fmt: skip
    colour = hsv(0.04 + 0.07 * rng.random(), 0.85, 0.85 + 0.15 * rng.random())
    ring, h, t, r = shade(colour, 0.72), build.head, build.torso, build.face
    seed = rng.random()

    def rings(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        row = np.floor(y / 0.018)
        return (row * 7 % 5 < 1.5) & ((x / 0.15 + row * 0.37 + seed) % 1 < 0.3)

    flesh = layered(plain(colour), (rings, plain(ring)))
    leaf = hsv(0.28 + 0.1 * rng.random(), 0.65, 0.5 + 0.3 * rng.random())
    limb = random_texture(rng, random_colour(rng), size=0.03) if rng.random() < 0.4 else plain(shade(colour, 0.9))
    pieces = _limbs(rng, build, limb, limb, arm=0.026, leg=0.028, hand=0.034)
    cone = outline(((-0.09, 0.0), (-0.08, 0.025), (0.0, 0.055), (0.5 * t, 0.1), (0.95 * t, 0.124), (t, 0.124)), 0.015)
    pieces.append(trunk_piece(build, cone, flesh, half=0.13, low=-0.1))
    dome = union(box(-0.1 * h, 0.5 * h, r, 0.02), ellipse(0.5 * h, r, 0.48 * h))
    pieces.append(head_piece(build, dome, layered(flesh, *face(build, rng, iris=hsv(0.3, 0.5, 0.4))), joined=True))
    for lean, tall in ((-0.1, 0.12), (0.1, 0.12), (-0.045, 0.17), (0.045, 0.17), (0.0, 0.19)):
        blade = head_shape(tall, 0.03, -0.02, tall + 0.01, ellipse(0.5 * tall, 0.026, 0.55 * tall), plain(
            shade(leaf, 0.85 + abs(lean) * 3)), depth=-0.004)  # fmt: skip
        pieces.append(on_head((0.15 * lean, -0.02, 0), (lean, -0.02 + tall - abs(lean) * 0.3, 0), blade, "crown"))
    return Character("carrot", build, tuple(pieces), *random_outline(rng))


def teapot(rng: Generator) -> Character:
    """A round pot with a spout and a handle; its head is the lid, with a knob."""
    build = Build(
        leg=0.25, arm=0.3, torso=0.31, head=0.22, face=0.135, neck=-0.03, shoulder=0.135, hip=0.06, foot=0.085,
        ankle=0.03, eye_height=0.36, eye_gap=0.4, shoulder_height=0.8,
    )  # fmt: skip
    colour = random_colour(rng, low=0.6)
    china = random_texture(rng, colour, size=0.06)
    trim, h, t, r = plain(shade(random_colour(rng), 0.9)), build.head, build.torso, build.face
    limb = plain(random_colour(rng, low=0.1, high=0.5))
    pieces = _limbs(rng, build, limb, plain((250, 248, 240)), arm=0.022, leg=0.026, hand=0.036)
    pot = outline(((-0.05, 0.0), (-0.045, 0.11), (0.0, 0.13), (0.25 * t, 0.19), (0.55 * t, 0.205), (0.85 * t, 0.165),
                   (t, 0.13), (t + 0.01, 0.13)), 0.02)  # fmt: skip
    bands = layered(china, (below(-0.01), trim), (above(0.94 * t), trim))
    pieces.append(trunk_piece(build, pot, bands, half=0.21, flatness=1.0))
    dome = ellipse(0.1 * h, r, 0.86 * h)
    lid = layered(china, *face(build, rng, iris=hsv(rng.random(), 0.5, 0.4)), (below(0.09 * h), trim))
    pieces.append(head_piece(build, lambda x, y: dome(x, y) & (y > 0.0), lid))
    knob = head_shape(0.06, 0.04, -0.03, 0.08, ellipse(0.03, 0.036, 0.036), trim, depth=0.0)
    pieces.append(on_head((0, -0.02, 0), (0, 0.04, 0), knob, "crown"))
    out = -1.0 if rng.random() < 0.5 else 1.0
    spout = outline(((-0.05, 0.07), (0.05, 0.045), (0.16, 0.026), (0.2, 0.034), (0.21, 0.034)), 0.015)
    pieces.append(_on_trunk((out * 0.15, 0.42 * t, 0), (out * 0.33, 0.82 * t, 0), Shape(
        0.22, (-0.08, 0.08, -0.05, 0.22), spout, layered(china, (above(0.19), trim)), front_back(parts.TORSO),
        depth=-0.03)))  # fmt: skip
    ring, hole = ellipse(0.1, 0.11, 0.11), ellipse(0.1, 0.072, 0.072)
    pieces.append(_on_trunk((-out * 0.21, 0.2 * t, 0), (-out * 0.21, 0.2 * t + 0.2, 0), Shape(
        0.2, (-0.12, 0.12, -0.02, 0.22), lambda x, y: ring(x, y) & ~hole(x, y), trim, front_back(parts.TORSO),
        depth=-0.035)))  # fmt: skip
    return Character("teapot", build, tuple(pieces), *random_outline(rng))


def _coat(rng: Generator, *usual: Colour) -> Colour:
    """One of the usual colours of fur, or any."""
    any_colour, index = random_colour(rng), int(rng.integers(len(usual) + 1))
    return (*usual, any_colour)[index]


def _fur(rng: Generator, colour: Colour) -> Texture:
    return random_texture(rng, colour, size=0.045)


def _cactus_skin(colour: Colour, spine: Texture) -> Texture:
    def ribs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x / 0.05 + 0.25) % 1 < 0.22

    def spines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (np.abs((x / 0.05 + 0.64) % 1 - 0.5) < 0.13) & ((y / 0.045) % 1 < 0.22)

    return layered(plain(colour), (ribs, plain(shade(colour, 0.7))), (spines, spine))


def _ribbed(metal: Texture, joint: Texture, limb: float) -> Texture:
    def rings(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (y > 0.3 * limb / 2) & ((y / 0.03) % 1 < 0.4) & (x == x)

    return layered(metal, (rings, joint))


def _bar(x: float, y: float, half_width: float, half_height: float) -> Region:
    return box(y - half_height, y + half_height, half_width, min(half_width, half_height) * 0.5, x=x)


def pear(length: float, upper: float, lower: float) -> Region:
    """A body whose half width is `upper` at the chest and `lower` below."""
    return union(ellipse(0.3 * length, lower, 0.46 * length), ellipse(0.68 * length, upper, 0.38 * length))


def belly(build: Build, half: float, texture: Texture) -> Layer:
    """A patch on the front of the trunk, `half` to either side."""
    return ellipse(0.38 * build.torso, half, 0.34 * build.torso), texture


def _animal_face(build: Build, rng: Generator, *, mouth: Colour | None = (120, 40, 50)) -> list[Layer]:
    return face(build, rng, iris=hsv(0.1 + 0.4 * rng.random(), 0.7, 0.7), mouth=mouth)


def _limbs(
    rng: Generator, build: Build, upper: Texture, ends: Texture, *, arm: float, leg: float, hand: float,
    foot: float = 0.04, round_hands: bool = False,
) -> list[Piece]:  # fmt: skip
    """Limbs of one surface whose hands and feet may have another."""
    paws = layered(upper, (above(0.48 * build.arm), ends))
    style = LimbStyle(
        arm=(arm, 0.95 * arm, 0.9 * arm), leg=(leg, 0.9 * leg, 0.85 * leg), hand=hand, foot=foot, upper_arm=upper,
        lower_arm=paws, upper_leg=upper, lower_leg=upper, shoe=ends, hand_shape="round" if round_hands else "mitten",
    )  # fmt: skip
    return limbs(build, style)


def trunk_piece(
    build: Build, silhouette: Region, paint: Texture, *, half: float = 0.2, low: float = -0.1, top: float = 0.08,
    flatness: float = 0.85,
) -> Piece:  # fmt: skip
    """A body from the hips to the neck."""
    shape = Shape(
        build.torso, (-half, half, low, build.torso + top), silhouette, paint, front_back(parts.TORSO), turning=True,
        flatness=flatness,
    )  # fmt: skip
    return Piece(Anchor("pelvis"), Anchor("neck"), "torso", shape)


def _on_trunk(start: Vector, end: Vector, shape: Shape) -> Piece:
    """A piece fixed to the torso, measured from the pelvis."""
    return Piece(Anchor("pelvis", "torso", start), Anchor("pelvis", "torso", end), "torso", shape)


def _tail(build: Build, paint: Texture, places: tuple[Vector, ...], radius: float) -> list[Piece]:
    pieces = []
    for start, end in itertools.pairwise(places):
        length = float(sum((a - b) ** 2 for a, b in zip(start, end, strict=True))) ** 0.5
        shape = Shape(length, (-radius, radius, -radius, length + radius), capsule(length, radius, radius), paint,
                      front_back(parts.TORSO), depth=-0.03, open_ends=(radius, length))  # fmt: skip
        pieces.append(_on_trunk(start, end, shape))
    return pieces
