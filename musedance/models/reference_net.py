"""ReferenceNet: a Stable Diffusion UNet that is read, not sampled."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from diffusers import ModelMixin, UNet2DConditionModel  # noqa: F401 - loading a pipeline looks ModelMixin up here
from torch import Tensor, nn

from .attention import FeatureRecorder, MuseDanceAttentionMixin, MuseDanceAttnProcessor

_SUPPORTED = {  # Stable Diffusion 1.x; anything else would need code that nothing here uses
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1,),
    "only_cross_attention": (False,),
    "dual_cross_attention": (False,),
    "upcast_attention": (False,),
    "use_linear_projection": (False,),
    "cross_attention_norm": (None,),
    "attention_type": ("default",),
}


def check_unet_config(config: Mapping[str, Any]) -> None:
    """Check that a UNet is of Stable Diffusion 1.x's kind.

    Raises:
        ValueError: naming the key whose value this project does not support.
    """
    for key, supported in _SUPPORTED.items():
        values = config[key] if isinstance(config[key], list | tuple) else [config[key]]
        if not all(value in supported for value in values):
            raise ValueError(f"{key}={config[key]!r} is not supported; possible: {', '.join(map(repr, supported))}")
    if config["up_block_types"][-1] != "CrossAttnUpBlock2D":
        raise ValueError("the last of up_block_types has to be 'CrossAttnUpBlock2D'")


class _Tail(nn.Module):
    """What the last spatial transformer needs to give its feature; the rest would only shape a discarded output.

    Parameters that no loss can reach stop distributed training, so they are removed rather than ignored.
    """

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.norm, self.proj_in = transformer.norm, transformer.proj_in
        self.transformer_blocks: Any = nn.ModuleList([nn.Module()])
        self.transformer_blocks[0].norm1 = transformer.transformer_blocks[0].norm1

    def forward(self, hidden_states: Tensor, cross_attention_kwargs: dict[str, Any], **_: Any) -> tuple[Tensor]:
        x = self.proj_in(self.norm(hidden_states)).flatten(2).transpose(1, 2)
        cross_attention_kwargs["recorder"].features.append(self.transformer_blocks[0].norm1(x))
        return (hidden_states,)


class ReferenceNet(MuseDanceAttentionMixin, UNet2DConditionModel):
    """Reads appearance from the reference's latent (section 3.2).

    The UNet of Stable Diffusion with its own weights and without its dead tail. Its config is `UNet2DConditionModel`'s.
    """

    @functools.wraps(UNet2DConditionModel.__init__)  # type: ignore[misc]  # the same signature, so the same config
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_unet_config(self.config)
        self.conv_norm_out, self.conv_out = None, nn.Identity()
        last = self.up_blocks[-1].attentions
        last[-1] = _Tail(last[-1])
        self.set_attn_processor(MuseDanceAttnProcessor())
        # The order in which the layers run: down, middle, up.
        names = [
            name for name, module in self.named_modules() if re.fullmatch(r".*\.attentions\.\d+|attentions\.\d+", name)
        ]
        self.feature_names = sorted(names, key=_running_order)

    def forward(self, sample: Tensor, encoder_hidden_states: Tensor) -> dict[str, Tensor]:
        """Read the reference at t = 0.

        Args:
            sample: `(batch, channels, h, w)`, the reference's latent (with the mask encoder's residual, if any).
            encoder_hidden_states: `(batch, tokens, dim)`, text; MuseDance uses the empty prompt.

        Returns:
            What enters each spatial self-attention, by the name of its transformer: `(batch, h * w, channels)`, in the
            model's dtype.
        """
        recorder = FeatureRecorder()
        super().forward(sample, 0, encoder_hidden_states, cross_attention_kwargs={"recorder": recorder})
        return dict(zip(self.feature_names, recorder.features, strict=True))


def _running_order(name: str) -> tuple[int, str]:
    return ("down_blocks", "mid_block", "up_blocks").index(name.split(".")[0]), name
