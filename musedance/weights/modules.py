"""The music, beat and motion modules of a folder's UNet: which it has, and the UNet with some of them alone."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from musedance.errors import InputError

if TYPE_CHECKING:
    import torch

    from musedance.models import MuseDanceUNet

MODULES = ("music", "beat", "motion")  # in the order in which they run
WEIGHTS = {  # patterns of the UNet's keys: all that hangs on each
    "music": r"music_projection\.|.*\.music_modules\.",
    "beat": r"beat_embedding\.|.*\.beat_modules\.",
    "motion": r".*\.motion_modules\.",
}


def built_modules(folder: str | Path) -> frozenset[str]:
    """Those of `MODULES` that a pipeline folder's UNet has, trained or not; no weights are read.

    Raises:
        InputError: its config cannot be read.
    """
    try:
        config = json.loads((Path(folder) / "unet" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no model folder: its unet/config.json cannot be read") from error
    return frozenset(name for name in MODULES if config.get(f"use_{name}_modules", True))


def load_unet(folder: str | Path, modules: Collection[str], dtype: "torch.dtype") -> "MuseDanceUNet":
    """A pipeline folder's UNet with these modules alone, on the CPU.

    The others are not built; their weights, and no others, are left in the file. The UNet's config says so, and a
    folder that it is saved to.

    Args:
        folder: pipeline folder.
        modules: some of those that it has, or none.
        dtype: of the weights.

    Raises:
        InputError: a module is not there, or weights are missing, left over, or no safetensors.
    """
    from musedance.models import MuseDanceUNet  # here, since the names above are needed where torch is not
    from musedance.weights.pretrained import load_model

    found = built_modules(folder)
    if not found.issuperset(modules):
        raise InputError(f"{folder} has no {list_modules(set(modules) - found)} modules")
    left_out = found - set(modules)
    unet, _ = load_model(
        MuseDanceUNet,
        str(folder),
        "unet",
        may_be_left_over="|".join(WEIGHTS[name] for name in left_out) or "(?!)",
        subfolder="unet",
        dtype=dtype,
        use_safetensors=True,
        **{f"use_{name}_modules": False for name in left_out},
    )
    return unet


def list_modules(modules: Collection[str]) -> str:
    """ "music, beat": in the order of `MODULES`."""
    return ", ".join(name for name in MODULES if name in modules)
