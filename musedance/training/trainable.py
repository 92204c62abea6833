"""Which weights a stage trains, and what becomes of the others: no gradient, no dropout."""

from torch import nn

from musedance.errors import InputError
from musedance.models import MuseDanceNetworks, MuseDanceUNet
from musedance.models.temporal import ConditionModule, MotionModule
from musedance.models.unet import MusicProjection


def select_stage1(networks: MuseDanceNetworks) -> None:
    """Set `requires_grad`: ReferenceNet, mask encoder and the UNet's spatial weights; the temporal modules rest."""
    networks.requires_grad_(True)
    for module in temporal_modules(networks.unet):
        module.requires_grad_(False)


def select_stage2(networks: MuseDanceNetworks, freeze_spatial: bool = True) -> None:
    """Set `requires_grad`: music, beat and motion modules, music projection and beat embedding; nothing else.

    Args:
        networks: all are set.
        freeze_spatial: as in the paper; or else the ReferenceNet and the rest of the UNet are trained too.

    Raises:
        InputError: the UNet has none of these.
    """
    modules = temporal_modules(networks.unet)
    if not modules:
        raise InputError("this model has no music, beat or motion modules: there is nothing that stage 2 could train")
    networks.requires_grad_(not freeze_spatial)
    networks.mask_encoder.requires_grad_(False)  # stage 2 sees no DensePose
    for module in modules:
        module.requires_grad_(True)


def temporal_modules(unet: MuseDanceUNet) -> list[nn.Module]:
    """What the UNet has beside Stable Diffusion's layers, each with all that hangs on it."""
    modules: list[nn.Module] = [
        module for module in unet.modules() if isinstance(module, ConditionModule | MotionModule | MusicProjection)
    ]
    return [*modules, unet.beat_embedding] if unet.config.use_beat_modules else modules


def trained_parameters(networks: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient, by name."""
    return {name: parameter for name, parameter in networks.named_parameters() if parameter.requires_grad}


def train_mode(networks: nn.Module) -> None:
    """`networks.train()`, but for the modules of which nothing is trained: these stay as they are in sampling."""
    networks.train()
    for module in networks.modules():
        trained = [parameter.requires_grad for parameter in module.parameters()]
        if trained and not any(trained):  # a dropout has no parameters, and goes with what it is in
            module.eval()
