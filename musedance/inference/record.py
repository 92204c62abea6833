"""The JSON file beside a video: what it takes to make the same video again."""

import hashlib
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from musedance.inference.job import Job

LIBRARIES = ("musedance", "torch", "diffusers", "transformers", "librosa", "numpy")
FILES = ("image", "music", "densepose")


def make_record(job: Job, video: dict[str, Any], model: dict[str, Any], computed: dict[str, str]) -> dict[str, Any]:
    """Everything that decides how a video comes out.

    Args:
        job: with its seed, output and length filled in. The record's "job" is a line for `--jobs`, its paths absolute.
        video: what came out: frames, fps, size, beats, ...
        model: the folder, its fingerprint, stage and provenance.
        computed: device, dtype and attention backend.
    """
    options = asdict(job)
    for name in (*FILES, "output"):
        if options[name] is not None:
            options[name] = str(Path(options[name]).absolute())
    return {
        "job": options,
        "video": video,
        "model": model,
        "computed_with": computed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "sha256": {name: _sha256(Path(options[name])) for name in FILES if options[name] is not None},
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
