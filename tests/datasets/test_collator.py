"""Conditions are dropped per sample, as often as said, and each in one way."""

import math
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from musedance.datasets.chance import Purpose, SampleKey, noise_seed, order_generator, sample_generator
from musedance.datasets.collator import Collator, DropRates, draw_dropped
from musedance.datasets.loader import make_loader
from musedance.datasets.reader import SharedFeatures
from musedance.datasets.samples import Sample
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError

EVERYTHING = ("text", "reference", "music", "beats")
RATES = {
    EVERYTHING: 0.10,
    ("text",): 0.05,
    ("reference",): 0.05,
    ("music",): 0.05,
    ("beats",): 0.05,
    ("music", "beats"): 0.05,
    (): 0.65,
}
NOTHING = DropRates(0, 0, 0, 0, 0, 0, 0)


def keys(count: int) -> list[SampleKey]:
    return [SampleKey(i % 100, i // 100) for i in range(count)]


def test_each_outcome_is_drawn_as_often_as_said() -> None:
    """Chi-square over all outcomes: with 6 degrees of freedom 22.5 is passed once in a thousand."""
    count = 20_000
    rates = DropRates(densepose=0)
    drawn = Counter(draw_dropped(key, 0, rates) for key in keys(count))
    expected = {frozenset(outcome): rate * count for outcome, rate in RATES.items()}
    assert drawn.keys() == expected.keys()
    assert sum((drawn[outcome] - number) ** 2 / number for outcome, number in expected.items()) < 22.5


def test_densepose_has_a_draw_of_its_own() -> None:
    count = 20_000
    drawn = [draw_dropped(key, 0, DropRates()) for key in keys(count)]
    without = [outcome - {"densepose"} for outcome in drawn if "densepose" in outcome]
    assert abs(len(without) - count / 2) < 4 * math.sqrt(count / 4)
    kept = sum(not outcome for outcome in without) / len(without)
    assert abs(kept - 0.65) < 4 * math.sqrt(0.65 * 0.35 / len(without))


def test_the_draw_depends_on_seed_and_sample() -> None:
    drawn = [draw_dropped(key, 0, DropRates()) for key in keys(200)]
    assert drawn == [draw_dropped(key, 0, DropRates()) for key in keys(200)]
    assert drawn != [draw_dropped(key, 1, DropRates()) for key in keys(200)]
    assert drawn[:100] != drawn[100:]  # the next epoch


@pytest.mark.parametrize(
    "wrong", [{"text": -0.1}, {"densepose": 1.1}, {"everything": 0.8, "text": 0.3}, {"text": math.nan}]
)
def test_rates_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="rates"):
        DropRates(**wrong)


def test_any_rates_may_be_chosen() -> None:
    assert all(draw_dropped(key, 0, NOTHING) == frozenset() for key in keys(500))
    always = DropRates(0, 0, 0, 0, 0, 1, densepose=1)
    assert all(draw_dropped(key, 0, always) == {"music", "beats", "densepose"} for key in keys(500))


def stage2_sample(key: SampleKey, features: bool = False) -> Sample:
    numbers = torch.Generator().manual_seed(key.clip)

    def random(*shape: int) -> torch.Tensor:
        if features:
            return torch.randn(*shape, generator=numbers)
        return torch.randint(0, 256, shape, generator=numbers, dtype=torch.uint8)

    content: dict[str, Any] = {
        "target": random(4, 8, 8, 3),
        "motion": random(2, 8, 8, 3),
        "has_motion": key.clip % 2 == 0,
        "reference": random(8, 8, 3),
        "text": torch.randn(5, 6, generator=numbers) if features else f"dances {key.clip}",
        "music": torch.randn(7, 3, generator=numbers),
        "beats": torch.tensor([1, 0, 0, 1]),
    }
    return Sample(key, f"clip-{key.clip}", content)


def stage1_sample(key: SampleKey) -> Sample:
    content = stage2_sample(key).content
    picture = content["reference"]
    return Sample(
        key,
        f"clip-{key.clip}",
        {
            "target": picture,
            "reference": picture,
            "densepose": picture,
            "has_densepose": key.clip % 2 == 0,
            "text": "dances",
        },
    )


@pytest.mark.parametrize("features", [False, True])
def test_what_dropped_means(features: bool) -> None:
    shared = SharedFeatures(torch.full((5, 6), 9.0), torch.arange(7.0)) if features else None
    samples = [stage2_sample(key, features) for key in keys(60)]
    batch = Collator(0, shared=shared)(samples)
    seen: Counter[str] = Counter()
    for i, sample in enumerate(samples):
        dropped = draw_dropped(sample.key, 0, DropRates())
        seen.update(dropped)
        assert batch["reference_mask"][i] == ("reference" not in dropped)
        assert batch["music_mask"][i] == ("music" not in dropped)
        assert batch["beats"][i].tolist() == ([2, 2, 2, 2] if "beats" in dropped else [1, 0, 0, 1])
        assert batch["motion_mask"][i] == sample.content["has_motion"]  # no draw touches the motion frames
        if features:
            told = torch.full((5, 6), 9.0) if "text" in dropped else sample.content["text"]
            assert torch.equal(batch["text"][i], told) and (batch["empty_text"][i] == 9).all()
        else:
            assert batch["prompts"][i] == ("" if "text" in dropped else f"dances {sample.key.clip}")
    assert min(seen[name] for name in EVERYTHING) > 3
    pictures = "latents" if features else "frames"
    for name, part in ((pictures, "target"), (f"motion_{pictures}", "motion"), (f"reference_{pictures}", "reference")):
        assert torch.equal(batch[name], torch.stack([sample.content[part] for sample in samples]))
    assert batch["ids"] == [sample.clip_id for sample in samples] and batch["failures"] == {}
    assert samples[0].content["beats"].tolist() == [1, 0, 0, 1]  # the samples themselves stay whole


def test_in_stage_1_text_and_reference_are_dropped_as_in_stage_2() -> None:
    samples = [stage1_sample(key) for key in keys(60)]
    batch = Collator(0)(samples)
    for i, sample in enumerate(samples):
        dropped = draw_dropped(sample.key, 0, DropRates())
        assert batch["prompts"][i] == ("" if "text" in dropped else "dances")
        assert batch["reference_mask"][i] == ("reference" not in dropped)
        assert batch["densepose_mask"][i] == ("densepose" not in dropped and sample.content["has_densepose"])
    assert 0 < batch["densepose_mask"].sum() < 30
    assert not batch.keys() & {"beats", "mel", "music", "music_mask", "motion_frames", "motion_mask"}


def test_a_sample_loses_the_same_in_any_company() -> None:
    collate, samples = Collator(3), [stage2_sample(key) for key in keys(30)]
    together = collate(samples)
    alone = [collate([sample]) for sample in samples]
    turned = collate(samples[::-1])
    for name in ("prompts", "reference_mask", "music_mask", "beats", "noise_seeds"):
        for i in range(30):
            for other in (alone[i][name][0], turned[name][29 - i]):
                value = together[name][i]
                assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other


def test_noise_seeds_differ_wherever_samples_do() -> None:
    variants = [SampleKey(*key) for key in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    seeds = [noise_seed(seed, key) for key in [*keys(2000), *variants[3:]] for seed in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 0.99 * 2**63 and min(seeds) < 0.01 * 2**63
    assert Collator(1)([stage2_sample(key) for key in variants])["noise_seeds"] == [noise_seed(1, k) for k in variants]
    for seed in seeds[:20]:
        torch.Generator().manual_seed(seed)


def test_streams_stay_as_they_are() -> None:
    """With other numbers, runs that go on would train on other samples: a new purpose comes last."""
    numbers = {
        Purpose.CONTENT: 8207672149123973377,
        Purpose.CONDITIONS: 5029685213385854048,
        Purpose.REPLACEMENT: 2085621547420887018,
        Purpose.NOISE: 1663391291310016257,
    }
    for purpose, number in numbers.items():
        assert sample_generator(7, purpose, SampleKey(3, 2, 1)).integers(2**63) == number
    assert order_generator(7, 2).integers(2**63) == 8990436654238933835


def test_noise_seeds_come_with_the_batches_whoever_reads_them(dataset_folder: Path, tiny_folder: Path) -> None:
    spec = ClipSpec(pixels=48 * 48, multiple=8, fps=12, num_frames=24, num_motion_frames=2)

    def batches(count: int, **options: int) -> list[tuple[list[str], list[int]]]:
        loader = make_loader(dataset_folder, tiny_folder, stage=1, batch_size=2, spec=spec, **options)
        return [(batch["ids"], batch["noise_seeds"]) for batch in islice(loader, count)]

    read = batches(5)
    assert len({seed for _, seeds in read for seed in seeds}) == sum(len(ids) for ids, _ in read)
    assert batches(2, num_workers=1) == read[:2]
    assert batches(2, start=3) == read[3:]
    assert all(mine != other for (_, mine), (_, other) in zip(batches(2, seed=1), read, strict=False))
