"""The tokenizer without a vocabulary file: any text, no unknown tokens, CLIP's own ids for bytes."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from musedance.weights.byte_tokenizer import byte_tokenizer

TOKENIZER = byte_tokenizer(77)
TEXTS = st.text(max_size=60).filter(lambda text: "<|" not in text)  # special tokens may be written out in a text


def inner(text: str, tokenizer: CLIPTokenizer = TOKENIZER) -> list[int]:
    """Ids without start and end."""
    start, *ids, end = tokenizer(text).input_ids
    assert (start, end) == (tokenizer.bos_token_id, tokenizer.eos_token_id) == (512, 513)
    return ids


@given(TEXTS)
def test_any_text_is_encoded_without_unknown_tokens(text: str) -> None:
    assert TOKENIZER.unk_token_id not in inner(text)


def test_tokens_are_the_bytes_and_words_end_with_their_own() -> None:
    # CLIP's vocabulary: "!" is 0, printable characters follow; the same with </w> from 256 on.
    assert inner("ab!") == [ord("a") - 33, ord("b") - 33 + 256, 256]
    assert len(inner("é")) == 2 and len(inner("日")) == 3 and len(inner("🕺")) == 4


def test_different_texts_have_different_ids() -> None:
    texts = ["spin", "a spin", "spins", "旋转", "旋轉", "jump left", "jump right", "jumpleft"]
    assert len({tuple(inner(text)) for text in texts}) == len(texts)


def test_texts_come_back() -> None:
    assert TOKENIZER.decode(inner("A dancer spins; 日本語 émoji 🕺")) == "a dancer spins ; 日本語 émoji 🕺"


def test_long_texts_are_cut_and_short_ones_padded_to_77() -> None:
    for text in ("", "x" * 500):
        ids = TOKENIZER(text, padding="max_length", truncation=True).input_ids
        assert len(ids) == 77 and ids[0] == 512 and ids[-1] == 513


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    assert loaded.model_max_length == 77 and loaded.get_vocab() == TOKENIZER.get_vocab()
    for text in ("", "A dancer, 3 jumps!", "日本語 🕺\x00\x07", "don't"):
        assert inner(text, loaded) == inner(text)
