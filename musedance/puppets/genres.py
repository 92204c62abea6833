"""What the genres of the built-in music are made of: drums, instruments, rhythms, harmony.

A pattern is one bar, four steps a beat: `x` is a full stroke, `o` a soft one, `.` nothing. In a bass, `r` is the
chord's root, `f` its fifth, `o` its octave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STEPS_PER_BEAT = 4
CHORDS = {
    "minor": (0, 3, 7),
    "major": (0, 4, 7),
    "minor 7": (0, 3, 7, 10),
    "major 7": (0, 4, 7, 11),
    "dominant": (0, 4, 7, 10),
    "power": (0, 7, 12),
}


@dataclass(frozen=True)
class Beat:
    """What one drum plays: one of `patterns` in a track, `gain` loud, in sections of at least that `energy`."""

    drum: str
    patterns: tuple[str, ...]
    gain: float
    energy: float = 0.0


@dataclass(frozen=True)
class Part:
    """What one instrument plays: every note lasts `length` steps, around `octave` (4 has middle C)."""

    role: Literal["bass", "chords", "arpeggio", "melody"]
    voice: str
    patterns: tuple[str, ...]
    length: float
    octave: int
    gain: float
    energy: float = 0.0


@dataclass(frozen=True)
class Genre:
    """How one kind of music goes.

    Attributes:
        bpm: the usual tempi, lowest and highest.
        beats_per_bar: 3 or 4.
        swing: lowest and highest: how much longer the first half of a `swing_cell` is, as a share; 1/3 is triplets.
        swing_cell: beats: 1 delays the eighths between the beats, 0.5 the sixteenths.
        fill: drums that play the last beat or two of a section.
        progressions: bars of chords, each (semitones above the key, name in `CHORDS`).
    """

    name: str
    bpm: tuple[float, float]
    beats: tuple[Beat, ...]
    parts: tuple[Part, ...]
    fill: tuple[str, ...]
    progressions: tuple[tuple[tuple[int, str], ...], ...]
    beats_per_bar: int = 4
    swing: tuple[float, float] = (0.0, 0.0)
    swing_cell: float = 0.5


_HOUSE = Genre(
    name="house",
    bpm=(112, 130),
    beats=(
        Beat("house kick", ("x...x...x...x...",), 1.1),
        Beat("clap", ("....x.......x...", "....x.......x..o"), 0.5),
        Beat("hat", ("x.o.x.o.x.o.x.o.", "xoooxoooxoooxooo"), 0.19),
        Beat("open hat", ("..x...x...x...x.",), 0.09, energy=0.5),
    ),
    parts=(
        Part("bass", "synth bass", ("r.o.r.o.r.o.r.o.", "r.rrr.rrr.rrr.ro"), 1.6, 2, 0.30),
        Part("chords", "stab", ("x.....x.x.....x.", "x...x..xx...x..x", "x..x....x..x...."), 1.5, 4, 0.09, energy=0.3),
        Part("melody", "pluck", ("x..xx...x..xx.x.", "x.x.x..xx.x.x..x"), 1.5, 5, 0.10, energy=0.7),
    ),
    fill=("clap", "crisp snare"),
    progressions=(
        ((0, "minor 7"), (0, "minor 7"), (8, "major 7"), (10, "dominant")),
        ((0, "minor 7"), (5, "minor 7"), (3, "major 7"), (5, "minor 7")),
    ),
)

_ROCK = Genre(
    name="rock",
    bpm=(100, 150),
    beats=(
        Beat("rock kick", ("x.......x.x.....", "x.....x.x.......", "x.x.....x.x....."), 0.95),
        Beat("rock snare", ("....x.......x...",), 0.85),
        Beat("hat", ("x.x.x.x.x.x.x.x.", "x.o.x.o.x.o.x.o."), 0.16),
        Beat("ride", ("x...x...x...x...",), 0.12, energy=0.8),
    ),
    parts=(
        Part("bass", "picked bass", ("r.r.r.r.r.r.r.r.", "r.r.f.r.r.r.f.o."), 1.8, 2, 0.26),
        Part("chords", "power guitar", ("x.......x.......", "x.x.x.x.x.x.x.x.", "x.....x.x......."), 3.0, 3, 0.16),
        Part("melody", "lead guitar", ("x...x.x.x...x...", "x.....x.x.x.x..."), 2.0, 5, 0.11, energy=0.75),
    ),
    fill=("rock snare", "high tom", "low tom"),
    progressions=(
        ((0, "power"), (10, "power"), (5, "power"), (0, "power")),
        ((0, "power"), (5, "power"), (7, "power"), (5, "power")),
        ((0, "power"), (3, "power"), (10, "power"), (5, "power")),
    ),
)

_HIP_HOP = Genre(
    name="hip-hop",
    bpm=(70, 100),
    beats=(
        Beat("deep kick", ("x.....o.x.o.....", "x..o....x.o....o", "x......ox.o....."), 1.0),
        Beat("dusty snare", ("....x.......x...", "....x.......x..."), 0.8),
        Beat("hat", ("x.o.x.o.x.o.x.o.", "x.oox.o.x.oox.o."), 0.15),
        Beat("shaker", ("oooooooooooooooo",), 0.05, energy=0.7),
    ),
    parts=(
        Part("bass", "sub bass", ("r.....r.r.......", "r..r....r.r....."), 4.0, 2, 0.36),
        Part("chords", "electric piano", ("x...............", "x.....x.........", "x.......x......."), 7.0, 4, 0.13),
        Part("melody", "flute", ("x..x....x.......", "....x..x....x..."), 2.5, 5, 0.11, energy=0.65),
    ),
    fill=("dusty snare",),
    progressions=(
        ((0, "minor 7"), (5, "minor 7"), (0, "minor 7"), (8, "major 7")),
        ((0, "minor 7"), (10, "dominant"), (8, "major 7"), (7, "dominant")),
    ),
    swing=(0.15, 0.33),
)

_DRUM_AND_BASS = Genre(
    name="drum-and-bass",
    bpm=(140, 160),
    beats=(
        Beat("tight kick", ("x.......x.o.....", "x.o.....x.o....."), 0.9),
        Beat("crisp snare", ("....x..o....x...", "....x.......x..o"), 0.85),
        Beat("ride", ("x...x...x...x...",), 0.12),
        Beat("shaker", ("xoooxoooxoooxooo",), 0.10),
    ),
    parts=(
        Part("bass", "reese bass", ("r...............", "r.......f.......", "r.....r...o....."), 6.0, 2, 0.24),
        Part("chords", "pad", ("x...............",), 15.5, 4, 0.10),
        Part("melody", "pluck", ("x.....x.....x...", "x.x...x.x.x....."), 3.0, 5, 0.09, energy=0.6),
    ),
    fill=("crisp snare", "tight kick"),
    progressions=(
        ((0, "minor"), (0, "minor"), (8, "major"), (8, "major")),
        ((0, "minor 7"), (3, "major"), (10, "major"), (5, "minor")),
    ),
)

_WALTZ = Genre(
    name="waltz",
    bpm=(90, 150),
    beats_per_bar=3,
    beats=(
        Beat("soft kick", ("x...........", "x..........."), 0.8),
        Beat("brush", ("o...x...x...", "....x...x..."), 0.22),
        Beat("ride", ("x...........", "x...o...o..."), 0.06, energy=0.5),
    ),
    parts=(
        Part("bass", "plucked bass", ("r...........",), 3.5, 2, 0.42),
        Part("chords", "accordion", ("....x...x...",), 1.6, 4, 0.13),
        Part(
            "melody",
            "violin",
            ("x.......x...", "x...x...x...", "x.....x.x...", "x..........."),
            3.6,
            5,
            0.15,
            energy=0.35,
        ),
    ),
    fill=("brush",),
    progressions=(
        ((0, "major"), (0, "major"), (7, "dominant"), (7, "dominant")),
        ((0, "major"), (9, "minor"), (5, "major"), (7, "dominant")),
        ((0, "minor"), (5, "minor"), (7, "dominant"), (0, "minor")),
    ),
)

_LATIN = Genre(
    name="latin",
    bpm=(88, 125),
    beats=(
        Beat("soft kick", ("x...x...x...x...", "x..ox...x..ox..."), 0.9),
        Beat("bell", ("x...x...x...x...", "x...x...x.o.x..."), 0.36),
        Beat("clave", ("x..x..x...x.x...", "x.x...x..x..x..."), 0.13),
        Beat("conga", ("o...o.......x.x.", "............x.x."), 0.4),
        Beat("slap", ("....x...........", "....x.......o..."), 0.34),
        Beat("shaker", ("xoo.xoo.xoo.xoo.", "x..ox..ox..ox..o"), 0.13),
    ),
    parts=(
        Part("bass", "plucked bass", ("r.....f.....o...", "r.....f.r.....o."), 3.0, 2, 0.34),
        Part("arpeggio", "bright piano", ("x.xxxx.xx.xxxx.x", "x.x.x..xx.x.x..x"), 1.4, 4, 0.12, energy=0.3),
        Part("melody", "trumpet", ("x..x..x.........", "....x..x..x.x..."), 2.0, 5, 0.12, energy=0.7),
    ),
    fill=("slap", "conga"),
    progressions=(
        ((0, "minor"), (5, "minor"), (7, "dominant"), (7, "dominant")),
        ((0, "major"), (5, "major"), (7, "dominant"), (5, "major")),
    ),
)

_BALLAD = Genre(
    name="ballad",
    bpm=(70, 95),
    beats=(
        Beat("soft kick", ("x.......x.......", "x.......x.o....."), 0.65),
        Beat("rim", ("....x.......x...",), 0.26),
        Beat("hat", ("x...x...x...x...", "x.o.x.o.x.o.x.o."), 0.05),
    ),
    parts=(
        Part("bass", "plucked bass", ("r...............", "r.......f......."), 7.0, 2, 0.30),
        Part("chords", "piano", ("x...x...x...x...", "x.......x......."), 3.8, 4, 0.12),
        Part("arpeggio", "piano", ("x.o.x.o.x.o.x.o.", "x...x.o.x...x.o."), 2.0, 5, 0.11, energy=0.3),
        Part("chords", "strings", ("x...............",), 15.8, 4, 0.11, energy=0.55),
        Part("melody", "flute", ("x.......x...x...", "x...x.......x..."), 3.8, 5, 0.11, energy=0.75),
    ),
    fill=("low tom", "soft kick"),
    progressions=(
        ((0, "major"), (7, "major"), (9, "minor"), (5, "major")),
        ((0, "major 7"), (9, "minor 7"), (5, "major 7"), (7, "dominant")),
    ),
)

_CHIPTUNE = Genre(
    name="chiptune",
    bpm=(110, 160),
    beats=(
        Beat("chip kick", ("x...x...x...x...", "x.......x.o....."), 0.8),
        Beat("chip snare", ("....x.......x...",), 0.42),
        Beat("chip hat", ("x.o.x.o.x.o.x.o.", "x...x...x...x..."), 0.12),
    ),
    parts=(
        Part("bass", "triangle bass", ("r.o.r.o.r.o.r.o.", "r.r.r.o.r.r.f.o."), 1.7, 2, 0.42),
        Part("arpeggio", "narrow pulse", ("xxxxxxxxxxxxxxxx",), 0.9, 5, 0.09),
        Part("melody", "square", ("x..x..x.x.x.x...", "x...x.x.x..x..x."), 1.5, 5, 0.13, energy=0.5),
    ),
    fill=("chip snare", "chip tom"),
    progressions=(
        ((0, "major"), (7, "major"), (9, "minor"), (5, "major")),
        ((0, "minor"), (8, "major"), (3, "major"), (10, "major")),
    ),
)

GENRES = {g.name: g for g in (_HOUSE, _ROCK, _HIP_HOP, _DRUM_AND_BASS, _WALTZ, _LATIN, _BALLAD, _CHIPTUNE)}
