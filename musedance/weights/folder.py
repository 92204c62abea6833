"""Writing a pipeline folder whole or not at all."""

from pathlib import Path

from diffusers import DiffusionPipeline
from safetensors import SafetensorError

from musedance.errors import InputError
from musedance.files import appearing_folder


def save_folder(pipeline: DiffusionPipeline, output: Path) -> Path:
    """Save under a temporary name beside `output`, then rename, so that no half folder is ever left.

    Raises:
        InputError: something is there already, or it cannot be written (the disk is full, ...).
    """
    try:
        with appearing_folder(output) as folder:
            pipeline.save_pretrained(folder)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot write {output}: {error}") from error
    return output
