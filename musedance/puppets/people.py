"""People: builds, skins, hair and clothes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from musedance.puppets import parts
from musedance.puppets.drawing import Shape
from musedance.puppets.faces import Layer, face
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
    left_right,
    limbs,
    outline,
    union,
)  # fmt: skip
from musedance.puppets.skeleton import Build
from musedance.puppets.textures import (
    Colour,
    Texture,
    hsv,
    layered,
    mix,
    plain,
    random_colour,
    random_texture,
    shade,
)  # fmt: skip

SKINS: tuple[Colour, ...] = (
    (255, 224, 200), (247, 205, 170), (233, 184, 143), (212, 158, 115), (180, 124, 82), (144, 94, 62), (108, 70, 48),
    (78, 50, 38),
)  # fmt: skip
HAIR: tuple[Colour, ...] = (
    (30, 24, 24), (62, 40, 28), (110, 70, 38), (170, 110, 52), (226, 190, 110), (190, 80, 40), (190, 190, 196),
)  # fmt: skip
HAIRSTYLES = ("bald", "short", "bob", "long", "afro", "ponytail", "buns", "mohawk", "cap", "beanie", "hat")
OUTFITS = ("trousers", "shorts", "skirt", "dress", "overall")


def person(rng: np.random.Generator) -> Character:
    """Anyone."""
    build, bulk = _build(rng)
    tone = int(rng.integers(len(SKINS) - 1))
    skin = mix(SKINS[tone], SKINS[tone + 1], rng.random())
    outfit = OUTFITS[int(rng.integers(len(OUTFITS)))]
    top = random_texture(rng, random_colour(rng))
    bottom = random_texture(rng, random_colour(rng, low=0.2))
    sleeve = (0.0, 0.5, 1.0)[int(rng.integers(3))]  # none, short, long
    if outfit in ("dress", "overall"):
        bottom = top
    pieces = limbs(build, _limb_style(rng, build, bulk, skin, outfit, top, bottom, sleeve))
    pieces.append(_torso(rng, build, bulk, skin, top, bottom, outfit))
    if outfit in ("skirt", "dress"):
        pieces.append(_skirt(rng, build, bulk, bottom))
    pieces += _head(rng, build, skin)
    return Character("person", build, tuple(pieces), *random_outline(rng))


def random_outline(rng: np.random.Generator) -> tuple[float, float]:
    """(width in figure heights, brightness) of an outline: none, tinted or nearly black."""
    return ((0.0, 1.0), (0.011, 0.5), (0.013, 0.25))[int(rng.integers(3))]


def _build(rng: np.random.Generator) -> tuple[Build, float]:
    """Proportions from a child's to a tall adult's, and how thick the limbs are."""
    age, bulk, width = rng.random(), 0.85 + 0.55 * rng.random(), rng.random()
    head = 0.27 - 0.08 * age
    leg = 0.33 + 0.09 * age + 0.03 * (rng.random() - 0.5)
    build = Build(
        leg=leg, arm=0.28 + 0.05 * age, torso=0.92 - head - leg, head=head, face=head * (0.4 + 0.08 * rng.random()),
        shoulder=0.085 + 0.035 * width, hip=0.045 + 0.02 * rng.random(), foot=0.075 + 0.02 * rng.random(),
    )  # fmt: skip
    return build, bulk


def _limb_style(
    rng: np.random.Generator, build: Build, bulk: float, skin: Colour, outfit: str, top: Texture, bottom: Texture,
    sleeve: float,
) -> LimbStyle:  # fmt: skip
    bare, shoe = plain(skin), random_colour(rng, low=0.15)
    arm_bone, leg_bone = build.arm / 2, build.leg / 2
    socks = plain(random_colour(rng)) if rng.random() < 0.4 else bare
    lower_arm = layered(top, (above(0.92 * arm_bone), bare)) if sleeve == 1.0 else bare
    upper_arm = layered(bare, (below(1.4 * sleeve * arm_bone), top)) if sleeve else bare
    covered = {"trousers": 2.0, "overall": 2.0, "shorts": 0.7, "skirt": 0.0, "dress": 0.0}[outfit]
    stocking = plain(random_colour(rng)) if covered == 0.0 and rng.random() < 0.3 else bare
    upper_leg = layered(stocking, (below(covered * leg_bone), bottom)) if covered else stocking
    lower_leg = bottom if covered == 2.0 else layered(stocking, (above(0.6 * leg_bone), socks))
    loose = 1.15 if sleeve == 1.0 else 1.0
    wide = 1.2 if covered == 2.0 and rng.random() < 0.4 else 0.9
    return LimbStyle(
        arm=(0.036 * bulk, 0.03 * bulk * loose, 0.024 * bulk * loose),
        leg=(0.05 * bulk, 0.04 * bulk, 0.033 * bulk * wide), hand=0.03 * (0.5 + 0.5 * bulk), foot=0.036,
        upper_arm=upper_arm, lower_arm=lower_arm, upper_leg=upper_leg, lower_leg=lower_leg, shoe=plain(shoe),
    )  # fmt: skip


def _torso(
    rng: np.random.Generator, build: Build, bulk: float, skin: Colour, top: Texture, bottom: Texture, outfit: str
) -> Piece:
    t, hip, shoulder = build.torso, build.hip + 0.04 * bulk, build.shoulder + 0.02
    waist = min(hip, shoulder) * (0.72 + 0.33 * rng.random() * bulk)
    profile = (
        (-0.06, 0.0), (-0.055, 0.6 * hip), (0.02, hip), (0.42 * t, waist), (0.72 * t, 0.5 * (waist + shoulder)),
        (0.92 * t, shoulder), (0.985 * t, 0.6 * shoulder), (t, 0.035), (t + 0.05, 0.032),
    )  # fmt: skip
    layers: list[Layer] = [(below(0.2 * t), bottom)] if outfit in ("trousers", "shorts", "skirt") else []
    if layers and rng.random() < 0.5:
        layers.append((lambda x, y: (np.abs(y - 0.2 * t) < 0.014) & (x == x), plain(random_colour(rng, low=0.1))))
    neckline = ellipse(1.02 * t, 0.05 + 0.03 * rng.random(), 0.07 * t + 0.02 * rng.random())
    layers.append((union(neckline, above(0.99 * t)), plain(skin)))
    extra = int(rng.integers(4))
    if extra == 0:  # buttons, or a tie
        layers.append((lambda x, y: (np.abs(x) < 0.009) & (y < 0.9 * t) & (y > 0.25 * t), plain(random_colour(rng))))
    elif extra == 1:  # a print on the chest
        layers.append((ellipse(0.6 * t, 0.045, 0.05), random_texture(rng, random_colour(rng), size=0.03)))
    widest = max(hip, shoulder) + 0.01
    return Piece(
        Anchor("pelvis"), Anchor("neck"), "torso",
        Shape(t, (-widest, widest, -0.06, t + 0.05), outline(profile), layered(top, *layers), front_back(parts.TORSO),
              turning=True, flatness=0.62, open_ends=(-9.0, 0.97 * t)),
    )  # fmt: skip


def _skirt(rng: np.random.Generator, build: Build, bulk: float, texture: Texture) -> Piece:
    """From the knees' middle (or above) up to the waist; it turns with the hips and leans with the legs."""
    length, waist = 0.5 * build.leg, build.hip + 0.045 * bulk
    hem, cut = waist * (1.15 + 0.75 * rng.random()), length * 0.35 * rng.random()
    profile = ((cut - 0.001, 0.0), (cut, hem), (length, waist * 1.05), (length + 0.05, 0.92 * waist),
               (length + 0.055, 0.0))  # fmt: skip
    right, left = parts.UPPER_LEG["right"], parts.UPPER_LEG["left"]

    def label(angle: np.ndarray, y: np.ndarray) -> np.ndarray:
        front = np.abs(angle) <= math.pi / 2
        return np.where(angle > 0, np.where(front, left[1], left[0]), np.where(front, right[1], right[0]))

    return Piece(
        Anchor("knees"), Anchor("pelvis"), "hips",
        Shape(length, (-hem, hem, cut - 0.01, length + 0.06), outline(profile, 0.004), texture, label, turning=True,
              depth=0.03, flatness=0.75, open_ends=(-9.0, length)),
    )  # fmt: skip


def _head(rng: np.random.Generator, build: Build, skin: Colour) -> list[Piece]:
    r, h = build.face, build.head
    style = HAIRSTYLES[int(rng.integers(len(HAIRSTYLES)))]
    natural = HAIR[int(rng.integers(len(HAIR)))]
    hair = natural if rng.random() < 0.75 else random_colour(rng)
    jaw = 0.72 + 0.2 * rng.random()
    profile = ((0.0, 0.45 * r * jaw), (0.12 * h, 0.8 * r * jaw), (0.35 * h, r), (0.6 * h, r), (0.82 * h, 0.8 * r),
               (0.95 * h, 0.45 * r), (h, 0.1 * r))  # fmt: skip
    layers: list[Layer] = []
    if rng.random() < 0.18:  # a beard
        layers.append((lambda x, y: (y < 0.3 * h + 0.25 * np.abs(x)) & (np.abs(x) < 1.6 * r), plain(shade(hair, 0.85))))
    layers += face(build, rng, iris=hsv(rng.random(), 0.6, 0.5), brows=shade(hair, 0.8))
    strands = random_texture(rng, hair, size=0.03, pattern="stripes" if rng.random() < 0.15 else "plain")
    if style != "bald":
        layers.append((hairline(r, h, 0.68 + 0.12 * rng.random(), nape=0.1), strands))
    pieces = [
        head_piece(build, outline(profile, 0.03), layered(plain(skin), *layers)),
        *(_ear(side, build, skin) for side in (-1.0, 1.0)),
    ]
    make = _HAIR.get(style)
    return pieces + (make(rng, build, strands) if make else [])


def head_piece(build: Build, silhouette: Region, paint: Texture, *, joined: bool = False) -> Piece:
    """A head that turns, between chin and crown; one that is `joined` to the body has no outline below."""
    shape = Shape(
        build.head, (-build.face, build.face, -0.1 * build.head, 1.1 * build.head), silhouette, paint,
        left_right(parts.HEAD), turning=True, depth=0.02, flatness=0.95,
        open_ends=(0.1 * build.head if joined else -9.0, 9.0),
    )  # fmt: skip
    return Piece(Anchor("chin"), Anchor("crown"), "head", shape)


def on_head(
    start: tuple[float, float, float], end: tuple[float, float, float], shape: Shape, point: str = "chin"
) -> Piece:
    """A piece between two points of the head's frame, measured from the chin (or another point)."""
    return Piece(Anchor(point, "head", start), Anchor(point, "head", end), "head", shape)


def head_shape(
    length: float, half: float, low: float, high: float, inside: Region, paint: Texture, *, depth: float = 0.02,
    left: bool | None = None,
) -> Shape:  # fmt: skip
    """A flat shape that counts as head: as its left or right half, or each side for itself."""
    sides = {None: parts.HEAD, True: dict.fromkeys(parts.SIDES, 24), False: dict.fromkeys(parts.SIDES, 23)}[left]
    return Shape(length, (-half, half, low, high), inside, paint, left_right(sides), depth=depth)


def _ear(out: float, build: Build, skin: Colour) -> Piece:
    r, y = build.face, build.eye_height * build.head
    size = 0.22 * r
    shape = head_shape(2 * size, size, -size, 3 * size, ellipse(size, 0.8 * size, 1.3 * size), plain(shade(skin, 0.93)),
                       depth=0.0, left=out > 0)  # fmt: skip
    return on_head((out * r, y - size, 0), (out * 1.05 * r, y + size, 0), shape)


def hairline(r: float, h: float, front: float, nape: float) -> Region:
    """Hair above a line that falls from the forehead over the ears to the nape."""
    around, height = np.array([0, 0.5, 1.0, 1.35, 1.7, 3.2]) * r, np.array([front, front, 0.6, 0.5, nape, nape]) * h
    return lambda x, y: y > np.interp(np.abs(x), around, height)


def _back_hair(
    build: Build, low: float, wide: float, paint: Texture, *, top: float = 1.05, back: float = -0.3
) -> Piece:
    """Hair behind the head, from `low` (in heads above the chin) to `top`, `wide` faces wide."""
    r, h = build.face, build.head
    silhouette = union(
        ellipse(0.56 * h, wide * r, (top - 0.56) * h), box(low * h, 0.6 * h, wide * r, min(wide * r, 0.1 * h))
    )
    shape = head_shape(h, wide * r, low * h, top * h, silhouette, paint, depth=0.0)
    return on_head((0, 0, back * r), (0, h, back * r), shape)


def _bob(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    return [_back_hair(build, 0.05 + 0.1 * rng.random(), 1.16, paint)]


def _long(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    return [_back_hair(build, -0.2 - 0.5 * rng.random(), 1.1 + 0.1 * rng.random(), paint)]


def _afro(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    r, h = build.face, build.head
    size = r * (1.35 + 0.3 * rng.random())
    shape = head_shape(h, size, 0.62 * h - size, 0.62 * h + size, ellipse(0.62 * h, size, size), paint, depth=0.0)
    return [on_head((0, 0, -0.35 * r), (0, h, -0.35 * r), shape)]


def _ponytail(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    r, h = build.face, build.head
    out, length = (-1.0 if rng.random() < 0.5 else 1.0), h * (0.7 + 0.4 * rng.random())
    shape = head_shape(length, 0.3 * r, -0.3 * r, length + 0.1 * r, capsule(length, 0.28 * r, 0.1 * r), paint, depth=0)
    tail = on_head((out * 0.5 * r, 0.85 * h, -0.8 * r), (out * 1.5 * r, 0.85 * h - 0.8 * length, -1.1 * r), shape)
    return [_back_hair(build, 0.4, 1.06, paint, top=1.03), tail]


def _buns(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    r, h, size = build.face, build.head, build.face * (0.36 + 0.12 * rng.random())
    outs = (0.0,) if rng.random() < 0.4 else (-0.72, 0.72)
    shape = head_shape(size, size, -size, size, ellipse(0, size, size), paint, depth=0.0)
    places = [((out * r, (1.06 - 0.12 * abs(out)) * h, 0.0)) for out in outs]
    return [_back_hair(build, 0.4, 1.06, paint, top=1.03)] + [
        on_head(p, (p[0], p[1] + size, p[2]), replace(shape, length=size)) for p in places
    ]


def _mohawk(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    r, h = build.face, build.head
    high = 0.2 * h + 0.15 * h * rng.random()
    inside = box(-0.1 * h, high, 0.24 * r, 0.2 * r)
    return [on_head((0, 0, 0), (0, 0.5 * h, 0), head_shape(0.5 * h, 0.3 * r, -0.1 * h, high, inside, paint), "crown")]


def _cap(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    r, h = build.face, build.head
    cloth = random_texture(rng, random_colour(rng), size=0.04)
    dome = ellipse(0.66 * h, 1.08 * r, 0.42 * h)
    crown = Shape(h, (-1.1 * r, 1.1 * r, 0.6 * h, 1.1 * h), lambda x, y: dome(x, y) & (y > 0.68 * h), cloth,
                  left_right(parts.HEAD), turning=True, depth=0.03)  # fmt: skip
    visor = head_shape(0.5 * r, 0.9 * r, -0.1 * r, 0.6 * r, ellipse(0.2 * r, 0.85 * r, 0.28 * r),
                       plain(random_colour(rng, low=0.2)), depth=0.04)  # fmt: skip
    return [on_head((0, 0, 0), (0, h, 0), crown), on_head((0, 0.68 * h, 0.7 * r), (0, 0.6 * h, 1.2 * r), visor)]


def _beanie(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    r, h = build.face, build.head
    cloth = random_texture(rng, random_colour(rng), size=0.04)
    rim = plain(random_colour(rng))
    dome = union(ellipse(0.7 * h, 1.06 * r, 0.42 * h), ellipse(1.14 * h, 0.25 * r, 0.25 * r))
    shape = Shape(h, (-1.1 * r, 1.1 * r, 0.6 * h, 1.3 * h), lambda x, y: dome(x, y) & (y > 0.66 * h),
                  layered(cloth, (below(0.76 * h), rim), (above(1.08 * h), rim)), left_right(parts.HEAD), turning=True,
                  depth=0.03)  # fmt: skip
    return [on_head((0, 0, 0), (0, h, 0), shape)]


def _hat(rng: np.random.Generator, build: Build, paint: Texture) -> list[Piece]:
    r, h = build.face, build.head
    high, felt = h * (1.1 + 0.25 * rng.random()), random_texture(rng, random_colour(rng, low=0.15), size=0.05)
    silhouette = union(box(0.7 * h, high, 0.85 * r, 0.1 * r), ellipse(0.72 * h, 1.5 * r, 0.05 * h))
    band = plain(random_colour(rng))
    shape = Shape(h, (-1.5 * r, 1.5 * r, 0.6 * h, high), silhouette,
                  layered(felt, (lambda x, y: (y > 0.77 * h) & (y < 0.86 * h) & (x == x), band)),
                  left_right(parts.HEAD), turning=True, depth=0.03)  # fmt: skip
    return [on_head((0, 0, 0), (0, h, 0), shape)]


_HAIR: dict[str, Callable[[np.random.Generator, Build, Texture], list[Piece]]] = {
    "bob": _bob, "long": _long, "afro": _afro, "ponytail": _ponytail, "buns": _buns, "mohawk": _mohawk, "cap": _cap,
    "beanie": _beanie, "hat": _hat,
}  # fmt: skip
