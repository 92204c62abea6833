"""A trained model as it is before stage 2: new modules on the spatial weights that it has."""

import re
from pathlib import Path

import torch

from musedance.files import check_new_folder
from musedance.models import MuseDanceUNet
from musedance.pipeline import MuseDancePipeline
from musedance.weights.check import check_folder
from musedance.weights.folder import save_folder
from musedance.weights.init import seeded
from musedance.weights.modules import WEIGHTS

MODULE_WEIGHTS = re.compile("|".join(WEIGHTS.values()))


def renew_modules(model: str | Path, output: str | Path, seed: int = 0) -> Path:
    """Write a stage 1 folder with all that a model has but its music, beat and motion modules, which are new.

    So trainings of stage 2 with some of the modules can be compared without a training of stage 1 before them.

    Args:
        model: pipeline folder.
        output: folder to make; its weights are bfloat16.
        seed: of the new weights.

    Raises:
        InputError: `model` is no whole pipeline folder, or there is something at `output`.
    """
    output = check_new_folder(output)
    check_folder(Path(model))
    pipeline = MuseDancePipeline.from_pretrained(model, dtype=torch.bfloat16)
    with seeded(seed, torch.float32):
        unet = MuseDanceUNet.from_config(pipeline.unet.config)
    trained = pipeline.unet.state_dict()
    kept = {name: weight for name, weight in trained.items() if not MODULE_WEIGHTS.match(name)}
    new = {name: weight for name, weight in unet.state_dict().items() if name not in kept}
    unet.load_state_dict(kept | new)
    provenance = f"{pipeline.config.provenance}; modules new, seed {seed}"
    components = {**pipeline.components, "unet": unet.to(torch.bfloat16)}
    return save_folder(MuseDancePipeline(**components, stage=1, provenance=provenance), output)
