"""MuseDanceUNet: Stable Diffusion's UNet over frames, with music, beat and motion modules."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers import ModelMixin, UNet2DConditionModel  # noqa: F401 - loading a pipeline looks ModelMixin up here
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from .attention import FeatureRecorder, MuseDanceAttentionMixin, MuseDanceAttnProcessor
from .blocks import DownBlock, FrameContext, MidBlock, UpBlock
from .reference_net import check_unet_config
from .temporal import sinusoidal_positions

NO_BEAT, BEAT, UNKNOWN_BEAT = 0, 1, 2  # all-zero beats mean silence, so "not told" needs an index of its own


@dataclass
class MuseDanceUNetOutput(BaseOutput):
    """`sample`: the prediction, in the shape of the input."""

    sample: Tensor


class MusicProjection(nn.Module):
    """AST tokens -> condition tokens with positions in frames; a learned token stands for dropped music."""

    def __init__(self, music_dim: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(music_dim)
        self.linear = nn.Linear(music_dim, condition_dim)
        self.null_token = nn.Parameter(torch.randn(1, 1, condition_dim) * 0.02)

    def forward(self, music: Tensor | None, positions: Tensor | None, mask: Tensor | None, batch_size: int) -> Tensor:
        """`(batch, tokens, music_dim)` -> `(batch, tokens, condition_dim)`; without music one token."""
        if music is None:
            return self.null_token.expand(batch_size, -1, -1)
        if positions is None:
            raise ValueError("music needs music_positions: without them the frames cannot tell when a token is")
        tokens = self.linear(self.norm(music))
        tokens = tokens + sinusoidal_positions(positions, tokens.shape[-1]).to(tokens.dtype)
        return tokens if mask is None else torch.where(mask[:, None, None], tokens, self.null_token)


class MuseDanceUNet(MuseDanceAttentionMixin, UNet2DConditionModel):
    """The denoising UNet (sections 3.2 and 3.3).

    Stable Diffusion's keys and AnimateDiff's keep their names, so that their weights load as they are; new are
    `*.music_modules.*`, `*.beat_modules.*`, `music_projection.*` and `beat_embedding.*`.

    Args:
        num_frames: K, frames of one segment.
        num_motion_frames: M, frames of the previous segment that the motion modules see.
        fps: frames per second of the videos.
        music_dim: width of the music encoder's tokens.
        condition_dim: d, width of the music and beat tokens inside the modules.
        use_music_modules: build the music modules (the paper's ablation, like the next two).
        use_beat_modules: build the beat modules.
        use_motion_modules: build the motion modules.
        use_motion_mid_block: the middle block has a motion module (AnimateDiff v1.5-2) or not (v1.4, v1.5, v3).
        motion_num_attention_heads: heads in all temporal attention.
        **kwargs: `UNet2DConditionModel`'s arguments.
    """

    down_blocks: nn.ModuleList
    up_blocks: nn.ModuleList
    mid_block: Any
    _no_split_modules: ClassVar = ["BasicTransformerBlock", "ResnetBlock2D", "ConditionModule", "MotionModule"]
    _repeated_blocks: ClassVar = ["BasicTransformerBlock", "ConditionModule", "MotionModule"]

    @register_to_config
    def __init__(
        self,
        num_frames: int = 48,
        num_motion_frames: int = 2,
        fps: int = 12,
        music_dim: int = 768,
        condition_dim: int = 768,
        use_music_modules: bool = True,
        use_beat_modules: bool = True,
        use_motion_modules: bool = True,
        use_motion_mid_block: bool = True,
        motion_num_attention_heads: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_unet_config(self.config)
        widths = self.config.block_out_channels
        down = [DownBlock(f"down_blocks.{i}", b, widths[i], self.config) for i, b in enumerate(self.down_blocks)]
        up = [UpBlock(f"up_blocks.{i}", b, widths[-1 - i], self.config) for i, b in enumerate(self.up_blocks)]
        self.down_blocks, self.up_blocks = nn.ModuleList(down), nn.ModuleList(up)
        self.mid_block = MidBlock("mid_block", self.mid_block, widths[-1], self.config, use_motion_mid_block)
        if use_music_modules:
            self.music_projection = MusicProjection(music_dim, condition_dim)
        if use_beat_modules:
            self.beat_embedding = nn.Embedding(3, condition_dim)
        self.set_attn_processor(MuseDanceAttnProcessor())

    @staticmethod
    def _get_init_keys(input_class: type) -> set[str]:
        """Config keys: ours and, since they arrive through **kwargs, the parent's."""
        parent = inspect.signature(UNet2DConditionModel.__init__).parameters
        return set(inspect.signature(input_class).parameters) | set(parent)

    def enable_gradient_checkpointing(self, gradient_checkpointing_func: Any = None) -> None:
        """As the parent's, but a spatial transformer is computed again as a whole: that keeps a third less."""
        super().enable_gradient_checkpointing(gradient_checkpointing_func)
        for block in (*self.down_blocks, self.mid_block, *self.up_blocks):
            for attention in block.attentions or ():
                attention.gradient_checkpointing = False

    @property
    def motion_feature_names(self) -> list[str]:
        """Names of the motion modules in the order in which they run."""
        blocks = [*self.down_blocks, self.mid_block, *self.up_blocks]
        return [f"{b.name}.motion_modules.{i}" for b in blocks for i in range(len(b.motion_modules or ()))]

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        encoder_hidden_states: Tensor,
        *,
        reference: Mapping[str, Tensor] | None = None,
        reference_mask: Tensor | None = None,
        music: Tensor | None = None,
        music_positions: Tensor | None = None,
        music_mask: Tensor | None = None,
        beats: Tensor | None = None,
        motion: Mapping[str, Tensor] | None = None,
        motion_mask: Tensor | None = None,
        return_motion_features: bool = False,
        return_dict: bool = True,
    ) -> MuseDanceUNetOutput | tuple[Tensor] | dict[str, Tensor]:
        """Predict noise or velocity.

        Args:
            sample: noisy latents, `(batch, channels, num_frames, h, w)`; or images, `(batch, channels, h, w)`, which
                take the spatial path only (stage 1).
            timestep: one for all, or `(batch,)`.
            encoder_hidden_states: text, `(batch, tokens, dim)`.
            reference: the ReferenceNet's features, `(batch, n, channels)` by name; `None` = no reference.
            reference_mask: `(batch,)` of bool, False = this video's reference is dropped.
            music: AST tokens, `(batch, tokens, music_dim)`; `None` = dropped for all, a learned token stands in.
            music_positions: `(tokens,)` or `(batch, tokens)`, when each token is, in frames from the segment's start;
                NaN = no time.
            music_mask: `(batch,)` of bool, False = this video's music is dropped.
            beats: `(batch, num_frames)` of 0 (no beat), 1 (beat), 2 (unknown); `None` = unknown everywhere.
            motion: motion features of the previous segment's last M frames, `(batch, M, channels, h, w)` by name, from
                `return_motion_features`; `None` = first segment.
            motion_mask: `(batch,)` of bool, False = this video has no previous segment.
            return_motion_features: take the spatial path only and return what would enter each motion module.
            return_dict: return an output object instead of a tuple.

        Returns:
            The prediction in the shape of `sample`, or the motion features.

        Raises:
            ValueError: music without positions, or motion features of another number of frames.
        """
        frames = sample[:, :, None] if sample.ndim == 4 else sample
        batch_size, _, num_frames = frames.shape[:3]
        spatial_only = sample.ndim == 4 or return_motion_features
        context = FrameContext(
            num_frames=num_frames,
            spatial_only=spatial_only,
            reference=reference,
            reference_mask=reference_mask,
            motion=motion,
            motion_mask=motion_mask,
            recorder=FeatureRecorder() if return_motion_features else None,
        )
        if not spatial_only and self.config.use_music_modules:
            context.music = self.music_projection(music, music_positions, music_mask, batch_size)
        if not spatial_only and self.config.use_beat_modules:
            context.beats = self._embed_beats(beats, batch_size, num_frames, sample.device)

        if isinstance(timestep, Tensor) and timestep.ndim == 1 and len(timestep) == batch_size:
            timestep = timestep.repeat_interleave(num_frames, 0)
        output = super().forward(
            frames.transpose(1, 2).flatten(0, 1),
            timestep,
            encoder_hidden_states.repeat_interleave(num_frames, 0),
            cross_attention_kwargs={"context": context},
            return_dict=False,
        )[0]
        if context.recorder is not None:
            return dict(zip(self.motion_feature_names, context.recorder.features, strict=True))
        output = output.unflatten(0, (batch_size, num_frames)).transpose(1, 2).reshape(sample.shape)
        return MuseDanceUNetOutput(sample=output) if return_dict else (output,)

    def _embed_beats(self, beats: Tensor | None, batch_size: int, num_frames: int, device: torch.device) -> Tensor:
        """b_dense of section 3.3: one embedding and one position a frame, `(batch, num_frames, condition_dim)`."""
        if beats is None:
            beats = torch.full((batch_size, num_frames), UNKNOWN_BEAT, device=device)
        embeddings = self.beat_embedding(beats)
        positions = torch.arange(num_frames, device=device)
        return embeddings + sinusoidal_positions(positions, embeddings.shape[-1]).to(embeddings.dtype)
