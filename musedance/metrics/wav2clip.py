"""Wav2CLIP's embeddings of sound (Wu et al., "Wav2CLIP", ICASSP 2022, arXiv 2110.11499), without torchaudio.

A ResNet-18 on a log spectrogram, and two linear layers that bring its output into the space of CLIP ViT-B/32.
"""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from musedance.device import choose_device
from musedance.errors import InputError
from musedance.media.audio import read_audio
from musedance.weights.checkpoint_file import read_checkpoint
from musedance.weights.loading import load_exactly

WEIGHTS_URL = "https://github.com/descriptinc/lyrebird-wav2clip/releases/download/v0.1.0-alpha/Wav2CLIP.pt"

SAMPLING_RATE = 16_000  # Hz
N_FFT, HOP_LENGTH = 512, 353  # samples; the window is as long as the transform
WIDTH = 512  # of the encoder's output and of the embedding

# In a training checkpoint, and without effect on an embedding: the other direction's projection, the losses'
# temperatures, how many batches the statistics come from.
_NOT_NEEDED = re.compile(r"image_transform\.|loss_fn\w*\.|.*\.num_batches_tracked$")


class Wav2Clip(nn.Module):
    """The audio half of the released model. Its tensors have the release's names, `audio_encoder.conv1.weight`, ..."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = AudioEncoder()
        self.audio_transform = AudioTransform()
        self.eval()

    @classmethod
    def from_file(cls, path: Path, device: str = "auto") -> "Wav2Clip":
        """Load `Wav2CLIP.pt` as released (`WEIGHTS_URL`), or the same tensors as `.safetensors`.

        Args:
            path: of the file.
            device: as in `musedance.device.choose_device`.

        Raises:
            InputError: there is no such file, it is damaged, or a tensor is missing, left over or of another shape.
        """
        if not path.is_file():
            raise InputError(f"there is no file {path}; get Wav2CLIP's weights from {WEIGHTS_URL}")
        model = cls()
        state = {key: tensor for key, tensor in read_checkpoint(path).items() if not _NOT_NEEDED.match(key)}
        expected = [key for key in model.state_dict() if not _NOT_NEEDED.match(key)]
        load_exactly(model, state, str(path), expected)
        return model.to(choose_device(device))

    def embed(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        """The embedding of a piece of sound, of any length.

        Args:
            samples: `(n,)` mono float32 in [-1, 1].
            sampling_rate: Hz; what is not 16 kHz is resampled.

        Returns:
            `(512,)` float32 of unit length.

        Raises:
            InputError: the samples are no sound, silent or too few.
        """
        heard = read_audio((samples, sampling_rate)).mono(SAMPLING_RATE)
        if len(heard) <= N_FFT // 2:
            raise InputError(f"{len(samples)} samples of sound are too few for Wav2CLIP; give at least 20 ms")
        if not heard.any():  # its spectrogram has no deviation to divide by
            raise InputError("silence has no Wav2CLIP embedding; give music that can be heard")
        with torch.inference_mode():
            embedding = self(torch.from_numpy(heard).to(self.audio_encoder.conv1.weight.device))
        return nn.functional.normalize(embedding, dim=0).cpu().numpy()

    def forward(self, samples: Tensor) -> Tensor:
        """`(n,)` samples at 16 kHz -> `(512,)`.

        One piece at a time: the original standardises a batch as a whole, so that neighbours change an embedding.
        """
        embedding: Tensor = self.audio_transform(self.audio_encoder(samples))
        return embedding


class LogSpectrogram(nn.Module):
    """Log of the power spectrogram, standardised over the whole piece."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(N_FFT))

    def forward(self, samples: Tensor) -> Tensor:
        """`(n,)` -> `(257, 1 + n // 353)`; the frames are centred, the ends reflected."""
        spectrum = torch.stft(samples, N_FFT, HOP_LENGTH, window=self.window, return_complex=True)
        level = torch.log(spectrum.abs().square() + 1e-7)
        return (level - level.mean()) / (level.std() + 1e-9)


class AudioEncoder(nn.Module):
    """ResNet-18 (He et al., arXiv 1512.03385) of one channel, without the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = LogSpectrogram()
        self.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(ResidualBlock(64, 64), ResidualBlock(64, 64))
        self.layer2 = nn.Sequential(ResidualBlock(64, 128), ResidualBlock(128, 128))
        self.layer3 = nn.Sequential(ResidualBlock(128, 256), ResidualBlock(256, 256))
        self.layer4 = nn.Sequential(ResidualBlock(256, WIDTH), ResidualBlock(WIDTH, WIDTH))

    def forward(self, samples: Tensor) -> Tensor:
        """`(n,)` -> `(512,)`."""
        picture = self.spectrogram(samples)[None, None]
        hidden = self.bn1(self.conv1(picture)).relu()
        hidden = nn.functional.max_pool2d(hidden, kernel_size=3, stride=2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = layer(hidden)
        pooled: Tensor = hidden.mean(dim=(2, 3))[0]
        return pooled


class ResidualBlock(nn.Module):
    """Two convolutions and a way around them; more channels out than in means half the size."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        stride = 1 if channels_in == channels_out else 2
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample = nn.Sequential()  # nothing
        if stride > 1:
            shortcut = nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels_out))

    def forward(self, hidden: Tensor) -> Tensor:
        """`(1, channels_in, h, w)` -> `(1, channels_out, h / stride, w / stride)`."""
        change = self.bn2(self.conv2(self.bn1(self.conv1(hidden)).relu()))
        result: Tensor = (change + self.downsample(hidden)).relu()
        return result


class AudioTransform(nn.Module):
    """From the encoder's output to CLIP's space."""

    def __init__(self) -> None:
        super().__init__()
        self.sequential = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Dropout(0.1), nn.Linear(WIDTH, WIDTH))

    def forward(self, hidden: Tensor) -> Tensor:
        """`(512,)` -> `(512,)`."""
        embedding: Tensor = self.sequential(hidden)
        return embedding
