"""LoRA: low-rank additions to the motion modules' attention, trained instead of the modules."""

from pathlib import Path

import torch
from diffusers.loaders.lora_base import LORA_WEIGHT_NAME_SAFE
from diffusers.training_utils import cast_training_params

from musedance.errors import InputError
from musedance.files import appearing
from musedance.models import MuseDanceUNet
from musedance.models.temporal import MotionModule
from musedance.training.config import LoraConfig
from musedance.weights.pretrained import quiet_libraries

# The layers that AnimateDiff's own motion LoRAs adapt.
_TARGETS = r".*motion_modules\.\d+\.transformer_blocks\.\d+\.attn\d\.(to_q|to_k|to_v|to_out\.0)"


def add_lora(unet: MuseDanceUNet, config: LoraConfig) -> None:
    """Freeze the UNet and add trainable float32 matrices to its motion modules' attention projections.

    W x becomes W x + (alpha / rank) B A x (Hu et al., arXiv 2106.09685). B is zero at first: the output is unchanged.

    Raises:
        InputError: peft is missing, the UNet has no motion modules or untrained ones, or a value cannot be.
    """
    if not unet.config.use_motion_modules:
        raise InputError("this model has no motion modules, which lora.rank would adapt: set lora.rank=null")
    if config.rank is None or config.rank < 1:
        raise InputError(f"lora.rank has to be at least 1, not {config.rank}")
    if config.alpha <= 0:
        raise InputError(f"lora.alpha has to be above 0, not {config.alpha}")
    if not 0 <= config.dropout < 1:
        raise InputError(f"lora.dropout has to be at least 0 and below 1, not {config.dropout}")
    try:
        import peft
    except ImportError as error:
        raise InputError('LoRA needs peft: pip install "musedance[train]"') from error
    if not any(module.proj_out.weight.any() for module in unet.modules() if isinstance(module, MotionModule)):
        raise InputError(
            "this model's motion modules are new, with output projections of zero, through which LoRA cannot learn: "
            "train stage 2 with lora.rank=null first"
        )
    adapter = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # any number does
        lora_dropout=config.dropout,
        target_modules=_TARGETS,
    )
    unet.add_adapter(adapter)  # freezes everything else
    cast_training_params(unet, torch.float32)


def merge_lora(unet: MuseDanceUNet) -> None:
    """Add the matrices' product to the weights that they belong to, and remove them: a plain UNet with plain keys."""
    unet.fuse_lora()
    unet.unload_lora()


def save_lora(unet: MuseDanceUNet, folder: Path) -> Path:
    """Write the matrices alone, to be shared: `folder/pytorch_lora_weights.safetensors`, whole or not at all.

    `unet.load_lora_adapter(folder, prefix=None, use_safetensors=True)` adds them to the UNet that they were trained on,
    at the same strength.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LORA_WEIGHT_NAME_SAFE
    with appearing(path) as temporary, quiet_libraries():
        unet.save_lora_adapter(folder, weight_name=temporary.name)
    return path
