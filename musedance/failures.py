"""Errors and warnings as a user reads them: one line each."""

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from musedance.errors import InputError

BAD_INPUT, FAILED = 2, 1  # exit codes
_PACKAGE = str(Path(__file__).parent)


def complain(message: str) -> None:
    """Write one line to stderr."""
    print(f"musedance: {' '.join(message.split())}", file=sys.stderr, flush=True)


def explain(error: Exception, where: str = "") -> int:
    """Say what went wrong in one line on stderr, `where` first; the exit code it stands for.

    The traceback follows if the environment variable MUSEDANCE_TRACEBACK is set.
    """
    if isinstance(error, InputError):
        message, code = str(error), BAD_INPUT
    elif is_out_of_memory(error):
        message, code = "out of memory; a smaller --size or a dtype of 16 bits needs less", FAILED
    elif isinstance(error, OSError):
        message, code = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part), FAILED
    else:
        hint = "MUSEDANCE_TRACEBACK=1 or --traceback shows where"
        message, code = f"unexpected {type(error).__name__}: {str(error) or 'no message'} ({hint})", FAILED
    complain(f"error: {where}{message}")
    if os.environ.get("MUSEDANCE_TRACEBACK"):
        traceback.print_exception(error)
    return code


@contextlib.contextmanager
def one_line_warnings() -> Iterator[None]:
    """Within, our own warnings are one line each on stderr, however often they come; the libraries' are left out."""

    def show(message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
        if filename.startswith(_PACKAGE):
            complain(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


def is_out_of_memory(error: Exception) -> bool:
    """Python's own error, torch's on a GPU, what torch raises on a CPU (a plain RuntimeError), and cuBLAS's."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (
            type(error).__name__ == "OutOfMemoryError"
            or "can't allocate memory" in str(error)
            or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)  # no room for its workspace
        )
    )
