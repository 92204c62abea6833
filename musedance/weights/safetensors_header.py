"""The header of a safetensors file, read without its tensors.

Format: 8 bytes little-endian length, that many bytes of JSON `{name: {dtype, shape, data_offsets: [begin, end]}}`,
then the data, to which the offsets refer (https://github.com/huggingface/safetensors#format).
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from musedance.errors import InputError


class Header(NamedTuple):
    """`tensors`: by name, without `__metadata__`; `data_start`: bytes before the data."""

    tensors: dict[str, Any]
    data_start: int


def read_header(path: Path) -> Header:
    """Read the header and compare it with the file's size.

    Raises:
        InputError: the file is cut short, too long, or no safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start = 8 + length
        if size < 8 or start > size:
            raise InputError(f"{path} is cut short or no safetensors file; copy it again")
        try:
            tensors = json.loads(file.read(length))
            tensors.pop("__metadata__", None)
            end = start + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
        except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
            raise InputError(f"{path} is no safetensors file; copy it again") from error
    if end != size:
        raise InputError(f"{path} has {size} bytes instead of {end}; copy it again")
    return Header(tensors, start)
