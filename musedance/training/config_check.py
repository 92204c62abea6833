"""What the values of a training config may be."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

from musedance.errors import InputError
from musedance.training.config import Stage1Config, Stage2Config, TrainingConfig
from musedance.weights.modules import MODULES


@dataclass(frozen=True)
class Rule:
    """What a value has to be, in words and as a test; null is for the type to allow."""

    text: str
    holds: Callable[[Any], bool]


def _at_least(low: float) -> Rule:
    return Rule(f"at least {low}", lambda value: low <= value < math.inf)


def _above(low: float) -> Rule:
    return Rule(f"above {low}", lambda value: low < value < math.inf)


def _one_of(*names: str) -> Rule:
    return Rule(f"{', '.join(names[:-1])} or {names[-1]}", lambda value: value in names)


_PATH = Rule("a path", bool)
_SHARE = Rule("from 0 to 1", lambda value: 0 <= value <= 1)
_BELOW_ONE = Rule("from 0 to below 1", lambda value: 0 <= value < 1)
_DTYPE = _one_of("float32", "bfloat16", "float16")
# accelerate's names; accelerate itself takes seconds to import
TRACKERS = ("tensorboard", "wandb", "trackio", "comet_ml", "mlflow", "clearml", "dvclive", "swanlab", "aim")

COMMON = {
    "model": _PATH,
    "output": _PATH,
    "seed": Rule("from 0 to 2^63 - 1", lambda value: 0 <= value < 2**63),
    "steps": _at_least(1),
    "batch_size": _at_least(1),
    "accumulation": _at_least(1),
    "ema_decay": _BELOW_ONE,
    "save_dtype": _DTYPE,
    "data.root": _PATH,
    "data.cache": _PATH,
    "data.workers": _at_least(0),
    "data.video_backend": _one_of("pyav", "decord"),
    "data.max_failure_share": _SHARE,
    "clips.size": Rule("a multiple of 8, at least 8", lambda value: value >= 8 and value % 8 == 0),
    "clips.fps": _at_least(1),
    "clips.num_frames": _at_least(1),
    "drop.everything": _SHARE,
    "drop.text": _SHARE,
    "drop.reference": _SHARE,
    "drop.music": _SHARE,
    "drop.beats": _SHARE,
    "drop.music_and_beats": _SHARE,
    "drop.densepose": _SHARE,
    "objective.prediction_type": _one_of("v_prediction", "epsilon"),
    "objective.noise_offset": _at_least(0),
    "objective.min_snr_gamma": _above(0),
    "objective.snr_power": _above(0),
    "objective.motion_noise": _at_least(0),
    "optim.name": _one_of("adamw", "adamw8bit", "muon"),
    "optim.lr": _above(0),
    "optim.betas": Rule("two numbers from 0 to below 1", lambda value: len(value) == 2 and all(map(_is_beta, value))),
    "optim.eps": _above(0),
    "optim.weight_decay": _at_least(0),
    "optim.max_grad_norm": _above(0),
    "optim.schedule": _one_of("constant", "constant_with_warmup", "linear", "cosine", "polynomial"),
    "optim.warmup_steps": _at_least(0),
    "memory.precision": _one_of("no", "bf16", "fp16", "auto"),
    "memory.attention": _one_of("sdpa", "xformers", "math"),
    "checkpoint.every": _at_least(1),
    "checkpoint.total_limit": _at_least(1),
    "validation.every": _at_least(0),
    "validation.samples": _at_least(1),
    "validation.steps": _at_least(1),
    "validation.guidance_scale": _at_least(0),
    "log.every": _at_least(1),
    "log.trackers": Rule(
        f"a list of some of {', '.join(TRACKERS)}", lambda value: set(value) <= set(TRACKERS) and _are_unique(value)
    ),
    "health.explosion": _above(1),
    "health.max_skipped": _at_least(1),
}
STAGE1 = {"window": _at_least(2)}
STAGE2 = {
    "modules": Rule(
        f"a list of some of {', '.join(MODULES)}, each once",
        lambda value: set(value) <= set(MODULES) and _are_unique(value),
    ),
    "music_shift": _SHARE,
    "frozen_dtype": _DTYPE,
    "lora.rank": _at_least(1),
    "lora.alpha": _above(0),
    "lora.dropout": _BELOW_ONE,
}


def check_config(config: TrainingConfig) -> None:
    """Check every value, and those that depend on each other.

    Raises:
        InputError: naming the key, its value, and what it has to be.
    """
    rules = COMMON | (STAGE1 if isinstance(config, Stage1Config) else STAGE2)
    for key, rule in rules.items():
        value = attrgetter(key)(config)
        if value is not None and not rule.holds(value):
            raise InputError(f"{key} is {value if value != '' else 'empty'}: it has to be {rule.text}")
    _check_drop_rates(config)
    _check_objective(config)
    _check_schedule(config)
    _check_optimizer(config)
    if isinstance(config, Stage2Config):
        _check_modules(config)
        _check_spatial(config)
        _check_frozen_dtype(config)


def _is_beta(value: float) -> bool:
    return 0 <= value < 1


def _are_unique(values: list[str]) -> bool:
    return len(values) == len(set(values))


def _check_drop_rates(config: TrainingConfig) -> None:
    rates = {f"drop.{name}": rate for name, rate in asdict(config.drop).items() if name != "densepose"}
    if sum(rates.values()) > 1 + 1e-9:  # densepose has a draw of its own
        raise InputError(f"{', '.join(rates)} together are {sum(rates.values()):.4g}: they have to be at most 1")


def _check_objective(config: TrainingConfig) -> None:
    if config.objective.prediction_type == "epsilon" and config.objective.zero_terminal_snr:
        raise InputError(
            "objective.prediction_type is epsilon: the step of pure noise has no epsilon to be learned, "
            "so add objective.zero_terminal_snr=false, or keep v_prediction"
        )
    if config.objective.snr_power is None:
        return
    if config.objective.min_snr_gamma is not None:
        raise InputError("objective.snr_power and min_snr_gamma are two weightings: set one of them to null")
    if config.objective.prediction_type != "v_prediction":
        raise InputError("objective.snr_power weighs velocities: keep objective.prediction_type=v_prediction")


def _check_schedule(config: TrainingConfig) -> None:
    optim = config.optim
    if optim.warmup_steps >= config.steps:
        raise InputError(f"optim.warmup_steps is {optim.warmup_steps}: it has to be below steps, {config.steps}")
    if optim.schedule == "constant" and optim.warmup_steps:
        raise InputError(
            f"optim.warmup_steps is {optim.warmup_steps}, but optim.schedule is constant, which has no warm-up: "
            "choose constant_with_warmup"
        )


def _check_optimizer(config: TrainingConfig) -> None:
    """Muon does not see that fp16's loss scaling found infinite gradients, as fused AdamW does."""
    if config.optim.name == "muon" and config.memory.precision == "fp16":
        raise InputError("optim.name is muon, which does not go with memory.precision fp16: set it to bf16")


def _check_modules(config: Stage2Config) -> None:
    if not config.modules:
        raise InputError(
            f"modules is []: it has to be a list of some of {', '.join(MODULES)}, since without any there is nothing "
            "to train; `musedance ablate` takes the stage 1 folder itself as the row without modules"
        )
    if config.lora.rank is not None and "motion" not in config.modules:
        raise InputError(
            f"lora.rank is {config.lora.rank}, but modules leaves out the motion modules, which LoRA adapts: "
            "set lora.rank=null, or add motion"
        )


def _check_spatial(config: Stage2Config) -> None:
    if config.freeze_spatial:
        return
    settings = {"frozen_dtype": config.frozen_dtype != "float32", "lora.rank": config.lora.rank is not None}
    for key, is_set in settings.items():
        if is_set:
            raise InputError(f"freeze_spatial is false, but {key} is for frozen weights: leave {key} out")


def _check_frozen_dtype(config: Stage2Config) -> None:
    """Weights of 16 bits next to activations of 32 would be refused by the first layer."""
    precision = {"bfloat16": "bf16", "float16": "fp16"}.get(config.frozen_dtype)
    if precision not in (None, config.memory.precision):
        raise InputError(
            f"frozen_dtype is {config.frozen_dtype}, but memory.precision is {config.memory.precision}: "
            f"it has to be {precision} then"
        )
