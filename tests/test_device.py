"""Choosing device and dtype, as far as a CPU shows it."""

import platform
from pathlib import Path

import pytest
import torch

from musedance.device import DTYPES, choose_device, choose_dtype, cpu_has_bfloat16
from musedance.errors import InputError

CPU = torch.device("cpu")


def test_auto_is_the_best_there_is() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:99", "mps:3", "cpu:1", "meta", "xpu", "gpu", "", "cuda:x"])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(InputError, match="no device"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu() -> None:
    with pytest.raises(InputError, match="no device cuda on this machine"):
        choose_device("cuda")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs /proc/cpuinfo")
@pytest.mark.skipif(not hasattr(torch.cpu, "get_capabilities"), reason="this torch does not say")
def test_bfloat16_on_the_cpu_is_what_the_kernel_says() -> None:
    """Against Linux's own list of instructions, which has them under other names."""
    text = Path("/proc/cpuinfo").read_text()
    line = next(line for line in text.splitlines() if line.startswith(("flags", "Features")))
    flags = set(line.split(":")[1].split())
    names = {"bf16"} if platform.machine() == "aarch64" else {"avx512_bf16", "amx_bf16"}
    assert cpu_has_bfloat16() == bool(flags & names)


def test_auto_dtype_follows_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for capabilities, expected in (
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": False}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=capabilities: known, raising=False)
        assert choose_dtype("auto", CPU) == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("auto", torch.device("mps")) == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_auto_dtype_follows_the_gpu() -> None:
    ampere = torch.cuda.get_device_capability() >= (8, 0)
    assert choose_dtype("auto", torch.device("cuda")) == (torch.bfloat16 if ampere else torch.float16)


def test_a_dtype_may_be_named() -> None:
    assert [choose_dtype(name, CPU) for name in DTYPES] == [torch.float32, torch.bfloat16, torch.float16]
    with pytest.raises(InputError, match="no dtype 'half'; possible: auto, float32"):
        choose_dtype("half", CPU)
