"""What is played when: sections, fills, breaks and notes, before any sound is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from musedance.puppets.genres import CHORDS, STEPS_PER_BEAT, Genre, Part

STROKES = {"x": 1.0, "o": 0.5, "r": 1.0, "f": 0.9}  # how loud; a bass plays its octave as loud as its root
ENERGIES = (0.35, 0.6, 0.8, 1.0)
BREAK_CHANCE, FILL_CHANCE = 0.35, 0.7  # of a section: to end with a break, or else with a fill
T = TypeVar("T")


@dataclass(frozen=True)
class Hit:
    """One stroke of a drum: `time` in s, `gain` on the mix."""

    time: float
    drum: str
    gain: float


@dataclass(frozen=True)
class Note:
    """One note of an instrument: `time` and `seconds` in s, `pitch` in MIDI numbers."""

    time: float
    seconds: float
    voice: str
    pitch: int
    gain: float


@dataclass(frozen=True)
class Section:
    """Bars of one energy. Its last `break_beats` are a break, in which a chord is held or nothing sounds."""

    first_bar: int
    bars: int
    energy: float
    break_beats: int = 0
    held: bool = False
    fill_beats: int = 0


@dataclass(frozen=True)
class Grid:
    """Where bars and beats lie: the first beat `offset` s into the track, `bpm` beats a minute."""

    bpm: float
    beats_per_bar: int
    offset: float = 0.0
    swing: float = 0.0
    swing_cell: float = 0.5

    def time(self, beat: float) -> float:
        """Seconds of a place counted in beats. Swing moves what lies within a cell and never a beat itself.

        The first half of each cell of `swing_cell` beats takes `swing` of the second half's time: 1/3 gives triplets.
        """
        cell, within = divmod(beat / self.swing_cell, 1.0)
        middle = 0.5 * (1 + self.swing)
        warped = within * 2 * middle if within < 0.5 else middle + (within - 0.5) * 2 * (1 - middle)
        return self.offset + (cell + warped) * self.swing_cell * 60 / self.bpm


@dataclass
class Score:
    """A piece as it is written down."""

    grid: Grid
    num_beats: int
    sections: tuple[Section, ...]
    hits: list[Hit] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def write_score(rng: np.random.Generator, genre: Genre, grid: Grid, num_beats: int) -> Score:
    """Write a piece of `num_beats` beats: the same for the same state of `rng`."""
    score = Score(grid, num_beats, plan_sections(rng, math.ceil(num_beats / grid.beats_per_bar), grid.beats_per_bar))
    key = int(rng.integers(12))
    progression = pick(rng, genre.progressions)
    drums = [(beat, pick(rng, beat.patterns)) for beat in genre.beats]
    parts = [(part, pick(rng, part.patterns), _melody(rng)) for part in genre.parts]
    fill = [pick(rng, genre.fill) for _ in range(2)]
    for section in score.sections:
        for bar in range(section.first_bar, section.first_bar + section.bars):
            offset, quality = progression[bar % len(progression)]
            chord = [key + offset + interval for interval in CHORDS[quality]]
            playing = _playing_beats(section, bar, grid.beats_per_bar)
            filled = section.fill_beats if bar == section.first_bar + section.bars - 1 else 0
            for beat, pattern in drums:
                if section.energy >= beat.energy:
                    _play_drum(score, section, bar, playing - filled, beat.drum, beat.gain, pattern)
            for part, pattern, melody in parts:
                if section.energy >= part.energy:
                    _play_part(score, section, bar, playing, part, pattern, chord, melody)
            _play_fill(score, bar, grid.beats_per_bar - filled, filled, fill)
            if section.held and playing < grid.beats_per_bar:
                _hold_chord(score, genre, bar, playing, chord)
        if section.energy >= 0.6:
            score.hits.append(Hit(grid.time(section.first_bar * grid.beats_per_bar), _accent(genre), 0.14))
    return score


def plan_sections(rng: np.random.Generator, bars: int, beats_per_bar: int) -> tuple[Section, ...]:
    """Sections of 2 to 4 bars that fill `bars`, neighbours of different energy, some ending in a break or a fill.

    A break is the second half of a section's last bar (in bars of four) or the whole bar. No piece ends in one.
    """
    sections: list[Section] = []
    first = 0
    while first < bars:
        length = min(2 + 2 * int(rng.random() < 0.6), bars - first)
        energy = pick(rng, [level for level in ENERGIES if not sections or level != sections[-1].energy])
        last = first + length >= bars
        breaks, fills = rng.random() < BREAK_CHANCE, rng.random() < FILL_CHANCE
        half, held = rng.random() < 0.5, rng.random() < 0.5
        break_beats = fill_beats = 0
        if breaks and length > 1 and not last:
            break_beats = beats_per_bar // 2 if half and beats_per_bar % 2 == 0 else beats_per_bar
        elif fills and not last:
            fill_beats = 1 if half else min(2, beats_per_bar - 1)
        sections.append(Section(first, length, energy, break_beats, bool(held), fill_beats))
        first += length
    return tuple(sections)


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of them, each as likely."""
    return choices[int(rng.integers(len(choices)))]


def _accent(genre: Genre) -> str:
    """What is struck where a section begins."""
    return {"chiptune": "chip snare", "ballad": "ride", "waltz": "ride"}.get(genre.name, "crash")


def _melody(rng: np.random.Generator) -> list[int]:
    """A walk over the notes of whatever chord there is, in steps of at most two: 16 places."""
    place, walk = int(rng.integers(2, 5)), []
    for _ in range(16):
        walk.append(place)
        place = min(max(place + int(rng.integers(-2, 3)), 0), 6)
    return walk


def _playing_beats(section: Section, bar: int, beats_per_bar: int) -> int:
    """How many beats of a bar there are before its break."""
    last = bar == section.first_bar + section.bars - 1
    return beats_per_bar - section.break_beats if last else beats_per_bar


def _places(score: Score, bar: int, beats: int, pattern: str) -> list[tuple[float, int, str]]:
    """The strokes of a pattern within the first `beats` beats of a bar: (place in beats of the piece, step, symbol)."""
    first = bar * score.grid.beats_per_bar
    steps = [(first + step / STEPS_PER_BEAT, step, symbol) for step, symbol in enumerate(pattern) if symbol != "."]
    return [item for item in steps if item[1] < beats * STEPS_PER_BEAT and item[0] < score.num_beats]


def _play_drum(score: Score, section: Section, bar: int, beats: int, drum: str, gain: float, pattern: str) -> None:
    level = gain * (0.5 + 0.5 * section.energy)
    for place, _, symbol in _places(score, bar, beats, pattern):
        score.hits.append(Hit(score.grid.time(place), drum, level * STROKES[symbol]))


def _play_fill(score: Score, bar: int, first: int, beats: int, drums: Sequence[str]) -> None:
    """Sixteenths that get louder, accented on the beats, the second half on another drum."""
    count = beats * STEPS_PER_BEAT
    for step in range(count):
        place = bar * score.grid.beats_per_bar + first + step / STEPS_PER_BEAT
        gain = (0.8 if step % STEPS_PER_BEAT == 0 else 0.22) * (0.7 + 0.3 * step / count)
        if place < score.num_beats and (step % 2 == 0 or step > count // 2):
            score.hits.append(Hit(score.grid.time(place), drums[2 * step // count], gain))


def _play_part(
    score: Score, section: Section, bar: int, beats: int, part: Part, pattern: str, chord: list[int], walk: list[int]
) -> None:
    grid, base = score.grid, 12 * (part.octave + 1)
    end = bar * grid.beats_per_bar + beats
    level = part.gain * (0.55 + 0.45 * section.energy)
    for count, (place, step, symbol) in enumerate(_places(score, bar, beats, pattern)):
        if part.role == "bass":
            # Between E1 and E2, as a bass guitar: low enough to be apart from the chords.
            pitches = [28 + (chord[0] - 4 + {"f": 7}.get(symbol, 0)) % 12 + (12 if symbol == "o" else 0)]
        elif part.role == "chords":
            pitches = [base - 5 + (note + 5) % 12 for note in chord]
        elif part.role == "arpeggio":
            pitches = [base - 5 + (chord[step % len(chord)] + 5) % 12]
        else:
            octave, note = divmod(walk[(8 * (bar % 2) + count) % len(walk)], len(chord))
            pitches = [base - 12 + chord[0] % 12 + (chord[note] - chord[0]) + 12 * octave]
        time, until = grid.time(place), grid.time(min(place + part.length / STEPS_PER_BEAT, end))
        stroke = level * STROKES.get(symbol, 1.0)
        score.notes += [Note(time, until - time, part.voice, pitch, stroke) for pitch in pitches]


def _hold_chord(score: Score, genre: Genre, bar: int, beats: int, chord: list[int]) -> None:
    """The first chords' instrument sounds through the break."""
    part = next(part for part in genre.parts if part.role in ("chords", "arpeggio"))
    start = bar * score.grid.beats_per_bar + beats
    time, end = score.grid.time(start), score.grid.time((bar + 1) * score.grid.beats_per_bar)
    base = 12 * (part.octave + 1)
    score.notes += [Note(time, end - time - 0.05, part.voice, base - 5 + (n + 5) % 12, 1.4 * part.gain) for n in chord]
