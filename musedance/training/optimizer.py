"""The optimizer and its learning-rate schedule."""

from collections.abc import Iterable
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from musedance.device import has_bfloat16
from musedance.errors import InputError
from musedance.training.config import OptimConfig

OPTIMIZERS = ("adamw", "adamw8bit", "muon")
SCHEDULES = ("constant", "constant_with_warmup", "linear", "cosine", "polynomial")
_LAST_LR = 1e-7  # where diffusers' polynomial schedule ends


def make_optimizer(parameters: Iterable[nn.Parameter], config: OptimConfig) -> Optimizer:
    """AdamW over all parameters alike, or Muon; without weight decay AdamW is Adam.

    The fused kernel updates in place; the default on GPUs (foreach) takes as much memory again as the weights. Under
    fp16's loss scaling it skips a step with infinite gradients by itself, so that accelerate's `step_was_skipped` stays
    false.

    Args:
        parameters: what is trained; on the CPU or on the device.
        config: the run's.

    Raises:
        InputError: there is no such optimizer, or not here.
    """
    if config.name not in OPTIMIZERS:
        raise InputError(f"optim.name has to be one of {', '.join(OPTIMIZERS)}, not {config.name!r}")
    beta1, beta2 = config.betas
    settings: dict[str, Any] = {
        "lr": config.lr,
        "betas": (beta1, beta2),
        "eps": config.eps,
        "weight_decay": config.weight_decay,
    }
    if config.name == "adamw8bit":
        return _adamw_8bit()(parameters, **settings)
    if config.name == "muon":
        return _make_muon(list(parameters), settings)
    return torch.optim.AdamW(parameters, fused=True, **settings)


def _adamw_8bit() -> Any:
    instead = "or take optim.name=adamw"
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise InputError(f'optim.name=adamw8bit needs bitsandbytes: pip install "musedance[gpu]", {instead}') from error
    if not torch.cuda.is_available():
        raise InputError(f"optim.name=adamw8bit needs a CUDA GPU, which is not here: run it on one, {instead}")
    return AdamW8bit


def _make_muon(parameters: list[nn.Parameter], adam: dict[str, Any]) -> Optimizer:
    """Muon (Jordan 2024) for matrices, AdamW for biases and norms, which are told by having one dimension.

    A matrix's step is orthogonalised, a convolution's as the matrix `(out, in * h * w)`, and as long as AdamW's would
    be (Liu et al. 2025, arXiv 2502.16982): so one learning rate does for both.
    """
    try:
        from pytorch_optimizer import Muon

        from musedance.training.muon import Float32Muon
    except ImportError as error:
        raise InputError(
            'optim.name=muon needs pytorch-optimizer: pip install "musedance[train]", or take optim.name=adamw'
        ) from error
    kind = Muon if all(has_bfloat16(weight.device) for weight in parameters) else Float32Muon
    muon = {"lr": adam["lr"], "weight_decay": adam["weight_decay"]}
    groups = [
        {"params": [weight for weight in parameters if weight.ndim > 1], "use_muon": True, **muon},
        {"params": [weight for weight in parameters if weight.ndim < 2], "use_muon": False, **adam},
    ]
    return kind([group for group in groups if group["params"]], use_adjusted_lr=True)


def make_schedule(optimizer: Optimizer, config: OptimConfig, steps: int) -> LambdaLR:
    """The learning rate over the steps, diffusers' formulas; with a warm-up it rises in a line from 0.

    Args:
        optimizer: the one from `make_optimizer`, rather than what accelerate makes of it.
        config: the run's.
        steps: optimiser steps of the whole run, at whose end linear, cosine and polynomial (power 1) have theirs.

    Raises:
        InputError: there is no such schedule, or the warm-up does not fit it.
    """
    name, warmup = config.schedule, config.warmup_steps
    if name not in SCHEDULES:
        raise InputError(f"optim.schedule has to be one of {', '.join(SCHEDULES)}, not {name!r}")
    if not 0 <= warmup < steps:
        raise InputError(f"optim.warmup_steps has to lie between 0 and the run's {steps} steps, not {warmup}")
    if name == "constant" and warmup:
        raise InputError("optim.schedule=constant has no warm-up: take constant_with_warmup, or optim.warmup_steps=0")
    if name == "polynomial" and config.lr <= _LAST_LR:
        raise InputError(f"optim.schedule=polynomial ends at {_LAST_LR}: optim.lr has to be larger, not {config.lr}")
    return get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)


def schedule_state(schedule: LambdaLR) -> dict[str, Any]:
    """Where the schedule is, as plain numbers and lists that JSON keeps exactly.

    accelerate would pickle a schedule, and read it back with `weights_only=False`.
    """
    return schedule.state_dict()


def restore_schedule(schedule: LambdaLR, state: dict[str, Any]) -> None:
    """Go on from `schedule_state`, with the optimizer's learning rates as they were then."""
    schedule.load_state_dict(state)
    for group, lr in zip(schedule.optimizer.param_groups, schedule.get_last_lr(), strict=True):
        group["lr"] = lr
