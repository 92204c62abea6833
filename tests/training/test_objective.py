"""The objective against closed forms; nothing about a sample depends on its company; every dtype ends in float32."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from musedance import MuseDancePipeline
from musedance.datasets.cache import build_cache
from musedance.datasets.encode import Encoders, encode_batch
from musedance.datasets.loader import make_loader
from musedance.errors import InputError
from musedance.models import MuseDanceNetworks
from musedance.training.config import ObjectiveConfig
from musedance.training.objective import (
    Losses,
    Objective,
    draw_noise,
    draw_timesteps,
    min_snr_weights,
    perturb_motion,
    snr_power_weights,
)
from musedance.training.scheduler import training_scheduler
from musedance.training.trainable import select_stage1, select_stage2, trained_parameters

VELOCITY, EPSILON = ObjectiveConfig(), ObjectiveConfig(prediction_type="epsilon", zero_terminal_snr=False)
CPU = torch.device("cpu")
SHAPES = [(6, 5, 4, 4), (6, 5, 3, 4, 4)]  # stage 1, stage 2
SEEDS = [5, 17, 3, 99, 2**63 - 1, 0]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On latents this small, threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def generators(count: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + i) for i in range(count)]


def clean(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 1.5


class Constant(nn.Module):
    """Predicts the same number everywhere, and remembers what it was shown."""

    def __init__(self, value: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=dtype))
        self.seen: list[dict[str, Tensor]] = []

    def forward(self, **inputs: Tensor) -> Tensor:
        self.seen.append(inputs)
        return self.value.expand_as(inputs["noisy_latents"])


class Oracle(nn.Module):
    """Knows the clean latents, and so the noise that is in the noisy ones."""

    def __init__(self, clean: Tensor, scheduler: DDIMScheduler) -> None:
        super().__init__()
        self.clean, self.alphas = clean.double(), scheduler.alphas_cumprod.double()
        self.velocity = scheduler.config.prediction_type == "v_prediction"
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, noisy_latents: Tensor, timestep: Tensor) -> Tensor:
        noise, signal, deviation = parts(noisy_latents, self.clean, timestep, self.alphas)
        return self.weight * (signal * noise - deviation * self.clean if self.velocity else noise)


def parts(noisy: Tensor, clean: Tensor, timestep: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The noise that was added, and sqrt(abar) and sqrt(1 - abar) of each sample, from x_t = ... in float64."""
    alpha = alphas.double()[timestep].reshape(-1, *[1] * (noisy.ndim - 1))
    return (noisy.double() - alpha.sqrt() * clean.double()) / (1 - alpha).sqrt(), alpha.sqrt(), (1 - alpha).sqrt()


def make_objective(model: Path, config: ObjectiveConfig = VELOCITY) -> Objective:
    return Objective(training_scheduler(model, config), config)


@pytest.mark.parametrize("config", [VELOCITY, EPSILON])
@pytest.mark.parametrize("shape", SHAPES)
def test_who_knows_the_clean_latents_has_no_loss(
    config: ObjectiveConfig, shape: tuple[int, ...], small_model: Path
) -> None:
    objective = make_objective(small_model, config)
    oracle, latents = Oracle(clean(shape), training_scheduler(small_model, config)), clean(shape)
    losses = objective(oracle, latents, {}, SEEDS)
    assert losses.per_sample.max() < 1e-6 and losses.weighted < 1e-6
    with torch.no_grad():
        oracle.weight.fill_(0.9)
    assert objective(oracle, latents, {}, SEEDS).per_sample.min() > 1e-3


@pytest.mark.parametrize("config", [VELOCITY, EPSILON])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_the_distance_to_the_target(
    config: ObjectiveConfig, shape: tuple[int, ...], small_model: Path
) -> None:
    """v = sqrt(abar) eps - sqrt(1 - abar) x0, with the noise, its offset included, that is in the noisy latents."""
    config = replace(config, noise_offset=0.7)
    objective, networks, latents = make_objective(small_model, config), Constant(0.3), clean(shape)
    losses = objective(networks, latents, {}, SEEDS)
    alphas = training_scheduler(small_model, config).alphas_cumprod
    noise, signal, deviation = parts(networks.seen[0]["noisy_latents"], latents, losses.timesteps, alphas)
    velocity = signal * noise - deviation * latents.double()
    target = noise if config.prediction_type == "epsilon" else velocity
    expected = (0.3 - target).square().flatten(1).mean(1)
    torch.testing.assert_close(losses.per_sample.double(), expected, rtol=1e-4, atol=1e-6)
    assert losses.per_sample.dtype == torch.float32 and not losses.per_sample.requires_grad
    weights = min_snr_weights(alphas[losses.timesteps], config.prediction_type, 5.0)
    torch.testing.assert_close(losses.weighted, (weights * losses.per_sample).mean())
    losses.weighted.backward()
    derivative = (weights.double() * 2 * (0.3 - target).flatten(1).mean(1)).mean()
    torch.testing.assert_close(networks.value.grad.double(), derivative, rtol=1e-4, atol=1e-6)


def test_each_sample_has_its_own_weight_before_the_mean(small_model: Path) -> None:
    """The mean of the errors times the mean of the weights would be the same for any weights of the same mean."""
    objective, latents = make_objective(small_model), clean(SHAPES[0])
    losses = objective(Constant(), latents * torch.arange(1, 7)[:, None, None, None], {}, SEEDS)
    weights = min_snr_weights(objective.scheduler.alphas_cumprod[losses.timesteps], "v_prediction", 5.0)
    each = torch.stack([weight * error for weight, error in zip(weights, losses.per_sample, strict=True)]).mean()
    averaged = losses.per_sample.mean() * weights.mean()
    assert weights.min() < 0.9
    torch.testing.assert_close(losses.weighted, each)
    assert abs(each - averaged) > 0.05 * each


@pytest.mark.parametrize("config", [VELOCITY, ObjectiveConfig(zero_terminal_snr=False), EPSILON])
@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
def test_min_snr_weights_in_closed_form(config: ObjectiveConfig, gamma: float, small_model: Path) -> None:
    alphas = training_scheduler(small_model, config).alphas_cumprod
    weights = min_snr_weights(alphas, config.prediction_type, gamma)
    exact = alphas.double()
    ratio = (1 - exact) / exact if config is EPSILON else 1 - exact  # 1 / SNR, 1 / (SNR + 1)
    torch.testing.assert_close(weights.double(), (gamma * ratio).clamp(max=1), rtol=1e-4, atol=0)
    assert torch.isfinite(weights).all() and weights.min() > 0 and weights.max() <= 1
    assert weights[0] < 0.1


def test_the_step_from_which_sampling_starts_has_the_whole_weight(small_model: Path) -> None:
    """The paper's own form would give it none: nothing would be learned about pure noise."""
    alphas = training_scheduler(small_model, VELOCITY).alphas_cumprod
    assert alphas[999] == 0
    assert min_snr_weights(alphas[999:], "v_prediction", 5.0).item() == 1


def test_without_gamma_all_weights_are_one(small_model: Path) -> None:
    losses = make_objective(small_model, replace(VELOCITY, min_snr_gamma=None))(Constant(), clean(SHAPES[0]), {}, SEEDS)
    torch.testing.assert_close(losses.weighted, losses.per_sample.mean())


@pytest.mark.parametrize("power", [0.3, 1.0])
def test_snr_power_weights_in_closed_form(power: float, small_model: Path) -> None:
    config = replace(VELOCITY, min_snr_gamma=None, snr_power=power)
    objective, latents = make_objective(small_model, config), clean(SHAPES[0])
    alphas = objective.scheduler.alphas_cumprod.double()
    weights = snr_power_weights(alphas, power)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights[999] / weights[0]).item() == pytest.approx((0.01 / 1.01) ** power)  # SNR 0, and over 1
    halfway = int((alphas / (1 - alphas) - 0.49).abs().argmin())
    assert (weights[halfway] / weights[0]).item() == pytest.approx((0.5 / 1.01) ** power, rel=0.01)
    losses = objective(Constant(), latents, {}, SEEDS)
    expected = (weights[losses.timesteps] * losses.per_sample).mean()
    torch.testing.assert_close(losses.weighted, expected.float())  # CPUs differ in the last bits of a float32 sum


def test_timesteps_are_uniform() -> None:
    """Chi-square over ten buckets: with 9 degrees of freedom 27.9 is passed once in a thousand."""
    found = draw_timesteps(generators(10_000), 1000)
    assert found.dtype == torch.int64 and found.min() == 0 and found.max() == 999
    counts = torch.histc(found.float(), 10, 0, 1000)
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9


@pytest.mark.parametrize("shape", [(8, 4, 4), (8, 3, 4, 4)])
def test_the_offset_is_one_number_a_sample_and_channel(shape: tuple[int, ...]) -> None:
    size = torch.Size(shape)
    plain, shifted = draw_noise(generators(400), size, 0.0), draw_noise(generators(400), size, 0.5)
    shift = (shifted - plain).flatten(2)
    torch.testing.assert_close(shift, shift[..., :1].expand_as(shift), rtol=0, atol=1e-5)
    count = shift[..., 0].numel()
    assert abs(shift[..., 0].std() - 0.5) < 4 * 0.5 / math.sqrt(2 * count)
    assert abs(shift[..., 0].mean()) < 4 * 0.5 / math.sqrt(count)
    assert abs(plain.std() - 1) < 4 / math.sqrt(2 * plain.numel())


def test_motion_frames_get_noise_of_any_strength_up_to_the_most() -> None:
    motion, present = clean((600, 5, 2, 8, 8)), torch.arange(600) % 3 != 0
    noisy = perturb_motion(generators(600), motion, present, 0.1)
    assert torch.equal(noisy[~present], motion[~present])
    strength = (noisy - motion)[present].flatten(1).std(1) / 0.1
    assert strength.min() > 0 and strength.max() < 1.1
    counts = torch.histc(strength.clamp(0, 0.999), 4, 0, 1)  # uniform: 16.3 is passed once in a thousand
    assert ((counts - 100) ** 2 / 100).sum() < 16.3
    assert torch.equal(perturb_motion(generators(600), motion, present, 0.0), motion)


def test_motion_noise_leaves_the_other_draws_alone(small_model: Path) -> None:
    objective, networks, latents = make_objective(small_model), Constant(), clean(SHAPES[1])
    motion = {"motion_latents": clean((6, 5, 2, 4, 4), seed=1), "motion_mask": torch.tensor([True] * 3 + [False] * 3)}
    alone, beside = objective(networks, latents, {}, SEEDS), objective(networks, latents, motion, SEEDS)
    assert torch.equal(alone.timesteps, beside.timesteps)
    assert torch.equal(networks.seen[0]["noisy_latents"], networks.seen[1]["noisy_latents"])
    shown = networks.seen[1]["motion_latents"]
    assert torch.equal(shown[3:], motion["motion_latents"][3:])
    assert all(not torch.equal(shown[i], motion["motion_latents"][i]) for i in range(3))
    assert torch.equal(motion["motion_latents"], clean((6, 5, 2, 4, 4), seed=1))  # the batch itself stays as it was


def test_a_sample_has_the_same_noise_in_any_company(small_model: Path) -> None:
    objective, networks, latents = make_objective(small_model), Constant(), clean(SHAPES[1])
    inputs = {"motion_latents": clean((6, 5, 2, 4, 4), seed=1), "motion_mask": torch.ones(6, dtype=torch.bool)}
    before = torch.get_rng_state()
    together = objective(networks, latents, inputs, SEEDS)
    assert torch.equal(torch.get_rng_state(), before)
    for i in range(6):
        torch.rand(1)  # whatever is drawn from the global generator
        one = slice(i, i + 1)
        alone = objective(networks, latents[one], {key: value[one] for key, value in inputs.items()}, SEEDS[one])
        assert torch.equal(alone.per_sample, together.per_sample[one])
        for key in ("noisy_latents", "motion_latents", "timestep"):
            assert torch.equal(networks.seen[-1][key], networks.seen[0][key][one]), key
    assert len({tuple(one.flatten().tolist()) for one in networks.seen[0]["noisy_latents"]}) == 6
    assert not torch.equal(objective(networks, latents, inputs, SEEDS[::-1]).timesteps, together.timesteps)


def test_one_seed_is_not_enough_for_six(small_model: Path) -> None:
    with pytest.raises(ValueError, match="6 samples need as many seeds, not 1"):
        make_objective(small_model)(Constant(), clean(SHAPES[0]), {}, SEEDS[:1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_noise_is_added_in_float32_whatever_the_latents_are(dtype: torch.dtype, small_model: Path) -> None:
    objective, networks, latents = make_objective(small_model), Constant(), clean(SHAPES[1]).to(dtype)
    rounded, exact = (objective(networks, given, {}, SEEDS) for given in (latents, latents.float()))
    assert torch.equal(rounded.weighted, exact.weighted)
    assert torch.equal(networks.seen[0]["noisy_latents"], networks.seen[1]["noisy_latents"])


def test_networks_of_16_bits_get_16_bits_but_the_error_is_of_float32(small_model: Path) -> None:
    """As under DeepSpeed, which has no autocast. Times keep their digits."""
    objective, latents = make_objective(small_model), clean(SHAPES[1])
    times = torch.tensor([math.nan, 0.3, 47.3])
    inputs = {"text": torch.randn(6, 3, 4), "music_positions": times, "beats": torch.ones(6, 3, dtype=torch.int64)}
    exact, rounded = Constant(0.25), Constant(0.25, torch.bfloat16)
    losses = [objective(networks, latents, inputs, SEEDS) for networks in (exact, rounded)]
    seen = rounded.seen[0]
    assert {seen[key].dtype for key in ("noisy_latents", "text")} == {torch.bfloat16}
    assert torch.equal(seen["music_positions"].nan_to_num(-1), times.nan_to_num(-1))
    assert seen["beats"].dtype == seen["timestep"].dtype == torch.int64
    assert torch.equal(
        losses[0].weighted, losses[1].weighted
    )  # 0.25 has all its digits in bfloat16, the target has not


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_snr_gamma": 0.0},
        {"min_snr_gamma": -5.0},
        {"snr_power": 0.0},
        {"noise_offset": -0.1},
        {"motion_noise": math.nan},
    ],
)
def test_numbers_that_cannot_be_are_named(wrong: dict[str, float], small_model: Path) -> None:
    with pytest.raises(InputError, match=f"objective.{next(iter(wrong))} is"):
        make_objective(small_model, replace(VELOCITY, **wrong))


@pytest.fixture(scope="module")
def pipe(small_model: Path) -> MuseDancePipeline:
    return MuseDancePipeline.from_pretrained(small_model)


@pytest.fixture
def networks(small_model: Path) -> MuseDanceNetworks:
    """With nothing at zero, so that every input counts."""
    pipe = MuseDancePipeline.from_pretrained(small_model)
    networks = MuseDanceNetworks(pipe.unet, pipe.reference_net, pipe.mask_encoder)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in networks.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1, generator=generator)
    return networks


def loss_of(
    networks: nn.Module, inputs: dict[str, Tensor], batch: dict[str, Any], precision: str, model: Path
) -> Losses:
    inputs = dict(inputs)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        return make_objective(model)(networks, inputs.pop("latents"), inputs, batch["noise_seeds"])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_live_and_cached_batches_have_the_same_loss(
    dtype: str,
    puppet_data: Path,
    small_model: Path,
    pipe: MuseDancePipeline,
    networks: MuseDanceNetworks,
    tmp_path: Path,
) -> None:
    cache = build_cache(puppet_data, small_model, tmp_path / "cache", device="cpu", dtype=dtype)
    encoders = Encoders.from_folder(small_model, 12, CPU, getattr(torch, dtype))
    for stage, select in ((1, select_stage1), (2, select_stage2)):
        select(networks)
        options: dict[str, Any] = {"stage": stage, "batch_size": 3}
        live, cached = (next(iter(make_loader(puppet_data, small_model, cache=at, **options))) for at in (None, cache))
        assert live["noise_seeds"] == cached["noise_seeds"]
        for precision in ("no", "bf16"):
            losses = [
                loss_of(networks, inputs, batch, precision, small_model)
                for inputs, batch in ((encode_batch(live, CPU, encoders), live), (encode_batch(cached, CPU), cached))
            ]
            assert torch.equal(losses[0].weighted, losses[1].weighted) and torch.isfinite(losses[0].weighted)
            assert losses[0].weighted.dtype == torch.float32
            networks.zero_grad()
            losses[1].weighted.backward()
            trained = trained_parameters(networks)
            assert {name for name, parameter in trained.items() if parameter.grad is None} == set()
            assert {parameter.grad.dtype for parameter in trained.values() if parameter.grad is not None} == {
                torch.float32
            }


@pytest.mark.parametrize("stage", [1, 2])
def test_two_passes_of_one_sample_have_the_gradient_of_one_pass_of_two(
    stage: int, puppet_data: Path, small_model: Path, pipe: MuseDancePipeline, networks: MuseDanceNetworks
) -> None:
    encoders = Encoders(pipe.vae, pipe.text_encoder, pipe.tokenizer, pipe.music_encoder, fps=12)
    (select_stage1 if stage == 1 else select_stage2)(networks)

    def gradients(batch_size: int) -> dict[str, Tensor]:
        networks.zero_grad()
        passes = 2 // batch_size
        for batch in islice(make_loader(puppet_data, small_model, stage=stage, batch_size=2), 1):
            inputs = encode_batch(batch, CPU, encoders)
            for i in range(passes):
                part = slice(i * batch_size, (i + 1) * batch_size)
                cut = {key: value if key == "music_positions" else value[part] for key, value in inputs.items()}
                losses = loss_of(networks, cut, {"noise_seeds": batch["noise_seeds"][part]}, "no", small_model)
                (losses.weighted / passes).backward()
        return {name: parameter.grad.clone() for name, parameter in trained_parameters(networks).items()}

    whole, accumulated = gradients(2), gradients(1)
    assert max(gradient.abs().max() for gradient in whole.values()) > 1e-3
    for name, gradient in whole.items():
        torch.testing.assert_close(accumulated[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
