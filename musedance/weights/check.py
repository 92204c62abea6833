"""Whether a folder is a whole pipeline folder, told without loading it."""

import json
from pathlib import Path
from typing import Any

from musedance.errors import InputError

from .safetensors_header import read_header

PIPELINE_CLASS = "MuseDancePipeline"
_MODEL = ("config.json", "diffusion_pytorch_model.safetensors")
COMPONENTS: dict[str, tuple[str, str | None]] = {  # folder -> (config, weights)
    "vae": _MODEL,
    "text_encoder": ("config.json", "model.safetensors"),
    "tokenizer": ("tokenizer_config.json", None),
    "unet": _MODEL,
    "reference_net": _MODEL,
    "mask_encoder": _MODEL,
    "music_encoder": _MODEL,
    "feature_extractor": ("preprocessor_config.json", None),
    "scheduler": ("scheduler_config.json", None),
}


def check_folder(path: str | Path) -> None:
    """Check that `path` is a pipeline folder with all its files, in milliseconds: no weights are read.

    Raises:
        InputError: it is not; one line says what is missing or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; make a pipeline folder with `musedance init` or `musedance assemble`")
    if not path.is_dir():
        raise InputError(f"{path} is a file; a model is a folder, made with `musedance init` or `musedance assemble`")
    if not (path / "model_index.json").is_file():
        raise InputError(f"{path} is not a pipeline folder: it has no model_index.json")
    index = _read_json(path / "model_index.json")
    if index.get("_class_name") != PIPELINE_CLASS:
        raise InputError(f"{path} holds a {index.get('_class_name')}, not a {PIPELINE_CLASS}")
    for component, (config, weights) in COMPONENTS.items():
        folder = path / component
        if component not in index or not folder.is_dir():
            raise InputError(f"{path} is not complete: it has no {component}")
        if not (folder / config).is_file():
            raise InputError(f"{path} is not complete: {component}/{config} is missing")
        _read_json(folder / config)
        if weights is not None:
            _check_weights(folder, weights)
    _check_vocabulary(path / "tokenizer")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} cannot be read: it is no JSON object")
    return content


def _check_weights(folder: Path, name: str) -> None:
    """One safetensors file or an index with all its shards, none of them cut short."""
    index = folder / f"{name}.index.json"
    if (folder / name).is_file():
        files = [name]
    elif index.is_file():
        files = sorted(set(_read_json(index).get("weight_map", {}).values()))
    elif any(folder.glob("*.bin")) or any(folder.glob("*.ckpt")) or any(folder.glob("*.pt")):
        raise InputError(f"{folder} has pickled weights only; save them as safetensors, since a pickle can run code")
    else:
        raise InputError(f"{folder.parent} is not complete: {folder.name}/{name} is missing")
    for file in files:
        if not (folder / file).is_file():
            raise InputError(f"{folder.parent} is not complete: {folder.name}/{file} is missing")
        read_header(folder / file)


def _check_vocabulary(folder: Path) -> None:
    """transformers makes an empty tokenizer, without a word, where there is no vocabulary."""
    if not (folder / "tokenizer.json").is_file() and not all(
        (folder / name).is_file() for name in ("vocab.json", "merges.txt")
    ):
        raise InputError(f"{folder.parent} is not complete: tokenizer/tokenizer.json is missing")
