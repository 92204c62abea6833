"""What a report's numbers come from: inputs, settings, versions, fingerprints."""

import hashlib
import json
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from musedance.datasets.folder import Dataset
from musedance.errors import InputError
from musedance.evaluation.footage import VideoSet
from musedance.evaluation.processes import Processes
from musedance.files import appearing
from musedance.report.results import plain
from musedance.weights.fingerprint import fingerprint

LIBRARIES = (
    "musedance", "torch", "diffusers", "transformers", "accelerate", "librosa", "numpy", "scipy", "av", "torchmetrics",
    "scikit-image", "opencv-python-headless",
)  # fmt: skip
SETTINGS_FILE = "settings.json"


def versions() -> dict[str, str]:
    """Of Python and of what takes part in generating and measuring."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def command_line() -> str:
    """What was called."""
    program = Path(sys.argv[0]).name
    called = ["python", "-m", "musedance"] if program == "__main__.py" else [program]
    return shlex.join([*called, *sys.argv[1:]])


def describe_model(folder: Path) -> dict[str, Any]:
    """A pipeline folder: where it is, its weights' fingerprint, its stage and where it says it comes from."""
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    told = {key: index.get(key) for key in ("stage", "provenance")}
    return {"path": str(folder), "fingerprint": fingerprint(folder), **told}


def describe_dataset(dataset: Dataset, split: str) -> dict[str, Any]:
    """A split: where it is, how many clips, and a digest of its rows, in which all but the pixels stands."""
    rows = sorted(clip.to_json() for clip in dataset.split(split))
    digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
    name = dataset.info.get("name")
    return {"path": str(dataset.path), "name": name, "split": split, "clips": len(rows), "rows_sha256": digest}


def describe_videos(videos: VideoSet, where: str) -> dict[str, Any]:
    """A folder of videos: where it is, how many, and a digest of their names and contents."""
    digest = hashlib.sha256()
    for name in videos.ids:
        with open(videos.file(name), "rb") as file:
            digest.update(name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return {"path": where, "videos": len(videos.ids), "sha256": digest.hexdigest()[:16]}


def describe_files(paths: Sequence[Path]) -> dict[str, str]:
    """Files and the beginnings of their SHA-256."""
    found = {}
    for path in paths:
        with path.open("rb") as file:
            found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return found


def keep_settings(folder: Path, settings: Mapping[str, Any], processes: Processes) -> None:
    """Note what the videos in a report's folder are made with, or compare it with what is noted there.

    Every process calls this.

    Raises:
        InputError: the folder holds videos that were made with other settings.
    """
    path, settings = folder / SETTINGS_FILE, plain(settings)
    if path.is_file():
        try:
            noted = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path} cannot be read: remove {folder} and start anew") from error
        for name in sorted(set(settings) | set(noted)):
            if settings.get(name) != noted.get(name):
                raise InputError(
                    f"{folder} holds videos made with {name} {noted.get(name)!r}, not {settings.get(name)!r}: "
                    f"choose another --output, or remove it"
                )
    elif processes.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        with appearing(path) as temporary:
            temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    processes.wait()  # nobody begins before it is noted
