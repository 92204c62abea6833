"""What `musedance stress subjects` says: which subjects stay like their picture, and which dance."""

from collections.abc import Sequence

import numpy as np

from musedance.evaluation.answer import Answer, sorted_out
from musedance.evaluation.differences import TOO_FEW, Difference, Differences, sign_of
from musedance.evaluation.groups import Rows, by_group, group_of, group_results, has_value
from musedance.report.catalog import MEASURES
from musedance.report.cells import lift_cell, other_music_of, value_cell
from musedance.report.markup import ARROWS, digits_for, number
from musedance.report.results import System, Table

USUAL = "person"  # the kind that models of dance are trained on, with which the others are compared
LIKENESS = ("clip_identity", "identity", "colour", "identity_drift")
LESS, MORE = "Less like their pictures than a person is", "More like their pictures than a person is"
LIKE, UNCLEAR = "No difference from a person is shown", f"Compared with a person {TOO_FEW}"
DANCE, NO_LIFT = "More beats are hit than with other music", "No lift over other music is shown"
FEWER, FEW = "Fewer beats are hit than with other music", f"Whether the music is followed: {TOO_FEW}"
NOTES = (
    "A subject that does not move stays like its picture: read likeness and motion together.",
    "Intervals are over tracks: they speak of these pictures, not of all that could be drawn of a kind.",
)


def subjects_answer(system: System, differences: Differences) -> Answer:
    """By kind of subject, against `person`; and by kind and genre where there are two of each.

    Args:
        system: the model's videos.
        differences: finds how far a kind is from a person.
    """
    kinds = by_group(system.videos, "kind")
    likeness = "clip_identity" if has_value(system, "clip_identity") else "identity"
    from_person = {
        kind: differences.by_track(rows, kinds[USUAL], likeness)
        for kind, rows in kinds.items()
        if kind != USUAL and USUAL in kinds
    }
    tables = [_kinds_table(system, kinds, likeness, from_person)]
    genres = by_group(system.videos, "genre")
    if len(kinds) > 1 and len(genres) > 1:
        tables += [_cross_table(system.videos, kinds, genres, measure) for measure in (likeness, "beats_hit")]
    summary = _on_likeness(likeness, from_person), _on_music(system, differences)
    return Answer(tuple(sentence for sentence in summary if sentence), tuple(tables))


def _kinds_table(
    system: System, kinds: dict[str, Rows], likeness: str, from_person: dict[str, Difference | None]
) -> Table:
    """A row a kind."""
    measures = [name for name in (*LIKENESS, "motion") if name in (likeness, "motion") or has_value(system, name)]
    heads = [_head(name) for name in measures]
    if from_person:
        heads.insert(1 + measures.index(likeness), f"its difference from {USUAL}")
    rows = []
    for kind, videos in kinds.items():
        results = group_results(system, "kind", kind)
        cells = [value_cell(results.get(name), len(videos)) for name in measures]
        if from_person:
            cells.insert(1 + measures.index(likeness), _text(from_person[kind]) if kind in from_person else "")
        rows.append((kind, str(len(videos)), *cells, lift_cell(results.get("beats_hit"), len(videos))))
    head = ("kind", "videos", *heads, "beats hit, lift over other music ↑")
    return Table("Subjects by kind", head, tuple(rows), " ".join(NOTES))


def _cross_table(videos: Rows, kinds: dict[str, Rows], genres: dict[str, Rows], measure: str) -> Table:
    """A row a kind, a column a genre."""
    scores = {
        (kind, genre): [
            score
            for row in videos
            if group_of(row, "kind") == kind and group_of(row, "genre") == genre
            if (score := row.scores.get(measure)) is not None
        ]
        for kind in kinds
        for genre in genres
    }
    means = [float(np.mean(values)) for values in scores.values() if values]
    digits = digits_for(*means)

    def cell(values: Sequence[float]) -> str:
        return f"{number(float(np.mean(values)), digits)}, n = {len(values)}" if values else ""

    rows = tuple((kind, *(cell(scores[kind, genre]) for genre in genres)) for kind in kinds)
    note = "A mean over n videos; empty where there are none, or none with a score."
    if MEASURES[measure].has_null:
        note += " Beats are hit by chance too: what counts is the lift, in the table above."
    return Table(f"{_head(measure)} by kind and genre", ("kind", *genres), rows, note)


def _on_likeness(likeness: str, from_person: dict[str, Difference | None]) -> str:
    """The sentence on who stays like its picture."""
    if not from_person:
        return (
            f"All subjects are of one kind or none is a {USUAL}: put pictures in folders named by kind, one of them "
            f"{USUAL}, to compare the kinds."
        )
    worse = -1 if MEASURES[likeness].better == "higher" else 1
    heads = {worse: LESS, -worse: MORE, 0: LIKE, None: UNCLEAR}
    findings = [
        (heads[None if found is None else found.sign], f"{kind} ({MEASURES[likeness].title} {_text(found)})")
        for kind, found in from_person.items()
    ]
    return sorted_out((LESS, MORE, LIKE, UNCLEAR), findings)


def _on_music(system: System, differences: Differences) -> str:
    """The sentence on who dances to the music."""
    heads, findings = {1: DANCE, -1: FEWER, 0: NO_LIFT, None: FEW}, []
    for kind, videos in by_group(system.videos, "kind").items():
        null = other_music_of(group_results(system, "kind", kind).get("beats_hit"))
        sign = None if null is None else sign_of(null.interval, differences.count(videos))
        findings.append((heads[sign], kind))
    return sorted_out(heads.values(), findings)


def _text(difference: Difference | None) -> str:
    """With the number of tracks."""
    if difference is None:
        return "undefined"
    return f"{difference.text(difference.n)}, {difference.tracks} track{'' if difference.tracks == 1 else 's'}"


def _head(measure: str) -> str:
    about = MEASURES[measure]
    unit = f", {about.unit}" if about.unit else ""
    return f"{about.title}{unit} {ARROWS[about.better]}".strip()
