"""What can be chosen of an evaluation."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musedance.datasets.folder import Dataset
from musedance.datasets.page import spread
from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos
from musedance.evaluation.score import BeatsFrom
from musedance.evaluation.tools import ToolOptions


@dataclass(frozen=True)
class Scoring:
    """How videos are scored and shown.

    Attributes:
        tools: where weights come from.
        beats_from: see `Scorer`.
        segment_frames: see `Scorer`; a model knows its own.
        device: for the networks of metrics.
        seed: of bootstrap and shuffles.
        shown: how many videos the page shows.
    """

    tools: ToolOptions = field(default_factory=ToolOptions)
    beats_from: BeatsFrom = "flow"
    segment_frames: int | None = None
    device: str = "auto"
    seed: int = 0
    shown: int = 12


@dataclass(frozen=True)
class TestSet:
    """Which clips a model is tested on.

    Attributes:
        data: dataset, a folder or shards.
        split: of it.
        clips: at most so many, one of each source, then a second of each; all if not given.
        num_frames: of each clip, from its first; all if not given.
        from_other_clip: the reference picture is of another clip of the same source.
    """

    __test__ = False  # pytest takes the name for a test's

    data: str
    split: str = "test"
    clips: int | None = None
    num_frames: int | None = None
    from_other_clip: bool = False

    def open(self, model: Path | None, size: tuple[int, int] | None = None) -> tuple[Dataset, DatasetVideos]:
        """The dataset, and the true videos as a model makes them, or as they are without one.

        Raises:
            InputError: there is no such dataset or split, or the model cannot be tested on it.
        """
        if (self.clips is not None and self.clips < 1) or (self.num_frames is not None and self.num_frames < 2):
            raise InputError(f"at least 1 clip and 2 frames are needed, not {self.clips} and {self.num_frames}")
        dataset = open_dataset(self.data)
        clips = dataset.dances(self.split)
        if self.clips is not None:
            clips = spread(clips, self.clips)
        spec = None if model is None else ClipSpec.of_model(model)
        if not clips:
            raise InputError(f"{dataset.path} has no clips in its split {self.split}")
        return dataset, DatasetVideos(dataset, clips, spec, self.num_frames, size)

    def described(self) -> dict[str, Any]:
        """What decides which videos are made, beside the dataset."""
        reference = "another clip of the source" if self.from_other_clip else "the clip's first frame"
        return {"frames of a clip": self.num_frames, "reference": reference}
