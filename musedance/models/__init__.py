"""The networks: tensors in, tensors out. They know no files, no audio and no training."""

from .mask_encoder import MaskEncoder
from .music_encoder import MusicEncoder
from .networks import MuseDanceNetworks
from .reference_net import ReferenceNet
from .unet import MuseDanceUNet

__all__ = ["MaskEncoder", "MuseDanceNetworks", "MuseDanceUNet", "MusicEncoder", "ReferenceNet"]
