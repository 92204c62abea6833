"""What is said when memory runs out."""

import pytest
import torch

from musedance.failures import is_out_of_memory
from musedance.training.config import Stage1Config, Stage2Config, TrainingConfig
from musedance.training.config_file import load_config
from musedance.training.memory import advice


def settings(config: TrainingConfig) -> list[str]:
    start, *_ = told = advice(config).removeprefix("try, in this order: ").split(", ")
    assert "\n" not in start
    return told


def test_errors_as_they_are_raised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert is_out_of_memory(MemoryError())
    cublas = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert is_out_of_memory(cublas)
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert not is_out_of_memory(caught.value)


def test_what_is_in_use_is_not_advised() -> None:
    config = Stage2Config(model="M", output="O")
    config.memory.precision, config.memory.gradient_checkpointing = "no", False
    before = settings(config)
    assert before[0] == "memory.gradient_checkpointing=true"
    config.memory.precision, config.memory.gradient_checkpointing = "fp16", True
    config.frozen_dtype, config.optim.name, config.data.cache, config.lora.rank = "bfloat16", "adamw8bit", "C", 8
    config.batch_size, config.accumulation, config.ema_decay = 1, 8, None
    after = settings(config)
    assert after == [name for name in before if name.startswith(("several", "clips"))]
    assert len(before) - len(after) == 8


def test_without_frozen_weights_none_of_their_settings_helps() -> None:
    names = settings(Stage2Config(model="M", output="O", freeze_spatial=False))
    assert not any("frozen" in name or "lora" in name for name in names)
    assert any("clips.num_frames" in name for name in names)


def test_attention_that_keeps_its_weights_is_the_first_to_go_but_one() -> None:
    config = Stage2Config(model="M", output="O")
    assert "memory.attention=sdpa" not in settings(config)
    config.memory.attention, config.memory.gradient_checkpointing = "math", False
    assert settings(config)[:2] == ["memory.gradient_checkpointing=true", "memory.attention=sdpa"]


def test_values_that_are_taken_as_they_stand(tmp_path) -> None:
    """Every `key=value` of the advice is one that the config takes, and is not advised again."""
    for schema in (Stage1Config, Stage2Config):
        config = schema(model="M", output="O", batch_size=6, accumulation=4, ema_decay=0.5)
        config.memory.precision, config.memory.gradient_checkpointing, config.data.root = "no", False, "D"
        pairs = [pair for setting in settings(config) for pair in setting.split() if "=" in pair]
        assert "accumulation=24" in pairs and "batch_size=1" in pairs
        (tmp_path / "empty.yaml").write_text("")
        changed = load_config(schema, tmp_path / "empty.yaml", ["model=M", "output=O", "data.root=D", *pairs])
        assert not any("=" in setting for setting in settings(changed))


def test_the_stages_differ() -> None:
    first, second = (set(settings(schema(model="M", output="O"))) for schema in (Stage1Config, Stage2Config))
    assert "batch_size=1 accumulation=12" in first and "batch_size=1 accumulation=2" in second
    assert not any("lora" in setting or "frozen" in setting or "num_frames" in setting for setting in first)
    assert any("clips.num_frames" in setting for setting in second)


def test_a_smaller_size_than_the_one_in_use() -> None:
    config = Stage2Config(model="M", output="O")
    assert "clips.size below the model's" in settings(config)
    config.clips.size = 512
    assert "clips.size below 512" in settings(config)
