"""Tells the move and the genre from a video's pictures alone; trained on true clips."""

import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from musedance.tiny.descent import Descent
from musedance.weights.init import seeded

SIDE = 32  # pixels


class Recogniser(nn.Module):
    """A small convolutional network over space and time.

    It sees how each pixel differs from the clip's median, and from the frame before, beside the picture in grey.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (3, 24, 48, 96)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Conv3d(before, after, 3, stride=(1 if i == 0 else 2, 2, 2), padding=1)]
            layers += [nn.BatchNorm3d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * widths[-1] * 16, classes))

    def forward(self, frames: Tensor) -> Tensor:
        """`(n, K, 3, SIDE, SIDE)` in [0, 1] -> `(n, classes)` logits. Time is pooled by mean and maximum."""
        features = self.body(views(frames)).flatten(3)  # (n, width, time, 16 places)
        return self.head(torch.cat([features.mean(2), features.amax(2)], 1).flatten(1))


def views(frames: Tensor) -> Tensor:
    """`(n, K, 3, H, W)` in [0, 1] -> `(n, 3, K, H, W)`: difference from the median, from the frame before, grey."""
    aside = (frames - frames.median(1, keepdim=True).values).abs().mean(2)
    moved = functional.pad((frames[:, 1:] - frames[:, :-1]).abs().mean(2), (0, 0, 0, 0, 1, 0))
    grey = frames.mean(2) - frames.mean((1, 2, 3, 4))[:, None, None, None]
    return torch.stack([4 * aside, 4 * moved, grey], 1)


def train_recogniser(
    frames: Tensor, labels: Tensor, *, steps: int = 900, batch_size: int = 32, seed: int = 0
) -> Recogniser:
    """Train on true clips, made a little unlike themselves: moved, blurred, noisy, in other colours.

    Args:
        frames: `(n, K, 3, SIDE, SIDE)` uint8.
        labels: `(n,)`, of each clip, from 0 on.
        steps: of the optimiser.
        batch_size: clips a step.
        seed: of weights and order.
    """
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed, torch.float32):  # weights, and which of them dropout leaves out
        recogniser = Recogniser(int(labels.max()) + 1)
        descent = Descent(recogniser.parameters(), 2e-3, steps, weight_decay=0.02)
        for _ in tqdm(range(steps), unit="step", desc="recogniser"):
            chosen = torch.randint(len(labels), (batch_size,), generator=generator)
            logits = recogniser(_varied(frames[chosen].float() / 255, generator))
            descent.step(functional.cross_entropy(logits, labels[chosen], label_smoothing=0.05))
    return recogniser.eval()


@torch.no_grad()
def recognise(recogniser: Recogniser, frames: Tensor) -> np.ndarray:
    """The class of each of `(n, K, 3, SIDE, SIDE)` uint8."""
    found = [recogniser(batch.float() / 255).argmax(1) for batch in frames.split(64)]
    return torch.cat(found).numpy()


def small(frames: np.ndarray) -> Tensor:
    """`(K, H, W, 3)` uint8 to `(K, 3, SIDE, SIDE)` uint8."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    return functional.interpolate(pictures, (SIDE, SIDE), mode="area").round().byte()


def _varied(frames: Tensor, generator: torch.Generator) -> Tensor:
    """What the model's own videos may be like, so that the recogniser does not stumble over it."""
    n = len(frames)
    shift = torch.randint(-2, 3, (2,), generator=generator).tolist()
    frames = torch.roll(frames, shift, (3, 4))
    frames = frames[:, :, torch.randperm(3, generator=generator)]
    if torch.rand((), generator=generator) < 0.5:
        size = frames.shape
        frames = functional.avg_pool2d(frames.flatten(0, 1), 3, 1, 1, count_include_pad=False).view(size)
    contrast = 0.6 + 0.6 * torch.rand(n, 1, 1, 1, 1, generator=generator)
    noise = 0.03 * torch.rand(n, 1, 1, 1, 1, generator=generator)
    return ((frames - 0.5) * contrast + 0.5 + noise * torch.randn(frames.shape, generator=generator)).clamp(0, 1)
