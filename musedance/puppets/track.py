"""What the composer writes and what a choreography reads: music whose beats are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Track:
    """A piece of music with the times that its making fixes.

    Attributes:
        samples: (n,) float32, mono, in [-1, 1].
        sampling_rate: samples a second.
        genre: the name of its genre, one of `musedance.puppets.genres.GENRES`.
        bpm: beats a minute, constant over the track.
        beats: s from the first sample, sorted, float64.
        downbeats: s, the first beat of every bar: a subset of `beats`.
        breaks: (start, end) in s: where the music pauses, from one beat to another.
        energy: (len(beats),) in [0, 1]: how full the music is at each beat; 0 in a break.
    """

    samples: np.ndarray
    sampling_rate: int
    genre: str
    bpm: float
    beats: np.ndarray
    downbeats: np.ndarray
    breaks: tuple[tuple[float, float], ...]
    energy: np.ndarray
