"""A short name for the weights and configs of a folder, cheap enough to write beside every video."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

from .safetensors_header import read_header

BLOCK = 4096  # bytes
_CONFIGS = (".json", ".txt")  # configs and tokenizer files; README, card and pipeline.py do not count


def fingerprint(folder: str | Path, ignored_keys: Collection[str] = ()) -> str:
    """16 hexadecimal digits that tell folders with different weights or configs apart.

    SHA-256 over the sorted relative names of all configs and weights with, for configs, their content and, for
    safetensors files, their header (names, shapes, sizes) and of every tensor the 4 KiB in its middle, or all of it if
    it is smaller. So training any tensor changes the fingerprint, and moving or copying the folder does not. A
    10 GB folder costs some 10 MB of reading; a change that spares the middle of a large tensor goes unseen, so it is
    no proof against tampering.

    Args:
        folder: a pipeline folder, or a component's.
        ignored_keys: top-level keys of JSON configs that are not to count.

    Raises:
        InputError: a safetensors file is damaged.
    """
    folder, digest = Path(folder), hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).parts):
        if path.suffix == ".safetensors":
            content = _sample_weights(path)
        elif path.suffix in _CONFIGS and path.is_file():
            content = path.read_bytes()
            if ignored_keys and path.suffix == ".json":
                content = _without_keys(content, ignored_keys)
        else:
            continue
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def _without_keys(content: bytes, keys: Collection[str]) -> bytes:
    config = json.loads(content)
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key not in keys}
    return json.dumps(config, sort_keys=True).encode()


def _sample_weights(path: Path) -> bytes:
    tensors, start = read_header(path)
    samples = []
    with path.open("rb") as file:
        samples.append(file.read(start))
        for tensor in sorted(tensors.values(), key=lambda tensor: tensor["data_offsets"]):
            begin, end = tensor["data_offsets"]
            file.seek(start + max(begin, (begin + end - BLOCK) // 2))
            samples.append(file.read(min(BLOCK, end - begin)))
    return b"".join(samples)
