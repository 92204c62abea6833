"""I3D of RGB frames (Carreira & Zisserman 2017, arXiv 1705.07750), whose Kinetics-400 logits FVD compares.

The names of the weights are those of the PyTorch files in use: `i3d_pretrained_400.pt` (converted from DeepMind's
module on TensorFlow Hub, which defines FVD; used by VideoGPT, TATS and DisCo) and `rgb_imagenet.pt` (pytorch-i3d;
first trained on ImageNet: another network, whose FVD differs). With equal weights the output is pytorch-i3d's, and
DisCo's for 16 frames.

The original's batch normalisation adds 1e-3 to the variance (Sonnet's default; so do pytorch-i3d and DisCo).
VideoGPT's copy adds 1e-5, so its numbers differ a little.
"""

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musedance.weights.checkpoint_file import read_checkpoint
from musedance.weights.loading import load_exactly

CLASSES = 400
SIDE = 224  # pixels of what it was trained on
LEAST_FRAMES = 9  # of which 2 are left at the end, as the last pooling needs

# Channels of an Inception block's branches: 1x1; 1x1, 3x3; 1x1, 3x3; pooling, 1x1.
_BLOCKS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}

_COUNT = "num_batches_tracked"  # in training; older files have none, and nothing here depends on it

Triple = tuple[int, int, int]


def pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """TensorFlow's SAME: zeros around `(n, c, t, h, w)` for ceil(size / stride) outputs an axis, odd ones last."""
    padding: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        missing = max((-(-size // s) - 1) * s + k - size, 0)
        padding = [missing // 2, missing - missing // 2, *padding]  # last axis first
    return F.pad(x, padding)


class Unit3D(nn.Module):
    """Convolution, batch normalisation, ReLU; or a convolution with bias alone, if `plain`."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, plain: bool = False
    ) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel, kernel, kernel), (stride, stride, stride)
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, bias=plain)
        self.bn = None if plain else nn.BatchNorm3d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3d(pad_same(x, self.kernel, self.stride))
        return x if self.bn is None else F.relu(self.bn(x), inplace=True)


class MaxPool(nn.Module):
    """Pooling that leaves ceil(size / stride). It pads zeros, which never win: what is pooled comes out of a ReLU."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class InceptionBlock(nn.Module):
    """Four branches side by side."""

    def __init__(self, in_channels: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = channels
        self.b0 = Unit3D(in_channels, b0)
        self.b1a, self.b1b = Unit3D(in_channels, b1a), Unit3D(b1a, b1b, kernel=3)
        self.b2a, self.b2b = Unit3D(in_channels, b2a), Unit3D(b2a, b2b, kernel=3)
        self.b3a, self.b3b = MaxPool((3, 3, 3), (1, 1, 1)), Unit3D(in_channels, b3b)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        branches = self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))
        return torch.cat(branches, dim=1)


class I3D(nn.Module):
    """The network, with random weights; `from_file` reads trained ones."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit3D(3, 64, kernel=7, stride=2)
        self.MaxPool3d_2a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, kernel=3)
        self.MaxPool3d_3a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        channels = 192
        for name, branches in _BLOCKS.items():
            if name == "Mixed_4b":
                self.MaxPool3d_4a_3x3 = MaxPool((3, 3, 3), (2, 2, 2))
            if name == "Mixed_5b":
                self.MaxPool3d_5a_2x2 = MaxPool((2, 2, 2), (2, 2, 2))
            block = InceptionBlock(channels, branches)
            self.add_module(name, block)
            channels = block.out_channels
        self.logits = Unit3D(channels, CLASSES, plain=True)

    def forward(self, video: Tensor) -> Tensor:
        """Logits, averaged over time.

        Args:
            video: `(n, 3, t, h, w)` in [-1, 1]; 224 x 224 in all published uses; t is 9 or more.

        Returns:
            `(n, 400)`.
        """
        for name, stage in self.named_children():
            if name != "logits":
                video = stage(video)
        video = F.avg_pool3d(video, (2, *video.shape[3:]), stride=1)
        return self.logits(video).mean(dim=(2, 3, 4))

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Trained weights, ready to be used (`eval`, no gradients).

        Raises:
            InputError: the file cannot be read, holds code, or weights are missing, left over or of other shapes.
        """
        model = cls()
        state = {name: tensor for name, tensor in read_checkpoint(Path(path)).items() if not name.endswith(_COUNT)}
        load_exactly(model, state, str(path), [name for name in model.state_dict() if not name.endswith(_COUNT)])
        return model.eval().requires_grad_(False)
