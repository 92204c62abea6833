"""Where to compute, and in which precision."""

import torch

from musedance.errors import InputError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What torch.cpu.get_capabilities() calls bf16 instructions on x86 (two kinds) and on ARM.
CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")


def choose_device(name: str) -> torch.device:
    """`"auto"` is the GPU if there is one (CUDA, then Apple's), else the CPU.

    Raises:
        InputError: there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"there is no device {name!r}; possible: auto, cpu, cuda, cuda:1, mps") from error
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= count.get(device.type, 0):
        raise InputError(f"PyTorch finds no device {name} on this machine; leave --device out to use what there is")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`"auto"` is bfloat16 where the hardware has it; else float16 on a CUDA GPU and float32 anywhere else.

    Raises:
        InputError: not one of `DTYPES` or "auto".
    """
    if name != "auto":
        if name not in DTYPES:
            raise InputError(f"there is no dtype {name!r}; possible: auto, {', '.join(DTYPES)}")
        return DTYPES[name]
    if has_bfloat16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulated, it is slower than float32, on a CPU 40 times."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX-BF16, ARM's BF16)."""
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch: not known
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in CPU_BFLOAT16)
