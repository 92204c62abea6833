"""docs/evaluation.md has a table of which measure answers to which degradation; each of its cells is a test here.

Drawn dances stand for a model's videos, under grain of one grey level, so that no frame equals the true one to the bit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from musedance.metrics.alignment import answerable, av_align_2023, av_align_2025, beats_hit, mm_align, mm_align_reverse
from musedance.metrics.consistency import colour_distances, drift, flicker, identity_distances, seam_jump
from musedance.metrics.flow import flow_magnitudes
from musedance.metrics.frechet import frechet_distance
from musedance.metrics.handcrafted import handcrafted_features
from musedance.metrics.image_quality import psnr, ssim
from musedance.metrics.kinematics import LEAST_FLOW, kinematic_beats
from musedance.metrics.onsets import flow_peaks, onset_times
from musedance.puppets.performance import World, perform
from musedance.report.catalog import MEASURES
from tests.metrics.conftest import blurred, draw_dance, noisy, tinted

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
FPS, SECONDS, SIZE, CLIPS = 12, 4, 64, 8
NEED_WEIGHTS = {"lpips_standard", "lpips_disco", "fvd_standard", "fvd_disco", "cs", "clip_identity"}
SAME = 0.1  # of the strongest answer in the measure's row: what a cell "same" may change
CERTAIN = float(t.ppf(0.95, CLIPS - 1))  # standard errors of the mean over clips: what is more is an answer


@dataclass(frozen=True)
class Video:
    """What is scored.

    Attributes:
        frames: `(n, H, W, 3)` uint8.
        true: the same, as it should be; its first frame is the reference picture.
        beats: of the music, also those around the clip, seconds.
        onsets: of its sound, seconds.
    """

    frames: np.ndarray
    true: np.ndarray
    beats: np.ndarray
    onsets: np.ndarray


def shuffled_within(frames: np.ndarray, length: int) -> np.ndarray:
    """Each run of `length` frames in random order."""
    random = np.random.default_rng(0)
    return frames[np.concatenate([start + random.permutation(length) for start in range(0, len(frames), length)])]


def shifted_half_way(frames: np.ndarray, pixels: int) -> np.ndarray:
    """Everything jumps aside in the middle, and stays there."""
    half = len(frames) // 2
    return np.concatenate([frames[:half], np.roll(frames[half:], pixels, axis=2)])


def delayed(video: Video, beats: float) -> Video:
    """The music comes so many beats late."""
    late = beats * float(np.median(np.diff(video.beats)))
    onsets = video.onsets + late
    return replace(video, beats=video.beats + late, onsets=onsets[onsets < SECONDS])


def of_frames(degrade: Callable[[np.ndarray, float], np.ndarray]) -> Callable[[Video, float], Video]:
    return lambda video, strength: replace(video, frames=degrade(video.frames, strength))


# Column of the table -> what is done, and how strongly; the last is the strongest.
DEGRADATIONS: dict[str, tuple[Callable[[Video, float], Video], tuple[float, ...]]] = {
    "blur": (of_frames(blurred), (0.5, 1, 2)),
    "noise": (of_frames(noisy), (4, 8, 16)),
    "shuffled": (of_frames(lambda frames, length: shuffled_within(frames, int(length))), (2, 4, 12)),
    "late music": (delayed, (0.125, 0.25, 0.5)),
    "colour cast": (of_frames(tinted), (10, 20, 40)),
    "frozen": (of_frames(lambda frames, _: frames[:1].repeat(len(frames), 0)), (1,)),
    "seam": (of_frames(lambda frames, pixels: shifted_half_way(frames, int(pixels))), (1, 2, 4)),
}


def image_scores(video: Video) -> dict[str, float | None]:
    some = slice(1, None, 8)  # SSIM is slow
    return {
        f"{name}_{mode}": float(compute(video.frames[some], video.true[some], mode).mean())
        for name, compute in (("psnr", psnr), ("ssim", ssim))
        for mode in ("standard", "disco")
    }


def motion_scores(video: Video) -> dict[str, float | None]:
    flow = flow_magnitudes(video.frames, FPS)
    rests, peaks = kinematic_beats(flow, FPS, LEAST_FLOW), flow_peaks(flow, FPS)
    asked = answerable(video.beats, len(video.frames), FPS)
    return {
        "motion": float(flow.mean()),
        "mm_align": mm_align(rests, video.beats),
        "mm_align_reverse": mm_align_reverse(rests, asked),
        "beats_hit": beats_hit(rests, asked),
        "av_align_2025": av_align_2025(video.onsets, peaks, FPS),
        "av_align_2023": av_align_2023(video.onsets, peaks, FPS),
    }


def consistency_scores(video: Video) -> dict[str, float | None]:
    identity = identity_distances(video.frames, video.true[0])
    colour = colour_distances(video.frames, video.true[0])
    return {
        "identity": float(identity.mean()),
        "identity_drift": drift(identity, FPS),
        "colour": float(colour.mean()),
        "colour_drift": drift(colour, FPS),
        "flicker": flicker(video.frames),
        "seam_jump": seam_jump(video.frames, len(video.frames) // 2),
    }


@cache
def clips() -> tuple[Video, ...]:
    """Undisturbed, without grain."""
    world = World(seed=3, width=SIZE, height=SIZE, fps=FPS)
    videos = []
    for index in range(CLIPS):
        performance = perform(world, index)
        dance = draw_dance(performance, str(index), seconds=SECONDS)
        beats = performance.track.beats - performance.starts[0] / FPS
        onsets = onset_times(dance.sound, dance.sampling_rate)
        videos.append(Video(dance.frames, dance.frames, beats, onsets))
    return tuple(videos)


def grainy(video: Video) -> Video:
    """Under one pattern for all frames, so that nothing flickers and what is frozen stays so."""
    grain = np.random.default_rng(0).normal(0, 1, video.frames.shape[1:])
    return replace(video, frames=np.clip(video.frames + grain, 0, 255).round().astype(np.uint8))


@cache
def undisturbed() -> dict[str, np.ndarray]:
    return _scores(tuple(grainy(video) for video in clips()))


@cache
def scores(degradation: str) -> list[dict[str, np.ndarray]]:
    """By strength, beginning with none, and measure: `(CLIPS,)`, NaN where a score is undefined."""
    degrade, strengths = DEGRADATIONS[degradation]
    disturbed = [tuple(grainy(degrade(video, strength)) for video in clips()) for strength in strengths]
    if degradation == "late music":  # the pictures are the same
        return [undisturbed(), *(undisturbed() | _rows(videos, motion_scores) for videos in disturbed)]
    return [undisturbed(), *(_scores(videos) for videos in disturbed)]


def _scores(videos: tuple[Video, ...]) -> dict[str, np.ndarray]:
    hfd = _hfd(np.stack([handcrafted_features(video.frames, FPS) for video in videos]))
    return _rows(videos, image_scores, motion_scores, consistency_scores) | {"hfd": hfd}


def _rows(videos: tuple[Video, ...], *measures: Callable[[Video], dict[str, float | None]]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for measure in measures:
        rows = [measure(video) for video in videos]
        found |= {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    return found


def _hfd(features: np.ndarray) -> np.ndarray:
    """The jackknife's pseudo-values, `(CLIPS,)`: their mean and spread stand for those of the one number."""
    whole, count = frechet_distance(features, _true_features()), len(features)
    without = [frechet_distance(np.delete(features, k, 0), np.delete(_true_features(), k, 0)) for k in range(count)]
    return count * whole - (count - 1) * np.array(without)


@cache
def _true_features() -> np.ndarray:
    return np.stack([handcrafted_features(video.true, FPS) for video in clips()])


def read_table() -> dict[tuple[str, str], str]:
    """(measure, degradation) -> cell, of the page's table."""
    section = PAGE.read_text(encoding="utf-8").split("## What answers to what")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    head, _, *body = rows
    return {
        (row[0].strip("`"), name): cell.strip("*") for row in body for name, cell in zip(head[1:], row[1:], strict=True)
    }


TABLE = read_table()


def badness(measure: str, values: np.ndarray) -> np.ndarray:
    """Larger is worse; of what is neither, larger."""
    return -values if MEASURES[measure].better == "higher" else values


@cache
def strongest_answer(measure: str) -> float:
    """The largest mean change in the measure's row, whichever way."""
    changes = [
        abs(strength[measure].mean() - undisturbed()[measure].mean())
        for degradation in DEGRADATIONS
        for strength in scores(degradation)
    ]
    return float(np.nanmax(changes))


def cells(*wanted: str) -> list[tuple[str, str]]:
    return [place for place, cell in TABLE.items() if cell in wanted]


def test_the_table_has_every_measure_and_every_degradation() -> None:
    assert {measure for measure, _ in TABLE} == set(MEASURES) - NEED_WEIGHTS
    assert {degradation for _, degradation in TABLE} == set(DEGRADATIONS)
    assert len(TABLE) == (len(MEASURES) - len(NEED_WEIGHTS)) * len(DEGRADATIONS)
    assert set(TABLE.values()) <= {"worse", "better", "more", "less", "same", "undefined", "-"}
    deaf = {measure for measure, _ in TABLE} - {measure for measure, _ in cells("worse", "more")}
    assert deaf == {"av_align_2025", "av_align_2023"}


@pytest.mark.parametrize(("measure", "degradation"), cells("worse", "better", "more", "less"))
def test_it_answers_more_and_more_and_beyond_the_spread_over_clips(measure: str, degradation: str) -> None:
    sign = 1 if TABLE[measure, degradation] in ("worse", "more") else -1
    values = [sign * badness(measure, of_strength[measure]) for of_strength in scores(degradation)]
    means = [value.mean() for value in values]
    assert (np.diff(means) > 0).all(), means
    change = values[-1] - values[0]
    assert change.mean() > CERTAIN * change.std(ddof=1) / np.sqrt(len(change)), change


@pytest.mark.parametrize(("measure", "degradation"), cells("same"))
def test_it_does_not_answer(measure: str, degradation: str) -> None:
    before, *after = (of_strength[measure].mean() for of_strength in scores(degradation))
    assert np.abs(np.array(after) - before).max() <= SAME * strongest_answer(measure)


@pytest.mark.parametrize(("measure", "degradation"), cells("undefined"))
def test_it_is_undefined(measure: str, degradation: str) -> None:
    assert np.isnan(scores(degradation)[-1][measure]).all()
    assert not np.isnan(scores(degradation)[0][measure]).any()
