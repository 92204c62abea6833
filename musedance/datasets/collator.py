"""Samples -> a batch, with each sample's conditions dropped by a draw of its own."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from musedance.datasets.chance import Purpose, SampleKey, noise_seed, sample_generator
from musedance.datasets.reader import SharedFeatures
from musedance.datasets.samples import Sample
from musedance.errors import InputError
from musedance.models.unet import UNKNOWN_BEAT

# What each outcome of the draw drops.
OUTCOMES = {
    "everything": frozenset({"text", "reference", "music", "beats"}),
    "text": frozenset({"text"}),
    "reference": frozenset({"reference"}),
    "music": frozenset({"music"}),
    "beats": frozenset({"beats"}),
    "music_and_beats": frozenset({"music", "beats"}),
}


@dataclass(frozen=True)
class DropRates:
    """How often conditions are dropped; what is left to 1 is the share of samples that keep all.

    Attributes:
        everything: text, reference, music and beats together, as guidance's unconditional branch has it.
        text, reference, music, beats: this one alone.
        music_and_beats: both, as guidance's branch without music has it.
        densepose: a draw of its own, stage 1 only.
    """

    everything: float = 0.10
    text: float = 0.05
    reference: float = 0.05
    music: float = 0.05
    beats: float = 0.05
    music_and_beats: float = 0.05
    densepose: float = 0.5

    def __post_init__(self) -> None:
        rates = asdict(self)
        if not all(0 <= rate <= 1 for rate in rates.values()) or sum(rates.values()) - self.densepose > 1 + 1e-9:
            raise InputError(f"rates at which conditions are dropped lie between 0 and 1, together at most 1: {rates}")


def draw_dropped(key: SampleKey, seed: int, rates: DropRates) -> frozenset[str]:
    """Which of text, reference, music, beats and densepose this sample goes without."""
    generator = sample_generator(seed, Purpose.CONDITIONS, key)
    place, without_densepose = generator.random(), generator.random() < rates.densepose
    dropped: frozenset[str] = frozenset()
    for name, conditions in OUTCOMES.items():
        rate = getattr(rates, name)
        if 0 <= place < rate:
            dropped = conditions
        place -= rate
    return dropped | {"densepose"} if without_densepose else dropped


class Collator:
    """Stacks samples of one canvas size; `docs/loading.md` lists what a batch holds.

    In stage 1 the same draw is made, so that text, reference and both are dropped as often as in stage 2; where it
    says music or beats, nothing is left out.

    Args:
        seed: 0 or more.
        rates: how often conditions are dropped.
        shared: the feature cache's, if the samples come from one.
    """

    def __init__(self, seed: int = 0, rates: DropRates | None = None, shared: SharedFeatures | None = None) -> None:
        self.seed, self.rates, self.shared = seed, rates or DropRates(), shared

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Any]:
        batch: dict[str, Any] = {"failures": {id: why for sample in samples for id, why in sample.failures.items()}}
        if not all(sample.content for sample in samples):
            return batch  # the loader ends the run: there were too many failures, or nothing to take a clip's place
        batch["ids"] = [sample.clip_id for sample in samples]
        batch["noise_seeds"] = [noise_seed(self.seed, sample.key) for sample in samples]
        contents = [sample.content for sample in samples]
        dropped = [draw_dropped(sample.key, self.seed, self.rates) for sample in samples]
        batch |= self._pictures(contents, dropped) | self._text(contents, dropped)
        if "music" in contents[0]:
            batch |= self._music(contents, dropped)
        return batch

    def _pictures(self, contents: list[dict[str, Any]], dropped: list[frozenset[str]]) -> dict[str, Tensor]:
        name = "frames" if self.shared is None else "latents"
        batch = {name: _stack(contents, "target"), f"reference_{name}": _stack(contents, "reference")}
        batch["reference_mask"] = torch.tensor(["reference" not in out for out in dropped])
        if "motion" in contents[0]:
            batch[f"motion_{name}"] = _stack(contents, "motion")
            batch["motion_mask"] = torch.tensor([content["has_motion"] for content in contents])
        if "densepose" in contents[0]:
            told = [c["has_densepose"] and "densepose" not in out for c, out in zip(contents, dropped, strict=True)]
            batch |= {"densepose": _stack(contents, "densepose"), "densepose_mask": torch.tensor(told)}
        return batch

    def _text(self, contents: list[dict[str, Any]], dropped: list[frozenset[str]]) -> dict[str, Any]:
        texts = [content["text"] for content in contents]
        if self.shared is None:
            return {"prompts": ["" if "text" in out else text for text, out in zip(texts, dropped, strict=True)]}
        empty = self.shared.empty_text
        told = [empty if "text" in out else text for text, out in zip(texts, dropped, strict=True)]
        return {"text": torch.stack(told), "empty_text": torch.stack([empty] * len(told))}

    def _music(self, contents: list[dict[str, Any]], dropped: list[frozenset[str]]) -> dict[str, Tensor]:
        beats = _stack(contents, "beats")
        beats[torch.tensor(["beats" in out for out in dropped])] = UNKNOWN_BEAT
        music = {"music_mask": torch.tensor(["music" not in out for out in dropped]), "beats": beats}
        if self.shared is None:
            return music | {"mel": _stack(contents, "music")}
        return music | {"music": _stack(contents, "music"), "music_positions": self.shared.music_positions}


def _stack(contents: list[dict[str, Any]], key: str) -> Tensor:
    return torch.stack([content[key] for content in contents])
