"""The three modules of section 3.3: music understanding, beat alignment and motion alignment."""

import math

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from .attention import MuseDanceAttnProcessor, visible_keys


def sinusoidal_positions(positions: Tensor, dim: int) -> Tensor:
    """Sinusoidal table with sine and cosine interleaved (Vaswani et al. 2017), as AnimateDiff's motion modules use.

    Computed rather than stored, so that no length is too long for it.

    Args:
        positions: `(..., n)`, in frames, whole or fractional. NaN marks a token without a time and gets zeros.
        dim: width, even.

    Returns:
        `(..., n, dim)`, float32.
    """
    frequencies = torch.exp(torch.arange(0, dim, 2, device=positions.device) * (-math.log(10000.0) / dim))
    angles = positions.float()[..., None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2).nan_to_num(0.0)


class ConditionModule(nn.Module):
    """Cross-attention to a condition, then self-attention along time: the music module and the beat module.

    The identity at initialisation. There is no feed-forward, as in the paper.

    Args:
        channels: width of the hidden states.
        condition_dim: width of the condition's tokens.
        num_heads: attention heads.
        norm_num_groups: groups of the GroupNorm, which normalises every frame by itself.
    """

    def __init__(self, channels: int, condition_dim: int, num_heads: int, norm_num_groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_num_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = _attention(channels, num_heads, condition_dim)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = _attention(channels, num_heads)
        self.proj_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, hidden_states: Tensor, condition: Tensor, num_frames: int) -> Tensor:
        """Let the frames look at the condition.

        Args:
            hidden_states: `(batch * num_frames, channels, h, w)`.
            condition: `(batch, tokens, condition_dim)`, with its time positions already added.
            num_frames: frames per video.

        Returns:
            The shape of `hidden_states`.
        """
        height, width = hidden_states.shape[-2:]
        frames = torch.arange(num_frames, device=hidden_states.device)
        positions = sinusoidal_positions(frames, hidden_states.shape[1]).to(hidden_states.dtype)
        x = self.proj_in(self.norm(hidden_states).flatten(2).transpose(1, 2)).unflatten(0, (-1, num_frames))

        # Every frame sees the same condition: with the frames folded into the query axis its keys and values are
        # computed once per video instead of once per frame.
        query = (self.norm1(x) + positions[:, None]).flatten(1, 2)
        x = x + self.attn1(query, condition).unflatten(1, (num_frames, -1))

        x = x.transpose(1, 2).flatten(0, 1)  # (batch * h * w, num_frames, channels)
        x = x + self.attn2(self.norm2(x) + positions)
        x = self.proj_out(x).unflatten(0, (-1, height * width)).permute(0, 2, 3, 1)
        return hidden_states + x.reshape(hidden_states.shape)


class MotionTransformerBlock(nn.Module):
    """Two self-attentions along time and a feed-forward, under the names of AnimateDiff's weights."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = _attention(channels, num_heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = _attention(channels, num_heads)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor | None) -> Tensor:
        """`x` `(rows, time, channels)`, `positions` `(time, channels)`, `mask` `(rows, time)` of visible keys."""
        x = x + self.attn1(self.norm1(x) + positions, attention_mask=mask)
        x = x + self.attn2(self.norm2(x) + positions, attention_mask=mask)
        return x + self.ff(self.norm3(x))


class MotionModule(nn.Module):
    """AnimateDiff's temporal transformer, with frames generated earlier concatenated before the current ones.

    The frames generated earlier take positions 0..M-1, the current ones M..M+K-1 whether or not there are any earlier
    ones. GroupNorm normalises every frame by itself, as AnimateDiff's weights were trained. The output projection is
    zero until weights are loaded.

    Args:
        channels: width of the hidden states.
        num_heads: attention heads.
        norm_num_groups: groups of the GroupNorm.
        num_motion_frames: M, how many earlier frames a video can have.
    """

    def __init__(self, channels: int, num_heads: int, norm_num_groups: int, num_motion_frames: int) -> None:
        super().__init__()
        self.num_motion_frames = num_motion_frames
        self.norm = nn.GroupNorm(norm_num_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([MotionTransformerBlock(channels, num_heads)])
        self.proj_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(
        self, hidden_states: Tensor, num_frames: int, motion: Tensor | None = None, motion_mask: Tensor | None = None
    ) -> Tensor:
        """z_motion = concat(z'_t, z_t); self-attention along time; the last K frames (section 3.3).

        Args:
            hidden_states: `(batch * num_frames, channels, h, w)`.
            num_frames: K, frames per video.
            motion: `(batch, M, channels, h, w)`, what entered this module for the earlier frames; `None` = no video
                of the batch has any.
            motion_mask: `(batch,)` of bool; False = this video has no earlier frames.

        Returns:
            The shape of `hidden_states`.

        Raises:
            ValueError: `motion` does not hold M frames.
        """
        height, width = hidden_states.shape[-2:]
        x = hidden_states.unflatten(0, (-1, num_frames))
        first, mask = self.num_motion_frames, None
        if motion is not None:
            if motion.shape[1] != self.num_motion_frames:
                raise ValueError(
                    f"motion holds {motion.shape[1]} frames, this model works with {self.num_motion_frames}"
                )
            x, first = torch.cat([motion, x], dim=1), 0
            current = slice(self.num_motion_frames, None)
            mask = visible_keys(motion_mask, x.shape[1], current, height * width)
        time = torch.arange(first, self.num_motion_frames + num_frames, device=x.device)
        positions = sinusoidal_positions(time, x.shape[2]).to(x.dtype)

        x = self.norm(x.flatten(0, 1)).unflatten(0, (-1, len(time)))
        x = self.proj_in(x.flatten(3).permute(0, 3, 1, 2).flatten(0, 1))  # (batch * h * w, time, channels)
        for block in self.transformer_blocks:
            x = block(x, positions, mask)
        x = self.proj_out(x[:, -num_frames:]).unflatten(0, (-1, height * width)).permute(0, 2, 3, 1)
        return hidden_states + x.reshape(hidden_states.shape)


def _attention(channels: int, num_heads: int, condition_dim: int | None = None) -> Attention:
    return Attention(
        channels,
        cross_attention_dim=condition_dim,
        heads=num_heads,
        dim_head=channels // num_heads,
        processor=MuseDanceAttnProcessor(),
    )
