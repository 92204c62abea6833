"""What the stress tests say, from scores that are known."""

import numpy as np
import pytest

from musedance.evaluation.differences import Differences, sign_of
from musedance.evaluation.stress_genres import genres_answer
from musedance.evaluation.stress_length import length_answer
from musedance.evaluation.stress_subjects import subjects_answer
from musedance.report.results import Curve, Null, Result, System, VideoRow

MINUS = "\N{MINUS SIGN}"
GENRES = ("rock", "waltz")


def video(kind: str, track: int, **scores: float | None) -> VideoRow:
    groups = {"kind": kind, "genre": GENRES[track % 2]}
    return VideoRow(f"{kind}-{track}", "", "", groups, scores, (), {}, [])


def result(measure: str, rows: list[VideoRow], lift: tuple[float, float] | None = None) -> Result:
    values = [row.scores[measure] for row in rows if row.scores.get(measure) is not None]
    nulls = (Null("other music", 0.2, 0.3, lift, 0.01),) if lift else ()
    return Result(measure, float(np.mean(values)) if values else None, None, len(values), nulls=nulls)


def system_of(
    rows: list[VideoRow], name: str = "generated", lifts: dict[str, tuple[float, float]] | None = None
) -> System:
    measures = list(rows[0].scores)
    groups = {}
    for grouping in ("kind", "genre"):
        values = sorted({row.groups[grouping] for row in rows})
        members = {value: [row for row in rows if row.groups[grouping] == value] for value in values}
        if len(values) > 1:
            groups[grouping] = {
                value: {name: result(name, of, (lifts or {}).get(value)) for name in measures}
                for value, of in members.items()
            }
    return System(name, "", {name: result(name, rows) for name in measures}, groups, {}, tuple(rows), {})


def differences_of(*rows: list[VideoRow]) -> Differences:
    return Differences({row.id: row.id.rsplit("-", 1)[-1] for of in rows for row in of})


def crowd(tracks: int, offset: float, wobble: float = 0.001) -> list[VideoRow]:
    """People and cats to the same tracks; cats are `offset` farther from their picture, tracks differ by much more."""
    rows = []
    for track in range(tracks):
        base = 0.3 + 0.05 * track
        rows.append(video("person", track, identity=base, beats_hit=0.5, motion=0.1))
        rows.append(video("cat", track, identity=base + offset + wobble * (-1) ** track, beats_hit=0.5, motion=0.1))
    return rows


def test_a_kind_is_compared_with_people_track_by_track() -> None:
    rows = crowd(8, 0.02)
    found = differences_of(rows).by_track(rows[1::2], rows[::2], "identity")
    assert found is not None and found.value == pytest.approx(0.02) and found.tracks == 8
    low, high = found.interval or (0, 0)
    assert 0.018 < low < 0.02 < high < 0.022  # although tracks differ by 0.05 each
    answer = subjects_answer(system_of(rows), differences_of(rows))
    assert "Less like their pictures than a person is: cat (identity distance +0.0200 [" in answer.summary[0]
    (cat, person) = answer.tables[0].rows
    head = answer.tables[0].head
    assert cat[head.index("its difference from person")].startswith("+0.0200 [0.01")
    assert cat[head.index("its difference from person")].endswith("], 8 tracks")
    assert person[head.index("its difference from person")] == ""


@pytest.mark.parametrize(
    ("offset", "said"), [(-0.02, "More like their"), (0.0, "No difference from a person is shown")]
)
def test_what_the_difference_says(offset: float, said: str) -> None:
    rows = crowd(8, offset)
    assert subjects_answer(system_of(rows), differences_of(rows)).summary[0].startswith(said)


def test_higher_is_more_like_where_clip_was_there() -> None:
    rows = [
        VideoRow(
            row.id, "", "", row.groups, {**row.scores, "clip_identity": 1 - (row.scores["identity"] or 0)}, (), {}, []
        )
        for row in crowd(8, 0.02)
    ]
    answer = subjects_answer(system_of(rows), differences_of(rows))
    assert answer.summary[0].startswith(
        f"Less like their pictures than a person is: cat (CLIP similarity {MINUS}0.0200"
    )
    assert "CLIP similarity ↑ by kind and genre" in [table.title for table in answer.tables]


def test_few_tracks_say_nothing_however_clear_they_look() -> None:
    rows = crowd(3, 0.2)
    answer = subjects_answer(system_of(rows, lifts={"cat": (0.1, 0.2), "person": (0.1, 0.2)}), differences_of(rows))
    assert answer.summary[0].startswith("Compared with a person too few tracks to tell (6 would do): cat")
    assert answer.summary[1].startswith("Whether the music is followed: too few tracks")
    assert sign_of((0.1, 0.2), 5) is None and sign_of((0.1, 0.2), 6) == 1 and sign_of((-0.2, -0.1), 6) == -1
    assert sign_of((-0.1, 0.2), 6) == 0 and sign_of(None, 6) is None and sign_of((0.9, 0.98), 6, 1.0) == -1


def test_kinds_with_tracks_of_their_own_are_compared_too() -> None:
    """Welch's interval, by hand: means 0.5 and 0.2, variances 0.02 / 3 each, 4 degrees of freedom."""
    people = [video("person", track, identity=value) for track, value in enumerate((0.1, 0.2, 0.3))]
    cats = [video("cat", 10 + track, identity=value) for track, value in enumerate((0.4, 0.5, 0.6))]
    found = differences_of(people, cats).by_track(cats, people, "identity")
    half = 2.7764 * np.sqrt(2 * 0.01 / 3)
    assert found is not None and found.value == pytest.approx(0.3) and found.tracks == 6
    assert found.interval == pytest.approx((0.3 - half, 0.3 + half), abs=1e-4)
    alone = differences_of(people, cats).by_track(cats[:1], people, "identity")
    assert alone is not None and alone.interval is None
    assert differences_of(people).by_track(people, [], "identity") is None


def test_without_people_the_page_says_how_to_compare() -> None:
    rows = [row for row in crowd(8, 0.1) if row.groups["kind"] == "cat"]
    answer = subjects_answer(system_of(rows), differences_of(rows))
    assert "folders named by kind, one of them person" in answer.summary[0]
    assert [table.title for table in answer.tables] == ["Subjects by kind"]
    assert "its difference from person" not in answer.tables[0].head
    assert answer.tables[0].rows[0][:2] == ("cat", "8")


def test_who_dances_is_read_from_the_lift_of_each_kind() -> None:
    rows = crowd(8, 0.0)
    answer = subjects_answer(system_of(rows, lifts={"cat": (-0.1, 0.2), "person": (0.1, 0.2)}), differences_of(rows))
    assert answer.summary[1] == (
        "More beats are hit than with other music: person. No lift over other music is shown: cat."
    )


def test_kind_by_genre_has_means_and_n() -> None:
    rows = [*crowd(4, 0.1, wobble=0.0), video("dog", 0, identity=0.9, beats_hit=None, motion=0.1)]
    tables = {table.title: table for table in subjects_answer(system_of(rows), differences_of(rows)).tables}
    likeness = tables["identity distance ↓ by kind and genre"]
    assert likeness.head == ("kind", "rock", "waltz")
    assert likeness.rows == (
        ("cat", "0.450, n = 2", "0.500, n = 2"),
        ("dog", "0.900, n = 1", ""),
        ("person", "0.350, n = 2", "0.400, n = 2"),
    )
    assert tables["beats hit ↑ by kind and genre"].rows[1] == ("dog", "", "")


def long_system(drift: tuple[float, float], seconds: int = 12, jump: tuple[float, float] = (1.5, 2.0)) -> System:
    times = [second + 0.5 for second in range(seconds)]
    rows = [video("person", track, identity=0.3) for track in range(8)]
    curves = {
        name: Curve(f"{name} curve", "", times, values, [], [], 8)
        for name, values in {
            "identity": [0.1 + 0.02 * time**0.5 for time in times],
            "colour": [1 + 0.5 * time for time in times],
            "change": [0.01] * seconds,
        }.items()
    }
    results = {name: Result(name, sum(drift) / 2, drift, 8) for name in ("identity_drift", "colour_drift")}
    results["seam_jump"] = Result("seam_jump", sum(jump) / 2, jump, 8)
    return System("generated", "", results, {}, curves, tuple(rows), {})


def length_of(system: System, segment: float = 1.0, truth: System | None = None) -> str:
    return " ".join(length_answer(system, truth, differences_of(list(system.videos)), segment).summary)


def test_a_long_video_that_drifts_is_told_with_the_way_it_grows() -> None:
    said = length_of(long_system((0.01, 0.03)))
    assert "goes from 0.114 in the first second to 0.168 in the last of 12: it grows" in said
    assert "(+0.0200 [0.0100, 0.0300] a second, n = 8)" in said
    assert "identity distance grows as time to the 0.5 and the colour distance grows as time to the 1.0" in said
    assert "change 1.750 [1.500, 2.000] times as much as elsewhere: more" in said


def test_nothing_is_made_of_what_is_not_shown() -> None:
    said = length_of(long_system((-0.01, 0.03), jump=(0.9, 1.2)))
    assert said.count("no growth is shown") == 2 and "grows as time" not in said
    assert "elsewhere: no difference is shown" in said
    assert "it shrinks" in length_of(long_system((-0.03, -0.01)))
    assert "elsewhere: less" in length_of(long_system((0.01, 0.03), jump=(0.5, 0.9)))


def test_few_segments_say_nothing_of_the_way_errors_add_up() -> None:
    said = length_of(long_system((0.01, 0.03)), segment=4.0)
    assert "cannot be told from 3.0 segments: --seconds 32 would do" in said and "grows as time" not in said
    assert "grows as time" in length_of(long_system((0.01, 0.03), seconds=32), segment=4.0)


def test_every_second_has_its_row_beside_the_true_videos() -> None:
    system, truth = long_system((0.01, 0.03)), long_system((0.0, 0.0), seconds=11)
    truth = System("ground truth", "", truth.results, {}, truth.curves, truth.videos, {})
    (table,) = length_answer(system, truth, differences_of(list(system.videos)), 1.0).tables
    assert [row[0] for row in table.rows] == [f"{second + 0.5} s" for second in range(12)]
    assert table.head[1:4] == ("identity curve", "colour curve", "change curve")
    assert table.head[4:] == ("identity curve, ground truth", "change curve, ground truth")
    assert table.rows[0][2] == "1.250" and table.rows[-1][4] == ""  # which are shorter
    assert "ground truth: 0.000 [0.000, 0.000]" in length_of(system, truth=truth)


def genre_systems(gains: dict[str, float]) -> tuple[System, System, Differences]:
    rows, others = [], []
    for track in range(16):
        gain, base = gains[GENRES[track % 2]], 0.3 + 0.04 * track
        rows.append(video("person", track, beats_hit=base + gain + 0.001 * (track % 3)))
        others.append(video("person", track, beats_hit=base))
    return system_of(rows, "with"), system_of(others, "without"), differences_of(rows)


def test_beat_modules_are_judged_genre_by_genre_over_the_same_videos() -> None:
    answer = genres_answer(*genre_systems({"rock": 0.05, "waltz": 0.0}), caveat="")
    assert answer.summary[0].startswith("More beats are hit with the beat modules: rock (+0.05")
    (table,) = answer.tables
    assert [row[:2] for row in table.rows] == [("rock", "8"), ("waltz", "8"), ("all genres", "16")]
    assert table.rows[0][table.head.index("beats hit, difference")].startswith("+0.0510 [")
    assert "people" in answer.summary[-1] and not any("HFD" in head for head in table.head)
    worse = genres_answer(*genre_systems({"rock": -0.05, "waltz": -0.05}), caveat="knocked out").summary
    assert worse[0].startswith("Fewer beats are hit with them: rock") and "knocked out" in worse


def test_a_difference_needs_both_scores_of_a_video() -> None:
    one = [video("person", track, beats_hit=None if track == 3 else 0.5) for track in range(8)]
    other = [video("person", track, beats_hit=0.4) for track in range(1, 9)]
    found = differences_of(one, other).by_video(one, other, "beats_hit")
    assert found is not None and (found.n, found.tracks) == (6, 6) and found.value == pytest.approx(0.1)
    assert differences_of(one).by_video(one[3:4], one[3:4], "beats_hit") is None


def test_distances_of_a_genre_stand_only_where_there_are_enough_videos() -> None:
    whole, without, differences = genre_systems({"rock": 0.0, "waltz": 0.0})
    for system in (whole, without):
        for results, n in (
            (system.results, 40),
            (system.groups["genre"]["rock"], 27),
            (system.groups["genre"]["waltz"], 26),
        ):
            results["hfd"] = Result("hfd", 2.5, None, n)  # type: ignore[index]
    (table,) = (answer := genres_answer(whole, without, differences, "")).tables
    assert [row[-1] for row in table.rows] == ["2.500, n = 27", "too few (n = 26)", "2.500, n = 40"]
    assert "HFD to the true videos: 2.500 with, 2.500 without (n = 40)." in answer.summary
