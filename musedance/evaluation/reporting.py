"""From sets of videos to a report: score, summarise, write."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from musedance.errors import InputError
from musedance.evaluation.cases import Cases
from musedance.evaluation.entrant import Entrant, score_videos, true_video
from musedance.evaluation.footage import DatasetVideos, VideoSet
from musedance.evaluation.processes import Processes
from musedance.evaluation.provenance import command_line, versions
from musedance.evaluation.score import Scorer
from musedance.evaluation.scored import Scored
from musedance.evaluation.settings import Scoring
from musedance.evaluation.summary import few_tracks, headlines, summarise
from musedance.report.page import write_page
from musedance.report.results import THESE_ARE_TRUE, Report, System, write_json
from musedance.report.side_by_side import SideBySide, compose, spread_evenly

PAGE, JSON, SCORES = "index.html", "report.json", "scores"
TRUE, JOINTS = "ground truth", "ground truth, true joints"


@dataclass(frozen=True)
class Evaluation:
    """What every command of evaluation shares.

    Attributes:
        output: folder of the report.
        scoring: how videos are scored and shown.
        processes: that share the work.
    """

    output: Path
    scoring: Scoring
    processes: Processes

    def systems(self, entrants: Sequence[Entrant]) -> list[System]:
        """Score and summarise; the true videos, where there are some, are the entrant called "ground truth"."""
        found: dict[str, tuple[dict[str, Scored], dict[str, str]]] = {}
        for entrant in entrants:
            folder = self.output / SCORES / folder_name(entrant.name)
            found[entrant.name] = score_videos(entrant, folder, self.processes)
        if not any(scores for scores, _ in found.values()):
            named = next((f"{name}: {why}" for _, failed in found.values() for name, why in failed.items()), "")
            raise InputError(f"there is nothing to report: no video could be scored ({named})")
        true = found.get(TRUE, (None, {}))[0]
        return [
            summarise(
                entrant, *found[entrant.name], None if entrant.name in (TRUE, JOINTS) else true, self.scoring.seed
            )
            for entrant in entrants
        ]

    def write(self, report: Report, shown: Entrant) -> Path:
        """Write `report.json` and the page; one process does.

        Args:
            report: without what this adds to its provenance and summary: command, versions, seeds.
            shown: the first system's videos, some of which the page shows.
        """
        path = self.output / PAGE
        if self.processes.is_main:
            known = {"command": command_line(), "versions": versions(), "bootstrap and shuffle seed": self.scoring.seed}
            tracks = [shown.videos.facts(row.id).track for row in report.systems[0].videos]
            summary = (*report.summary, *headlines(report.systems), *few_tracks(tracks))
            report = replace(report, summary=summary, provenance={**known, **report.provenance})
            write_json(report, self.output / JSON)
            write_page(report, path, self._videos(shown, report.systems[0]))
        self.processes.wait()  # nobody leaves before it is written
        return path

    def _videos(self, entrant: Entrant, system: System) -> list[SideBySide]:
        """Composites of some videos."""
        rows = spread_evenly(system.videos, self.scoring.shown)
        videos = []
        for row in tqdm(rows, unit="video", desc="drawing the page", disable=None):
            facts = (*row.groups.values(), *(f"{name} {value:.3g}" for name, value in _told(row.scores).items()))
            videos.append(SideBySide(row.id, row.prompt, facts, _composite(entrant, row.id)))
        return videos


def folder_name(name: str) -> str:
    """What the folder of an entrant is called: letters, digits, "." and "_", all else a hyphen."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.") or "unnamed"


def _told(scores: Mapping[str, float | None]) -> dict[str, float]:
    """The scores that stand beside a video."""
    names = {
        "psnr_standard": "PSNR",
        "ssim_standard": "SSIM",
        "beats_hit": "beats hit",
        "identity": "identity distance",
    }
    return {title: value for name, title in names.items() if (value := scores.get(name)) is not None}


def _composite(entrant: Entrant, name: str) -> bytes:
    video = entrant.videos.read(name)
    found = true_video(entrant, name)
    true = None if isinstance(found, str) else found
    shown = video.frames[0] if true is None else true.frames[0]
    if entrant.reference is not None:
        shown = entrant.reference(name)
    sound = video.sound if video.sound is not None or true is None else true.sound
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        compose(path, shown, video.frames, None if true is None else true.frames, video.fps, sound, name=entrant.name)
        return path.read_bytes()


def true_entrants(truth: VideoSet, scorer: Scorer, cases: Cases | None, with_joints: bool) -> list[Entrant]:
    """The true videos, scored as the others are and, where their joints are known, by these.

    Args:
        truth: the true videos.
        scorer: of the others.
        cases: what was made; gives the pictures that distances are taken to.
        with_joints: whether the joints are known.
    """
    reference = None if cases is None else cases.reference
    entrants = [Entrant(TRUE, "scored in the same way", truth, scorer, THESE_ARE_TRUE, reference)]
    if with_joints and scorer.beats_from != "keypoints":
        by_joints = replace(scorer, beats_from="keypoints", music_only=True)
        entrants.append(
            Entrant(JOINTS, "kinematic beats from the joints that were drawn", truth, by_joints, THESE_ARE_TRUE)
        )
    return entrants


def has_joints(truth: VideoSet) -> bool:
    """Whether the true videos' joints are known."""
    return isinstance(truth, DatasetVideos) and any(clip.truth for clip in truth.clips.values())
