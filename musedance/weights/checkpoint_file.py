"""Reading one checkpoint file without running any code in it."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from musedance.errors import InputError


def pickle_refusal(error: BaseException) -> str | None:
    """One line if `error`, or one that it came from, is PyTorch's refusal to run code in a pickled file."""
    link: BaseException | None = error
    text, refused = "", False
    while link is not None:
        refused = refused or isinstance(link, pickle.UnpicklingError)
        text, link = f"{text} {link}", link.__cause__ or link.__context__
    if not refused:
        return None
    name = re.search(r"GLOBAL:? (?!which|by)([\w.]+)", text)
    what = f"code ({name[1]})" if name else "something other than tensors"
    return f"the pickled file holds {what}, which is never run; use a .safetensors file of these weights"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or of a pickled one (`.ckpt`, `.pt`, ...), memory-mapped where possible.

    A top-level `state_dict` is unwrapped; whatever is no tensor (epochs, configs) is dropped.

    Raises:
        InputError: the file is damaged, holds code, or holds no tensors.
    """
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = pickle_refusal(error) or str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"cannot read {path}: {reason}") from error
    while isinstance(content, dict) and "state_dict" in content:
        content = content["state_dict"]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise InputError(f"{path} holds no weights")
    return tensors


def _unpickle(path: Path) -> Any:
    mapped = zipfile.is_zipfile(path)  # files from before PyTorch 1.6 cannot be mapped
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
