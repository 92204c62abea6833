"""What the music encoder is taught: composed tracks, with what is to be heard in them at the right time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor

import musedance.tiny.music
from musedance.conditions.music import mel_spectrogram
from musedance.media.audio import Audio
from musedance.metrics.onsets import onset_times
from musedance.models import MusicEncoder
from musedance.models.music_encoder import GLOBAL_TOKENS
from musedance.puppets.compose import compose
from musedance.puppets.track import Track
from musedance.tiny.music import (
    GENRE_NAMES,
    Hearing,
    Lesson,
    MusicTraining,
    compose_lesson,
    lesson_loss,
    train_music_encoder,
    windows,
)
from musedance.weights.init import load_sections, seeded

CPU = torch.device("cpu")
QUICK = MusicTraining(steps=80, batch_size=8, track_seconds=6.0, window_seconds=1.0, lr=2e-2)
FIRST, HOP = 0.0125, 0.01  # s: the middle of the first mel frame, and from one to the next


@pytest.fixture(scope="module")
def composed(extractor: ASTFeatureExtractor) -> list[tuple[Lesson, Track]]:
    """A lesson of each genre, with the track that it is made of."""
    tracks: list[Track] = []

    def noted(*args, **kwargs) -> Track:
        tracks.append(compose(*args, **kwargs))
        return tracks[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musedance.tiny.music, "compose", noted)
        lessons = [compose_lesson(extractor, QUICK, 3, index) for index in range(len(GENRE_NAMES))]
    return list(zip(lessons, tracks, strict=True))


@pytest.fixture(scope="module")
def lessons(composed: list[tuple[Lesson, Track]]) -> list[Lesson]:
    return [lesson for lesson, _ in composed]


def make_encoder(seed: int = 0) -> MusicEncoder:
    """One layer of width 32."""
    ast = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with seeded(seed, torch.float32):
        return MusicEncoder(load_sections("tiny")["music_encoder"]["ast_config"] | ast)


def test_a_lesson_has_one_of_each_for_each_mel_frame(composed: list[tuple[Lesson, Track]]) -> None:
    for number, (lesson, track) in enumerate(composed):
        frames = 1 + (round(QUICK.track_seconds * 16000) - 400) // 160
        assert lesson.mel.shape == (frames, 64)
        assert lesson.phase.shape == lesson.onset.shape == lesson.energy.shape == (frames,)
        assert GENRE_NAMES[lesson.genre] == track.genre == GENRE_NAMES[number]
        assert lesson.tempo == pytest.approx(track.bpm / 60)


def test_tempo_does_not_tell_the_genre(extractor: ASTFeatureExtractor) -> None:
    """House at any tempo of the range, not only at its own."""
    short = replace(QUICK, track_seconds=2.0)
    tempi = [60 * compose_lesson(extractor, short, 0, len(GENRE_NAMES) * k).tempo for k in range(8)]
    assert all(75 <= tempo <= 155 for tempo in tempi) and min(tempi) < 100 and max(tempi) > 135


def test_the_phase_is_whole_at_beats_and_grows_evenly(composed: list[tuple[Lesson, Track]]) -> None:
    """From before the first beat to after the last."""
    for lesson, track in composed:
        places = (track.beats - FIRST) / HOP
        inside = (places >= 0) & (places <= len(lesson.phase) - 1)
        at_beats = np.interp(places, np.arange(len(lesson.phase)), lesson.phase)
        assert inside.sum() > 5
        np.testing.assert_allclose(at_beats[inside], np.arange(len(track.beats))[inside], atol=2e-2)
        np.testing.assert_allclose(np.diff(lesson.phase), HOP * track.bpm / 60, atol=1e-4)


def test_onsets_are_where_sounds_begin(composed: list[tuple[Lesson, Track]]) -> None:
    """1 there, nothing farther than 50 ms from any."""
    for lesson, track in composed:
        times = FIRST + HOP * np.arange(len(lesson.onset))
        found = onset_times(track.samples, track.sampling_rate)
        nearest = np.abs(times[:, None] - found).min(1)
        assert not lesson.onset[nearest > 0.05].any()
        np.testing.assert_allclose(lesson.onset[nearest <= 0.005], 1, atol=0.1001)
        assert (nearest <= 0.005).sum() >= 0.9 * ((found > times[0]) & (found < times[-1])).sum()


def test_energy_follows_loudness(composed: list[tuple[Lesson, Track]]) -> None:
    for lesson, track in composed:
        sound = Audio(track.samples[None], track.sampling_rate).mono(16000)
        loud = np.array([np.log(np.square(sound[first : first + 400]).mean() + 1e-9)
                         for first in range(0, 160 * len(lesson.energy), 160)])  # fmt: skip
        assert np.corrcoef(loud, lesson.energy)[0, 1] > 0.5


def test_a_track_is_the_same_whenever_it_is_composed(extractor: ASTFeatureExtractor) -> None:
    short = replace(QUICK, track_seconds=2.0)
    first, again, other = (compose_lesson(extractor, short, seed, 1) for seed in (0, 0, 1))
    assert torch.equal(first.mel, again.mel) and torch.equal(first.phase, again.phase)
    assert first.mel.shape == other.mel.shape and not torch.equal(first.mel, other.mel)


def test_windows_are_cut_from_all_at_one_place(lessons: list[Lesson]) -> None:
    """Each piece is somewhere in a track, the same place in mel and labels."""
    batches = list(windows(lessons, QUICK, 5, seed=0))
    assert [batch["mel"].shape for batch in batches] == [(8, 98, 64)] * 5
    places = []
    for batch in batches:
        for row in range(8):
            lesson = lessons[int(batch["genre"][row])]  # one of each genre
            first = int((lesson.phase - batch["phase"][row, 0]).abs().argmin())  # it grows, so there is one place
            places.append(first)
            for name in ("mel", "phase", "onset", "energy"):
                assert torch.equal(batch[name][row], getattr(lesson, name)[first : first + 98]), name
            assert float(batch["tempo"][row]) == pytest.approx(lesson.tempo)
    assert len(set(places)) > 30
    again = list(windows(lessons, QUICK, 5, seed=0))
    assert all(torch.equal(one["mel"], other["mel"]) for one, other in zip(batches, again, strict=True))


def test_a_window_is_what_the_pipeline_hears_of_these_seconds(
    composed: list[tuple[Lesson, Track]], extractor: ASTFeatureExtractor
) -> None:
    lesson, track = composed[1]
    sound = Audio(track.samples[None], track.sampling_rate).mono(16000)
    heard = mel_spectrogram(extractor, sound[160 * 150 : 160 * 150 + 16000])[0]
    torch.testing.assert_close(lesson.mel[150 : 150 + 98], heard, atol=1e-3, rtol=0)


class Knowing(torch.nn.Module):
    """Reads nothing and knows all: what a lesson says at the tokens' times."""

    def __init__(self, batch: dict[str, torch.Tensor], times: torch.Tensor) -> None:
        super().__init__()
        at = ((times - FIRST) / HOP).round().long()
        two = torch.pi * batch["phase"][:, at]
        phases = [(2 * two).sin(), (2 * two).cos(), two.sin(), two.cos()]
        self.local = torch.stack([*phases, batch["onset"][:, at], batch["energy"][:, at]], 2)
        genres = 50 * torch.nn.functional.one_hot(batch["genre"], len(GENRE_NAMES)).float()
        self.whole = torch.cat([genres, batch["tempo"].log2()[:, None] - 0.9], 1)[:, None].expand(-1, 2, -1)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert tokens.shape[1] == GLOBAL_TOKENS + self.local.shape[1]
        return self.local, self.whole


def test_who_knows_all_makes_no_error(lessons: list[Lesson]) -> None:
    """But for the few milliseconds between a token's middle and the labels' frames."""
    encoder = make_encoder()
    batch = next(windows(lessons, QUICK, 1, seed=0))
    times = encoder.token_times(98)[GLOBAL_TOKENS:]
    total, parts = lesson_loss(encoder, Knowing(batch, times), batch)  # type: ignore[arg-type]
    assert parts["genre"] < 1e-6 and parts["tempo"] < 1e-6
    assert parts["phase"] < 0.05 and parts["two beats"] < 0.02 and parts["onset"] < 0.1 and parts["energy"] < 0.1
    assert float(total) == pytest.approx(sum(parts.values()), abs=1e-5)


def test_each_error_is_of_its_own_label(lessons: list[Lesson]) -> None:
    encoder = make_encoder()
    batch = next(windows(lessons, QUICK, 1, seed=0))
    knowing = Knowing(batch, encoder.token_times(98)[GLOBAL_TOKENS:])
    _, before = lesson_loss(encoder, knowing, batch)  # type: ignore[arg-type]
    wrong = {
        "onset": 1 - batch["onset"],
        "energy": batch["energy"] + 2,
        "genre": (batch["genre"] + 1) % len(GENRE_NAMES),
        "tempo": 2 * batch["tempo"],
    }
    for name, labels in wrong.items():
        _, after = lesson_loss(encoder, knowing, batch | {name: labels})  # type: ignore[arg-type]
        assert {part for part in after if abs(after[part] - before[part]) > 1e-6} == {name}
    for later, changed in ((1.0, {"two beats"}), (0.5, {"phase", "two beats"}), (2.0, set())):
        _, after = lesson_loss(encoder, knowing, batch | {"phase": batch["phase"] + later})  # type: ignore[arg-type]
        assert {part for part in after if abs(after[part] - before[part]) > 1e-4} == changed


def test_what_is_read_from_the_tokens_has_their_shape() -> None:
    hearing = Hearing(6)
    local, whole = hearing(torch.randn(3, GLOBAL_TOKENS + 10, 6))
    assert local.shape == (3, 10, 6) and whole.shape == (3, 2, len(GENRE_NAMES) + 1)


def test_a_short_training_learns_the_tracks(lessons: list[Lesson]) -> None:
    encoder = make_encoder()
    batch = next(windows(lessons, QUICK, 1, seed=5))
    barely = train_music_encoder(encoder, lessons, replace(QUICK, steps=1, lr=0.0), CPU)
    before = lesson_loss(encoder, barely, batch)[1]
    hearing = train_music_encoder(encoder, lessons, QUICK, CPU)
    after = lesson_loss(encoder, hearing, batch)[1]
    assert not encoder.training
    assert sum(after.values()) < 0.6 * sum(before.values())
    assert after["genre"] < 0.6 * before["genre"] and after["tempo"] < 0.6 * before["tempo"]
    assert after["energy"] < 0.7 * before["energy"]


def weights_after(lessons: list[Lesson], seed: int, state: int) -> torch.Tensor:
    encoder = make_encoder()
    with torch.random.fork_rng():
        torch.manual_seed(state)
        train_music_encoder(encoder, lessons, replace(QUICK, steps=3), CPU, seed)
    return torch.cat([value.flatten() for value in encoder.state_dict().values()])


def test_another_seed_gives_other_weights(lessons: list[Lesson]) -> None:
    first, again, other = (weights_after(lessons, seed, state=1) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_seed_alone_decides(lessons: list[Lesson]) -> None:
    first, other_state = (weights_after(lessons, 0, state) for state in (1, 2))
    assert torch.equal(first, other_state)
