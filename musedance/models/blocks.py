"""Down, middle and up block of the denoising UNet: diffusers' layers with the temporal modules between them.

In every block: resnet -> spatial transformer (reference, then text) -> music -> beat -> motion.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict
from diffusers.utils.torch_utils import apply_freeu
from torch import Tensor, nn

from .attention import FeatureRecorder
from .temporal import ConditionModule, MotionModule


@dataclass
class FrameContext:
    """What the blocks are told besides text and time; one per forward pass, travels as an argument.

    Shapes: `reference[name]` `(batch, n, channels)`, `music` `(batch, tokens, condition_dim)`, `beats`
    `(batch, num_frames, condition_dim)`, `motion[name]` `(batch, M, channels, h, w)`, masks `(batch,)` of bool.
    """

    num_frames: int
    spatial_only: bool = False
    reference: Mapping[str, Tensor] | None = None
    reference_mask: Tensor | None = None
    music: Tensor | None = None
    beats: Tensor | None = None
    motion: Mapping[str, Tensor] | None = None
    motion_mask: Tensor | None = None
    recorder: FeatureRecorder | None = None


class TemporalBlock(nn.Module):
    """What the three kinds of blocks share: the layers after each resnet.

    Args:
        name: path in the UNet, under which its features are found.
        block: diffusers' block whose layers are taken over.
        channels: width.
        config: the UNet's; its switches are the paper's ablation.
        motion: this block has motion modules where the config has them.
    """

    _gradient_checkpointing_func: Callable[..., Tensor]  # set by enable_gradient_checkpointing()
    has_cross_attention = True  # UNet2DConditionModel.forward then passes cross_attention_kwargs on to us

    def __init__(self, name: str, block: Any, channels: int, config: FrozenDict, motion: bool = True) -> None:
        super().__init__()
        self.name = name
        self.resnets = block.resnets
        self.attentions = getattr(block, "attentions", None)
        depth = len(self.resnets if self.attentions is None else self.attentions)
        sizes = (config.motion_num_attention_heads, config.norm_num_groups)
        self.music_modules = self.beat_modules = self.motion_modules = None
        if self.attentions is not None and config.use_music_modules:
            music = [ConditionModule(channels, config.condition_dim, *sizes) for _ in range(depth)]
            self.music_modules = nn.ModuleList(music)
        if self.attentions is not None and config.use_beat_modules:
            beat = [ConditionModule(channels, config.condition_dim, *sizes) for _ in range(depth)]
            self.beat_modules = nn.ModuleList(beat)
        if config.use_motion_modules and motion:
            modules = [MotionModule(channels, *sizes, config.num_motion_frames) for _ in range(depth)]
            self.motion_modules = nn.ModuleList(modules)
        self.gradient_checkpointing = False

    def run(self, module: Callable[..., Any], *args: Any) -> Any:
        """Call a layer, under gradient checkpointing where that is on."""
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(module, *args)
        return module(*args)

    def attend(self, i: int, x: Tensor, text: Tensor, context: FrameContext) -> Tensor:
        """Spatial transformer i, then the music, beat and motion modules i."""
        frames = context.num_frames
        if self.attentions is not None:
            reference = (context.reference or {}).get(f"{self.name}.attentions.{i}")
            kwargs = {"reference": reference, "reference_mask": context.reference_mask, "num_frames": frames}
            x = self.run(partial(self.attentions[i], cross_attention_kwargs=kwargs, return_dict=False), x, text)[0]
        if self.motion_modules is not None and context.recorder is not None:
            context.recorder.features.append(x.unflatten(0, (-1, frames)))
        if context.spatial_only:
            return x
        if self.music_modules is not None:
            x = self.run(self.music_modules[i], x, context.music, frames)
        if self.beat_modules is not None:
            x = self.run(self.beat_modules[i], x, context.beats, frames)
        if self.motion_modules is not None:
            motion = None if context.motion is None else context.motion[f"{self.name}.motion_modules.{i}"]
            x = self.run(self.motion_modules[i], x, frames, motion, context.motion_mask)
        return x


class DownBlock(TemporalBlock):
    """A down block with the layers of diffusers' `CrossAttnDownBlock2D` or `DownBlock2D`."""

    def __init__(self, name: str, block: Any, channels: int, config: FrozenDict) -> None:
        super().__init__(name, block, channels, config)
        self.downsamplers = block.downsamplers

    def forward(
        self, hidden_states: Tensor, temb: Tensor, encoder_hidden_states: Tensor, cross_attention_kwargs: dict, **_: Any
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Called by `UNet2DConditionModel.forward`: the output and the skip connections."""
        skips: tuple[Tensor, ...] = ()
        for i, resnet in enumerate(self.resnets):
            hidden_states = self.run(resnet, hidden_states, temb)
            hidden_states = self.attend(i, hidden_states, encoder_hidden_states, cross_attention_kwargs["context"])
            skips += (hidden_states,)
        for downsampler in self.downsamplers or ():
            hidden_states = downsampler(hidden_states)
            skips += (hidden_states,)
        return hidden_states, skips


class MidBlock(TemporalBlock):
    """The middle block with the layers of diffusers' `UNetMidBlock2DCrossAttn`."""

    def forward(
        self, hidden_states: Tensor, temb: Tensor, encoder_hidden_states: Tensor, cross_attention_kwargs: dict, **_: Any
    ) -> Tensor:
        """Called by `UNet2DConditionModel.forward`."""
        hidden_states = self.run(self.resnets[0], hidden_states, temb)
        for i, resnet in enumerate(self.resnets[1:]):
            hidden_states = self.attend(i, hidden_states, encoder_hidden_states, cross_attention_kwargs["context"])
            hidden_states = self.run(resnet, hidden_states, temb)
        return hidden_states


class UpBlock(TemporalBlock):
    """An up block with the layers of diffusers' `CrossAttnUpBlock2D` or `UpBlock2D`."""

    def __init__(self, name: str, block: Any, channels: int, config: FrozenDict) -> None:
        super().__init__(name, block, channels, config)
        self.upsamplers, self.resolution_idx = block.upsamplers, block.resolution_idx

    def forward(
        self,
        hidden_states: Tensor,
        temb: Tensor,
        res_hidden_states_tuple: tuple[Tensor, ...],
        encoder_hidden_states: Tensor,
        cross_attention_kwargs: dict,
        upsample_size: tuple[int, int] | None = None,
        **_: Any,
    ) -> Tensor:
        """Called by `UNet2DConditionModel.forward`."""
        freeu = {key: getattr(self, key, None) for key in ("s1", "s2", "b1", "b2")}  # set by enable_freeu()
        for i, (resnet, skip) in enumerate(zip(self.resnets, reversed(res_hidden_states_tuple), strict=True)):
            if all(freeu.values()):
                hidden_states, skip = apply_freeu(self.resolution_idx, hidden_states, skip, **freeu)
            hidden_states = self.run(resnet, torch.cat([hidden_states, skip], dim=1), temb)
            hidden_states = self.attend(i, hidden_states, encoder_hidden_states, cross_attention_kwargs["context"])
        for upsampler in self.upsamplers or ():
            hidden_states = upsampler(hidden_states, upsample_size)
        return hidden_states
