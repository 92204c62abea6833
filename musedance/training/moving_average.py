"""An exponential moving average of the trained weights: what is validated and saved."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from musedance.errors import InputError
from musedance.weights.loading import check_complete

_STEPS = "steps"


class MovingAverage:
    """diffusers' `EMAModel` over named parameters, in float32, of this rank's own shards under FSDP2.

    After step n the average is a <- d a + (1 - d) p with d = min(decay, n / (n + 9)), and d = 0 at n = 1. So it forgets
    the weights that training began with at once, and looks back over about n / 9 steps until these are more than
    1 / (1 - decay), which is then how far it looks back.

    It costs 4 bytes a parameter where the parameters are, and as much as the parameters in the host's memory while
    they are swapped.

    Args:
        parameters: what is trained, by name, as `accelerator.prepare` left it and before any forward.
        decay: largest d, from 0 to 1.

    Raises:
        InputError: the decay lies elsewhere.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"ema_decay has to be at least 0 and below 1, not {decay}")
        self._parameters = dict(parameters)
        self._average = EMAModel(self._shards(), decay=decay)
        self._average.to(dtype=torch.float32)

    @property
    def is_sharded(self) -> bool:
        """Whether each rank has its own part of the averages (FSDP2), so that every rank has to save."""
        return any(isinstance(parameter, DTensor) for parameter in self._parameters.values())

    def step(self) -> None:
        """Take the parameters into the average: after every optimiser step."""
        self._average.step(self._shards())

    @contextmanager
    def swapped(self, networks: nn.Module) -> Iterator[None]:
        """Within, the parameters hold the averages; afterwards, bit for bit what they were. Every rank calls this.

        The weights wait in the host's memory, so that a GPU holds no third copy.

        Args:
            networks: that the parameters belong to; under FSDP2 they may hold gathered copies, see `free_gathered`.
        """
        shards = self._shards()
        self._average.store(shards)
        try:
            self._average.copy_to(shards)
            free_gathered(networks)
            yield
        finally:
            self._average.restore(shards)
            free_gathered(networks)

    def save(self, path: Path) -> None:
        """Write this rank's averages as safetensors, with the number of steps."""
        tensors = {name: tensor.contiguous() for name, tensor in self._tensors().items()}
        save_file(tensors, path, metadata={_STEPS: str(self._average.optimization_step)})

    def load(self, path: Path) -> None:
        """Go on from `save`, bit for bit.

        Raises:
            InputError: the file holds averages of other parameters, or of another rank's or number of ranks' shards.
        """
        own = self._tensors()
        with safe_open(path, framework="pt") as file:
            found = set(file.keys())
            shapes = {name: list(file.get_slice(name).get_shape()) for name in own.keys() & found}
            check_complete(
                f"{path}, averages of trained weights",
                missing=own.keys() - found,
                left_over=found - own.keys(),
                misshapen=[name for name, shape in shapes.items() if shape != list(own[name].shape)],
            )
            for name, tensor in own.items():
                tensor.copy_(file.get_tensor(name))
            self._average.optimization_step = int(file.metadata()[_STEPS])

    def _tensors(self) -> dict[str, Tensor]:
        return dict(zip(self._parameters, self._average.shadow_params, strict=True))

    def _shards(self) -> list[nn.Parameter]:
        """Views of the parameters' own memory; as parameters, since `EMAModel` only copies what needs no gradient."""
        return [nn.Parameter(_local(parameter.detach())) for parameter in self._parameters.values()]


def free_gathered(networks: nn.Module) -> None:
    """Under FSDP2, free what was gathered for a forward without backward; every rank calls this.

    The root keeps it, and the next forward would use it whatever has become of the parameters meanwhile.
    """
    for module in networks.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
