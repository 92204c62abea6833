"""Music from a seed: a score is written and played, so that the times of its beats are known exactly."""

from __future__ import annotations

import functools
import math

import numpy as np

from musedance.puppets.genres import GENRES
from musedance.puppets.score import Grid, Score, pick, write_score
from musedance.puppets.synth import DRUMS, RATE, VOICES, drum_sound, place, tone
from musedance.puppets.track import Track

BPM_RANGE = (70.0, 160.0)
LOUDNESS = 0.125  # deviation: -18 dB of full scale
CEILING = 0.97
FADE = 0.03  # s, at the end
LAST_BEAT = 0.15  # s before the end, at least: a beat has time to sound


def compose(
    rng: np.random.Generator,
    *,
    duration: float,
    genre: str | None = None,
    bpm: float | None = None,
    first_beat: float | None = None,
) -> Track:
    """Compose a track: the same samples for the same state of `rng`, on 16-bit steps, at 22.05 kHz.

    Args:
        rng: where everything that is left open comes from.
        duration: s, at least 2.
        genre: one of `GENRES`; one of them at random if not given.
        bpm: 70 to 160; a tempo that is usual in the genre if not given.
        first_beat: s, where the first beat falls; at random within the first beat's length if not given.

    Raises:
        ValueError: a value is out of range.
    """
    if genre is not None and genre not in GENRES:
        raise ValueError(f"there is no genre {genre!r}; possible: {', '.join(GENRES)}")
    if bpm is not None and not BPM_RANGE[0] <= bpm <= BPM_RANGE[1]:
        raise ValueError(f"bpm must be from {BPM_RANGE[0]:g} to {BPM_RANGE[1]:g}, not {bpm}")
    if not duration >= 2:
        raise ValueError(f"a track lasts at least 2 s, not {duration}")
    style = pick(rng, list(GENRES.values())) if genre is None else GENRES[genre]
    # Drawn whether they are needed or not, so that giving one value leaves the others as they were.
    usual_bpm = round(rng.uniform(*style.bpm), 1)
    usual_start = rng.uniform(0.02, 60 / usual_bpm)
    swing = rng.uniform(*style.swing)
    tempo = usual_bpm if bpm is None else float(bpm)
    start = usual_start if first_beat is None else float(first_beat)

    grid = Grid(tempo, style.beats_per_bar, start, swing, style.swing_cell)
    num_beats = math.floor((duration - LAST_BEAT - start) * tempo / 60) + 1
    score = write_score(rng, style, grid, num_beats)
    beats = np.array([grid.time(beat) for beat in range(num_beats)])
    return Track(
        samples=_play(rng, score, round(duration * RATE)),
        sampling_rate=RATE,
        genre=style.name,
        bpm=tempo,
        beats=beats,
        downbeats=beats[:: style.beats_per_bar].copy(),
        breaks=_breaks(score),
        energy=_energy(score),
    )


def _breaks(score: Score) -> tuple[tuple[float, float], ...]:
    per_bar = score.grid.beats_per_bar
    ends = [((s.first_bar + s.bars) * per_bar, s.break_beats) for s in score.sections if s.break_beats]
    return tuple((score.grid.time(end - beats), score.grid.time(end)) for end, beats in ends)


def _energy(score: Score) -> np.ndarray:
    """(num_beats,): that of the section, 0 in a break."""
    energy = np.zeros(score.num_beats)
    for section in score.sections:
        first, end = (bar * score.grid.beats_per_bar for bar in (section.first_bar, section.first_bar + section.bars))
        energy[first : end - section.break_beats] = section.energy
    return energy


def _play(rng: np.random.Generator, score: Score, count: int) -> np.ndarray:
    """All sounds in their places, at an even loudness: (count,) float32 on 16-bit steps."""
    tuning = rng.uniform(0.92, 1.08)
    drums = {name: drum_sound(DRUMS[name], rng, tuning) for name in sorted({hit.drum for hit in score.hits})}
    mix = np.zeros(count)
    for hit in score.hits:
        place(mix, drums[hit.drum], hit.time, hit.gain)
    sound = functools.cache(lambda voice, pitch, seconds: tone(VOICES[voice], pitch, seconds))
    for note in score.notes:
        place(mix, sound(note.voice, note.pitch, round(note.seconds, 6)), note.time, note.gain)
    mix *= LOUDNESS / max(float(np.sqrt(np.mean(mix**2))), 1e-9)
    mix = CEILING * np.tanh(mix / CEILING)  # what is louder than full scale bends instead of breaking
    fade = round(FADE * RATE)
    mix[-fade:] *= np.linspace(1, 0, fade)
    return (np.round(mix * 32767) / 32768).astype(np.float32)
