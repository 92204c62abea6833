"""What training minimises: the error of the prediction at a random time, weighted."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from musedance.errors import InputError
from musedance.training.config import ObjectiveConfig

_ALWAYS_FLOAT32 = ("music_positions",)  # times: bfloat16 has no 47.3


@dataclass(frozen=True)
class Losses:
    """What one pass gives.

    Attributes:
        weighted: scalar, the mean of the weighted errors; has a gradient.
        per_sample: `(n,)` float32, each sample's mean squared error, unweighted, without gradient.
        timesteps: `(n,)`, at which they were made.
    """

    weighted: Tensor
    per_sample: Tensor
    timesteps: Tensor


class Objective:
    """Noise -> prediction -> loss, in float32 whatever the networks compute in.

    All that is random about a sample comes from a generator of its own, so that it depends neither on the rest of the
    batch nor on the number of processes or what was drawn before.

    Args:
        scheduler: from `training_scheduler`.
        config: see `ObjectiveConfig`.

    Raises:
        InputError: a number of the config cannot be.
    """

    def __init__(self, scheduler: DDIMScheduler, config: ObjectiveConfig) -> None:
        if config.min_snr_gamma is not None and not config.min_snr_gamma > 0:
            raise InputError(f"objective.min_snr_gamma is more than 0, or null, not {config.min_snr_gamma}")
        if config.snr_power is not None and not config.snr_power > 0:
            raise InputError(f"objective.snr_power is more than 0, or null, not {config.snr_power}")
        for key in ("noise_offset", "motion_noise"):
            if not 0 <= getattr(config, key) < float("inf"):
                raise InputError(f"objective.{key} is 0 or more, not {getattr(config, key)}")
        # A copy: add_noise moves its tables to the latents' device, where the pipeline does not look for them.
        self.scheduler, self.config = copy.deepcopy(scheduler), config

    def __call__(
        self, networks: nn.Module, latents: Tensor, inputs: Mapping[str, Tensor], seeds: Sequence[int]
    ) -> Losses:
        """The loss of a batch.

        Args:
            networks: `MuseDanceNetworks`, also wrapped for several processes.
            latents: clean, `(n, channels, h, w)` or `(n, channels, K, h, w)`, of any float dtype.
            inputs: the rest of what `encode_batch` gives.
            seeds: `noise_seeds` of the batch, one a sample.

        Raises:
            ValueError: another number of seeds.
        """
        if len(seeds) != len(latents):  # one alone would be broadcast: the same noise for all
            raise ValueError(f"{len(latents)} samples need as many seeds, not {len(seeds)}")
        generators = [torch.Generator(latents.device).manual_seed(seed) for seed in seeds]
        latents = latents.float()  # a cache may hold 16 bits: noise is never added in those
        timesteps = draw_timesteps(generators, self.scheduler.config.num_train_timesteps)
        noise = draw_noise(generators, latents.shape[1:], self.config.noise_offset)
        inputs = dict(inputs)
        if "motion_latents" in inputs:  # drawn last: a sample has the same noise with and without motion frames
            inputs["motion_latents"] = perturb_motion(
                generators, inputs["motion_latents"].float(), inputs["motion_mask"], self.config.motion_noise
            )
        inputs["noisy_latents"] = self.scheduler.add_noise(latents, noise, timesteps)
        prediction = networks(timestep=timesteps, **cast_inputs(inputs, networks)).float()
        errors = (prediction - self._target(latents, noise, timesteps)).square().flatten(1).mean(1)
        return Losses((self._weights(timesteps) * errors).mean(), errors.detach(), timesteps)

    def _target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The velocity sqrt(abar) eps - sqrt(1 - abar) x0 (Salimans and Ho 2022, appendix D), or the noise eps."""
        if self.scheduler.config.prediction_type == "epsilon":
            return noise
        return self.scheduler.get_velocity(latents, noise, timesteps)

    def _weights(self, timesteps: Tensor) -> Tensor:
        alphas = self.scheduler.alphas_cumprod.to(timesteps.device)
        if self.config.snr_power is not None:
            return snr_power_weights(alphas, self.config.snr_power)[timesteps]
        if self.config.min_snr_gamma is None:
            return torch.ones(len(timesteps), device=timesteps.device)
        return min_snr_weights(alphas[timesteps], self.scheduler.config.prediction_type, self.config.min_snr_gamma)


def min_snr_weights(alphas_cumprod: Tensor, prediction_type: str, gamma: float) -> Tensor:
    """Min-SNR weights (Hang et al. 2023, https://arxiv.org/abs/2303.09556), with SNR = abar / (1 - abar).

    For the noise min(SNR, gamma) / SNR, as in the paper. For the velocity min(SNR + 1, gamma) / (SNR + 1) rather than
    the paper's min(SNR, gamma) / (SNR + 1), which is 0 where the SNR is: at the step from which sampling starts.

    Args:
        alphas_cumprod: abar at the samples' timesteps, `(n,)`, less than 1; more than 0 for the noise.
        prediction_type: "v_prediction" or "epsilon".
        gamma: more than 0.

    Returns:
        `(n,)`, in (0, 1].
    """
    snr = alphas_cumprod / (1 - alphas_cumprod)
    divisor = snr if prediction_type == "epsilon" else snr + 1
    return divisor.clamp(max=gamma) / divisor


def snr_power_weights(alphas_cumprod: Tensor, power: float) -> Tensor:
    """Weights of the velocity that grow with the SNR up to 1: (min(SNR, 1) + 0.01)^power, divided by their mean.

    The error at a noisy step is large and mostly what nobody could know, such as the pose, and so is its gradient: with
    all weights 1 little of a short training goes into drawing. A power of 0.3 makes the built-in model's weighted
    errors about the same from t = 200 to 999 (docs/built-in-model.md).

    Args:
        alphas_cumprod: abar of all timesteps, `(num_train_timesteps,)`, less than 1.
        power: more than 0.

    Returns:
        One a timestep, more than 0, with a mean of 1.
    """
    snr = alphas_cumprod / (1 - alphas_cumprod)
    weights = (snr.clamp(max=1) + 0.01) ** power
    return weights / weights.mean()


def draw_timesteps(generators: Sequence[torch.Generator], num_train_timesteps: int) -> Tensor:
    """One a sample, `(n,)`, uniform in [0, num_train_timesteps)."""
    return torch.cat([torch.randint(num_train_timesteps, (1,), generator=g, device=g.device) for g in generators])


def draw_noise(generators: Sequence[torch.Generator], shape: torch.Size, offset: float) -> Tensor:
    """Standard normal noise, with an offset that a whole channel shares, over frames and pixels.

    The offset (https://www.crosslabs.org/blog/diffusion-with-offset-noise) lets the model change how bright a whole
    picture is. It is part of the noise: of what is added and of what is predicted.

    Args:
        generators: one a sample.
        shape: of a sample, `(channels, ..., h, w)`.
        offset: deviation of the offset.

    Returns:
        `(n, *shape)`, float32.
    """
    noise = _normal(generators, shape)
    return noise + offset * _normal(generators, shape[:1] + (1,) * len(shape[1:]))


def perturb_motion(generators: Sequence[torch.Generator], motion: Tensor, present: Tensor, most: float) -> Tensor:
    """Add noise to the motion frames, of a deviation drawn for each sample from [0, most].

    In sampling, motion frames are the model's own and not perfect: training has to have seen such.

    Args:
        generators: one a sample.
        motion: `(n, channels, M, h, w)`, float32.
        present: `(n,)` of bool; frames that are absent stay as they are.
        most: the largest deviation.
    """
    deviation = most * torch.cat([torch.rand(1, generator=g, device=g.device) for g in generators])
    noise = _normal(generators, motion.shape[1:])
    return motion + (deviation * present)[:, None, None, None, None] * noise


def cast_inputs(inputs: Mapping[str, Tensor], networks: nn.Module) -> dict[str, Tensor]:
    """Bring floats to the dtype in which the networks take them; what is no float, and times, stay as they are.

    Under autocast that is float32: each layer casts for itself. Elsewhere it is the weights' own: float32, or
    bfloat16 where DeepSpeed has cast them.
    """
    weights = next(networks.parameters())
    dtype = torch.float32 if torch.is_autocast_enabled(weights.device.type) else weights.dtype
    return {
        name: value.to(dtype) if value.is_floating_point() and name not in _ALWAYS_FLOAT32 else value
        for name, value in inputs.items()
    }


def _normal(generators: Sequence[torch.Generator], shape: torch.Size) -> Tensor:
    return torch.stack([torch.randn(shape, generator=g, device=g.device) for g in generators])
