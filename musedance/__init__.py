"""MuseDance: one picture, one track and one sentence become a dancing video with sound.

Names are imported on first use, so that `import musedance` and `musedance --help` do not pay for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musedance.models import MaskEncoder, MuseDanceNetworks, MuseDanceUNet, MusicEncoder, ReferenceNet
    from musedance.pipeline import MuseDancePipeline, MuseDancePipelineOutput
    from musedance.weights.built_in import BUILT_IN

__version__ = "0.1.0"

__all__ = [
    "BUILT_IN",
    "MaskEncoder",
    "MuseDanceNetworks",
    "MuseDancePipeline",
    "MuseDancePipelineOutput",
    "MuseDanceUNet",
    "MusicEncoder",
    "ReferenceNet",
    "__version__",
]

_HOME = {
    "BUILT_IN": "musedance.weights.built_in",
    "MaskEncoder": "musedance.models",
    "MuseDanceNetworks": "musedance.models",
    "MuseDancePipeline": "musedance.pipeline",
    "MuseDancePipelineOutput": "musedance.pipeline",
    "MuseDanceUNet": "musedance.models",
    "MusicEncoder": "musedance.models",
    "ReferenceNet": "musedance.models",
    # not ours: diffusers looks the base class of a pipeline's components up in the library that holds them
    "ModelMixin": "diffusers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
