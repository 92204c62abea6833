"""What a feature cache was computed for: its `cache.json`, and the identity of each clip's file."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from musedance.datasets.encode import FROZEN
from musedance.datasets.spec import ClipSpec, packing_of
from musedance.errors import InputError
from musedance.files import appearing
from musedance.weights.fingerprint import fingerprint

FORMAT, VERSION = "musedance-cache", 1
CACHE_FILE, SHARED_FILE, CLIPS_FOLDER = "cache.json", "shared.safetensors", "clips"
BLOCK = 65536  # bytes
# What saving a folder again with other versions writes anew, and what says where it was loaded from.
_SAYING_NOTHING = (
    "_diffusers_version",
    "transformers_version",
    "_name_or_path",
    "name_or_path",
    "is_local",
    "local_files_only",
)


@dataclass(frozen=True)
class CacheKey:
    """What features depend on besides the clips: frozen weights, canvas, rate and windows.

    Attributes:
        encoders: fingerprint of each frozen component; what training changes is not among them, so that the folder
            that stage 1 writes has the same.
        spec: canvas, frame rate, K, M and the grid of windows.
    """

    encoders: Mapping[str, str]
    spec: ClipSpec

    @classmethod
    def of_model(cls, model: str | Path, spec: ClipSpec) -> "CacheKey":
        """The key for a pipeline folder; some 10 MB of it are read."""
        encoders = {name: fingerprint(Path(model) / name, _SAYING_NOTHING) for name in FROZEN}
        side = packing_of(Path(model))
        return cls(encoders if side == 1 else {**encoders, "packing": f"{side} x {side}"}, spec)

    def differences(self, other: "CacheKey") -> list[str]:
        """What differs, each as "`name` is x instead of y", where x is the other's."""
        ours, theirs = ({**dict(key.encoders), **asdict(key.spec)} for key in (self, other))
        return [
            f"{name} is {theirs.get(name)} instead of {value}"
            for name, value in ours.items()
            if theirs.get(name) != value
        ]


@dataclass
class CacheInfo:
    """`cache.json`.

    Attributes:
        key: what it was computed for.
        dtype: in which the encoders computed, and in which features are stored.
        is_complete: every clip of the dataset was tried.
        failed: clips that could not be read, with the reasons.
    """

    key: CacheKey
    dtype: str
    is_complete: bool = False
    failed: dict[str, str] = field(default_factory=dict)

    def write(self, cache: Path) -> None:
        """Write `cache.json`, whole or not at all."""
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        with appearing(cache / CACHE_FILE) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, cache: Path) -> "CacheInfo":
        """The inverse of `write`.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        file = cache / CACHE_FILE
        if not file.is_file():
            raise InputError(f"{cache} is no feature cache: it has no {CACHE_FILE}; musedance dataset cache makes one")
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if (content.pop("format"), content.pop("version")) != (FORMAT, VERSION):
                raise InputError(f"{file} is not of format {FORMAT}, version {VERSION}: make the cache again")
            key = content.pop("key")
            return cls(CacheKey(key["encoders"], ClipSpec(**key["spec"])), **content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{file} cannot be read ({error}): remove {cache} and make it again") from error


def file_identity(file: BinaryIO) -> str:
    """Size and SHA-256 of the first, middle and last 64 KiB: tells a clip's file from one that was written over it.

    So checking thousands of clips takes a moment. Encoding a video again changes all of it.
    """
    size = file.seek(0, io.SEEK_END)
    digest = hashlib.sha256()
    for start in sorted({0, max(0, (size - BLOCK) // 2), max(0, size - BLOCK)}):
        file.seek(start)
        digest.update(file.read(BLOCK))
    return f"{size}-{digest.hexdigest()[:16]}"
