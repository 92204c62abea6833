"""A model that is tested: it makes the videos, which are then scored as anybody's."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musedance.errors import InputError
from musedance.evaluation.cases import Cases
from musedance.evaluation.entrant import Entrant
from musedance.evaluation.footage import FolderVideos, VideoSet
from musedance.evaluation.generate import SamplingOptions, make_videos
from musedance.evaluation.modules import load_without
from musedance.evaluation.provenance import describe_model, keep_settings
from musedance.evaluation.reporting import Evaluation, folder_name
from musedance.evaluation.score import Scorer
from musedance.inference.studio import BACKENDS, Settings, Studio
from musedance.pipeline import MuseDancePipeline

VIDEOS = "videos"


@dataclass(frozen=True)
class Contestant:
    """A model, loaded when the first video is to be made.

    Attributes:
        name: of the report's column.
        folder: pipeline folder.
        load: gives its pipeline.
        told: what the report is to say of it.
    """

    name: str
    folder: Path
    load: Callable[[], MuseDancePipeline]
    told: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, name: str, studio: Studio) -> "Contestant":
        """The model of a pipeline folder, whole."""
        told = {**describe_model(studio.folder), "dtype": str(studio.dtype)}
        return cls(name, studio.folder, lambda: studio.pipeline, told)

    @classmethod
    def without(cls, name: str, settings: Settings, left_out: Collection[str]) -> "Contestant":
        """The model of a pipeline folder with modules knocked out."""
        studio = Studio(settings)
        told = {**describe_model(studio.folder), "dtype": str(studio.dtype), "without": sorted(left_out)}

        def load() -> MuseDancePipeline:
            pipeline = load_without(studio.folder, left_out, studio.dtype, studio.device)
            if BACKENDS[settings.attention] != "native":
                pipeline.set_attention_backend(BACKENDS[settings.attention])
            return pipeline

        return cls(name, studio.folder, load, told)


@dataclass(frozen=True)
class Contest:
    """What is the same for all models of a report.

    Attributes:
        evaluation: output and processes.
        cases: what they make.
        truth: the true videos, or why there are none.
        scorer: scores all of them.
        sampling: how they make videos.
        told: the inputs, for the report and for finding out whether videos that are there already are the same.
    """

    evaluation: Evaluation
    cases: Cases
    truth: VideoSet | str
    scorer: Scorer
    sampling: SamplingOptions
    told: Mapping[str, Any]

    def enter(self, contestant: Contestant) -> Entrant:
        """Let a model make its videos; those that are there already are not made again.

        Raises:
            InputError: the folder has videos that were made in another way, or none could be made.
        """
        folder = self.evaluation.output / VIDEOS / folder_name(contestant.name)
        made_of = {**_without_paths({"model": contestant.told, **self.told}), **self.sampling.described()}
        keep_settings(folder, made_of, self.evaluation.processes)
        failed = make_videos(contestant.load, self.cases, folder, self.sampling, self.evaluation.processes)
        known = {name: case.facts for name, case in self.cases.cases.items() if name not in failed}
        if not known:
            name, why = next(iter(failed.items()))
            raise InputError(f"no video could be made; {name}: {why}")
        return Entrant(
            name=contestant.name,
            description=f"{short_name(contestant.folder)}, {self.sampling}",
            videos=FolderVideos(folder, known, names=known),
            scorer=self.scorer,
            truth=self.truth,
            reference=self.cases.reference,
            failed=failed,
        )


def _without_paths(told: Mapping[str, Any]) -> dict[str, Any]:
    """What was told, but for where things lie: their fingerprints say whether they are the same."""
    return {
        name: {key: value for key, value in about.items() if key != "path"} if isinstance(about, Mapping) else about
        for name, about in told.items()
    }


def short_name(folder: Path) -> str:
    """What to call a pipeline folder: RUN/model rather than model, as all trained ones are called."""
    return "/".join(folder.resolve().parts[-2:]) if folder.resolve().name == "model" else folder.resolve().name
