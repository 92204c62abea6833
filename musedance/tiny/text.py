"""The built-in model's vocabulary and text encoder: taught to tell the moves that a prompt asks for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer, models, trainers
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from musedance.puppets.moves import MOVES
from musedance.tiny.descent import Descent
from musedance.weights.byte_tokenizer import END, START, byte_alphabet, byte_tokenizer
from musedance.weights.init import seeded

MOVE_NAMES = tuple(MOVES)
_WHO = ("", "", "a person", "a man", "a woman", "a girl", "a boy", "someone", "the dancer", "a cat", "the cat",
        "a bear", "the bear", "a carrot", "the carrot", "a figure", "she", "he", "it")  # fmt: skip
_WHERE = ("", "", "", "on a stage", "in the park", "in a room", "to the music", "on the beat", "in front of a wall")
_NOTHING = ("dances", "is dancing", "dancing", "dances to the music", "moves to the beat", "")


@dataclass(frozen=True)
class TextTraining:
    """How the text encoder is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: prompts a step.
        lr: the highest learning rate.
        merges: how many pieces of words the vocabulary holds beside the bytes.
    """

    steps: int = 1500
    batch_size: int = 48
    lr: float = 1e-3
    merges: int = 500


def draw_prompt(rng: np.random.Generator) -> tuple[str, set[str]]:
    """A prompt and the names of the moves in it: one, two after each other, or now and then none."""
    who, where = _WHO[int(rng.integers(len(_WHO)))], _WHERE[int(rng.integers(len(_WHERE)))]
    if rng.random() < 0.1:
        return " ".join(part for part in (who, _NOTHING[int(rng.integers(len(_NOTHING)))], where) if part), set()
    asked = [MOVE_NAMES[int(i)] for i in rng.integers(len(MOVE_NAMES), size=2 if rng.random() < 0.2 else 1)]
    phrases = [MOVES[name].phrases[int(rng.integers(len(MOVES[name].phrases)))] for name in asked]
    return " ".join(part for part in (who, ", then ".join(phrases), where) if part), set(asked)


def make_tokenizer(max_length: int, merges: int) -> CLIPTokenizer:
    """CLIP's byte-pair encoding with the pieces that are frequent in prompts; bytes for whatever else is written.

    Args:
        max_length: longest sequence in tokens, start and end included.
        merges: pieces at most.
    """
    rng = np.random.default_rng(0)
    bytewise = byte_tokenizer(max_length).backend_tokenizer
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer, trained.pre_tokenizer = bytewise.normalizer, bytewise.pre_tokenizer
    alphabet = byte_alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) * 2 + merges,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    trained.train_from_iterator((draw_prompt(rng)[0] for _ in range(5000)), trainer)
    learned = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]][:merges]
    tokens = list(dict.fromkeys([*alphabet, *(f"{letter}</w>" for letter in alphabet), *(a + b for a, b in learned)]))
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate([*tokens, START, END])},
        merges=learned,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=max_length,
    )


def train_text_encoder(
    encoder: CLIPTextModel, tokenizer: CLIPTokenizer, training: TextTraining, device: torch.device, seed: int = 0
) -> float:
    """Train in place: the mean of all tokens that the UNet will read has to tell the moves.

    Returns:
        The share of new prompts of which all moves are told.
    """
    with seeded(seed, torch.float32):
        told = nn.Linear(encoder.config.hidden_size, len(MOVE_NAMES)).to(device)
    encoder.to(device).train()
    descent = Descent([*encoder.parameters(), *told.parameters()], training.lr, training.steps)
    batches = _batches(tokenizer, training.batch_size, seed)
    for _ in tqdm(range(training.steps), unit="step", desc="text encoder"):
        ids, asked = (tensor.to(device) for tensor in next(batches))
        loss = functional.binary_cross_entropy_with_logits(told(encoder(ids)[0].mean(1)), asked)
        descent.step(loss)
    encoder.eval()
    with torch.no_grad():
        tests = _batches(tokenizer, 256, seed + 1)
        ids, asked = (tensor.to(device) for tensor in next(tests))
        return float(((told(encoder(ids)[0].mean(1)) > 0) == (asked > 0)).all(1).float().mean())


def _batches(tokenizer: CLIPTokenizer, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Token ids `(n, max_length)` and which moves are in them, `(n, moves)` of 0 and 1."""
    rng = np.random.default_rng([seed, 2])
    while True:
        prompts, moves = zip(*(draw_prompt(rng) for _ in range(batch_size)), strict=True)
        length = tokenizer.model_max_length
        ids = tokenizer(list(prompts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        asked = torch.tensor([[float(name in found) for name in MOVE_NAMES] for found in moves])
        yield ids.input_ids, asked
