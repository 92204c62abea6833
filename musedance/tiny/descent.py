"""How VAE, encoders and recogniser are trained: AdamW or Muon, with a learning rate that rises and falls."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from musedance.training.config import OptimConfig
from musedance.training.optimizer import make_optimizer


class Descent:
    """An optimiser for a known number of steps.

    Args:
        weights: what is trained.
        lr: the highest learning rate.
        steps: how many there will be.
        optimizer: adamw, or muon, with which the music encoder learns in 500 steps what takes 2 000 with adamw.
        beta2: of AdamW, which under Muon has biases and norms.
        weight_decay: of both.

    Raises:
        InputError: muon, but pytorch-optimizer is not installed.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        lr: float,
        steps: int,
        *,
        optimizer: str = "adamw",
        beta2: float = 0.98,
        weight_decay: float = 0.01,
    ) -> None:
        self.weights = list(weights)
        config = OptimConfig(name=optimizer, lr=lr, betas=[0.9, beta2], weight_decay=weight_decay)
        self.optimizer = make_optimizer(self.weights, config)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: rise_and_fall(step, steps))

    def step(self, loss: Tensor) -> None:
        """Go down the gradient, which is clipped to the length 1."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.schedule.step()


def rise_and_fall(step: int, steps: int) -> float:
    """The share of the learning rate: a line up in the first twentieth, then half a cosine down to 0."""
    rising = max(steps // 20, 1)
    if step < rising:
        return (step + 1) / rising
    return 0.5 + 0.5 * math.cos(math.pi * (step - rising) / max(steps - rising, 1))
