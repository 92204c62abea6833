"""Stage 2 learns motion: music, beat and motion modules are trained (section 3.3 of the paper), all else is frozen.

It starts from stage 1's folder, or goes on from one of its own; modules=[music] trains some of the modules alone,
freeze_spatial=false appearance too:

    accelerate launch train_stage2.py model=RUN1/model data.root=DATA output=RUN2

RUN2/model is what infer.py reads. All settings: configs/stage2.yaml; docs/training.md.
"""

import sys
from pathlib import Path

from musedance.training.config import Stage2Config
from musedance.training.script import run_script


def train(config: Stage2Config, resume: str | None) -> None:
    """One run, from stage 1's folder to the trained one."""
    from musedance.training.accelerator import make_accelerator
    from musedance.training.frozen import cast_frozen
    from musedance.training.lora import add_lora
    from musedance.training.run_folder import find_checkpoint
    from musedance.training.starting_point import check_modules, check_start, load_networks
    from musedance.training.trainable import select_stage2
    from musedance.training.trainer import Trainer

    check_start(Path(config.model), stage=2)
    check_modules(Path(config.model), config.modules)
    checkpoint = find_checkpoint(config, resume)
    accelerator = make_accelerator(config)
    networks = load_networks(Path(config.model), config.modules)
    select_stage2(networks, config.freeze_spatial)
    if config.lora.rank is not None:
        add_lora(networks.unet, config.lora)
    cast_frozen(networks, config.frozen_dtype)

    trainer = Trainer(config, accelerator, networks, stage=2)
    if trainer.fit(checkpoint):
        accelerator.print(trainer.export())
    accelerator.end_training()


if __name__ == "__main__":
    sys.exit(run_script(train, Stage2Config, config="stage2.yaml", description=__doc__))
