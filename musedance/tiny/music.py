"""The built-in model's music encoder: taught to hear beats, onsets, loudness, genre and tempo in composed tracks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from transformers import ASTFeatureExtractor

from musedance.conditions.music import mel_spectrogram
from musedance.media.audio import Audio
from musedance.metrics.onsets import onset_times
from musedance.models import MusicEncoder
from musedance.models.music_encoder import GLOBAL_TOKENS, MEL_HOP_SECONDS, MEL_WINDOW_SECONDS
from musedance.puppets.compose import compose
from musedance.puppets.genres import GENRES
from musedance.puppets.moves import PERIOD
from musedance.tiny.descent import Descent
from musedance.weights.init import seeded

GENRE_NAMES = tuple(GENRES)


@dataclass(frozen=True)
class MusicTraining:
    """How the music encoder is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: windows a step.
        tracks: how many are composed.
        track_seconds: of each.
        window_seconds: of a window; a segment's length.
        bpm: slowest and fastest tempo.
        lr: the highest learning rate.
    """

    steps: int = 5000
    batch_size: int = 32
    tracks: int = 2000
    track_seconds: float = 16.0
    window_seconds: float = 2.0
    bpm: tuple[float, float] = (75.0, 155.0)
    lr: float = 6e-3


@dataclass(frozen=True)
class Lesson:
    """A composed track and what is to be heard in it.

    Attributes:
        mel: `(mel_frames, mel_bins)`, log-mel, normalised.
        phase: `(mel_frames,)`, beats since the first one, which is a downbeat.
        onset: `(mel_frames,)`, 1 at an onset and falling to 0 within 50 ms on both sides.
        energy: `(mel_frames,)`, the mean of the log-mel bins.
        genre: index in `GENRES`.
        tempo: beats per second.
    """

    mel: Tensor
    phase: Tensor
    onset: Tensor
    energy: Tensor
    genre: int
    tempo: float


class Hearing(nn.Module):
    """What the tokens are read with in training; not kept.

    A pooled loss alone would leave the tokens, which the UNet reads, without timing: so each has to tell where in the
    beat and in which of two it is (a move takes two), whether something sets in and how loud it is; their mean and the
    two global tokens genre and tempo.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local = nn.Linear(width, 6)  # sin and cos of the beat's phase and of that of two beats, onset, energy
        self.whole = nn.Linear(width, len(GENRE_NAMES) + 1)  # genres, tempo

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """`(n, tokens, width)` -> `(n, tokens - 2, 6)` and `(n, 2, genres + 1)`: of the mean and of global tokens."""
        patches, globals_ = tokens[:, GLOBAL_TOKENS:], tokens[:, :GLOBAL_TOKENS]
        return self.local(patches), self.whole(torch.stack([patches.mean(1), globals_.mean(1)], 1))


def compose_lesson(extractor: ASTFeatureExtractor, training: MusicTraining, seed: int, index: int) -> Lesson:
    """Track number `index`: its genre is one after the other, its tempo independent of it."""
    rng = np.random.default_rng([seed, index])
    genre = index % len(GENRE_NAMES)
    bpm = round(rng.uniform(*training.bpm), 1)
    track = compose(rng, duration=training.track_seconds, genre=GENRE_NAMES[genre], bpm=bpm)
    waveform = Audio(track.samples[None], track.sampling_rate).mono(extractor.sampling_rate)
    mel = mel_spectrogram(extractor, waveform)[0]
    times = np.arange(len(mel)) * MEL_HOP_SECONDS + MEL_WINDOW_SECONDS / 2
    onsets = onset_times(track.samples, track.sampling_rate)
    nearest = np.abs(times[:, None] - onsets[None]).min(1) if len(onsets) else np.full(len(times), np.inf)
    phase = np.interp(times, track.beats, np.arange(len(track.beats)))
    phase = np.where(times < track.beats[0], (times - track.beats[0]) * bpm / 60, phase)
    phase = np.where(times > track.beats[-1], len(track.beats) - 1 + (times - track.beats[-1]) * bpm / 60, phase)
    return Lesson(
        mel,
        torch.tensor(phase, dtype=torch.float32),
        torch.tensor(np.clip(1 - nearest / 0.05, 0, 1), dtype=torch.float32),
        mel.mean(1),
        genre,
        bpm / 60,
    )


def train_music_encoder(
    encoder: MusicEncoder, lessons: Sequence[Lesson], training: MusicTraining, device: torch.device, seed: int = 0
) -> Hearing:
    """Train in place.

    Returns:
        What reads the tokens, to test them with.
    """
    with seeded(seed, torch.float32):
        hearing = Hearing(encoder.ast.config.hidden_size).to(device)
    encoder.to(device).train()
    weights = [*encoder.parameters(), *hearing.parameters()]
    descent = Descent(weights, training.lr, training.steps, optimizer="muon")
    with tqdm(range(training.steps), unit="step", desc="music encoder") as bar:
        for batch in windows(lessons, training, len(bar), seed):
            loss, parts = lesson_loss(encoder, hearing, {k: v.to(device) for k, v in batch.items()})
            descent.step(loss)
            bar.update()
            bar.set_postfix({name: f"{value:.3f}" for name, value in parts.items()}, refresh=False)
    encoder.eval()
    return hearing


def lesson_loss(encoder: MusicEncoder, hearing: Hearing, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """The sum of six errors, and each by name."""
    mel = batch["mel"]
    local, whole = hearing(encoder(mel))
    times = encoder.token_times(mel.shape[1])[GLOBAL_TOKENS:]
    at = ((times - MEL_WINDOW_SECONDS / 2) / MEL_HOP_SECONDS).round().long().to(mel.device)
    beats = batch["phase"][:, at]
    genre = batch["genre"][:, None].expand(-1, whole.shape[1])
    parts = {
        "phase": _phase_error(local[..., 0:2], beats),
        "two beats": _phase_error(local[..., 2:4], beats / PERIOD),
        "onset": (local[..., 4] - batch["onset"][:, at]).square().mean(),
        "energy": (local[..., 5] - batch["energy"][:, at]).square().mean(),
        "genre": functional.cross_entropy(whole[..., :-1].flatten(0, 1), genre.flatten()),
        "tempo": (whole[..., -1] - (batch["tempo"].log2() - 0.9)[:, None]).square().mean(),
    }
    return sum(parts.values(), torch.zeros((), device=mel.device)), {k: float(v.detach()) for k, v in parts.items()}


def _phase_error(heard: Tensor, turns: Tensor) -> Tensor:
    """Squared error of (sine, cosine), `(..., 2)`, where `turns` (...) counts whole turns."""
    angle = 2 * torch.pi * turns
    return (heard - torch.stack([angle.sin(), angle.cos()], -1)).square().sum(-1).mean()


def windows(lessons: Sequence[Lesson], training: MusicTraining, steps: int, seed: int) -> Iterator[dict[str, Tensor]]:
    """Batches of windows cut at random places of random tracks."""
    rng = np.random.default_rng([seed, 1])
    length = round(training.window_seconds / MEL_HOP_SECONDS) - 2  # mel frames: the last ones would reach beyond
    for _ in range(steps):
        chosen = [lessons[int(i)] for i in rng.integers(len(lessons), size=training.batch_size)]
        firsts = [int(rng.integers(len(lesson.mel) - length + 1)) for lesson in chosen]
        cuts = [slice(first, first + length) for first in firsts]
        yield {
            "mel": torch.stack([lesson.mel[cut] for lesson, cut in zip(chosen, cuts, strict=True)]),
            "phase": torch.stack([lesson.phase[cut] for lesson, cut in zip(chosen, cuts, strict=True)]),
            "onset": torch.stack([lesson.onset[cut] for lesson, cut in zip(chosen, cuts, strict=True)]),
            "energy": torch.stack([lesson.energy[cut] for lesson, cut in zip(chosen, cuts, strict=True)]),
            "genre": torch.tensor([lesson.genre for lesson in chosen]),
            "tempo": torch.tensor([lesson.tempo for lesson in chosen]),
        }
