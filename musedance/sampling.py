"""How a call of the pipeline wants its segments sampled."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.schedulers import KarrasDiffusionSchedulers

from musedance.errors import InputError

CALLBACK_INPUTS = ("latents",)


@dataclass(frozen=True)
class Sampling:
    """The names are those of `MuseDancePipeline.__call__`."""

    num_inference_steps: int
    guidance_scale: float
    music_guidance_scale: float | None
    guidance_rescale: float
    eta: float
    generator: torch.Generator | list[torch.Generator] | None
    callback: Callable[..., dict[str, Any]] | None
    callback_inputs: Sequence[str]

    @property
    def tensor_inputs(self) -> tuple[str, ...]:
        """Which tensors the callback gets; diffusers' callback objects say it themselves."""
        callback = self.callback
        if isinstance(callback, PipelineCallback | MultiPipelineCallbacks):
            return tuple(callback.tensor_inputs)
        return tuple(self.callback_inputs)

    def step_arguments(self, scheduler: KarrasDiffusionSchedulers) -> dict[str, Any]:
        """Those of `eta` and `generator` that a scheduler's `step` knows."""
        known = inspect.signature(scheduler.step).parameters
        return {key: getattr(self, key) for key in ("eta", "generator") if key in known}

    def check(self, most_steps: int) -> None:
        """Check the values.

        Args:
            most_steps: the noise schedule's length.

        Raises:
            InputError: one is out of range.
        """
        steps = self.num_inference_steps
        if not (isinstance(steps, int) and 1 <= steps <= most_steps):
            raise InputError(f"num_inference_steps has to be a whole number from 1 to {most_steps}, not {steps}")
        if not 0 <= self.guidance_rescale <= 1:
            raise InputError(f"guidance_rescale has to lie between 0 and 1, not {self.guidance_rescale}")
        if not set(self.tensor_inputs) <= set(CALLBACK_INPUTS):
            raise InputError(f"a callback can get {CALLBACK_INPUTS}, not {self.tensor_inputs}")
