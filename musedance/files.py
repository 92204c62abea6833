"""Files and folders that appear whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musedance.errors import InputError


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its name if the block ends well, and is removed if not."""
    temporary = path.with_name(f".musedance-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def appearing_folder(output: str | Path) -> Iterator[Path]:
    """The same for a new folder, whose parents are made.

    Raises:
        InputError: something is there already.
    """
    output = check_new_folder(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.absolute().with_name(f".musedance-{secrets.token_hex(8)}")
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new_folder(output: str | Path) -> Path:
    """The path, if a folder can be made there: nothing or an empty folder.

    Raises:
        InputError: something is there already.
    """
    output = Path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"{output} exists already; choose another name or remove it first")
    return output
