"""LPIPS v0.1 (Zhang et al. 2018, arXiv 1801.03924): how different two pictures look to a trained network.

Written out here because torchmetrics and the authors' package both need torchvision, which breaks a CPU installation.
The weights are theirs: torchvision's published file for the network, and the linear heads that torchmetrics ships.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from musedance.errors import InputError
from musedance.metrics.image_quality import Mode, check_pair
from musedance.weights.checkpoint_file import read_checkpoint
from musedance.weights.loading import load_exactly

Network = Literal["alex", "vgg"]

MINIMUM: dict[Network, int] = {"alex": 31, "vgg": 16}  # pixels of the shorter side; less is nothing after the poolings
_PIXELS = 2**19  # of each video at once: about half a gigabyte with VGG
_EPSILON = 1e-10

# In torchvision's `features`: the last ReLU before each pooling (AlexNet: all of them), whose output is compared.
_COMPARED: dict[Network, tuple[int, ...]] = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}
_CHANNELS: dict[Network, tuple[int, ...]] = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
# What the published files hold beside the features, and LPIPS does not use.
_UNUSED: dict[Network, tuple[str, ...]] = {
    "alex": tuple(f"classifier.{layer}.{kind}" for layer in (1, 4, 6) for kind in ("weight", "bias")),
    "vgg": tuple(f"classifier.{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias")),
}


class Lpips(nn.Module):
    """The distance, with whatever weights the module holds; `from_files` gives the published ones.

    Args:
        network: AlexNet or VGG-16.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.features = _alexnet() if network == "alex" else _vgg16()
        self.heads = nn.ParameterList(torch.zeros(1, channels, 1, 1) for channels in _CHANNELS[network])
        # ImageNet's mean and deviation, as [-1, 1] has them
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    @classmethod
    def from_files(cls, network: Network, backbone: Path) -> Self:
        """With published weights, on the CPU.

        Args:
            network: AlexNet or VGG-16.
            backbone: torchvision's file of it: `alexnet-owt-7be5be79.pth` or `vgg16-397923af.pth`.

        Raises:
            InputError: the file cannot be read or is of another network, or torchmetrics is not installed.
        """
        model = cls(network)
        weights = {key: value for key, value in read_checkpoint(backbone).items() if key not in _UNUSED[network]}
        load_exactly(model, weights, str(backbone), [key for key in model.state_dict() if key.startswith("features.")])
        heads = read_checkpoint(_heads_file(network))
        load_exactly(
            model.heads, {str(level): heads[f"lin{level}.model.1.weight"] for level in range(len(heads))}, "LPIPS"
        )
        return model

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """The distance of each picture from the other, `(b,)`.

        Args:
            one: `(b, 3, H, W)`, which the weights were trained for in [-1, 1].
            other: the same shape.
        """
        total = one.new_zeros(len(one))
        for head, feature in zip(self.heads, self._compared(torch.cat([one, other])), strict=True):
            unit = feature / (feature.square().sum(1, keepdim=True).sqrt() + _EPSILON)
            difference = (unit[: len(one)] - unit[len(one) :]).square()
            total = total + (head * difference).sum(1).mean((1, 2))
        return total

    def _compared(self, pictures: Tensor) -> Iterator[Tensor]:
        x = (pictures - self.shift) / self.scale
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _COMPARED[self.network]:
                yield x

    @torch.inference_mode()
    def distances(self, generated: np.ndarray, true: np.ndarray, mode: Mode) -> np.ndarray:
        """The distance of each frame from the true one, computed where the module is.

        Args:
            generated: `(n, H, W, 3)` uint8.
            true: the same shape.
            mode: `standard` feeds values in [-1, 1]; `disco` feeds [0, 1], as DisCo's evaluation does (with VGG), where
                the network expects [-1, 1].

        Returns:
            `(n,)`, 0 for identical frames, without an upper bound (rarely over 1).

        Raises:
            InputError: the videos differ in length or size, or are smaller than `MINIMUM`.
        """
        check_pair(generated, true)
        height, width = true.shape[1:3]
        least = MINIMUM[self.network]
        if min(height, width) < least:
            raise InputError(f"LPIPS ({self.network}) needs frames of {least} pixels and more, not {width} x {height}")
        found = []
        for pair in batches(generated, true, _PIXELS):
            one, other = (frames.to(self.shift.device) for frames in pair)
            if mode == "standard":
                one, other = 2 * one - 1, 2 * other - 1
            found.append(self(one, other).cpu())
        return torch.cat(found).numpy().astype(float)


def _alexnet() -> nn.Sequential:
    """torchvision's `alexnet().features` up to the last ReLU, same numbers (Krizhevsky, arXiv 1404.5997)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def _vgg16() -> nn.Sequential:
    """torchvision's `vgg16().features` up to the last ReLU, same numbers (Simonyan & Zisserman, arXiv 1409.1556)."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip(_CHANNELS["vgg"], (2, 2, 3, 3, 3), strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1])


def _heads_file(network: Network) -> Path:
    """Where torchmetrics keeps the heads. It is not imported, as importing its LPIPS would want torchvision."""
    found = importlib.util.find_spec("torchmetrics")
    if found is None or not found.submodule_search_locations:
        raise InputError('LPIPS needs torchmetrics: pip install "musedance[metrics]"')
    return Path(found.submodule_search_locations[0]) / "functional" / "image" / "lpips_models" / f"{network}.pth"


def batches(generated: np.ndarray, true: np.ndarray, pixels: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Both videos in steps of about so many pixels, at least a frame: `(b, 3, H, W)` in [0, 1], float32."""
    step = max(1, pixels // (true.shape[1] * true.shape[2]))
    for start in range(0, len(true), step):
        both = (torch.from_numpy(video[start : start + step].copy()) for video in (generated, true))
        one, other = (frames.permute(0, 3, 1, 2).contiguous() / 255 for frames in both)
        yield one, other
