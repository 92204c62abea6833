"""Out of memory: what would help."""

from typing import TypeGuard

from musedance.training.config import Stage2Config, TrainingConfig


def advice(config: TrainingConfig) -> str:
    """One line: the settings that would help and are not used yet, first those that leave the result as it is."""
    stage2 = isinstance(config, Stage2Config)
    settings = {
        "memory.gradient_checkpointing=true": not config.memory.gradient_checkpointing,
        "memory.attention=sdpa": config.memory.attention == "math",
        "memory.precision=bf16": config.memory.precision == "no",
        f"batch_size=1 accumulation={config.batch_size * config.accumulation}": config.batch_size > 1,
        "frozen_dtype=bfloat16": _freezes(config) and config.frozen_dtype == "float32",
        "optim.name=adamw8bit": config.optim.name == "adamw",
        "data.cache=FOLDER (from musedance dataset cache)": config.data.cache is None,
        "several GPUs with configs/accelerate/fsdp2.yaml": True,
        "lora.rank=16": _freezes(config) and config.lora.rank is None,
        _smaller("clips.num_frames", config.clips.num_frames): stage2,
        _smaller("clips.size", config.clips.size): True,
        "ema_decay=null": config.ema_decay is not None,
    }
    return "try, in this order: " + ", ".join(setting for setting, helps in settings.items() if helps)


def _freezes(config: TrainingConfig) -> TypeGuard[Stage2Config]:
    return isinstance(config, Stage2Config) and config.freeze_spatial


def _smaller(key: str, value: int | None) -> str:
    return f"{key} below " + ("the model's" if value is None else str(value))
