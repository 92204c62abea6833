"""A CLIP tokenizer that needs no vocabulary file: one token per byte."""

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for the bytes, in the order of CLIP's own vocabulary (its ids 0-255)."""
    return sorted(ByteLevel.alphabet())


def byte_tokenizer(max_length: int) -> CLIPTokenizer:
    """A tokenizer for models with random or small text encoders.

    Its 514 tokens are the bytes, the bytes that end a word, start and end; ids 0-511 are CLIP's. There are no merges,
    so a text takes as many tokens as it has bytes, and every text can be encoded.

    Args:
        max_length: longest sequence in tokens, start and end included.
    """
    characters = byte_alphabet()
    tokens = [*characters, *(f"{character}</w>" for character in characters), START, END]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=max_length,
    )
