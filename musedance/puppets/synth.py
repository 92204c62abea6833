"""The sounds of the built-in music: drums and tones, each made once and then placed many times.

Only `Generator.random` is used and nothing depends on how a platform draws normal numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 22050  # Hz
SILENT = 6.9  # decays of a sound until it is 60 dB down
VIBRATO_HZ = 5.5


@dataclass(frozen=True)
class Drum:
    """A drum: a sine that falls to `pitch`, and noise between `low` and `high`.

    Attributes:
        pitch: Hz; 0 for noise alone.
        sweep: Hz above `pitch` where the sine begins: the skin's slackening.
        decay: 1/s, of the sine.
        noise: level of the noise; the sine's is 1.
        noise_decay: 1/s.
        low: Hz, as `high` the limits of the noise.
        bursts: how many times the noise begins, 9 ms apart: hands that clap are never together.
        hold: samples for which the noise keeps its value: the grit of an 8-bit sound chip.
    """

    pitch: float = 0.0
    sweep: float = 0.0
    decay: float = 20.0
    noise: float = 0.0
    noise_decay: float = 30.0
    low: float = 200.0
    high: float = 10000.0
    bursts: int = 1
    hold: int = 1


@dataclass(frozen=True)
class Voice:
    """A pitched instrument, as a sum of harmonics.

    Attributes:
        harmonics: amplitudes of the first, second, ... harmonic.
        attack: s until the tone is at its full level.
        decay: 1/s, of the first harmonic; 0 sustains.
        damping: 1/s by which every further harmonic decays faster than the one below.
        detune: cents between two players.
        vibrato: cents up and down, 5.5 times a second.
        drive: how hard an amplifier is overdriven; 0 leaves the tone as it is.
    """

    harmonics: tuple[float, ...]
    attack: float = 0.005
    decay: float = 0.0
    damping: float = 0.0
    detune: float = 0.0
    vibrato: float = 0.0
    drive: float = 0.0


def _saw(count: int, slope: float = 1.0) -> tuple[float, ...]:
    return tuple(k**-slope for k in range(1, count + 1))


def _pulse(duty: float, count: int) -> tuple[float, ...]:
    """The harmonics of a pulse wave that is high for `duty` of its period."""
    return tuple(abs(float(np.sin(np.pi * k * duty))) / k for k in range(1, count + 1))


DRUMS = {
    "house kick": Drum(pitch=48, sweep=150, decay=11, noise=0.35, noise_decay=220, low=1500),
    "rock kick": Drum(pitch=62, sweep=90, decay=19, noise=0.5, noise_decay=130, low=900),
    "deep kick": Drum(pitch=44, sweep=120, decay=8, noise=0.4, noise_decay=160, low=700),
    "tight kick": Drum(pitch=70, sweep=130, decay=26, noise=0.5, noise_decay=200, low=1500),
    "soft kick": Drum(pitch=56, sweep=40, decay=16, noise=0.25, noise_decay=90, low=300, high=4000),
    "chip kick": Drum(pitch=60, sweep=420, decay=18, noise=0.3, noise_decay=120, low=500, hold=3),
    "rock snare": Drum(pitch=185, sweep=60, decay=22, noise=1.2, noise_decay=17, low=700),
    "crisp snare": Drum(pitch=230, sweep=80, decay=34, noise=1.3, noise_decay=28, low=1200),
    "dusty snare": Drum(pitch=165, sweep=40, decay=24, noise=1.2, noise_decay=22, low=500, high=6500),
    "brush": Drum(noise=1.0, noise_decay=16, low=1200, high=8000),
    "rim": Drum(pitch=1650, decay=85, noise=0.5, noise_decay=160, low=1500),
    "clap": Drum(noise=1.0, noise_decay=24, low=900, high=6000, bursts=3),
    "hat": Drum(noise=1.0, noise_decay=70, low=6000, high=10800),
    "open hat": Drum(noise=1.0, noise_decay=14, low=5500, high=10800),
    "ride": Drum(pitch=3800, decay=16, noise=0.8, noise_decay=18, low=4500, high=10800),
    "crash": Drum(noise=1.0, noise_decay=4.5, low=3000, high=10800),
    "shaker": Drum(noise=1.0, noise_decay=42, low=4000, high=9000),
    "chip snare": Drum(noise=1.0, noise_decay=22, low=400, hold=2),
    "chip hat": Drum(noise=1.0, noise_decay=80, low=3000, hold=1),
    "clave": Drum(pitch=2450, decay=55, noise=0.15, noise_decay=300, low=2000),
    "bell": Drum(pitch=835, decay=20, noise=0.45, noise_decay=70, low=2000),
    "conga": Drum(pitch=215, sweep=30, decay=17, noise=0.25, noise_decay=120, low=800),
    "slap": Drum(pitch=330, sweep=60, decay=30, noise=0.9, noise_decay=60, low=1200),
    "high tom": Drum(pitch=170, sweep=70, decay=13, noise=0.3, noise_decay=70, low=600),
    "low tom": Drum(pitch=95, sweep=60, decay=11, noise=0.3, noise_decay=60, low=500),
    "chip tom": Drum(pitch=140, sweep=300, decay=16),
}

VOICES = {
    "sub bass": Voice((1.0, 0.35, 0.12), attack=0.004, decay=1.5),
    "synth bass": Voice(_saw(10), attack=0.004, decay=3.0, damping=1.6),
    "reese bass": Voice(_saw(14, 0.9), attack=0.02, detune=24.0),
    "picked bass": Voice(_saw(8, 1.2), attack=0.004, decay=3.0, damping=1.0),
    "plucked bass": Voice((1.0, 0.45, 0.3, 0.12, 0.08), attack=0.006, decay=3.5, damping=2.0),
    "triangle bass": Voice((1.0, 0.0, 1 / 9, 0.0, 1 / 25, 0.0, 1 / 49), attack=0.002),
    "power guitar": Voice(_saw(9), attack=0.004, decay=0.6, detune=8.0, drive=5.0),
    "lead guitar": Voice(_saw(10, 0.8), attack=0.01, vibrato=16.0, drive=3.0),
    "stab": Voice(_saw(10, 0.8), attack=0.004, decay=6.0, damping=1.5, detune=14.0),
    "pluck": Voice(_saw(8, 1.1), attack=0.003, decay=7.0, damping=3.0),
    "electric piano": Voice((1.0, 0.12, 0.06, 0.3, 0.0, 0.0, 0.1), attack=0.006, decay=1.6, damping=0.9),
    "piano": Voice((1.0, 0.6, 0.45, 0.3, 0.22, 0.14, 0.1, 0.07), attack=0.003, decay=2.0, damping=0.9),
    "bright piano": Voice(_saw(12, 0.9), attack=0.002, decay=4.0, damping=1.2),
    "pad": Voice(_saw(7, 1.4), attack=0.12, detune=16.0),
    "strings": Voice(_saw(9, 1.1), attack=0.07, detune=10.0, vibrato=10.0),
    "violin": Voice((1.0, 0.7, 0.75, 0.5, 0.4, 0.3, 0.18, 0.12), attack=0.03, vibrato=22.0),
    "accordion": Voice((1.0, 0.7, 0.8, 0.5, 0.5, 0.3, 0.25, 0.2), attack=0.012, detune=20.0),
    "flute": Voice((1.0, 0.22, 0.08, 0.03), attack=0.03, vibrato=14.0),
    "trumpet": Voice((0.7, 1.0, 0.9, 0.7, 0.5, 0.35, 0.2, 0.1), attack=0.015, vibrato=8.0),
    "square": Voice(_pulse(0.5, 15), attack=0.001),
    "narrow pulse": Voice(_pulse(0.25, 15), attack=0.001),
}


def drum_sound(drum: Drum, rng: np.random.Generator, tuning: float = 1.0) -> np.ndarray:
    """One hit, (n,) float64 with a peak of 1; its pitch is `tuning` times the drum's."""
    t = _times(min(SILENT / min(drum.decay if drum.pitch else np.inf, drum.noise_decay if drum.noise else np.inf), 0.9))
    sound = np.zeros_like(t)
    if drum.pitch:
        phase = drum.pitch * t + drum.sweep * (1 - np.exp(-45 * t)) / 45
        sound += np.sin(2 * np.pi * tuning * phase) * np.exp(-drum.decay * t)
    for burst in range(drum.bursts if drum.noise else 0):
        since = t - 0.009 * burst
        begun = since >= 0
        envelope = np.exp(-(drum.noise_decay if burst == drum.bursts - 1 else 160) * since[begun])
        sound[begun] += drum.noise * _noise(rng, len(envelope), drum) * envelope
    sound *= np.minimum(t / 0.0005, 1)
    return sound / np.abs(sound).max()


def tone(voice: Voice, note: float, seconds: float) -> np.ndarray:
    """A tone of MIDI number `note` (69 is 440 Hz), held for `seconds` and then released in 40 ms: (n,) float64.

    Its deviation would be 0.5 if it did not decay.
    """
    release = 0.04
    t = _times(seconds + release)
    pitch = 440 * 2 ** ((note - 69) / 12)
    shapes = [voice.detune / 2, -voice.detune / 2] if voice.detune else [0.0]
    sound = np.zeros_like(t)
    for cents in shapes:
        phase = 2 * np.pi * pitch * 2 ** (cents / 1200) * t
        if voice.vibrato:
            depth = pitch / VIBRATO_HZ * (2 ** (voice.vibrato / 1200) - 1)
            phase += depth * np.sin(2 * np.pi * VIBRATO_HZ * t) * np.minimum(t / 0.3, 1)
        harmonic = np.exp(1j * phase - voice.decay * t)
        following = np.exp(1j * phase - voice.damping * t)  # times one harmonic gives the next: faster than sines
        for amplitude in voice.harmonics[: int(0.45 * RATE / pitch)]:
            sound += amplitude * harmonic.imag
            harmonic *= following
    sound /= np.sqrt(2 * len(shapes) * np.square(voice.harmonics).sum())
    if voice.drive:
        sound = np.tanh(voice.drive * sound) / np.tanh(voice.drive)
    return sound * np.minimum(t / voice.attack, 1) * np.clip((seconds + release - t) / release, 0, 1)


def place(mix: np.ndarray, sound: np.ndarray, time: float, gain: float) -> None:
    """Add a sound to (n,) `mix` at `time` seconds; what reaches past the end is left out."""
    first = round(time * RATE)
    room = mix[first : first + len(sound)]
    room += gain * sound[: len(room)]


def _times(seconds: float) -> np.ndarray:
    return np.arange(max(round(seconds * RATE), 1)) / RATE


def _noise(rng: np.random.Generator, count: int, drum: Drum) -> np.ndarray:
    """Noise within the drum's band: (count,) of deviation 0.4."""
    values = np.repeat(2 * rng.random(-(-count // drum.hold)) - 1, drum.hold)[:count]
    spectrum = np.fft.rfft(values)
    frequencies = np.fft.rfftfreq(count, 1 / RATE)
    spectrum[(frequencies < drum.low) | (frequencies > drum.high)] = 0
    values = np.fft.irfft(spectrum, count)
    return 0.4 * values / max(float(values.std()), 1e-9)
