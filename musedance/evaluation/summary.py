"""From scores of single videos to the numbers of a report."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from musedance.evaluation.differences import TOO_FEW
from musedance.evaluation.entrant import Entrant
from musedance.evaluation.footage import Facts
from musedance.evaluation.scored import Scored
from musedance.evaluation.summary_music import music_nulls, music_warnings
from musedance.metrics.bootstrap import mean_interval
from musedance.metrics.frechet import frechet_distance, rank_warning
from musedance.report.catalog import MEASURES
from musedance.report.results import Curve, Interval, Result, System, VideoRow

Scores = Mapping[str, Scored]
MINUS = "\N{MINUS SIGN}"
FEW_TRACKS = 8  # with 3, an interval that says 95 % holds the truth in 75 % of cases, with 8 in 94 %


def summarise(entrant: Entrant, scores: Scores, failed: Mapping[str, str], true: Scores | None, seed: int) -> System:
    """All results of a set of videos.

    Args:
        entrant: what was scored.
        scores: of its videos, by id.
        failed: what could not be scored, and why.
        true: scores of the true videos; `None` = there are none, or these are they.
        seed: of the bootstrap and the shuffles.
    """
    facts = {name: entrant.videos.facts(name) for name in scores}
    groups: dict[str, dict[str, dict[str, Result]]] = {}
    for kind in sorted({kind for fact in facts.values() for kind in fact.groups}):
        values = sorted({fact.groups[kind] for fact in facts.values() if kind in fact.groups})
        members = {value: [name for name in scores if facts[name].groups.get(kind) == value] for value in values}
        if len(members) > 1:
            groups[kind] = {
                value: results_of(_of(names, scores), facts, None if true is None else _of(names, true), seed)
                for value, names in members.items()
            }
    return System(
        name=entrant.name,
        description=entrant.description,
        results=results_of(scores, facts, true, seed),
        groups=groups,
        curves=curves_of(scores, facts, entrant.scorer.segment_frames, seed),
        videos=tuple(_row(entrant, name, scored) for name, scored in scores.items()),
        failed=failed,
    )


def _of(names: Sequence[str], scores: Scores) -> Scores:
    return {name: scores[name] for name in names if name in scores}


def results_of(scores: Scores, facts: Mapping[str, Facts], true: Scores | None, seed: int) -> dict[str, Result]:
    """Every measure of these videos that was asked for."""
    results = {}
    for measure, about in MEASURES.items():
        known = {name for scored in scores.values() for name in (*scored.scores, *scored.reasons, *scored.features)}
        if measure in known:
            compute = _distance if about.of_set else _mean
            results[measure] = compute(measure, scores, facts, true, seed)
    return results


def _mean(measure: str, scores: Scores, facts: Mapping[str, Facts], _: Scores | None, seed: int) -> Result:
    found = {name: scored.scores[measure] for name, scored in scores.items() if measure in scored.scores}
    reasons = {name: scored.reasons[measure] for name, scored in scores.items() if measure in scored.reasons}
    if not found:
        return Result(measure, None, None, 0, reason=_usual(reasons))
    values, tracks = np.array(list(found.values())), [facts[name].track for name in found]
    interval = _interval(values, tracks, seed) if np.isfinite(values).all() else None
    of_music = MEASURES[measure].has_null
    return Result(
        measure,
        float(values.mean()),
        interval,
        len(found),
        warnings=music_warnings(measure, scores) if of_music else (),
        nulls=music_nulls(measure, scores, facts, seed) if of_music else (),
        excluded=reasons,
    )


def _interval(values: np.ndarray, tracks: Sequence[str], seed: int) -> Interval | None:
    return mean_interval(values, tracks, seed=seed)


def _distance(measure: str, scores: Scores, _: Mapping[str, Facts], true: Scores | None, seed: int) -> Result:
    """A Frechet distance between the videos and the true ones."""
    own, reasons = _features(measure, scores)
    if true is None:
        unpaired = {
            name: scored.reasons["psnr_disco"] for name, scored in scores.items() if "psnr_disco" in scored.reasons
        }
        reason = _usual(reasons) or _usual(unpaired) or "undefined: there are no true videos"
        return Result(measure, None, None, 0, reason=reason)
    others, true_reasons = _features(measure, true)
    reasons |= {f"true {name}": reason for name, reason in true_reasons.items()}
    n = min(len(own), len(others))
    if n < 2:
        why = _usual(reasons) or "undefined: a distance needs at least two videos"
        return Result(measure, None, None, n, reason=why, excluded=reasons)
    a, b = np.stack(list(own.values())), np.stack(list(others.values()))
    warnings = [warning for warning in (rank_warning(n, a.shape[1]),) if warning]
    kinds = {(scored.num_frames, round(scored.fps, 2)) for of in (scores, true) for scored in of.values()}
    if len(kinds) > 1:
        warnings.append("videos of different length or frame rate were compared, which differ in that already")
    if len(b) >= 4:
        order = np.random.default_rng(seed).permutation(len(b))
        halves = frechet_distance(b[order[::2]], b[order[1::2]])
        warnings.append(f"for comparison, two halves of the true videos ({len(b) // 2} each) are {halves:.3g} apart")
    value = frechet_distance(a, b)
    return Result(measure, value, None, n, warnings=tuple(warnings), excluded=reasons)


def _features(measure: str, scores: Scores) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    found = {name: scored.features[measure] for name, scored in scores.items() if measure in scored.features}
    reasons = {name: scored.reasons[measure] for name, scored in scores.items() if measure in scored.reasons}
    return found, reasons


def _usual(reasons: Mapping[str, str]) -> str:
    """The most frequent one."""
    return Counter(reasons.values()).most_common(1)[0][0] if reasons else ""


CURVES = {
    "identity": "identity distance to the reference",
    "colour": "colour distance to the reference",
    "clip_identity": "CLIP similarity to the reference",
    "change": "difference from frame to frame",
    "lpips_change": "LPIPS from frame to frame",
}


def curves_of(scores: Scores, facts: Mapping[str, Facts], segment_frames: int | None, seed: int) -> dict[str, Curve]:
    """Means over the videos, second by second, as far as there are videos."""
    curves = {}
    for kind, title in CURVES.items():
        found = {name: scored.curves[kind] for name, scored in scores.items() if kind in scored.curves}
        if not found:
            continue
        times = sorted({time for of_video, _ in found.values() for time in of_video})
        mean: list[float] = []
        ends: list[Interval | None] = []
        for time in times:
            there = {name: values[of.index(time)] for name, (of, values) in found.items() if time in of}
            values = np.array(list(there.values()))
            mean.append(float(values.mean()))
            ends.append(_interval(values, [facts[name].track for name in there], seed))
        known = [end or (middle, middle) for end, middle in zip(ends, mean, strict=True)] if any(ends) else []
        low, high = [end[0] for end in known], [end[1] for end in known]
        unit = {"colour": "Delta E"}.get(kind, "")
        curves[kind] = Curve(title, unit, times, mean, low, high, len(found), _seams(scores, segment_frames))
    return curves


def _seams(scores: Scores, segment_frames: int | None) -> list[float]:
    """When the longest video's segments meet."""
    if segment_frames is None:
        return []
    longest = max(scores.values(), key=lambda scored: scored.num_frames)
    return [frame / longest.fps for frame in range(segment_frames, longest.num_frames, segment_frames)]


def _row(entrant: Entrant, name: str, scored: Scored) -> VideoRow:
    facts = entrant.videos.facts(name)
    undefined = dict.fromkeys(scored.reasons)
    inside = {kind: [time for time in times if 0 <= time < scored.seconds] for kind, times in scored.events.items()}
    notes = sorted({reason for reason in scored.reasons.values() if not reason.startswith("not computed")})
    return VideoRow(
        id=name,
        file=entrant.videos.file(name),
        prompt=facts.prompt,
        groups=facts.groups,
        scores={**undefined, **scored.scores},
        notes=tuple(notes),
        beats=inside,
        speed=list(zip(*scored.speed, strict=True)),
    )


def headlines(systems: Sequence[System]) -> tuple[str, ...]:
    """What a reader wants to know first, a sentence each."""
    lines = []
    for system in systems:
        result = system.results.get("beats_hit")
        null = next(iter(result.nulls), None) if result is not None else None
        if result is None or result.value is None or null is None:
            continue
        text = f"{system.name}: {result.value:.0%} of the music's beats are hit, {null.value:.0%} with {null.kind}"
        if null.interval is None:
            lines.append(f"{text}; {TOO_FEW}.")
            continue
        if result.warnings:
            lines.append(f"{text}: nothing can be concluded ({'; '.join(result.warnings)}).")
            continue
        low, high = null.interval
        lift = f"lift {null.lift:+.1%}, 95 % from {low:+.1%} to {high:+.1%}, n = {result.n}".replace("-", MINUS)
        if low > 0:
            said = "the motion follows its music"
        else:
            said = "it follows its own music less than others'" if high < 0 else "no lift is shown"
        lines.append(f"{text}: {said} ({lift}).")
    return tuple(lines)


def few_tracks(tracks: Collection[str]) -> tuple[str, ...]:
    """A sentence on the intervals where there are too few tracks for them, if so."""
    count = len(set(tracks))
    if not 1 < count < FEW_TRACKS:
        return ()
    return (f"The intervals rest on {count} tracks: with fewer than {FEW_TRACKS} they are too narrow.",)
