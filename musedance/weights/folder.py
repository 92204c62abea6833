"""Writing a pipeline folder whole or not at all."""

import tempfile
from pathlib import Path

from diffusers import DiffusionPipeline
from safetensors import SafetensorError

from musedance.errors import InputError


def check_output(output: str | Path) -> Path:
    """The path, if a pipeline folder can be made there: nothing or an empty folder.

    Raises:
        InputError: something is there already.
    """
    output = Path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"{output} exists already; choose another name or remove it first")
    return output


def save_folder(pipeline: DiffusionPipeline, output: str | Path) -> Path:
    """Save under a temporary name beside `output`, then rename, so that no half folder is ever left.

    Raises:
        InputError: something is there already, or it cannot be written (the disk is full, ...).
    """
    output = check_output(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as scratch:
            folder = Path(scratch) / output.name
            pipeline.save_pretrained(folder)
            folder.replace(output)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot write {output}: {error}") from error
    return output
