"""The Audio Spectrogram Transformer (AST), cut to the clip's length."""

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from transformers import ASTConfig, ASTModel
from transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer import ASTEmbeddings

# Kaldi filter banks as AST's feature extractor computes them: windows of 25 ms, 10 ms apart.
MEL_WINDOW_SECONDS = 0.025
MEL_HOP_SECONDS = 0.010
GLOBAL_TOKENS = 2  # AST puts a class token and a distillation token before the patches


class ClipLengthEmbeddings(ASTEmbeddings):
    """AST's embeddings with the time axis of the position table cut to the spectrogram's length."""

    def forward(self, input_values: Tensor) -> Tensor:
        """`(batch, mel_frames, mel_bins)` -> `(batch, 2 + frequency patches * time patches, hidden)`."""
        patches = self.patch_embeddings(input_values)
        num_frequencies, max_times = self.get_shape(self.config)
        table = self.position_embeddings[:, GLOBAL_TOKENS:].unflatten(1, (num_frequencies, max_times))
        table = table[:, :, : patches.shape[1] // num_frequencies].flatten(1, 2)
        tokens = (
            torch.cat([self.cls_token, self.distillation_token], dim=1) + self.position_embeddings[:, :GLOBAL_TOKENS]
        )
        return self.dropout(torch.cat([tokens.expand(len(patches), -1, -1), patches + table], dim=1))


class MusicEncoder(ModelMixin, ConfigMixin):
    """Music -> AST tokens. A clip of 4 s gives 470 tokens instead of the 1 214 of AST's padded 10.24 s.

    Args:
        ast_config: fields of `transformers.ASTConfig`.
    """

    @register_to_config
    def __init__(self, ast_config: dict[str, Any]) -> None:
        super().__init__()
        config = ASTConfig(**ast_config)
        self.ast = ASTModel(config)
        self.ast.embeddings = ClipLengthEmbeddings(config)

    def forward(self, input_values: Tensor) -> Tensor:
        """Encode spectrograms.

        Args:
            input_values: `(batch, mel_frames, mel_bins)`, log-mel, normalised by `ASTFeatureExtractor`.

        Returns:
            `last_hidden_state`, `(batch, tokens, hidden)`; the tokens' times are `token_times(mel_frames)`.

        Raises:
            ValueError: the clip is shorter than one patch or longer than AST's position table.
        """
        config = self.ast.config
        if not config.patch_size <= input_values.shape[1] <= config.max_length:
            raise ValueError(
                f"a clip has {config.patch_size} to {config.max_length} mel frames of {MEL_HOP_SECONDS} s, "
                f"this one has {input_values.shape[1]}"
            )
        return self.ast(input_values).last_hidden_state

    def token_times(self, mel_frames: int) -> Tensor:
        """When each token is: the middle of its time patch.

        Returns:
            `(tokens,)`, seconds from the clip's start; NaN for the two tokens that stand for the whole clip.
        """
        config = self.ast.config
        num_frequencies = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        num_times = (mel_frames - config.patch_size) // config.time_stride + 1
        middle = torch.arange(num_times) * config.time_stride + (config.patch_size - 1) / 2
        times = middle * MEL_HOP_SECONDS + MEL_WINDOW_SECONDS / 2
        return torch.cat([torch.full((GLOBAL_TOKENS,), torch.nan), times.repeat(num_frequencies)])
