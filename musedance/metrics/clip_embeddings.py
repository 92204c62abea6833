"""CLIP's embeddings of pictures (Radford et al., arXiv 2103.00020), for CS and for identity over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# What a whole CLIP holds beside its vision half; `position_ids` is a buffer that old versions of transformers saved.
_NOT_FOR_PICTURES = r"text_model\.|text_projection\.|logit_scale$|.*position_ids$"


@dataclass(frozen=True)
class ClipImages:
    """The vision half of a CLIP, with the projection into the space that pictures, text and Wav2CLIP share.

    Pictures are prepared by transformers' PIL backend, so that torchvision is not needed.

    Attributes:
        model: `CLIPVisionModelWithProjection` in float32, on its device.
        processor: scales, crops and normalises pictures.
    """

    model: Any
    processor: Any

    @classmethod
    def from_pretrained(cls, path_or_id: str, device: str = "auto") -> ClipImages:
        """Load a folder or hub id in transformers' format, such as openai/clip-vit-base-patch32.

        Args:
            path_or_id: of a whole CLIP, or of its vision half alone.
            device: as in `musedance.device.choose_device`.

        Raises:
            InputError: it cannot be read or downloaded, or its weights do not fit.
        """
        import torch
        from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

        from musedance.device import choose_device
        from musedance.weights.pretrained import load_model, load_part

        processor = load_part(CLIPImageProcessorPil, path_or_id, "CLIP's image processor")
        model, _ = load_model(
            CLIPVisionModelWithProjection,
            path_or_id,
            "CLIP",
            may_be_left_over=_NOT_FOR_PICTURES,
            dtype=torch.float32,
        )
        return cls(model.to(choose_device(device)).eval(), processor)

    def embed(self, frames: np.ndarray, batch: int = 32) -> np.ndarray:
        """Embeddings of `(n, H, W, 3)` uint8 RGB frames, of which the middle square is seen.

        Args:
            frames: of any size.
            batch: frames that go through the model together.

        Returns:
            `(n, d)` float32 of unit length; d is 512 for ViT-B/32.
        """
        return np.concatenate([self._embed(frames[start : start + batch]) for start in range(0, len(frames), batch)])

    def _embed(self, frames: np.ndarray) -> np.ndarray:
        import torch

        inputs = self.processor(images=list(frames), input_data_format="channels_last", return_tensors="pt")
        with torch.inference_mode():
            embeddings = self.model(pixel_values=inputs["pixel_values"].to(self.model.device)).image_embeds
        return torch.nn.functional.normalize(embeddings, dim=-1).cpu().numpy()
