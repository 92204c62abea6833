"""The work on one video as workers do it: whatever happens to it comes back as a record."""

import os
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musedance.prepare.one_video import annotate_video, cut_video
from musedance.prepare.records import Record, WorkFolder
from musedance.prepare.rejection import Hopeless
from musedance.prepare.sources import Source
from musedance.prepare.stages import Stages
from musedance.prepare.workers import Alive, WorkerLostError

SIGN_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class Cut:
    """A video with its clips written, and its music's fingerprint."""

    record: Record
    landmarks: np.ndarray | None


@dataclass(frozen=True)
class CutStep:
    """Everything up to a video's clips; raises nothing but `Hopeless`."""

    stages: Stages
    output: Path

    def __call__(self, source: Source, alive: Alive) -> Cut:
        """Cut one video."""
        record = Record(source.id, source.name, source.digest)
        try:
            return Cut(*cut_video(source, self.stages, WorkFolder(self.output), _seldom(alive)))
        except Hopeless:
            raise
        except Exception as error:
            return Cut(failure(record, error), None)


@dataclass(frozen=True)
class AnnotateStep:
    """Masks and captions, and the note that the video is finished; raises nothing but `Hopeless`."""

    stages: Stages
    output: Path

    def __call__(self, cut: Cut, alive: Alive) -> Record:
        """Annotate the clips of one video."""
        work = WorkFolder(self.output)
        if cut.record.status == "error":
            return cut.record
        try:
            record = annotate_video(cut.record, self.stages, work, _seldom(alive))
            work.save(record, cut.landmarks)
            return record
        except Hopeless:
            raise
        except Exception as error:
            return failure(cut.record, error)


@dataclass(frozen=True)
class WholeStep:
    """Both steps after each other."""

    cut: CutStep
    annotate: AnnotateStep

    def __call__(self, source: Source, alive: Alive) -> Record:
        """Prepare one video."""
        return self.annotate(self.cut(source, alive), alive)


def failure(record: Record, error: Exception) -> Record:
    """The record of a video whose work ended in an error of ours, or of the machine's."""
    if os.environ.get("MUSEDANCE_TRACEBACK"):
        traceback.print_exception(error)
    reason, detail = "unexpected error", f"{type(error).__name__}: {error}"
    if isinstance(error, WorkerLostError):
        reason, detail = "crash or no progress", str(error)
    return Record(record.source, record.name, record.digest, status="error", reason=reason, detail=detail)


def _seldom(alive: Alive) -> Alive:
    """The same, but not for every frame."""
    last = time.monotonic()

    def maybe() -> None:
        nonlocal last
        if time.monotonic() - last > SIGN_EVERY:
            last = time.monotonic()
            alive()

    return maybe
