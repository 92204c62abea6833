"""Wav2CLIP's audio encoder with random weights in the release's format, against the same computed by hand."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from musedance.errors import InputError
from musedance.metrics.wav2clip import Wav2Clip

RATE, N_FFT, HOP = 16_000, 512, 353
WIDTHS = (64, 128, 256, 512)


def random_release() -> dict[str, Tensor]:
    """Tensors with the names and shapes of those in the released Wav2CLIP.pt, written down one by one."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = {"audio_encoder.spectrogram.window": torch.hann_window(N_FFT)}

    def convolution(name: str, *shape: int) -> None:
        state[f"audio_encoder.{name}.weight"] = torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5

    def norm(name: str, width: int) -> None:
        state[f"audio_encoder.{name}.weight"] = 1 + 0.1 * torch.randn(width)
        state[f"audio_encoder.{name}.bias"] = 0.2 * torch.randn(width)
        state[f"audio_encoder.{name}.running_mean"] = 0.3 * torch.randn(width)
        state[f"audio_encoder.{name}.running_var"] = 0.5 + torch.rand(width)
        state[f"audio_encoder.{name}.num_batches_tracked"] = torch.tensor(1234)

    convolution("conv1", 64, 1, 7, 7)
    norm("bn1", 64)
    for layer, (before, width) in enumerate(zip((64, *WIDTHS), WIDTHS, strict=False), start=1):
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            convolution(f"{name}.conv1", width, before if block == 0 else width, 3, 3)
            norm(f"{name}.bn1", width)
            convolution(f"{name}.conv2", width, width, 3, 3)
            norm(f"{name}.bn2", width)
            if block == 0 and layer > 1:
                convolution(f"{name}.downsample.0", width, before, 1, 1)
                norm(f"{name}.downsample.1", width)
    for direction in ("audio", "image"):
        for number in (0, 3):
            state[f"{direction}_transform.sequential.{number}.weight"] = torch.randn(512, 512) / 512**0.5
            state[f"{direction}_transform.sequential.{number}.bias"] = torch.randn(512) / 512**0.5
    return state | {f"loss_fn_{direction}.logit_scale": torch.tensor(2.66) for direction in "ia"}


@pytest.fixture(scope="module")
def release() -> dict[str, Tensor]:
    return random_release()


@pytest.fixture(scope="module")
def file(release: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wav2clip") / "Wav2CLIP.pt"
    torch.save(release, path)
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> Wav2Clip:
    return Wav2Clip.from_file(file, "cpu")


def music(seconds: float = 2.0, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Decaying tones under 4 kHz, two a second, over a little noise that is the same at every rate."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros(len(time))
    for start in np.arange(0, seconds, 0.5):
        tone = np.sin(2 * np.pi * rng.uniform(100, 4000) * (time - start)) * np.exp(-6 * (time - start))
        sound += 0.3 * np.where(time >= start, tone, 0)
    for frequency in np.arange(50, 7000, 50):
        sound += 2e-3 * np.sin(2 * np.pi * (frequency * time + rng.random()))
    return sound.astype(np.float32)


def spectrogram_by_hand(samples: np.ndarray) -> np.ndarray:
    """numpy's FFT of each window: centred frames, reflected ends, Hann, power, log, standardised."""
    padded = np.pad(samples.astype(np.float64), N_FFT // 2, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    starts = np.arange(0, len(samples) + 1, HOP)
    power = np.abs(np.fft.rfft([padded[start : start + N_FFT] * window for start in starts])) ** 2
    level = np.log(power.T + 1e-7)
    return (level - level.mean()) / (level.std(ddof=1) + 1e-9)


def embedding_by_hand(state: dict[str, Tensor], samples: np.ndarray) -> np.ndarray:
    """ResNet-18 in float64 from the tensors, then the two linear layers of `audio_transform`."""
    state = {key: tensor.double() for key, tensor in state.items()}

    def norm(hidden: Tensor, name: str) -> Tensor:
        values = (state[f"audio_encoder.{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        mean, variance, weight, bias = (value[:, None, None] for value in values)
        return (hidden - mean) / (variance + 1e-5).sqrt() * weight + bias

    def convolve(hidden: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"audio_encoder.{name}.weight"]
        return functional.conv2d(hidden, weight, stride=stride, padding=weight.shape[-1] // 2)

    hidden = torch.from_numpy(spectrogram_by_hand(samples))[None, None]
    hidden = functional.max_pool2d(norm(convolve(hidden, "conv1", 2), "bn1").relu(), 3, 2, 1)
    for layer, strides in enumerate(((1, 1), (2, 1), (2, 1), (2, 1)), start=1):
        for block, stride in enumerate(strides):
            name, kept = f"layer{layer}.{block}", hidden
            hidden = norm(convolve(hidden, f"{name}.conv1", stride), f"{name}.bn1").relu()
            hidden = norm(convolve(hidden, f"{name}.conv2"), f"{name}.bn2")
            if stride == 2:
                kept = norm(convolve(kept, f"{name}.downsample.0", 2), f"{name}.downsample.1")
            hidden = (hidden + kept).relu()
    pooled = hidden.mean(dim=(0, 2, 3))
    first, last = (
        [state[f"audio_transform.sequential.{number}.{part}"] for part in ("weight", "bias")] for number in (0, 3)
    )
    embedding = last[0] @ (first[0] @ pooled + first[1]).relu() + last[1]
    return (embedding / embedding.norm()).numpy()


@pytest.mark.parametrize("seconds", [0.05, 1.0, 2.34])
def test_the_spectrogram_is_the_releases(model: Wav2Clip, seconds: float) -> None:
    samples = music(seconds)
    found = model.audio_encoder.spectrogram(torch.from_numpy(samples)).numpy()
    assert found.shape == (257, 1 + len(samples) // HOP)
    np.testing.assert_allclose(found, spectrogram_by_hand(samples), atol=2e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_embedding_is_the_networks(model: Wav2Clip, release: dict[str, Tensor], seed: int) -> None:
    samples = music(seed=seed)
    embedding = model.embed(samples, RATE)
    assert embedding.shape == (512,) and embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(embedding, embedding_by_hand(release, samples), atol=1e-5)
    assert np.abs(embedding - model.embed(music(seed=seed + 1), RATE)).max() > 1e-3  # other music is elsewhere


def test_every_tensor_of_the_audio_half_is_used(model: Wav2Clip, release: dict[str, Tensor]) -> None:
    own = model.state_dict()
    audio = {key: tensor.shape for key, tensor in release.items() if key.startswith("audio_")}
    assert {key: tensor.shape for key, tensor in own.items()} == audio and len(audio) == 125
    for key in audio:
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(own[key], release[key]), key


def test_sound_of_another_rate_is_resampled(model: Wav2Clip) -> None:
    at_16k, at_48k = music(), music(rate=48_000)
    expected = model.embed(at_16k, RATE)
    resampled, misread = model.embed(at_48k, 48_000), model.embed(at_48k, RATE)
    assert 1 - expected @ resampled < 0.1 * (1 - expected @ misread)


def test_a_safetensors_file_is_the_same(model: Wav2Clip, release: dict[str, Tensor], tmp_path: Path) -> None:
    audio = {
        key: tensor
        for key, tensor in release.items()
        if key.startswith("audio_") and not key.endswith("num_batches_tracked")
    }
    save_file(audio, tmp_path / "wav2clip.safetensors")
    converted = Wav2Clip.from_file(tmp_path / "wav2clip.safetensors", "cpu")
    np.testing.assert_array_equal(converted.embed(music(), RATE), model.embed(music(), RATE))


def test_weights_that_do_not_fit_are_refused(release: dict[str, Tensor], tmp_path: Path) -> None:
    projection = "audio_transform.sequential.3.weight"
    broken = {
        rf"1 missing \({projection}\)": {key: tensor for key, tensor in release.items() if key != projection},
        r"1 left over \(audio_encoder.fc.weight\)": release | {"audio_encoder.fc.weight": torch.zeros(309, 512)},
        r"of another shape": release | {projection: torch.zeros(128, 512)},
    }
    for message, state in broken.items():
        torch.save(state, tmp_path / "broken.pt")
        with pytest.raises(InputError, match=message):
            Wav2Clip.from_file(tmp_path / "broken.pt", "cpu")


def test_files_that_are_no_weights_are_one_line(tmp_path: Path) -> None:
    damaged, code = tmp_path / "damaged.pt", tmp_path / "code.pt"
    damaged.write_bytes(b"PK\x03\x04 not a checkpoint")
    code.write_bytes(pickle.dumps({"audio_encoder.conv1.weight": re.compile("x")}, protocol=2))
    for path, message in (
        (tmp_path / "nowhere.pt", r"get Wav2CLIP's weights from http"),
        (damaged, "cannot read"),
        (code, "never run"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            Wav2Clip.from_file(path, "cpu")
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    "samples, message",
    [
        (np.zeros(RATE, np.float32), "silence"),
        (music()[:200], "too few"),
        (np.full(RATE, np.nan, np.float32), "not finite"),
        (np.zeros(0, np.float32), "empty"),
    ],
)
def test_sound_without_an_embedding_is_refused(model: Wav2Clip, samples: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.embed(samples, RATE)
