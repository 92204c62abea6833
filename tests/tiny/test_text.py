"""Vocabulary and text encoder of the built-in model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import CLIPTextModel, CLIPTokenizer

from musedance.puppets.moves import MOVES
from musedance.tiny.text import MOVE_NAMES, TextTraining, draw_prompt, make_tokenizer, train_text_encoder
from musedance.weights.init import seeded, text_config

CPU = torch.device("cpu")
LENGTH = 24


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return make_tokenizer(LENGTH, 500)


def make_encoder(tokenizer: CLIPTokenizer, seed: int = 0) -> CLIPTextModel:
    """One layer of width 32."""
    section = {"hidden_size": 32, "intermediate_size": 64, "projection_dim": 32, "num_hidden_layers": 1}
    section |= {"num_attention_heads": 2, "max_position_embeddings": LENGTH, "vocab_size": len(tokenizer)}
    with seeded(seed, torch.float32):
        return CLIPTextModel(text_config(section, tokenizer))


def prompts(count: int, seed: int = 0) -> list[tuple[str, set[str]]]:
    rng = np.random.default_rng([seed, 7])
    return [draw_prompt(rng) for _ in range(count)]


def test_a_prompt_has_the_words_of_its_moves() -> None:
    drawn = prompts(3000)
    for prompt, moves in drawn:
        for name in moves:
            assert any(phrase in prompt for phrase in MOVES[name].phrases), prompt
    assert {name for _, moves in drawn for name in moves} == set(MOVES)
    counts = np.bincount([len(moves) for _, moves in drawn], minlength=3) / len(drawn)
    assert len(counts) == 3 and np.all(np.abs(counts - [0.1, 0.73, 0.17]) < 0.04)  # n = 3000
    assert any(prompt == phrase for prompt, _ in drawn for phrase in MOVES["jump"].phrases)  # also with nothing around


def test_a_prompt_without_a_move_has_the_words_of_none() -> None:
    phrases = [phrase for move in MOVES.values() for phrase in move.phrases]
    empty = [prompt for prompt, moves in prompts(3000) if not moves]
    assert len(set(empty)) > 20 and not any(phrase in prompt for prompt in empty for phrase in phrases)


def test_all_phrases_of_a_move_are_drawn() -> None:
    told = " | ".join(prompt for prompt, _ in prompts(3000))
    assert all(phrase in told for move in MOVES.values() for phrase in move.phrases)


def test_prompts_are_few_tokens(tokenizer: CLIPTokenizer) -> None:
    """A token each for words, commas and hyphens; nothing of the longest prompt is cut off."""
    for prompt, _ in prompts(300, seed=1):
        words = prompt.replace(",", " , ").replace("-", " - ").split()
        assert len(tokenizer(prompt).input_ids) <= min(len(words) + 2, LENGTH), prompt  # with start and end


@given(text=st.text(max_size=40))
def test_any_text_can_be_written(text: str) -> None:
    """Every character is in the vocabulary, so that nothing is unknown; spaces and capitals are all that is lost."""
    tokenizer = ANY
    assume("<|" not in text)
    ids = tokenizer(text).input_ids
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
    assert all(0 <= one < tokenizer.bos_token_id for one in ids[1:-1])
    normal = tokenizer.backend_tokenizer.normalizer.normalize_str(text)
    again = tokenizer.decode(ids, skip_special_tokens=True)
    assert "".join(again.split()) == "".join(normal.split())


ANY = make_tokenizer(400, 500)


def test_the_vocabulary_is_each_token_once_and_no_more_than_asked(tokenizer: CLIPTokenizer) -> None:
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(tokenizer)))
    assert 514 < len(tokenizer) <= 514 + 500
    assert len(make_tokenizer(LENGTH, 20)) == 514 + 20
    assert make_tokenizer(LENGTH, 500).get_vocab() == vocabulary  # the same whenever it is made


def test_it_saves_and_loads(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    assert loaded.model_max_length == LENGTH and loaded.get_vocab() == tokenizer.get_vocab()
    texts = [prompt for prompt, _ in prompts(50)] + ["Große Sprünge, ☃ und 日本!", ""]
    options = {"padding": "max_length", "truncation": True, "max_length": LENGTH}
    assert loaded(texts, **options).input_ids == tokenizer(texts, **options).input_ids


def test_a_short_training_tells_most_moves(tokenizer: CLIPTokenizer) -> None:
    """All moves of a prompt; whoever says "none" is right in a tenth of them."""
    encoder = make_encoder(tokenizer)
    understood = train_text_encoder(encoder, tokenizer, TextTraining(steps=150, batch_size=32, lr=5e-3), CPU)
    assert 0.4 < understood <= 1
    assert not encoder.training
    assert train_text_encoder(make_encoder(tokenizer), tokenizer, TextTraining(steps=1, batch_size=2), CPU) < 0.2


def test_no_move_is_another_to_a_trained_encoder(tokenizer: CLIPTokenizer) -> None:
    """Two ways to say one move are nearer to each other than to other moves, which they were not at first."""

    def own_is_nearest(encoder: CLIPTextModel) -> float:
        said = [[move.phrases[k] for move in MOVES.values()] for k in (0, 1)]
        with torch.no_grad():
            first, second = (
                encoder(**tokenizer(texts, padding="max_length", max_length=LENGTH, return_tensors="pt"))[0].mean(1)
                for texts in said
            )
        nearest = torch.cdist(first - first.mean(0), second - second.mean(0)).argmin(1)
        return float((nearest == torch.arange(len(MOVE_NAMES))).float().mean())

    encoder = make_encoder(tokenizer)
    before = own_is_nearest(encoder)
    train_text_encoder(encoder, tokenizer, TextTraining(steps=150, batch_size=32, lr=5e-3), CPU)
    assert own_is_nearest(encoder) > max(0.7, before)


def weights_after(tokenizer: CLIPTokenizer, seed: int, state: int) -> torch.Tensor:
    encoder = make_encoder(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(state)
        train_text_encoder(encoder, tokenizer, TextTraining(steps=3, batch_size=4), CPU, seed)
    return torch.cat([value.flatten() for value in encoder.state_dict().values()])


def test_another_seed_gives_other_weights(tokenizer: CLIPTokenizer) -> None:
    first, again, other = (weights_after(tokenizer, seed, state=1) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_seed_alone_decides(tokenizer: CLIPTokenizer) -> None:
    first, other_state = (weights_after(tokenizer, 0, state) for state in (1, 2))
    assert torch.equal(first, other_state)
