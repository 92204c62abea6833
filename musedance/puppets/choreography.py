"""What is danced to a track: which move when, and in words."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from musedance.puppets.moves import MOVES, PERIOD, Move
from musedance.puppets.pose import Pose
from musedance.puppets.styles import STYLES, Style, ease
from musedance.puppets.track import Track

BLEND = 0.5  # beats from one move to the next
_FREEZE = 0.08  # how often a dancer stands still for a while of its own accord
_WORTH_SAYING = 0.3  # s: what is seen for less is left out of a caption


class Span(NamedTuple):
    """One move of a choreography: seconds of the track, a name of `MOVES`, and what a caption says about it."""

    start: float
    end: float
    move: str
    text: str


@dataclass(frozen=True)
class _Step:
    """A span in beats."""

    start: int
    end: int
    move: Move
    text: str


class Choreography:
    """The moves to a track, one after the other. Made with `compose`.

    Attributes:
        spans: the moves in order, without gaps, from the track's start to its end.
    """

    def __init__(self, track: Track, style: Style, steps: Sequence[_Step]) -> None:
        self._style, self._steps = style, tuple(steps)
        self._starts = [step.start for step in steps]
        self._beats, self._period = np.asarray(track.beats, np.float64), 60.0 / track.bpm
        self._energy = np.asarray(track.energy, np.float64)
        duration = len(track.samples) / track.sampling_rate
        edges = [0.0, *(self._time(start) for start in self._starts[1:]), duration]
        self.spans = tuple(
            Span(start, end, step.move.name, step.text)
            for step, (start, end) in zip(self._steps, itertools.pairwise(edges), strict=True)
        )

    @classmethod
    def compose(
        cls,
        track: Track,
        rng: np.random.Generator,
        *,
        moves_per_clip: int = 2,
        clip_duration: float = 50 / 12,
        moves: Sequence[str] | None = None,
        changes: Sequence[float] = (),
    ) -> Choreography:
        """Choose moves at random; the dancer freezes in the track's breaks.

        Args:
            track: the music; moves start on its beats, and if they last a bar or longer, on its downbeats.
            rng: a pure function of its state and the other arguments.
            moves_per_clip: about how many moves `clip_duration` seconds show. With 1, the move changes at `changes`.
            clip_duration: s.
            moves: names of `MOVES` to choose from; all if not given.
            changes: s, sorted; with one move a clip, the move changes near these and never else: on every second beat,
                counted from a downbeat, the nearest.

        Raises:
            ValueError: no beats, no moves, or no such genre or move.
        """
        if len(track.beats) < 2 or moves_per_clip < 1 or (moves is not None and not moves):
            raise ValueError("a choreography needs two beats and a move")
        if track.genre not in STYLES:
            raise ValueError(f"there is no way to dance {track.genre!r}; possible: {', '.join(STYLES)}")
        names = list(moves) if moves is not None else [name for name in MOVES if name != "freeze"]
        steps, last, previous = [], len(track.beats), ""
        for start, end in _sections(track, moves_per_clip, clip_duration, changes):
            rests = moves is None and moves_per_clip > 1 and previous not in ("", "freeze") and rng.random() < _FREEZE
            others = [name for name in names if name != previous] or names
            previous = "freeze" if rests else others[int(rng.integers(len(others)))]
            steps.append(_step(start, end, previous, rng))
        for pause in track.breaks:
            first, until = (int(np.abs(track.beats - time).argmin()) for time in pause)
            first = steps[0].start if pause[0] <= track.beats[0] else first
            until = last if pause[1] > track.beats[-1] + 0.25 * 60 / track.bpm else until
            steps = _interrupted(steps, _step(first, until, "freeze", rng))
        return cls(track, STYLES[track.genre], steps)

    def pose(self, time: float) -> Pose:
        """How the dancer stands `time` seconds after the track's start."""
        phase = self._phase(time)
        index = max(bisect.bisect_right(self._starts, phase) - 1, 0)
        pose, since = self._danced(index, phase), phase - self._starts[index]
        if index > 0 and since < BLEND and self._steps[index].move.name != "freeze":
            pose = self._danced(index - 1, phase).blended(pose, ease(max(since, 0.0) / BLEND, 2.0))
        return pose

    def caption(self, start: float, end: float) -> str:
        """What is danced between two times (s), in one phrase: "waves with the right hand, then jumps"."""
        told = [entry for entry in self._told(start, end) if entry.end - entry.start >= _WORTH_SAYING]
        told = told or [max(self._told(start, end), key=lambda entry: entry.end - entry.start)]
        texts = [entry.text for index, entry in enumerate(told) if index == 0 or entry.text != told[index - 1].text]
        return ", then ".join(texts)

    def timeline(self, start: float, end: float) -> list[dict[str, float | str]]:
        """What is danced between two times (s): `{"start", "end", "text"}`, in seconds from `start`, without gaps."""
        return [
            {
                "start": round(float(entry.start - start), 6),
                "end": round(float(entry.end - start), 6),
                "text": entry.text,
            }
            for entry in self._told(start, end)
        ]

    def _told(self, start: float, end: float) -> list[Span]:
        """The spans between two times, cut to them."""
        if not self.spans[0].start <= start < end <= self.spans[-1].end + 1e-6:
            raise ValueError(f"{start} to {end} s is not within the track, {self.spans[-1].end} s")
        cut = [s._replace(start=max(s.start, start), end=min(s.end, end)) for s in self.spans]
        return [span for span in cut if span.end - span.start > 1e-6]

    def _danced(self, index: int, phase: float) -> Pose:
        """The pose of one step, also beyond its end. Who freezes stays as the step before had ended."""
        step = self._steps[index]
        if step.move.name == "freeze":
            return self._danced(index - 1, step.start) if index else self._style.pose(step.move, 0.0, 1.0)
        return self._style.pose(step.move, (phase - step.start) % PERIOD, self._amplitude(phase))

    def _amplitude(self, phase: float) -> float:
        return 0.8 + 0.3 * float(np.interp(phase, np.arange(len(self._energy)), self._energy))

    def _phase(self, time: float) -> float:
        """Beats since the first one; before it and after the last at the track's tempo."""
        beats = self._beats
        if time < beats[0]:
            return float((time - beats[0]) / self._period)
        if time >= beats[-1]:
            return float(len(beats) - 1 + (time - beats[-1]) / self._period)
        index = int(np.searchsorted(beats, time, side="right")) - 1
        return index + float((time - beats[index]) / (beats[index + 1] - beats[index]))

    def _time(self, beat: int) -> float:
        """The inverse of `_phase` for whole beats."""
        last = len(self._beats) - 1
        nearest = min(max(beat, 0), last)
        return float(self._beats[nearest] + (beat - nearest) * self._period)


def _sections(
    track: Track, moves_per_clip: int, clip_duration: float, changes: Sequence[float]
) -> list[tuple[int, int]]:
    """(start, end) of every section in beats, from before the first beat to after the last."""
    last = len(track.beats)
    downbeats = np.searchsorted(track.beats, np.asarray(track.downbeats) - 1e-6)
    first = int(downbeats[0]) if len(downbeats) else 0
    if moves_per_clip == 1:
        # All begin on the same beats of the bar (where bars are even): a listener can tell which half of a move is due.
        strong = np.arange(first % PERIOD, last, PERIOD)
        between = sorted({int(strong[np.abs(track.beats[strong] - time).argmin()]) for time in changes} - {0})
        return list(itertools.pairwise([first - PERIOD * last, *between, last]))
    bar = int(downbeats[1] - downbeats[0]) if len(downbeats) > 1 else 4
    length = max(PERIOD, PERIOD * round(clip_duration * track.bpm / 60 / moves_per_clip / PERIOD))
    if length >= bar:
        length = bar * round(length / bar)
    starts = list(range(first - length * -(-first // length), last, length))
    if len(starts) > 1 and last - starts[-1] < PERIOD:
        starts.pop()
    return list(zip(starts, [*starts[1:], last], strict=True))


def _step(start: int, end: int, name: str, rng: np.random.Generator) -> _Step:
    if name not in MOVES:
        raise ValueError(f"there is no move {name!r}; possible: {', '.join(MOVES)}")
    phrases = MOVES[name].phrases
    return _Step(start, end, MOVES[name], phrases[int(rng.integers(len(phrases)))])


def _interrupted(steps: list[_Step], rest: _Step) -> list[_Step]:
    """The steps with another in the place of what was there."""
    before = [_Step(s.start, min(s.end, rest.start), s.move, s.text) for s in steps if s.start < rest.start]
    after = [_Step(max(s.start, rest.end), s.end, s.move, s.text) for s in steps if s.end > rest.end]
    return [*before, rest, *after] if rest.start < rest.end else steps
