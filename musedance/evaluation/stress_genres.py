"""What `musedance stress genres` says: what beat modules add, genre by genre."""

from collections.abc import Mapping

from musedance.evaluation.answer import Answer, sorted_out
from musedance.evaluation.differences import TOO_FEW, Difference, Differences
from musedance.evaluation.groups import by_group, group_results, has_value
from musedance.metrics.handcrafted import FEATURES
from musedance.metrics.i3d import CLASSES
from musedance.report.cells import lift_cell, value_cell
from musedance.report.markup import label
from musedance.report.results import Result, System, Table

EVERY = "all genres"
TITLE = "Genres, with the beat modules and without"
FEATURES_OF = {"hfd": len(FEATURES), "fvd_standard": CLASSES, "fvd_disco": CLASSES}
BETTER, WORSE = "More beats are hit with the beat modules", "Fewer beats are hit with them"
SAME, FEW = "No difference is shown", TOO_FEW.capitalize()
NO_PREFERENCE = "Which of the two people prefer is for people to say: the videos below show both."
NOTE = (
    "The difference is over the same videos, made with the same noise. A dancer who moves more hits more beats by "
    "chance too, so read it with the lifts over other music."
)


def genres_answer(whole: System, without: System, differences: Differences, caveat: str) -> Answer:
    """Beats hit and distances to the true videos, with the beat modules and without, and their difference.

    Args:
        whole: the videos of the model with beat modules.
        without: of the one without.
        differences: finds the differences.
        caveat: what the comparison does not say; may be empty.
    """
    genres = by_group(whole.videos, "genre")
    if len(genres) > 1:
        genres |= {EVERY: whole.videos}
    found = {genre: differences.by_video(rows, without.videos, "beats_hit") for genre, rows in genres.items()}
    distances = [name for name in FEATURES_OF if has_value(whole, name) or has_value(without, name)]
    heads = [f"beats hit, lift over other music, {system.name} ↑" for system in (whole, without)]
    heads.append("beats hit, difference")
    heads += [f"{label(name)}, {system.name} ↓" for name in distances for system in (whole, without)]
    rows = []
    for genre, videos in genres.items():
        results = [
            system.results if genre == EVERY else group_results(system, "genre", genre) for system in (whole, without)
        ]
        lifts = [lift_cell(of.get("beats_hit"), len(videos)) for of in results]
        apart = [_distance(of.get(name), genre, len(videos)) for name in distances for of in results]
        rows.append((genre, str(len(videos)), *lifts, _text(found[genre]), *apart))
    table = Table(TITLE, ("genre", "videos", *heads), tuple(rows), f"{NOTE} {caveat}".strip())
    summary = (_on_beats(found), *(_on_distance(name, whole, without) for name in distances), caveat, NO_PREFERENCE)
    return Answer(tuple(sentence for sentence in summary if sentence), (table,))


def _distance(result: Result | None, genre: str, usual_n: int) -> str:
    """Of a genre only where the covariance of its videos has full rank."""
    if genre != EVERY and result is not None and result.value is not None and result.n <= FEATURES_OF[result.measure]:
        return f"too few (n = {result.n})"
    return value_cell(result, usual_n)


def _on_beats(found: Mapping[str, Difference | None]) -> str:
    """The sentence on who is helped by beat modules."""
    heads = {1: BETTER, -1: WORSE, 0: SAME, None: FEW}
    findings = [
        (heads[None if difference is None else difference.sign], f"{genre} ({_text(difference)})")
        for genre, difference in found.items()
    ]
    return sorted_out(heads.values(), findings)


def _text(difference: Difference | None) -> str:
    return "undefined" if difference is None else difference.text()


def _on_distance(name: str, whole: System, without: System) -> str:
    results = [system.results.get(name) for system in (whole, without)]
    n = min(0 if result is None else result.n for result in results)
    one, other = (value_cell(result, n) for result in results)
    return f"{label(name)} to the true videos: {one} with, {other} without (n = {n})."
