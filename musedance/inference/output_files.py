"""Whether the files of a video can be written."""

import tempfile
from pathlib import Path

from musedance.errors import InputError
from musedance.inference.job import Job


def check_outputs(job: Job, overwrite: bool) -> None:
    """Check that a job's files can be written, without leaving anything behind.

    Raises:
        InputError: a name is taken (unless `overwrite`), too long, a folder or an input; or their folder does not exist
            or cannot be written.
    """
    folder = job.output_path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"the output folder {folder} does not exist; create it first")
    inputs = {Path(name).resolve() for name in (job.image, job.music, job.densepose) if name is not None}
    for path in job.outputs:
        try:
            taken = path.exists()
        except OSError as error:  # the name is too long
            raise InputError(f"output {path} cannot be written: {error.strerror}") from error
        if path.resolve() in inputs:
            raise InputError(f"output {path} is also an input; choose another --output")
        if path.is_dir():
            raise InputError(f"output {path} is a folder; choose another --output")
        if taken and not overwrite:
            raise InputError(f"{path} exists already; choose another --output or pass --overwrite")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"the output folder {folder} cannot be written: {error.strerror}") from error
