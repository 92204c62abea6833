"""DensePose mask -> residual for the reference's latent."""

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor


class MaskEncoder(ModelMixin, ConfigMixin):
    """F_m of section 3.2: convolutions that bring a DensePose picture down to the latent's size; zero at the start.

    Args:
        in_channels: channels of the picture.
        latent_channels: channels of the VAE's latent.
        block_out_channels: widths; each one after the first halves the resolution.
    """

    @register_to_config
    def __init__(
        self, in_channels: int = 3, latent_channels: int = 4, block_out_channels: tuple[int, ...] = (16, 32, 96, 256)
    ) -> None:
        super().__init__()
        self.net = ControlNetConditioningEmbedding(latent_channels, in_channels, tuple(block_out_channels))

    def forward(self, densepose: Tensor) -> Tensor:
        """`(batch, in_channels, H, W)` in [0, 1] -> `(batch, latent_channels, H / 8, W / 8)` (for four widths)."""
        return self.net(densepose)
