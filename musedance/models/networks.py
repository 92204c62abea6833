"""Everything that is trained, in one module: FSDP and DeepSpeed take one model, not three."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .mask_encoder import MaskEncoder
from .reference_net import ReferenceNet
from .unet import MuseDanceUNet


class MuseDanceNetworks(nn.Module):
    """MuseDanceUNet, ReferenceNet and mask encoder with the way from conditions to a prediction.

    Masks are `(batch,)` of bool, True = present; `None` = present in the whole batch.
    """

    def __init__(self, unet: MuseDanceUNet, reference_net: ReferenceNet, mask_encoder: MaskEncoder) -> None:
        super().__init__()
        self.unet = unet
        self.reference_net = reference_net
        self.mask_encoder = mask_encoder

    def encode_reference(
        self,
        reference_latents: Tensor,
        empty_text: Tensor,
        densepose: Tensor | None = None,
        densepose_mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """z = E(I_i) + F_m(D_i) (equation 1), read by the ReferenceNet.

        Without a DensePose picture the residual is zero: F_m(0) is not, once it has been trained.

        Args:
            reference_latents: E(I_i), `(batch, channels, h, w)`.
            empty_text: the empty prompt, `(batch, tokens, dim)`.
            densepose: D_i, `(batch, 3, H, W)` in [0, 1].
            densepose_mask: which videos have one.

        Returns:
            The ReferenceNet's features.
        """
        if densepose is not None:
            residual = self.mask_encoder(densepose)
            if densepose_mask is not None:
                residual = torch.where(densepose_mask[:, None, None, None], residual, torch.zeros_like(residual))
            reference_latents = reference_latents + residual
        return self.reference_net(reference_latents, empty_text)

    @torch.no_grad()
    def encode_motion(
        self,
        motion_latents: Tensor,
        text: Tensor,
        reference: Mapping[str, Tensor] | None,
        reference_mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """What the previous segment's last M frames give each motion module: one spatial pass at t = 0.

        Args:
            motion_latents: `(batch, channels, M, h, w)`, clean latents.
            text: `(batch, tokens, dim)`, the text of the current segment.
            reference: the ReferenceNet's features.
            reference_mask: which videos have their reference.

        Returns:
            `(batch, M, channels, h, w)` by the motion module's name, without gradient.
        """
        return self.unet(
            motion_latents, 0, text, reference=reference, reference_mask=reference_mask, return_motion_features=True
        )

    def forward(
        self,
        noisy_latents: Tensor,
        timestep: Tensor,
        text: Tensor,
        *,
        reference_latents: Tensor,
        empty_text: Tensor,
        reference_mask: Tensor | None = None,
        densepose: Tensor | None = None,
        densepose_mask: Tensor | None = None,
        motion_latents: Tensor | None = None,
        **conditions: Tensor | None,
    ) -> Tensor:
        """Predict noise or velocity from all conditions: what a training step calls.

        Args:
            noisy_latents: `(batch, channels, num_frames, h, w)`, or `(batch, channels, h, w)` in stage 1.
            timestep: `(batch,)`.
            text: `(batch, tokens, dim)`.
            reference_latents, empty_text, densepose, densepose_mask: see `encode_reference`.
            motion_latents: see `encode_motion`.
            **conditions: `music`, `music_positions`, `music_mask`, `beats`, `motion_mask`: see `MuseDanceUNet.forward`.

        Returns:
            The prediction in the shape of `noisy_latents`.
        """
        reference = self.encode_reference(reference_latents, empty_text, densepose, densepose_mask)
        motion = None
        if motion_latents is not None and self.unet.config.use_motion_modules:
            motion = self.encode_motion(motion_latents, text, reference, reference_mask)
        told = {"reference": reference, "reference_mask": reference_mask, "motion": motion, **conditions}
        return self.unet(noisy_latents, timestep, text, **told).sample
