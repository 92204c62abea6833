"""accelerate, set up for a run: processes, precision, trackers."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils import DistributedType, ProjectConfiguration, set_seed
from torch.distributed.fsdp import MixedPrecisionPolicy

from musedance.device import choose_device, has_bfloat16
from musedance.errors import InputError
from musedance.failures import complain
from musedance.training.config import TrainingConfig
from musedance.training.trackers import check_trackers

TIMEOUT = timedelta(hours=2)  # ranks wait for each other while one of them validates or writes


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """One process, DDP, FSDP2 or DeepSpeed: whichever `accelerate launch`, `torchrun` or Slurm's variables ask for.

    Python's, NumPy's and torch's random numbers are seeded alike on all ranks: a module that is made later has the
    same weights everywhere, which FSDP2 needs since each rank keeps its own shard.

    Raises:
        InputError: the precision or the kind of parallelism cannot be had here.
    """
    check_trackers(config.log.trackers)
    device = choose_device("auto")
    precision = _precision(config.memory.precision, device)
    try:
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=precision,
            gradient_accumulation_steps=config.accumulation,
            log_with=list(config.log.trackers) or None,
            project_config=ProjectConfiguration(config.output, logging_dir=str(Path(config.output) / "tensorboard")),
            step_scheduler_with_optimizer=False,
            kwargs_handlers=[
                InitProcessGroupKwargs(timeout=TIMEOUT),
                DistributedDataParallelKwargs(gradient_as_bucket_view=True),
            ],
        )
    except (ValueError, ImportError) as error:
        raise InputError(f"accelerate cannot start: {error}") from error
    _check_optimizer(config.optim.name, accelerator.distributed_type)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        _configure_deepspeed(accelerator.state.deepspeed_plugin.deepspeed_config, config, precision)
    elif accelerator.distributed_type == DistributedType.FSDP:
        _configure_fsdp(accelerator.state.fsdp_plugin)
    if precision == "bf16" and device.type == "cpu" and not has_bfloat16(device) and accelerator.is_main_process:
        complain("this CPU emulates bfloat16, many times slower than float32: take memory.precision=auto")
    set_seed(config.seed % 2**32)  # NumPy takes 32 bits
    return accelerator


def _precision(asked: str, device: torch.device) -> str:
    """What `auto` stands for on this machine; anything else as it is."""
    if asked != "auto":
        return asked
    return "bf16" if has_bfloat16(device) else "no"


def _check_optimizer(name: str, kind: DistributedType) -> None:
    if name == "muon" and kind in (DistributedType.DEEPSPEED, DistributedType.FSDP):
        raise InputError("optim.name=muon needs every weight whole: train on one GPU or with DDP, or take adamw")


def _configure_fsdp(plugin: Any) -> None:
    """Autocast as everywhere else: accelerate's own policy would cast every argument to 16 bits, times too."""
    if plugin.fsdp_version != 2:
        raise InputError("of FSDP only version 2 is supported: see configs/accelerate/fsdp2.yaml")
    if plugin.cpu_ram_efficient_loading:
        raise InputError(
            "fsdp_cpu_ram_efficient_loading would leave the frozen encoders empty on all ranks but the first: "
            "set it to false, as in configs/accelerate/fsdp2.yaml"
        )
    plugin.mixed_precision_policy = MixedPrecisionPolicy()


def _configure_deepspeed(settings: dict[str, Any], config: TrainingConfig, precision: str) -> None:
    """What DeepSpeed would otherwise take from a data loader and an optimizer of its own; autocast as everywhere else.

    Its "bf16" would cast the weights themselves, so that their moving average stood still: a step of 1e-5 is less than
    the last digit.
    """
    if settings["zero_optimization"]["stage"] > 2:
        raise InputError("of DeepSpeed ZeRO stages 1 and 2 are supported; where the weights are too large, use FSDP2")
    if precision == "fp16":
        raise InputError("DeepSpeed's fp16 casts the weights themselves: set memory.precision=bf16")
    settings["train_micro_batch_size_per_gpu"] = config.batch_size
    settings["gradient_accumulation_steps"] = config.accumulation
    settings["gradient_clipping"] = config.optim.max_grad_norm
    settings["zero_allow_untested_optimizer"] = True
    if precision == "bf16":
        settings["bf16"] = {"enabled": False}
        settings["torch_autocast"] = {"enabled": True, "dtype": "bfloat16"}
