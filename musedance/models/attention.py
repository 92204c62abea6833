"""Attention with reference tokens joined as keys and values, and what both UNets refuse to lose it."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from diffusers.utils import is_xformers_available
from torch import Tensor


class FeatureRecorder:
    """Collects one tensor per layer, in the order in which the layers run.

    A plain class, no list, dict or dataclass: offloading hooks and FSDP2 copy those among a module's arguments, and
    whatever is written into the copy is lost.
    """

    def __init__(self) -> None:
        self.features: list[Tensor] = []


class MuseDanceAttnProcessor:
    """The only attention processor of the project: stateless, shared by every attention layer.

    Self-attention layers of the denoising UNet see the reference's tokens as additional keys and values. That equals
    the paper's way (section 3.2: concatenate along W, attend, keep the first half), without computing the half that
    is thrown away. Self-attention layers of the ReferenceNet record their input.
    """

    _attention_backend = None  # makes ModelMixin.set_attention_backend reach this processor
    _parallel_config = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        reference: Tensor | None = None,
        reference_mask: Tensor | None = None,
        num_frames: int = 1,
        recorder: FeatureRecorder | None = None,
    ) -> Tensor:
        """Attend; with N = batch * num_frames rows, (N, n, channels) -> (N, n, channels).

        Args:
            attn: the layer whose projections are used.
            hidden_states: queries, `(N, n, channels)`.
            encoder_hidden_states: context of a cross-attention layer; `None` makes it self-attention.
            attention_mask: `(N, keys)` of bool, True = attend. Only the temporal modules pass one.
            temb: unused, part of diffusers' interface.
            reference: `(batch, m, channels)`, one for all frames of a video; ignored by cross-attention.
            reference_mask: `(batch,)` of bool; False hides that video's reference.
            num_frames: frames per video in `hidden_states`.
            recorder: receives `hidden_states` of self-attention layers.
        """
        is_cross_attention = encoder_hidden_states is not None
        context = encoder_hidden_states if encoder_hidden_states is not None else hidden_states
        query, key, value = attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)
        if not is_cross_attention and recorder is not None:
            recorder.features.append(hidden_states)
        if not is_cross_attention and reference is not None:
            key = _append_reference(key, attn.to_k(reference), num_frames)
            value = _append_reference(value, attn.to_v(reference), num_frames)
            own = slice(hidden_states.shape[1])
            attention_mask = visible_keys(reference_mask, key.shape[1], own, num_frames)

        query, key, value = (x.unflatten(-1, (attn.heads, -1)) for x in (query, key, value))
        output = dispatch_attention_fn(
            query,
            key,
            value,
            attn_mask=attention_mask,
            scale=attn.scale,
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        )
        output = output.flatten(2).to(query.dtype)
        return attn.to_out[1](attn.to_out[0](output))


def _append_reference(own: Tensor, reference: Tensor, num_frames: int) -> Tensor:
    """Append `(batch, m, c)` to every frame of `(batch * num_frames, n, c)` along the token axis, in one copy."""
    own = own.unflatten(0, (-1, num_frames))
    return torch.cat([own, reference[:, None].expand(-1, num_frames, -1, -1)], dim=2).flatten(0, 1)


def visible_keys(present: Tensor | None, num_keys: int, always: slice, rows_per_video: int) -> Tensor | None:
    """`(batch,)` -> `(batch * rows_per_video, num_keys)`: the keys in `always`, the others where they are present."""
    if present is None:
        return None
    mask = present[:, None].repeat(1, num_keys)
    mask[:, always] = True
    return mask.repeat_interleave(rows_per_video, 0)


class MuseDanceAttentionMixin:
    """Switches attention implementations without ever replacing `MuseDanceAttnProcessor`.

    diffusers' own switches install other processors, and the reference would be lost without a word.
    """

    def set_attention_backend(self, backend: str) -> None:
        """Choose diffusers' attention backend, e.g. `"native"` (PyTorch's SDPA, the default) or `"xformers"`.

        Raises:
            RuntimeError: xformers was asked for and the package or a CUDA device is missing.
        """
        if backend == "xformers" and not (is_xformers_available() and torch.cuda.is_available()):
            missing = (
                "a CUDA GPU, which is not here" if is_xformers_available() else "the package (`pip install xformers`)"
            )
            raise RuntimeError(f"xformers attention needs {missing}; stay with the default, PyTorch's own attention")
        super().set_attention_backend(backend)  # type: ignore[misc]

    def set_use_memory_efficient_attention_xformers(self, valid: bool, attention_op: Callable | None = None) -> None:
        """What `enable_xformers_memory_efficient_attention()` calls: goes through the backend switch."""
        if attention_op is not None:
            raise ValueError("attention_op is not supported; use set_attention_backend('xformers')")
        self.set_attention_backend("xformers" if valid else "native")

    def set_attn_processor(self, processor: Any) -> None:
        """Accepts `MuseDanceAttnProcessor` only.

        Raises:
            ValueError: any other processor, since it would drop the reference.
        """
        processors = processor.values() if isinstance(processor, dict) else [processor]
        if not all(isinstance(p, MuseDanceAttnProcessor) for p in processors):
            raise ValueError(
                f"{type(self).__name__} works with MuseDanceAttnProcessor only: another processor would silently drop "
                "the reference. Use set_attention_backend(...) to change how attention is computed."
            )
        super().set_attn_processor(processor)  # type: ignore[misc]

    def set_attention_slice(self, slice_size: Any = "auto") -> None:
        """Raises ValueError unless slicing is switched off: PyTorch's attention needs none."""
        if slice_size is not None:
            raise ValueError("attention slicing is not supported; PyTorch's attention is memory efficient without it")

    def fuse_qkv_projections(self) -> None:
        """Raises ValueError: the reference is projected by `to_k` and `to_v`."""
        raise ValueError("fused projections are not supported: the reference is projected by to_k and to_v")
