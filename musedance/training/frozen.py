"""Frozen weights in 16 bits: they are only read, and need no master copy."""

import torch
from torch import nn

_LAYERS = (nn.Linear, nn.Conv2d)  # all but a millionth of the weights; norms stay float32, as autocast computes them


def cast_frozen(networks: nn.Module, dtype: str) -> None:
    """Bring the frozen weights of linear and convolution layers to a dtype; what is trained stays float32.

    Args:
        networks: with `requires_grad` set.
        dtype: "float32", "bfloat16" or "float16".
    """
    for module in networks.modules():
        if isinstance(module, _LAYERS) and not any(p.requires_grad for p in module.parameters()):
            module.to(getattr(torch, dtype))
