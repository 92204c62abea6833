"""The fifth stage: a video's whole soundtrack, its beats and its fingerprint."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musedance.conditions.beats import track_beats
from musedance.media.audio import Audio, read_audio
from musedance.prepare.fingerprint import fingerprint
from musedance.prepare.rejection import Rejected

SAMPLING_RATE = 16000  # Hz, of the clips' music
SILENCE = 1e-3  # -60 dB of full scale, as for beats


@dataclass(frozen=True)
class Track:
    """A video's soundtrack, its time 0 at the first picture.

    Attributes:
        music: (1, n) at 16 kHz.
        beats: (b,) seconds, sorted.
        landmarks: (m, 2) int64, see `fingerprint`.
    """

    music: Audio
    beats: np.ndarray
    landmarks: np.ndarray

    def cut(self, start: float, end: float) -> Audio:
        """The music of a clip.

        Raises:
            Rejected: the sound ends before the clip does, or is silent throughout.
        """
        if end > self.music.duration + 0.05:
            raise Rejected("sound ends early", f"at {self.music.duration:.2f} s, the clip at {end:.2f} s")
        piece = self.music.cut(start, end)
        if np.abs(piece.samples).max() < SILENCE:
            raise Rejected("silent")
        return piece


@dataclass(frozen=True)
class Soundtrack:
    """Reads the music and tracks its beats over its whole length, since an excerpt is too short for a tempo.

    Args:
        bpm: where to look for the tempo of all videos; None estimates it.
    """

    bpm: float | None = None

    def read(self, path: Path) -> Track:
        """The soundtrack of a video; InputError if none can be decoded."""
        audio = read_audio(path)
        mono = audio.mono(SAMPLING_RATE)
        beats = track_beats(audio.samples.mean(axis=0), audio.sampling_rate, self.bpm)
        return Track(Audio(mono[None].clip(-1, 1), SAMPLING_RATE), beats, fingerprint(mono, SAMPLING_RATE))
