"""Configs: what is read, what is refused and how that is said, what is saved, what may change when a run goes on."""

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, fields, is_dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml
from accelerate.utils import LoggerType

from musedance.errors import InputError
from musedance.training.config import DropConfig, OptimConfig, Stage1Config, Stage2Config, TrainingConfig
from musedance.training.config_check import COMMON, STAGE1, STAGE2, TRACKERS
from musedance.training.config_file import (
    RESUMABLE,
    check_resumable,
    config_yaml,
    differing_keys,
    find_config,
    load_config,
)

GIVEN = ["model=m", "output=o", "data.root=d"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Yaml text -> its file."""

    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def keys_of(schema: type, prefix: str = "") -> dict[str, type]:
    """Dotted key -> type, straight from the dataclasses."""
    found = {}
    for field in fields(schema):
        kind = get_type_hints(schema)[field.name]
        found |= keys_of(kind, f"{prefix}{field.name}.") if is_dataclass(kind) else {prefix + field.name: kind}
    return found


def refusal(path: Path, *overrides: str, schema: type[TrainingConfig] = Stage2Config) -> str:
    """What is said, on one line."""
    with pytest.raises(InputError) as caught:
        load_config(schema, path, [*GIVEN, *overrides])
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_command_line_wins_over_the_file_and_that_over_the_schema(write: Callable[[str], Path]) -> None:
    path = write("optim:\n  lr: 2e-4\n  eps: 1e-6\nmodel: from_file\n")
    config = load_config(Stage2Config, path, ["output=o", "data.root=a=b c", "optim.lr=3e-4", "optim.lr=4e-4"])
    assert type(config) is Stage2Config
    assert type(config.optim) is OptimConfig
    assert (config.model, config.output, config.data.root) == ("from_file", "o", "a=b c")
    assert (config.optim.lr, config.optim.eps, config.optim.max_grad_norm) == (4e-4, 1e-6, 1.0)


def test_values_are_what_the_schema_says_whatever_yaml_would_guess(write: Callable[[str], Path]) -> None:
    text = "memory:\n  precision: no\n  compile: yes\noutput: 2026-01-31\nmodel: 0123\ndata:\n  root: 1e5\n  cache: ~\n"
    config = load_config(Stage2Config, write(text), ["optim.betas=[0, 1e-3]", "steps=30_000", "ema_decay=null"])
    assert (config.memory.precision, config.memory.compile) == ("no", True)
    assert (config.output, config.model, config.data.root, config.data.cache) == ("2026-01-31", "0123", "1e5", None)
    assert (config.optim.betas, config.steps, config.ema_decay) == ([0.0, 1e-3], 30_000, None)
    assert type(config.optim.betas) is list


def test_a_whole_section_can_be_given(write: Callable[[str], Path]) -> None:
    config = load_config(Stage2Config, write(""), [*GIVEN, "optim={lr: 1e-3, betas: [0.5, 0.6]}"])
    assert config.optim == OptimConfig(lr=1e-3, betas=[0.5, 0.6])


def test_all_that_is_missing_is_named_at_once(write: Callable[[str], Path]) -> None:
    path = write("steps: 5\n")
    with pytest.raises(
        InputError, match=r"^model, output and data.root are not given: add model=\.\.\. output=\.\.\. "
    ):
        load_config(Stage1Config, path, [])
    with pytest.raises(InputError, match=r"^output is not given: add output=\.\.\. to the command"):
        load_config(Stage1Config, path, ["model=m", "data.root=d"])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optim.lrr=1", "command line: unknown key optim.lrr; did you mean optim.lr?"),
        ("lr=1", "command line: unknown key lr; did you mean optim.lr?"),
        ("every=1", "did you mean checkpoint.every, validation.every or log.every?"),
        ("optim.learning_rate=1", "unknown key optim.learning_rate; there are optim.name, optim.lr, "),
        ("optim.lr.x=1", "unknown key optim.lr.x"),
        ("optim={foo: 1}", "unknown key optim.foo"),
        ("window=12", "unknown key window"),  # stage 1's
        ("optim=5", "optim holds other keys: give these, such as optim.name"),
        ("optim=", "optim holds other keys"),
        ("optim.lr=fast", "command line: optim.lr is fast: it has to be a number"),
        ("optim.lr=", "optim.lr is null: it has to be a number"),
        ("optim.lr={a: 1}", "optim.lr is {a: 1}: it has to be a number"),
        ("optim.betas=0.9", "optim.betas is 0.9: it has to be a list of numbers"),
        ("optim.betas=[0.9, [1]]", "optim.betas is [0.9, [1]]: it has to be a list of numbers"),
        ("optim.betas=[0.9, null]", "optim.betas is [0.9, null]: it has to be a list of numbers"),
        ("steps=1e4", "steps is 1e4: it has to be a whole number"),
        ("steps=2.5", "steps is 2.5: it has to be a whole number"),
        ("ema_decay=none", "ema_decay is none: it has to be a number, or null"),
        ("clips.size=big", "clips.size is big: it has to be a whole number, or null"),
        ("memory.compile=perhaps", "memory.compile is perhaps: it has to be true or false"),
        ("model=[a]", "model is [a]: it has to be text"),
        ("log.trackers=wandb", "log.trackers is wandb: it has to be a list of texts"),
        ("steps", "command line: 'steps' is not key=value"),
        ("=5", "command line: '=5' is not key=value"),
        ("steps=[1", "command line: the value of steps is not yaml: expected ',' or ']'"),
        ("model=!!python/object/apply:os.getcwd []", "model is !!python/object/apply:os.getcwd []: it has to be text"),
        ("optim.betas=&a [*a]", "optim.betas is &a [*a]: it has to be a list of numbers"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(override: str, words: str, write: Callable[[str], Path]) -> None:
    assert words in refusal(write(""), override)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: 5\noptim:\n  foo: 1\n", "config.yaml, line 3: unknown key optim.foo"),
        ("steps: 5\noptim:\n  lr: no\n", "config.yaml, line 3: optim.lr is no: it has to be a number"),
        ("optim:\n  # lr: 1\nsteps: 5\n", "optim holds other keys"),
        ("optim:\n  lr: 1\n  eps: 1\n  lr: 2\n", "config.yaml gives optim.lr twice"),
        ("optim.lr: 1\noptim:\n  lr: 2\n", "config.yaml gives optim.lr twice"),
        ("optim:\n\tlr: 1\n", "config.yaml is not yaml: found character '\\t' that cannot start any token in line 2"),
        ("- steps\n", "it has to hold lines of 'key: value'"),
        ("steps: 5\n---\nsteps: 6\n", "is not yaml: but found another document in line 2"),
        ("model: !!python/object/apply:os.getcwd []\n", "line 1: model is !!python/object/apply:os.getcwd []"),
        ("model: !!python/name:os.getcwd ''\n", "line 1: model is !!python/name:os.getcwd '': it has to be text"),
        ("? [a, b]\n: 5\n", "unknown key [a, b]"),
        ("<<: {steps: 5}\n", "unknown key <<"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, words: str, write: Callable[[str], Path]) -> None:
    assert words in refusal(write(text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml") == f"cannot read the config {tmp_path}/none.yaml: No such file or directory"
    assert "Is a directory" in refusal(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "it is not UTF-8" in refusal(tmp_path / "binary.yaml")


@pytest.mark.parametrize("value", ["${oc.env:SECRET}", "a/${model}", "${", "${oc.env:SECRET", "???"])
@pytest.mark.parametrize("key", ["data.root", "log.trackers"])
def test_nothing_is_looked_up(
    key: str, value: str, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of the environment would end up in the saved config."""
    monkeypatch.setenv("SECRET", "swordfish")
    text = f"['{value}']" if key == "log.trackers" else f"'{value}'"
    for message in (refusal(write(""), f"{key}={text}"), refusal(write(f"{key}: {text}\n"))):
        assert f"{key} is {text}: give the value itself" in message
        assert "swordfish" not in message


# For every key one value just inside and some just outside of what it may be.
BOUNDS = {
    "model": (["x"], ["''"]),
    "output": (["x"], ["''"]),
    "data.root": (["x"], ["''"]),
    "data.cache": (["x", "null"], ["''"]),
    "seed": (["0", "9223372036854775807"], ["-1", "9223372036854775808"]),
    "steps": (["1"], ["0", "-1"]),
    "batch_size": (["1"], ["0"]),
    "accumulation": (["1"], ["0"]),
    "ema_decay": (["0", "0.9999", "null"], ["1", "-0.1", "nan"]),
    "save_dtype": (["float32", "bfloat16", "float16"], ["fp16", "Float32"]),
    "data.workers": (["0"], ["-1"]),
    "data.video_backend": (["pyav", "decord"], ["opencv"]),
    "data.max_failure_share": (["0", "1"], ["1.01", "-0.01", "nan"]),
    "clips.size": (["8", "640", "null"], ["0", "-8", "644"]),
    "clips.fps": (["1", "null"], ["0"]),
    "clips.num_frames": (["1", "null"], ["0"]),
    "drop.everything": (["0", "0.75"], ["-0.01", "1.01", "nan"]),
    "drop.text": (["0", "0.7"], ["-0.01", "1.01", "nan"]),
    "drop.reference": (["0", "0.7"], ["-0.01", "1.01", "nan"]),
    "drop.music": (["0", "0.7"], ["-0.01", "1.01", "nan"]),
    "drop.beats": (["0", "0.7"], ["-0.01", "1.01", "nan"]),
    "drop.music_and_beats": (["0", "0.7"], ["-0.01", "1.01", "nan"]),
    "drop.densepose": (["0", "1"], ["-0.01", "1.01", "nan"]),
    "objective.prediction_type": (["v_prediction"], ["sample", "v"]),
    "objective.noise_offset": (["0", "0.1"], ["-0.1", "inf", "nan"]),
    "objective.min_snr_gamma": (["0.1", "null"], ["0", "inf", "nan"]),
    "objective.snr_power": (["null"], ["0", "inf", "nan"]),
    "objective.motion_noise": (["0"], ["-0.1", "inf"]),
    "optim.name": (["adamw", "adamw8bit", "muon"], ["adam", "sgd", "Muon"]),
    "optim.lr": (["1e-9"], ["0", "-1e-5", "inf", "nan"]),
    "optim.betas": (["[0, 0.999]"], ["[0.9]", "[0.9, 1]", "[-0.1, 0.9]", "[0.9, 0.9, 0.9]", "[]", "[nan, 0.9]"]),
    "optim.eps": (["1e-12"], ["0", "inf"]),
    "optim.weight_decay": (["0", "0.1"], ["-0.1", "inf"]),
    "optim.max_grad_norm": (["0.1"], ["0", "inf", "nan"]),
    "optim.schedule": (["constant", "constant_with_warmup", "linear", "cosine", "polynomial"], ["step"]),
    "optim.warmup_steps": (["0"], ["-1"]),
    "memory.precision": (["no", "bf16", "fp16", "auto"], ["fp32", "fp8"]),
    "memory.attention": (["sdpa", "xformers", "math"], ["flash"]),
    "checkpoint.every": (["1"], ["0"]),
    "checkpoint.total_limit": (["1"], ["0"]),
    "validation.every": (["0"], ["-1"]),
    "validation.samples": (["1"], ["0"]),
    "validation.steps": (["1"], ["0"]),
    "validation.guidance_scale": (["0", "1", "7.5"], ["-1", "inf", "nan"]),
    "log.every": (["1"], ["0"]),
    "log.trackers": (["[]", "[tensorboard, wandb]"], ["[tensorbord]", "[all]", "[wandb, wandb]"]),
    "health.explosion": (["1.1"], ["1", "inf", "nan"]),
    "health.max_skipped": (["1"], ["0"]),
    "window": (["2"], ["1"]),
    "modules": (["[music]", "[beat, motion, music]"], ["[]", "[drums]", "[music, music]", "[Music]"]),
    "music_shift": (["0", "0.5", "1"], ["-0.1", "1.1", "nan"]),
    "frozen_dtype": (["float32", "bfloat16"], ["fp16"]),
    "lora.rank": (["1", "null"], ["0"]),
    "lora.alpha": (["0.1"], ["0", "inf"]),
    "lora.dropout": (["0", "0.5"], ["1", "-0.1"]),
}


@pytest.mark.parametrize("key", BOUNDS)
def test_values_have_bounds(key: str, write: Callable[[str], Path]) -> None:
    good, bad = BOUNDS[key]
    path, schema = write(""), Stage1Config if key == "window" else Stage2Config
    for value in good:
        load_config(schema, path, [*GIVEN, f"{key}={value}"])
    for value in bad:
        message = refusal(path, f"{key}={value}", schema=schema)
        assert message.startswith(f"{key} is ")
        assert "it has to be " in message


def test_a_value_out_of_range_is_named(write: Callable[[str], Path]) -> None:
    assert refusal(write("optim:\n  lr: -1e-5\n")) == "optim.lr is -1e-05: it has to be above 0"
    assert refusal(write("model: m\n"), "model=''") == "model is empty: it has to be a path"
    assert refusal(write(""), "optim.name=sgd") == "optim.name is sgd: it has to be adamw, adamw8bit or muon"


def test_every_key_has_bounds() -> None:
    """Booleans have theirs by their type."""
    for schema, rules in ((Stage1Config, COMMON | STAGE1), (Stage2Config, COMMON | STAGE2)):
        assert {key for key, kind in keys_of(schema).items() if kind is not bool} == set(rules)
    assert set(BOUNDS) == set(COMMON | STAGE1 | STAGE2)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["drop.text=0.5", "drop.music=0.5"], "drop.everything, drop.text, drop.reference, drop.music"),
        (["objective.prediction_type=epsilon"], "add objective.zero_terminal_snr=false"),
        (["objective.snr_power=0.3"], "objective.snr_power and min_snr_gamma are two weightings"),
        (
            ["objective={snr_power: 0.3, min_snr_gamma: null, prediction_type: epsilon, zero_terminal_snr: false}"],
            "keep objective.prediction_type=v_prediction",
        ),
        (["steps=10", "optim.schedule=linear", "optim.warmup_steps=10"], "has to be below steps, 10"),
        (["optim.warmup_steps=10"], "optim.schedule is constant, which has no warm-up"),
        (["frozen_dtype=bfloat16", "memory.precision=no"], "memory.precision is no: it has to be bf16"),
        (["frozen_dtype=float16"], "memory.precision is bf16: it has to be fp16"),
        (["frozen_dtype=bfloat16", "memory.precision=auto"], "memory.precision is auto: it has to be bf16"),
        (["optim.name=muon", "memory.precision=fp16"], "memory.precision fp16: set it to bf16"),
        (["modules=[]"], "`musedance ablate` takes the stage 1 folder itself as the row without modules"),
        (["modules=[music, beat]", "lora.rank=4"], "set lora.rank=null, or add motion"),
        (["freeze_spatial=false", "lora.rank=4"], "lora.rank is for frozen weights: leave lora.rank out"),
        (["freeze_spatial=false", "frozen_dtype=bfloat16"], "frozen_dtype is for frozen weights"),
    ],
)
def test_values_that_do_not_go_together(overrides: list[str], words: str, write: Callable[[str], Path]) -> None:
    assert words in refusal(write(""), *overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["drop.everything=0.75"],  # with the others exactly 1; densepose is none of them
        ["objective.prediction_type=epsilon", "objective.zero_terminal_snr=false"],
        ["objective.snr_power=0.3", "objective.min_snr_gamma=null"],
        ["steps=10", "optim.schedule=constant_with_warmup", "optim.warmup_steps=9"],
        ["frozen_dtype=float16", "memory.precision=fp16"],
        ["memory.precision=no", "frozen_dtype=float32"],
        ["modules=[motion]", "lora.rank=4"],
        ["modules=[motion]", "freeze_spatial=false"],
        ["optim.name=muon", "memory.precision=no"],
        ["optim.name=muon", "memory.precision=auto"],
    ],
)
def test_values_that_do_go_together(overrides: list[str], write: Callable[[str], Path]) -> None:
    load_config(Stage2Config, write(""), [*GIVEN, *overrides])


def test_trackers_are_those_of_accelerate() -> None:
    assert set(TRACKERS) == {str(tracker.value) for tracker in LoggerType} - {"all"}


@pytest.mark.parametrize("schema", [Stage1Config, Stage2Config])
def test_a_saved_config_is_the_same_config(schema: type[TrainingConfig], write: Callable[[str], Path]) -> None:
    odd = ["output='null'", "data.root='a: b # c'", "ema_decay=null", "optim.lr=1.2345678901234567e-05"]
    config = load_config(schema, write("model: '~'\n"), [*odd, "log.trackers=[]", "memory.precision=no"])
    text = config_yaml(config)
    assert load_config(schema, write(text), []) == config
    assert (config.model, config.output, config.data.root) == ("~", "null", "a: b # c")
    for key in keys_of(schema):
        assert key.rpartition(".")[2] in text  # whatever is not said elsewhere, too
    assert yaml.safe_load(text)["memory"]["precision"] == "no"  # quoted: other readers have no schema


def changed(key: str, config: TrainingConfig) -> TrainingConfig:
    """The same config with another value of a key, in range or not."""
    new = deepcopy(config)
    section, _, name = key.rpartition(".")
    old = attrgetter(key)(config)
    other = {bool: lambda: not old, str: lambda: old + "x", list: lambda: old[1:], type(None): lambda: 1}
    setattr(attrgetter(section)(new) if section else new, name, other.get(type(old), lambda: old + 1)())
    return new


@pytest.mark.parametrize("schema", [Stage1Config, Stage2Config])
def test_every_key_that_differs_is_named_and_may_only_differ_if_it_is_resumable(
    schema: type[TrainingConfig], write: Callable[[str], Path]
) -> None:
    old = load_config(schema, write(""), GIVEN)
    check_resumable(old, load_config(schema, write(""), GIVEN))
    assert differing_keys(old, old) == {}
    for key in keys_of(schema):
        new = changed(key, old)
        assert list(differing_keys(old, new)) == [key]
        if key in RESUMABLE:
            check_resumable(old, new)
        else:
            with pytest.raises(
                InputError, match=f"another run: {key} was [^;]+, now [^;]+; give the old values"
            ) as caught:
                check_resumable(old, new)
            assert "\n" not in str(caught.value)


def test_both_values_of_all_that_differs_are_named(write: Callable[[str], Path]) -> None:
    old = load_config(Stage2Config, write(""), GIVEN)
    new = replace(old, seed=1, ema_decay=None, steps=5, optim=OptimConfig(lr=2e-5, betas=[0.5, 0.9]))
    with pytest.raises(InputError) as caught:
        check_resumable(old, new)
    assert str(caught.value).startswith(
        "the checkpoint is of another run: seed was 0, now 1; ema_decay was 0.9999, now null; "
        "optim.lr was 1e-05, now 2e-05; optim.betas was [0.9, 0.999], now [0.5, 0.9]; "
    )


def test_steps_may_change_unless_the_learning_rate_follows_them(write: Callable[[str], Path]) -> None:
    for schedule, allowed in (("constant", True), ("constant_with_warmup", True), ("cosine", False), ("linear", False)):
        old = load_config(Stage2Config, write(""), [*GIVEN, f"optim.schedule={schedule}"])
        new = replace(old, steps=old.steps + 1)
        if allowed:
            check_resumable(old, new)
        else:
            with pytest.raises(InputError, match="steps was 30000, now 30001, over which the learning rate falls"):
                check_resumable(old, new)


def test_what_changes_the_result_is_not_resumable() -> None:
    keys = set(keys_of(Stage1Config)) | set(keys_of(Stage2Config))
    assert keys >= RESUMABLE
    sections = ("clips.", "drop.", "objective.", "optim.", "lora.")
    decisive = {key for key in keys if key.startswith(sections)}
    decisive |= {"seed", "ema_decay", "window", "modules", "freeze_spatial", "frozen_dtype"}
    decisive |= {"memory.precision", "data.video_backend"}
    assert decisive <= keys
    assert not decisive & RESUMABLE
    assert {"steps", "output", "data.root", "data.workers", "checkpoint.every", "memory.compile"} <= RESUMABLE


def test_configs_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("stage1.yaml", "stage2.yaml", "tiny/stage1.yaml"):
        assert find_config(name).is_file()
    with pytest.raises(InputError, match=r"no config stage3\.yaml"):
        find_config("stage3.yaml")


def test_a_mistake_is_found_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    code = """
import sys
from musedance.errors import InputError
from musedance.training.config import Stage1Config
from musedance.training.config_file import find_config, load_config
try:
    load_config(Stage1Config, find_config("stage1.yaml"), ["optim.lr=0"])
except InputError as error:
    print(error)
print(sorted({"torch", "numpy", "diffusers", "transformers", "accelerate"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, check=True)
    assert ran.stdout.splitlines()[0].startswith("model, output and data.root are not given")
    assert ran.stdout.splitlines()[1] == "[]"


def test_drop_rates_are_the_collators() -> None:
    """They stand in both, since reading a config must not cost the seconds that torch takes to import."""
    from musedance.datasets.collator import DropRates

    assert asdict(DropConfig()) == asdict(DropRates())
