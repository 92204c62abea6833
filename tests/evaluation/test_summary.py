"""From scores of single videos to means, intervals, distances, curves and sentences; the numbers are worked by hand."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from musedance.evaluation.entrant import Entrant
from musedance.evaluation.footage import Facts, Footage, VideoSet
from musedance.evaluation.score import Scorer
from musedance.evaluation.scored import Scored
from musedance.evaluation.summary import headlines, summarise
from musedance.evaluation.tools import ToolOptions, Tools, load_tools
from musedance.media.audio import Audio
from musedance.metrics.bootstrap import mean_interval
from musedance.puppets.performance import World, perform
from musedance.report.results import Result, System
from tests.metrics.conftest import draw_dance


class Known(VideoSet):
    """Videos of which only facts are known."""

    def __init__(self, facts: Mapping[str, Facts]) -> None:
        self.ids, self._facts = sorted(facts), facts

    def file(self, name: str) -> str:
        return f"videos/{name}.mp4"

    def key(self, name: str) -> str:
        return name

    def facts(self, name: str) -> Facts:
        return self._facts[name]

    def read(self, name: str) -> Footage:
        raise NotImplementedError


def summary(
    scores: Mapping[str, Scored],
    facts: Mapping[str, Facts] | None = None,
    true: Mapping[str, Scored] | None = None,
    failed: Mapping[str, str] | None = None,
    segment_frames: int | None = None,
) -> System:
    facts = facts or {name: Facts(track=name) for name in scores}
    scorer = Scorer(Tools(torch.device("cpu")), segment_frames)
    return summarise(Entrant("made", "by hand", Known(facts), scorer), scores, failed or {}, true, 0)


def scored(n: int = 48, fps: float = 12.0, **scores: float) -> Scored:
    return Scored(fps, n, dict(scores))


def test_means_counts_and_what_was_left_out() -> None:
    scores = {name: scored(motion=value) for name, value in zip("abc", (1.0, 2.0, 6.0), strict=True)}
    scores["d"] = Scored(12, 48, reasons={"motion": "undefined: nothing moves"})
    system = summary(scores, failed={"e": "cannot be read"})
    result = system.results["motion"]
    assert result.value == 3.0 and result.n == 3 and not result.reason
    assert result.excluded == {"d": "undefined: nothing moves"} and system.failed == {"e": "cannot be read"}
    assert result.interval is not None and result.interval[0] < 3 < result.interval[1]
    assert set(system.results) == {"motion"}  # what was not asked for has no row


def test_without_any_value_the_usual_reason_is_given() -> None:
    why = {"a": "undefined: short", "b": "undefined: dark", "c": "undefined: dark"}
    scores = {name: Scored(12, 48, reasons={"identity": reason}) for name, reason in why.items()}
    result = summary(scores).results["identity"]
    assert (result.value, result.interval, result.n, result.reason) == (None, None, 0, "undefined: dark")


def test_an_infinite_mean_has_no_interval() -> None:
    result = summary({"a": scored(psnr_standard=math.inf), "b": scored(psnr_standard=30.0)}).results["psnr_standard"]
    assert result.value == math.inf and result.interval is None and result.n == 2


def test_clips_of_one_track_are_not_independent() -> None:
    """Two tracks that differ, four clips each: eight clips say little more than two."""
    scores = {f"{track}{k}": scored(motion=level + 0.01 * k) for track, level in (("a", 0), ("b", 1)) for k in range(4)}
    apart = summary(scores).results["motion"].interval
    together = summary(scores, {name: Facts(track=name[0]) for name in scores}).results["motion"].interval
    values = np.array([one.scores["motion"] for one in scores.values()])
    assert apart == mean_interval(values) and together == mean_interval(values, [name[0] for name in scores])
    assert together[0] < 0.02 < apart[0] and apart[1] < 0.99 < together[1]
    assert summary(scores, {name: Facts(track="one") for name in scores}).results["motion"].interval is None


def random_features(names: str, shift: float = 0.0, seed: int = 0) -> dict[str, Scored]:
    rows = np.random.default_rng(seed).normal(size=(len(names), 3)) + np.array([shift, 0, 0])
    return {
        name: Scored(12, 48, {"motion": row[0]}, features={"hfd": row}) for name, row in zip(names, rows, strict=True)
    }


def test_a_distance_between_shifted_sets_is_the_shift_squared() -> None:
    made, true = random_features("abcdefgh", shift=3.0), random_features("abcdefgh")
    result = summary(made, true=true).results["hfd"]
    assert result.value == pytest.approx(9.0) and result.n == 8 and result.interval is None
    assert any("8 clips are few" in warning for warning in result.warnings)
    assert any("two halves of the true videos (4 each) are" in warning for warning in result.warnings)
    assert summary(true, true=true).results["hfd"].value == pytest.approx(0, abs=1e-9)


def test_the_smaller_set_is_what_a_distance_rests_on() -> None:
    true = random_features("abcdefgh")
    made = {name: true[name] for name in "abc"}
    made["d"] = Scored(12, 3, reasons={"hfd": "undefined: too short"})
    result = summary(made, true=true).results["hfd"]
    assert result.n == 3 and result.excluded == {"d": "undefined: too short"}
    assert any("3 clips give a covariance of rank 2 at most" in warning for warning in result.warnings)
    lacking = {**true, "h": Scored(12, 3, reasons={"hfd": "undefined: too short"})}
    assert summary(true, true=lacking).results["hfd"].excluded == {"true h": "undefined: too short"}


@pytest.mark.parametrize(("made", "true"), [("a", "abcd"), ("abcd", "a")])
def test_a_distance_needs_two_videos_on_either_side(made: str, true: str) -> None:
    result = summary(random_features(made), true=random_features(true)).results["hfd"]
    assert result.value is None and result.n == 1 and result.reason == "undefined: a distance needs at least two videos"


def test_a_distance_without_true_videos() -> None:
    result = summary(random_features("abcd")).results["hfd"]
    assert result.value is None and result.n == 0 and "no true videos" in result.reason
    missing = {name: Scored(12, 48, reasons={"hfd": "not computed: weights missing"}) for name in "ab"}
    for true in (None, missing):
        assert summary(missing, true=true).results["hfd"].reason == "not computed: weights missing"


@pytest.mark.parametrize("other", [{"num_frames": 40}, {"fps": 10.0}])
def test_videos_of_different_length_or_rate_are_warned_of(other: dict[str, float]) -> None:
    made, true = random_features("abcd", 1.0), random_features("abcd")
    different = {
        name: Scored(**{"fps": 12, "num_frames": 48, **other}, features=one.features) for name, one in made.items()
    }
    said = "videos of different length or frame rate were compared"
    assert not any(said in warning for warning in summary(made, true=true).results["hfd"].warnings)
    assert any(said in warning for warning in summary(different, true=true).results["hfd"].warnings)


def test_a_group_is_scored_as_if_its_videos_were_all() -> None:
    facts = {name: Facts(track=name, groups={"genre": "waltz" if name in "abcd" else "house"}) for name in "abcdefgh"}
    made, true = random_features("abcdefgh", 2.0, seed=1), random_features("abcdefgh")
    for one in made.values():
        one.events = {"music": [0.5, 1.0, 1.5], "kinematic": [0.5, 1.1], "onsets": [0.5], "flow peaks": [0.7]}
        one.scores["beats_hit"] = 2 / 3
    system = summary(made, facts, true)
    assert set(system.groups) == {"genre"} and set(system.groups["genre"]) == {"waltz", "house"}
    for genre, names in (("waltz", "abcd"), ("house", "efgh")):
        alone = summary({name: made[name] for name in names}, facts, {name: true[name] for name in names})
        assert system.groups["genre"][genre] == alone.results
        assert alone.results["hfd"].n == 4 and alone.results["motion"].n == 4


def test_groups_that_are_all_alike_or_unknown() -> None:
    facts = {"a": Facts(groups={"kind": "cat", "genre": "waltz"}), "b": Facts(groups={"kind": "cat", "genre": "house"})}
    facts["c"] = Facts()  # nothing is known of it
    system = summary({name: scored(motion=1.0) for name in "abc"}, facts)
    assert set(system.groups) == {"genre"}  # one kind is no comparison
    assert {genre: results["motion"].n for genre, results in system.groups["genre"].items()} == {"waltz": 1, "house": 1}
    assert system.results["motion"].n == 3


def test_curves_are_means_over_those_videos_that_are_long_enough() -> None:
    lengths = {"a": 4, "b": 4, "c": 2}
    levels = {"a": 1.0, "b": 2.0, "c": 9.0}
    scores = {}
    for name, seconds in lengths.items():
        times = [0.5 + k for k in range(seconds)]
        scores[name] = Scored(
            12, 12 * seconds, curves={"identity": (times, [levels[name] + 0.1 * k for k in range(seconds)])}
        )
    curve = summary(scores, segment_frames=16).curves["identity"]
    assert curve.times == [0.5, 1.5, 2.5, 3.5] and curve.n == 3
    assert curve.mean == pytest.approx([4.0, 4.1, 1.7, 1.8])
    expected = mean_interval(np.array([1.2, 2.2]))
    assert (curve.low[2], curve.high[2]) == pytest.approx(expected)
    assert all(low < mean < high for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True))
    assert curve.marks == pytest.approx([16 / 12, 32 / 12])  # of the longest
    assert summary(scores).curves["identity"].marks == []


def test_a_curve_of_one_track_has_no_band() -> None:
    scores = {name: Scored(12, 12, curves={"colour": ([0.5], [value])}) for name, value in (("a", 1.0), ("b", 3.0))}
    curve = summary(scores, {name: Facts(track="one") for name in "ab"}).curves["colour"]
    assert curve.mean == [2.0] and curve.low == curve.high == [] and curve.unit == "Delta E"
    assert set(summary(scores).curves) == {"colour"}


def test_a_row_shows_what_happens_within_the_video() -> None:
    one = Scored(12, 24, {"motion": 0.5}, {"fvd_standard": "not computed: weights missing", "hfd": "undefined: short"})
    one.events = {"music": [-0.5, 0.0, 1.5, 2.0, 2.5], "kinematic": [0.4]}
    one.speed = ([0.1, 0.2], [1.0, 2.0])
    facts = {"a": Facts("jumps", {"kind": "cat"}, "tune")}
    (row,) = summary({"a": one}, facts).videos
    assert (row.id, row.file, row.prompt, row.groups) == ("a", "videos/a.mp4", "jumps", {"kind": "cat"})
    assert row.scores == {"motion": 0.5, "fvd_standard": None, "hfd": None} and row.notes == ("undefined: short",)
    assert row.beats == {"music": [0.0, 1.5], "kinematic": [0.4]} and row.speed == [(0.1, 1.0), (0.2, 2.0)]


# Music: six tracks whose beats share nothing, two clips each, of dancers who rest on their own beats.

PERIODS = {"a": 0.5, "b": 0.61, "c": 0.73, "d": 0.437, "e": 0.811, "f": 0.683}


def dancer(period: float, rests: float | None = None, phase: float = 0.3, fps: float = 24.0) -> Scored:
    """Beats every `period` s, and rests every `rests` s, both from `phase` on."""
    beats = [round(phase + period * k, 5) for k in range(-3, 12)]
    moved = [time for k in range(12) if 0.1 < (time := phase + (rests or period) * k) < 3.9]
    events = {"music": beats, "kinematic": moved, "onsets": [], "flow peaks": []}
    inside = [beat for beat in beats if 1 / fps <= beat <= 4 - 2 / fps]
    hit = np.mean([min(abs(beat - time) for time in moved) <= 0.1 for beat in inside])
    return Scored(fps, round(4 * fps), {"beats_hit": float(hit)}, events=events)


def troupe(**changes: float) -> tuple[dict[str, Scored], dict[str, Facts]]:
    scores = {
        f"{track}{k}": dancer(period, phase=0.3, **changes) for track, period in PERIODS.items() for k in range(2)
    }
    return scores, {name: Facts(track=name[0]) for name in scores}


def test_the_null_is_the_music_of_other_tracks() -> None:
    scores, facts = troupe()
    result = summary(scores, facts).results["beats_hit"]
    other, late = result.nulls
    assert result.value == 1.0 and (other.kind, late.kind) == ("other music", "its music half a beat late")

    def hits(motion: Scored, music: Scored) -> float:
        inside = [beat for beat in music.events["music"] if 1 / 24 <= beat <= 4 - 2 / 24]
        return float(np.mean([min(abs(beat - time) for time in motion.events["kinematic"]) <= 0.1 for beat in inside]))

    foreign = [
        np.mean([hits(scores[f"{mine}0"], scores[f"{theirs}0"]) for theirs in PERIODS if theirs != mine])
        for mine in PERIODS
    ]
    assert other.value == pytest.approx(np.mean(foreign)) and other.lift == pytest.approx(1 - np.mean(foreign))
    assert late.value == 0 and late.lift == 1 and late.p_value is None
    assert other.interval is not None and other.interval[0] > 0 and other.p_value is not None
    assert not result.warnings


def test_clips_of_one_track_have_no_other_music() -> None:
    scores, _ = troupe()
    result = summary(scores, {name: Facts(track="one") for name in scores}).results["beats_hit"]
    assert [null.kind for null in result.nulls] == ["its music half a beat late"]
    assert result.nulls[0].interval is None


def said(system: System) -> str:
    (line,) = headlines([system])
    return line


def test_the_headline_concludes_only_where_the_interval_is_above_zero() -> None:
    scores, facts = troupe()
    line = said(summary(scores, facts))
    assert line.startswith("made: 100% of the music's beats are hit, ") and "with other music" in line
    assert "the motion follows its music (lift +" in line and "n = 12" in line
    # Each rests as another track's music would have it.
    following = dict(zip("abcdef", "bcdefa", strict=True))
    wrong = {name: dancer(PERIODS[name[0]], PERIODS[following[name[0]]]) for name in scores}
    result = summary(wrong, facts)
    assert result.results["beats_hit"].nulls[0].interval[0] <= 0
    assert "follows its music" not in said(result)


def test_the_headline_says_when_there_are_too_few_tracks() -> None:
    scores, _ = troupe()
    line = said(summary(scores, {name: Facts(track="one") for name in scores}))
    assert "too few tracks to tell" in line and "half a beat late" in line and "follows" not in line


def test_there_is_no_headline_without_a_score_of_music() -> None:
    frozen = {"a": Scored(12, 48, {"motion": 0.0}, {"beats_hit": "undefined: no kinematic beats"})}
    assert headlines([summary(frozen), summary({"a": scored(motion=1.0)})]) == ()
    result = Result("beats_hit", 0.5, None, 1)
    assert headlines([System("bare", "", {"beats_hit": result}, {}, {}, (), {})]) == ()


@pytest.mark.parametrize(
    ("measure", "fps", "slow"),
    [
        ("beats_hit", 5.9, True),
        ("beats_hit", 6.0, False),
        ("av_align_2025", 15.9, True),
        ("av_align_2025", 16.0, False),
    ],
)
def test_how_many_frames_a_score_needs_between_two_events(measure: str, fps: float, slow: bool) -> None:
    """Three between beats half a second apart, four between onsets a quarter of one apart."""
    events = {
        "music": [0.5 * k for k in range(9)],
        "kinematic": [0.5, 1.0],
        "onsets": [0.25 * k for k in range(16)],
        "flow peaks": [0.75, 2.0],
    }
    scores = {
        name: Scored(rate, round(4 * rate), {measure: 0.5}, events=events) for name, rate in (("a", fps), ("b", 30.0))
    }
    facts = {"a": Facts(track="one"), "b": Facts(track="two")}
    warnings = summary(scores, facts).results[measure].warnings
    assert bool(warnings) == slow and all("too few to tell right music from wrong" in said for said in warnings)


@pytest.mark.parametrize("fps", [4.0, 5.0, 24.0])
def test_too_low_a_frame_rate_to_conclude_is_said(tmp_path: Path, fps: float) -> None:
    """Drawn dancers who are on the beat: at 4 or 5 frames a second that cannot be seen, whatever the score is."""
    world = World(seed=3, width=64, height=64)
    tools = load_tools(ToolOptions(str(tmp_path)), torch.device("cpu"))
    scorer = Scorer(tools, beats_from="keypoints", music_only=True)
    scores, facts = {}, {}
    for index in range(6):
        dance = draw_dance(perform(world, index), f"track{index}", fps)
        sound = Audio(np.asarray(dance.sound, np.float32)[None], dance.sampling_rate)
        video = Footage(dance.frames, fps, sound, dance.joints, dance.visible, 64)
        facts[dance.track] = Facts(track=dance.track, beats=tuple(dance.beats.tolist()))
        scores[dance.track] = scorer.score(video, facts[dance.track], "none", dance.frames[0])
    system = summary(scores, facts)
    slow = f"{fps:g} frames per second are too few to tell right music from wrong"
    for measure in ("mm_align", "beats_hit"):
        assert any(slow in warning for warning in system.results[measure].warnings) == (fps < 6), measure
    lines = " ".join(headlines([system]))
    assert ("follows" in lines) == (fps > 6)
    assert fps > 6 or not lines or "nothing can be concluded" in lines
