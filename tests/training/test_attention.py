"""`memory.attention=math`: the same attention by other kernels."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.profiler import ProfilerActivity, profile

from musedance.training.trainer import use_math_attention

SWITCHES = {name: f"enable_{name}_sdp" for name in ("flash", "mem_efficient", "cudnn")}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The switches hold for the whole process."""
    kernels = torch.backends.cuda
    before = {name: getattr(kernels, f"{name}_sdp_enabled")() for name in SWITCHES}
    reduced = kernels.fp16_bf16_reduction_math_sdp_allowed()
    yield
    for name, switch in SWITCHES.items():
        getattr(kernels, switch)(before[name])
    kernels.allow_fp16_bf16_reduction_math_sdp(reduced)


def attend(masked: bool) -> tuple[list[Tensor], set[str], set[torch.dtype]]:
    """Output and gradients, PyTorch's names of what was called, and the dtypes that are kept for the backward pass."""
    generator, kept = torch.Generator().manual_seed(0), set()
    leaves = [torch.randn(2, 2, 24, 16, generator=generator).bfloat16().requires_grad_() for _ in range(3)]
    mask = (torch.arange(24) < 20).expand(24, 24) if masked else None

    def pack(tensor: Tensor) -> Tensor:
        kept.add(tensor.dtype)
        return tensor

    with (
        profile(activities=[ProfilerActivity.CPU]) as calls,
        torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x),
    ):
        output = scaled_dot_product_attention(*leaves, attn_mask=mask)
        output.backward(torch.ones_like(output))
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    return [output.detach(), *gradients], {event.key for event in calls.key_averages()}, kept


@pytest.mark.parametrize("masked", [False, True])
def test_math_means_the_same_in_bfloat16_without_a_fused_kernel(masked: bool) -> None:
    fused, called, _ = attend(masked)
    assert any("flash" in name for name in called)
    use_math_attention()
    plain, called, kept = attend(masked)
    assert not any("flash" in name for name in called)
    assert torch.float32 not in kept
    assert len(plain) == 4
    for one, other in zip(fused, plain, strict=True):
        assert (one - other).abs().max() <= 0.03 * one.abs().max()
