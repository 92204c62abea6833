"""What is known of each video that was prepared: one JSON file each, written when all its files are in place."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from musedance.datasets.clip import SPLITS, Clip
from musedance.errors import InputError
from musedance.files import appearing

FOLDER, SETTINGS = ".prepare", "settings.json"
CLIPS, MASKS = "clips", "densepose"


@dataclass
class Record:
    """The outcome of one video.

    Attributes:
        source: its id in the dataset.
        name: what it is called in the report.
        digest: of its content.
        status: "done", also if no clip was any good; "skipped", not suitable as a whole; "failed", cannot be read.
            These hold until the file changes. "error" is anything else (a crash, no time left): tried again next time.
        reason: of all but "done", a few words that can be counted.
        detail: more about it.
        shots: how many there were.
        drops: what was left out: [{"start", "end" (s), "reason", "detail"}].
        clips: rows, their split not decided yet ("train" stands for it).
        boxes: where the dancer is in the clips, by id, (frames, 4) pixels of the clip; only until masks are drawn.
    """

    source: str
    name: str
    digest: str
    status: str = "done"
    reason: str = ""
    detail: str = ""
    shots: int = 0
    drops: list[dict[str, Any]] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    boxes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """All but `boxes`."""
        values = {key: value for key, value in asdict(self).items() if key != "boxes"}
        return json.dumps({**values, "clips": [json.loads(clip.to_json()) for clip in self.clips]}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """The inverse of `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "clips": [Clip.from_json(json.dumps(row)) for row in values["clips"]]})


class WorkFolder:
    """`OUTPUT/.prepare/`: records and fingerprints by digest, and the clips that have no split yet.

    Args:
        output: the dataset's folder.
    """

    def __init__(self, output: str | Path) -> None:
        self.output = Path(output)
        self.path = self.output / FOLDER

    @contextmanager
    def locked(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Within, no other run may work here. Makes the folder.

        Args:
            settings: what has to be the same in all runs into one folder.

        Raises:
            InputError: the folder has something else in it, was made with other settings, or is in use.
        """
        if self.output.exists() and not self.output.is_dir():
            raise InputError(f"{self.output} is a file: name a folder")
        if self.output.is_dir() and not self.path.is_dir() and any(self.output.iterdir()):
            raise InputError(f"{self.output} is not empty and was not made by this command: name another folder")
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the system, however the run ends
            except BlockingIOError as error:
                raise InputError(f"another run is at work in {self.output}: wait for it") from error
            self._check_settings(settings)
            for folder in ("videos", CLIPS, MASKS):
                (self.path / folder).mkdir(exist_ok=True)
            yield

    def _check_settings(self, settings: Mapping[str, str]) -> None:
        file = self.path / SETTINGS
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if before == settings:
            return
        if not any((self.path / "videos").glob("*.json")):  # nothing was finished, so nothing binds
            _write(file, json.dumps(settings, indent=1) + "\n")
            return
        for key in settings:
            if before.get(key) != settings[key]:
                was = f"{key} was {before.get(key)} and is now {settings[key]}"
                raise InputError(f"{self.output} was made with other options ({was}): name another folder")

    def save(self, record: Record, landmarks: np.ndarray | None) -> None:
        """Note that a video is finished; its clips have to be in place."""
        if landmarks is not None:
            with appearing(self._file(record.digest, ".npy")) as temporary:
                np.save(temporary, landmarks, allow_pickle=False)
        _write(self._file(record.digest, ".json"), record.to_json())

    def load(self, digest: str) -> Record | None:
        """What is known of a finished video; None if nothing is, or if files of its clips are gone."""
        try:
            record = Record.from_json(self._file(digest, ".json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        files = [name for clip in record.clips for name in (clip.file_name, clip.densepose) if name]
        return record if all(self.find(name) is not None for name in files) else None

    def load_all(self) -> list[Record]:
        """All finished videos, by their ids."""
        found = (self.load(path.stem) for path in (self.path / "videos").glob("*.json"))
        return sorted((record for record in found if record is not None), key=lambda record: record.source)

    def landmarks(self, digest: str) -> np.ndarray:
        """The fingerprint of a video's music; empty if it has no clips."""
        file = self._file(digest, ".npy")
        return np.load(file, allow_pickle=False) if file.exists() else np.zeros((0, 2), np.int64)

    def find(self, name: str) -> Path | None:
        """Where a clip's file is now: among those without a split, or in one of the splits."""
        places = (folder / name for folder in (self.path, *(self.output / split for split in SPLITS)))
        return next((place for place in places if place.is_file()), None)

    def _file(self, digest: str, suffix: str) -> Path:
        return self.path / "videos" / f"{digest}{suffix}"


def _write(path: Path, text: str) -> None:
    with appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
