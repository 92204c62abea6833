"""Prompts -> what cross-attention to text reads."""

import warnings

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from musedance.errors import InputError


def encode_prompt(prompt: str, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, device: torch.device) -> Tensor:
    """CLIP's last hidden state of a prompt, padded to the tokenizer's length as Stable Diffusion does it.

    Warns when the prompt is longer than the tokenizer's length, and ignores its end.

    Returns:
        `(1, tokens, dim)` in the text encoder's dtype.

    Raises:
        InputError: the prompt is no text.
    """
    if not isinstance(prompt, str):
        raise InputError(f"a prompt has to be text, not {type(prompt).__name__}")
    length = tokenizer.model_max_length
    tokens = tokenizer(prompt, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    given = len(tokenizer(prompt, verbose=False).input_ids)
    if given > length:
        warnings.warn(f"the prompt has {given} tokens, of which the model reads {length}", stacklevel=2)
    return text_encoder(tokens.input_ids.to(device))[0]
