"""The mean of two models of one training: it joins what each of them does well (Wortsman et al. 2022, model soups)."""

from pathlib import Path

import torch
from torch import nn

from musedance.errors import InputError
from musedance.files import check_new_folder
from musedance.pipeline import MuseDancePipeline
from musedance.weights.check import check_folder
from musedance.weights.folder import save_folder

AVERAGED = ("unet", "reference_net")


def mean_model(first: str | Path, second: str | Path, output: str | Path) -> Path:
    """Write the mean of UNet and ReferenceNet, tensor by tensor, with all else from the second model.

    Args:
        first: pipeline folder.
        second: one that was trained further from it, or that has the same start.
        output: folder to make; its weights are bfloat16.

    Raises:
        InputError: one of both is no whole pipeline folder, their networks differ in shape, or there is something at
            `output`.
    """
    output = check_new_folder(output)
    for folder in (first, second):
        check_folder(Path(folder))
    one, other = (MuseDancePipeline.from_pretrained(folder, dtype=torch.float32) for folder in (first, second))
    for name in AVERAGED:
        _average(getattr(one, name), getattr(other, name), name)
    other.register_to_config(provenance=f"mean of ({one.config.provenance}) and ({other.config.provenance})")
    return save_folder(other.to(torch.bfloat16), output)


def _average(one: nn.Module, other: nn.Module, name: str) -> None:
    weights = one.state_dict()
    if {key: weight.shape for key, weight in weights.items()} != {k: w.shape for k, w in other.state_dict().items()}:
        raise InputError(f"the {name} of both models differ in shape: they are not of one training")
    other.load_state_dict({key: (weights[key] + weight) / 2 for key, weight in other.state_dict().items()})
