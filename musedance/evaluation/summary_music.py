"""Scores of music beside what they would be without any relation to the music."""

from collections.abc import Mapping

import numpy as np

from musedance.evaluation.differences import LEAST_TRACKS
from musedance.evaluation.footage import Facts
from musedance.evaluation.score_music import aligned
from musedance.evaluation.scored import Scored
from musedance.metrics.nulls import (
    FRAMES_PER_BEAT,
    FRAMES_PER_ONSET,
    half_a_beat,
    half_a_beat_late,
    other_music,
    score_matrix,
    too_slow_to_conclude,
)
from musedance.report.results import Null


def music_nulls(measure: str, scores: Mapping[str, Scored], facts: Mapping[str, Facts], seed: int) -> tuple[Null, ...]:
    """The same videos with other tracks' music, and with their own half a beat late; those that can be had."""
    videos, tracks = list(scores.values()), [facts[name].track for name in scores]
    matrix = score_matrix(videos, lambda index, music: aligned(measure, videos[index], music))
    found = [other_music(matrix, tracks, seed)]
    if measure != "cs":  # which hears no beats
        own = [aligned(measure, video, video) for video in videos]
        late = [_late(measure, video) for video in videos]
        found.append(half_a_beat_late(own, late, tracks, seed))
    enough = len(set(tracks)) >= LEAST_TRACKS
    return tuple(
        Null(null.kind, null.value, null.lift, null.interval if enough else None, null.p_value)
        for null in found
        if null is not None
    )


def music_warnings(measure: str, scores: Mapping[str, Scored]) -> tuple[str, ...]:
    """What keeps a score from telling right music from wrong."""
    if measure == "cs":
        return ()
    if measure.startswith("av_align"):
        least, counts = FRAMES_PER_ONSET, [len(scored.events.get("onsets", [])) for scored in scores.values()]
        gaps = [scored.seconds / count for scored, count in zip(scores.values(), counts, strict=True) if count]
    else:
        halves = [half_a_beat(np.array(scored.events.get("music", []))) for scored in scores.values()]
        least, gaps = FRAMES_PER_BEAT, [2 * half for half in halves if half is not None]
    if not gaps:
        return ()
    warning = too_slow_to_conclude(min(scored.fps for scored in scores.values()), float(np.median(gaps)), least)
    return () if warning is None else (warning,)


def _late(measure: str, video: Scored) -> float | None:
    shift = half_a_beat(np.array(video.events.get("music", [])))
    return None if shift is None else aligned(measure, video, video, late=shift)
