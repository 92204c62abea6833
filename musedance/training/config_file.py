"""Configs of training: yaml and command line -> the dataclasses of `config.py`, and back."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import fields, is_dataclass
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from musedance.errors import InputError
from musedance.training.config import TrainingConfig
from musedance.training.config_check import check_config
from musedance.training.config_source import Given, read_file, read_overrides

# What may change when a run is gone on with: where things are, how long it goes on, what it writes and shows, how the
# same numbers are computed. A folder that has moved holds what it held (the trainer compares the model's fingerprint).
# Batch size and accumulation, so that another number of GPUs can make up the same batch.
RESUMABLE = frozenset(
    {
        "model",
        "output",
        "steps",
        "batch_size",
        "accumulation",
        "save_dtype",
        "data.root",
        "data.cache",
        "data.workers",
        "data.max_failure_share",
        "memory.gradient_checkpointing",
        "memory.attention",
        "memory.compile",
        "checkpoint.every",
        "checkpoint.total_limit",
        "validation.every",
        "validation.samples",
        "validation.steps",
        "validation.guidance_scale",
        "log.every",
        "log.trackers",
        "health.explosion",
        "health.max_skipped",
    }
)
Config = TypeVar("Config", bound=TrainingConfig)

_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list[float]: "a list of numbers, such as [0.9, 0.999]",
    list[str]: "a list of texts, such as [a, b]",
}


def find_config(name: str) -> Path:
    """A config that comes with musedance, whatever the current folder is.

    Args:
        name: relative to `configs/`, such as "stage1.yaml" or "tiny/stage1.yaml".

    Raises:
        InputError: there is none of this name.
    """
    path = Path(str(files("musedance.configs"))) / name
    if not path.is_file():
        raise InputError(f"musedance comes with no config {name}: there is no {path}")
    return path


def load_config(schema: type[Config], path: Path, overrides: Sequence[str]) -> Config:
    """A run's config: the schema's defaults, over them a yaml file, over that the command line.

    Args:
        schema: `Stage1Config` or `Stage2Config`.
        path: yaml file; may name any of the schema's keys.
        overrides: `key=value`, such as "optim.lr=1e-5" or "optim.betas=[0.9, 0.99]"; the last of a key counts.

    Raises:
        InputError: one line that names the key: unknown, given twice, of a wrong type, out of range, or missing.
    """
    kinds = _kinds(schema)
    sections = {"", *(key.rpartition(".")[0] for key in kinds)}
    config = OmegaConf.structured(schema)
    in_file = list(read_file(path, sections))
    twice = {given.key for n, given in enumerate(in_file) if given.key in {earlier.key for earlier in in_file[:n]}}
    if twice:
        raise InputError(f"{path} gives {_enumerate(sorted(twice))} twice")
    for given in (*in_file, *read_overrides(overrides, sections)):
        if given.key not in kinds:
            raise InputError(f"{given.where}: {_explain_unknown(given.key, kinds)}")
        _assign(config, given, kinds[given.key])
    unset = OmegaConf.missing_keys(config)
    missing = [key for key in kinds if key in unset]
    if missing:
        example = " ".join(f"{key}=..." for key in missing)
        raise InputError(
            f"{_enumerate(missing)} {'is' if len(missing) == 1 else 'are'} not given: "
            f"add {example} to the command, or write a config of your own (--config)"
        )
    loaded: Config = OmegaConf.to_object(config)  # type: ignore[assignment]
    check_config(loaded)
    return loaded


def config_yaml(config: TrainingConfig) -> str:
    """All of a config as yaml, which `load_config` reads back as it was."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def differing_keys(old: Config, new: Config) -> dict[str, str]:
    """Keys in which two configs of one schema differ, with both values as text ("1e-05, now 2e-05")."""
    keys = {key: attrgetter(key) for key in _kinds(type(new))}
    return {key: f"{_show(get(old))}, now {_show(get(new))}" for key, get in keys.items() if get(old) != get(new)}


def check_resumable(old: Config, new: Config) -> None:
    """Check that a run can go on with another config than it began with.

    Args:
        old: what the checkpoint was trained with.
        new: what the run is to go on with.

    Raises:
        InputError: naming each key that would make another run of it, with both values.
    """
    differing = {key: values for key, values in differing_keys(old, new).items() if key not in RESUMABLE}
    if old.steps != new.steps and not new.optim.schedule.startswith("constant"):
        differing["steps"] = f"{old.steps}, now {new.steps}, over which the learning rate falls"
    if differing:
        values = "; ".join(f"{key} was {value}" for key, value in differing.items())
        raise InputError(f"the checkpoint is of another run: {values}; give the old values, or start a new run")


def _kinds(schema: type, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> annotated type, for all keys of a schema that hold a value."""
    hints = get_type_hints(schema)
    found: dict[str, Any] = {}
    for field in fields(schema):
        kind, key = hints[field.name], prefix + field.name
        found |= _kinds(kind, f"{key}.") if isinstance(kind, type) and is_dataclass(kind) else {key: kind}
    return found


def _assign(config: Any, given: Given, kind: Any) -> None:
    """Put a value in its place, which has a type.

    Raises:
        InputError: it has another one, or would have to be looked up.
    """
    if any(special in text for text in given.texts for special in ("${", "???")):
        # Looked up, a variable of the environment (a password, say) would be written into the folder of the run.
        raise InputError(f"{given.where}: {given.key} is {given.written}: give the value itself, nothing is filled in")
    try:
        OmegaConf.update(config, given.key, given.value)
    except (OmegaConfBaseException, TypeError) as error:
        raise InputError(f"{given.where}: {given.key} is {given.written}: it has to be {_describe(kind)}") from error


def _describe(kind: Any) -> str:
    for known, text in _KINDS.items():
        if kind == known:
            return text
        if kind == known | None:
            return f"{text}, or null"
    raise TypeError(f"no config holds {kind}")


def _show(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_show, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _explain_unknown(key: str, kinds: Collection[str]) -> str:
    section, _, name = key.rpartition(".")
    inside = [known for known in kinds if known.startswith(f"{key}.")]
    if inside:
        return f"{key} holds other keys: give these, such as {inside[0]}"
    near = [known for known in kinds if known.rpartition(".")[2] == name]
    near = near or difflib.get_close_matches(key, kinds, n=1, cutoff=0.75)
    if near:
        return f"unknown key {key}; did you mean {_enumerate(near, 'or')}?"
    siblings = [known for known in kinds if section and known.startswith(f"{section}.")]
    return f"unknown key {key}" + (f"; there are {_enumerate(siblings)}" if siblings else "")


def _enumerate(names: Sequence[str], word: str = "and") -> str:
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last
