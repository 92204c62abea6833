"""Muon for hardware that only emulates bfloat16, in which pytorch-optimizer multiplies matrices."""

from typing import Any

import torch
from pytorch_optimizer import Muon
from pytorch_optimizer.optimizer.utils.matrix import zero_power_via_newton_schulz_5
from torch import Tensor


class Float32Muon(Muon):
    """Muon whose Newton-Schulz iterations are float32: the same steps but for rounding."""

    @staticmethod
    def _orthogonalize(group: dict[str, Any], updates: list[Tensor]) -> list[Tensor]:
        steps, weights = group["ns_steps"], group["ns_coeffs"]
        matrices = [update.reshape(len(update), -1) for update in updates]
        return [zero_power_via_newton_schulz_5(m, steps, weights=weights, dtype=torch.float32) for m in matrices]
