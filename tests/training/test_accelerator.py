"""What accelerate is told, and which of its ways are refused."""

import pytest
import torch
from accelerate import FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from musedance import device as devices
from musedance.errors import InputError
from musedance.training.accelerator import (
    _check_optimizer,
    _configure_deepspeed,
    _configure_fsdp,
    _precision,
    make_accelerator,
)
from musedance.training.config import MemoryConfig, Stage2Config


def config(**changes: object) -> Stage2Config:
    return Stage2Config(model="", output="", **changes)


@pytest.mark.parametrize(("instructions", "chosen"), [(True, "bf16"), (False, "no")])
def test_auto_is_bf16_where_the_hardware_has_it(instructions, chosen, monkeypatch):
    """Emulated on a CPU it is many times slower than float32."""
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: instructions)
    assert _precision("auto", torch.device("cpu")) == chosen
    assert [_precision(name, torch.device("cpu")) for name in ("no", "bf16", "fp16")] == ["no", "bf16", "fp16"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("instructions", [True, False])
def test_emulated_bf16_is_said_to_be_slow(instructions, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: instructions)
    for precision, mixed in (("bf16", "bf16"), ("auto", "bf16" if instructions else "no")):
        settings = Stage2Config(model="", output=str(tmp_path), memory=MemoryConfig(precision=precision))
        AcceleratorState._reset_state(reset_partial_state=True)
        assert make_accelerator(settings).mixed_precision == mixed
        complained = "memory.precision=auto" in capsys.readouterr().err
        assert complained == (precision == "bf16" and not instructions)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_muon_is_refused_where_weights_are_in_pieces():
    """It needs a matrix whole to make its directions equally long."""
    for kind in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        _check_optimizer("adamw", kind)
        with pytest.raises(InputError, match="every weight whole"):
            _check_optimizer("muon", kind)
    for kind in (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU):
        _check_optimizer("muon", kind)


def test_fsdp_leaves_the_casting_to_autocast():
    """Its own policy would bring a time of 47.3 frames to bfloat16, 47.25."""
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, cpu_ram_efficient_loading=False)
    plugin.set_mixed_precision("bf16")
    assert plugin.mixed_precision_policy.param_dtype is not None
    _configure_fsdp(plugin)
    policy = plugin.mixed_precision_policy
    assert (policy.param_dtype, policy.reduce_dtype, policy.output_dtype) == (None, None, None)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"fsdp_version": 1, "cpu_ram_efficient_loading": False}, "version 2"),
        ({"fsdp_version": 2, "cpu_ram_efficient_loading": True}, "fsdp_cpu_ram_efficient_loading"),
    ],
)
def test_ways_of_fsdp_that_would_fail_later(options, named, monkeypatch):
    monkeypatch.delenv("FSDP_VERSION", raising=False)
    with pytest.raises(InputError, match=named):
        _configure_fsdp(FullyShardedDataParallelPlugin(**options))


def test_deepspeed_gets_the_configs_numbers():
    settings = {"zero_optimization": {"stage": 2}, "bf16": {"enabled": True}}
    _configure_deepspeed(settings, config(batch_size=3, accumulation=4), "bf16")
    assert settings["train_micro_batch_size_per_gpu"] == 3
    assert settings["gradient_accumulation_steps"] == 4
    assert settings["gradient_clipping"] == 1.0
    assert settings["bf16"] == {"enabled": False} and settings["torch_autocast"]["enabled"]


def test_ways_of_deepspeed_that_would_fail_later():
    with pytest.raises(InputError, match="FSDP2"):
        _configure_deepspeed({"zero_optimization": {"stage": 3}}, config(), "bf16")
    with pytest.raises(InputError, match="memory\\.precision"):
        _configure_deepspeed({"zero_optimization": {"stage": 2}}, config(), "fp16")


def test_a_tracker_that_is_not_there_is_said_before_anything_starts():
    """accelerate would leave it out without a word."""
    settings = config()
    settings.log.trackers = ["nonsense"]
    with pytest.raises(InputError, match="nonsense"):
        make_accelerator(settings)
