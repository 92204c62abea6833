"""Stage 1 learns appearance: to redraw the one who dances, seen in one frame of a video, as in another frame of it.

ReferenceNet, the spatial layers of the denoising UNet and the mask encoder are trained (section 3.2 of the paper), from
a folder made by `musedance assemble` or `musedance init`:

    accelerate launch train_stage1.py model=ASSEMBLED data.root=DATA output=RUN1

RUN1/model is then what train_stage2.py starts from. All settings: configs/stage1.yaml; docs/training.md.
"""

import sys
from pathlib import Path

from musedance.training.config import Stage1Config
from musedance.training.script import run_script


def train(config: Stage1Config, resume: str | None) -> None:
    """One run, from the starting folder to the trained one."""
    from musedance.training.accelerator import make_accelerator
    from musedance.training.run_folder import find_checkpoint
    from musedance.training.starting_point import check_start, load_networks
    from musedance.training.trainable import select_stage1
    from musedance.training.trainer import Trainer

    check_start(Path(config.model), stage=1)
    checkpoint = find_checkpoint(config, resume)
    accelerator = make_accelerator(config)
    networks = load_networks(Path(config.model))
    select_stage1(networks)

    trainer = Trainer(config, accelerator, networks, stage=1)
    if trainer.fit(checkpoint):
        accelerator.print(trainer.export())
    accelerator.end_training()


if __name__ == "__main__":
    sys.exit(run_script(train, Stage1Config, config="stage1.yaml", description=__doc__))
