"""Raw videos -> a dataset folder: cutting, finding the dancer, masks, captions. docs/prepare.md says how to use it.

Names are imported on first use, so that a worker can set its number of threads before numpy comes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musedance.prepare.rejection import Rejected
    from musedance.prepare.run import prepare
    from musedance.prepare.stages import Stages, make_stages

__all__ = ["Rejected", "Stages", "make_stages", "prepare"]

_HOME = {"Rejected": "rejection", "Stages": "stages", "make_stages": "stages", "prepare": "run"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
