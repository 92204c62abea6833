"""Choreographies: on the beats of their track, still in its breaks, and what is said is what is danced."""

import itertools

import numpy as np
import pytest

from musedance.puppets.choreography import Choreography
from musedance.puppets.moves import MOVES
from musedance.puppets.scene import JOINTS, KINDS
from musedance.puppets.skeleton import Build, place
from musedance.puppets.styles import STYLES
from musedance.puppets.track import Track

APPEARANCE = set(KINDS) | {"red", "blue", "green", "shirt", "dress", "hair", "man", "woman", "wearing", "dancer"}


def track(
    bpm: float = 120.0, *, genre: str = "house", bars: int = 8, per_bar: int = 4, start: float = 0.3, pickup: int = 0,
    breaks: tuple[tuple[float, float], ...] = (),
) -> Track:  # fmt: skip
    beats = start + 60.0 / bpm * np.arange(bars * per_bar)
    duration = beats[-1] + 60.0 / bpm
    return Track(
        np.zeros(round(duration * 16000), np.float32), 16000, genre, bpm, beats, beats[pickup::per_bar], breaks,
        np.linspace(0, 1, len(beats)),
    )  # fmt: skip


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def joints(dance: Choreography, times: np.ndarray) -> np.ndarray:
    bodies = [place(dance.pose(float(time)), Build()) for time in times]
    return np.array([[body.points[joint][:2] for joint in JOINTS] for body in bodies])


def speed(dance: Choreography, times: np.ndarray) -> np.ndarray:
    """Mean speed of the joints between neighbouring times, heights a second."""
    return np.linalg.norm(np.diff(joints(dance, times), axis=0), axis=-1).mean(axis=-1) / np.diff(times)


@pytest.mark.parametrize("bpm", [70, 83.5, 100, 128, 141, 160])
@pytest.mark.parametrize("moves_per_clip", [1, 2])
def test_the_joints_stop_on_the_beats(bpm: float, moves_per_clip: int) -> None:
    for seed, genre in enumerate(STYLES):
        music = track(bpm, genre=genre, start=0.37)
        dance = Choreography.compose(music, rng(seed), moves_per_clip=moves_per_clip)
        beat, inner = 60 / bpm, music.beats[1:-1]
        at_beats = np.concatenate([speed(dance, np.array([t - 0.01 * beat, t + 0.01 * beat])) for t in inner])
        between = speed(dance, np.arange(music.beats[0], music.beats[-1], beat / 16))
        assert np.percentile(at_beats, 90) < 0.1 * np.percentile(between, 75)


@pytest.mark.parametrize("bpm", [70, 100, 120, 160])
def test_kinematic_beats_at_the_models_frame_rate_fall_on_the_musics(bpm: float) -> None:
    """At 12 frames a second, minima of the speed lie within a frame of a beat; half a beat later they would not."""
    hits: list[bool] = []
    null: list[bool] = []
    for seed, genre in enumerate(STYLES):
        music = track(bpm, genre=genre, bars=6, start=0.21)
        dance = Choreography.compose(music, rng(seed), moves_per_clip=1)
        times = np.arange(0, music.beats[-1], 1 / 12)
        v = speed(dance, times)
        v = np.convolve(v, [0.25, 0.5, 0.25], "same") if bpm < 110 else v
        slow = [i for i in range(2, len(v) - 2) if v[i] < v[i - 1] and v[i] <= v[i + 1] and v[i] < 0.6 * v.max()]
        found = times[slow] + 1 / 24
        found = found[found > music.beats[0]]
        offset = np.abs(found[:, None] - music.beats[None]).min(axis=1)
        hits += list(offset < 1 / 12)
        null += list(np.abs(found[:, None] - music.beats[None] - 30 / bpm).min(axis=1) < 1 / 12)
    assert len(hits) > 60
    assert np.mean(hits) > 0.9 and np.mean(null) < 0.45 * np.mean(hits)


def test_a_choreography_is_a_function_of_track_and_generator() -> None:
    one, again, other = (Choreography.compose(track(), rng(seed), moves_per_clip=2) for seed in (5, 5, 6))
    times = np.linspace(0, 16, 50)
    assert one.spans == again.spans and one.spans != other.spans
    np.testing.assert_array_equal(joints(one, times), joints(again, times))


@pytest.mark.parametrize("moves_per_clip", [1, 2, 4, 8])
@pytest.mark.parametrize("per_bar", [3, 4])
def test_spans_cover_the_track_and_change_on_its_beats(moves_per_clip: int, per_bar: int) -> None:
    for seed in range(5):
        music = track(112, per_bar=per_bar, bars=12, pickup=seed % per_bar)
        dance = Choreography.compose(music, rng(seed), moves_per_clip=moves_per_clip)
        starts, ends = np.array([s.start for s in dance.spans]), np.array([s.end for s in dance.spans])
        np.testing.assert_array_equal(starts[1:], ends[:-1])
        assert starts[0] == 0.0 and ends[-1] == pytest.approx(len(music.samples) / 16000)
        assert all(start in music.beats for start in starts[1:])
        if moves_per_clip <= 2:
            assert all(start in music.downbeats for start in starts[1:])
        assert all(a.move != b.move for a, b in itertools.pairwise(dance.spans))
        assert all(span.text in MOVES[span.move].phrases for span in dance.spans)
        clip = 50 / 12
        if moves_per_clip == 1:
            assert len(dance.spans) == 1
        else:
            assert len(dance.spans) >= moves_per_clip * ends[-1] / clip * 0.4


@pytest.mark.parametrize("pickup", [0, 1, 2, 3])
def test_with_one_move_a_clip_all_moves_begin_on_the_bars_strong_beats(pickup: int) -> None:
    music = track(112, pickup=pickup, bars=12)
    for changes in ([5.0, 11.3, 17.1], [4.4, 10.0, 16.6, 23.0]):
        dance = Choreography.compose(music, rng(0), moves_per_clip=1, changes=changes)
        starts = [span.start for span in dance.spans[1:]]
        np.testing.assert_allclose(starts, changes, atol=1.01 * 60 / 112)  # the nearest: at most a beat away
        place = np.searchsorted(music.beats, starts) - np.searchsorted(music.beats, music.downbeats[0])
        assert set(place % 4) <= {0, 2}


def test_one_move_has_its_accent_on_the_downbeat() -> None:
    music = track(100, pickup=3, bars=6)
    dance = Choreography.compose(music, rng(0), moves_per_clip=1, moves=["jump"])
    ankle = JOINTS.index("left_ankle")
    on, off = (joints(dance, music.beats[[k, k + 2]])[:, ankle, 1].mean() for k in (3, 4))
    assert on < off - 0.1  # crouching on the downbeat, in the air on the next beat


def test_the_dancer_freezes_in_breaks_and_goes_on_after_them() -> None:
    for seed, moves_per_clip in enumerate((1, 2, 3)):
        free = track(120)
        pause = (float(free.beats[9]), float(free.beats[13]))
        music = track(120, breaks=(pause,))
        dance = Choreography.compose(music, rng(seed), moves_per_clip=moves_per_clip)
        within = joints(dance, np.linspace(*pause, 30, endpoint=False))
        assert np.abs(within - within[0]).max() < 1e-12
        before, after = (speed(dance, np.linspace(t, t + 1.0, 30)).max() for t in (pause[0] - 1.0, pause[1]))
        assert before > 0.2 and after > 0.2
        assert speed(dance, np.linspace(pause[0] - 0.03, pause[0] + 0.03, 9)).max() < 0.3 * before  # no jerk
        assert [(s.start, s.end) for s in dance.spans if s.move == "freeze" and s.start in pause] == [pause]
        assert dance.caption(pause[0] - 1, pause[1] + 1).count(" then ") >= 2


def test_a_break_at_the_start_or_the_end_is_still() -> None:
    free = track(120)
    ends = ((0.0, float(free.beats[4])), (float(free.beats[24]), len(free.samples) / 16000))
    dance = Choreography.compose(track(120, breaks=ends), rng(1), moves_per_clip=1)
    assert [span.move == "freeze" for span in dance.spans] == [True, False, True]
    for start, end in ends:
        within = joints(dance, np.linspace(start, end - 0.01, 30))
        assert np.abs(within - within[0]).max() < 1e-12


def test_poses_never_jump() -> None:
    """Also where one move follows another: a quarter of the time is at most half of the way."""
    for seed, genre in enumerate(("house", "chiptune", "ballad")):
        dance = Choreography.compose(track(120, genre=genre), rng(seed), moves_per_clip=4)
        far, near = (np.abs(np.diff(joints(dance, np.arange(0, 4.5, t)), axis=0)).max() for t in (0.008, 0.002))
        assert near < 0.5 * far


def test_captions_name_the_moves_and_nothing_else() -> None:
    for seed in range(10):
        dance = Choreography.compose(track(bars=12), rng(seed), moves_per_clip=3)
        for start in np.arange(0, 18, 1.7):
            end = start + 50 / 12
            shown = [s for s in dance.spans if min(s.end, end) - max(s.start, start) >= 0.3]
            caption = dance.caption(start, end)
            assert caption == ", then ".join(span.text for span in shown)
            assert not set(caption.replace(",", "").split()) & APPEARANCE
            timeline = dance.timeline(start, end)
            assert timeline[0]["start"] == 0.0 and timeline[-1]["end"] == pytest.approx(50 / 12)
            assert all(a["end"] == b["start"] for a, b in itertools.pairwise(timeline))
            texts = [entry["text"] for entry in timeline]
            assert texts == [s.text for s in dance.spans if min(s.end, end) - max(s.start, start) > 1e-6]


def test_no_phrase_stands_for_two_moves() -> None:
    phrases = [phrase for move in MOVES.values() for phrase in move.phrases]
    assert len(phrases) == len(set(phrases)) and all(len(move.phrases) >= 3 for move in MOVES.values())


def test_what_is_said_is_danced() -> None:
    """Each span's move, alone, gives the poses of the span once the blend is over."""
    music = track(120, genre="rock")
    dance = Choreography.compose(music, rng(3), moves_per_clip=3)
    for span in (s for s in dance.spans if s.move != "freeze"):
        times = np.linspace(max(span.start + 0.26, 0.3), min(span.end, 16.2) - 0.01, 20)
        phases = (times - span.start) / 0.5
        if span is dance.spans[0]:
            phases = (times - music.beats[0]) / 0.5
        energy = np.interp((times - 0.3) / 0.5, np.arange(len(music.energy)), music.energy)
        alone = [STYLES["rock"].pose(MOVES[span.move], p, 0.8 + 0.3 * e) for p, e in zip(phases, energy, strict=True)]
        expected = np.array([[place(p, Build()).points[j][:2] for j in JOINTS] for p in alone])
        np.testing.assert_allclose(joints(dance, times), expected, atol=1e-6)


def test_moves_can_be_chosen() -> None:
    dance = Choreography.compose(track(), rng(0), moves_per_clip=4, moves=["clap", "bow"])
    assert {span.move for span in dance.spans} == {"clap", "bow"}
    only = Choreography.compose(track(), rng(0), moves_per_clip=2, moves=["clap"])
    assert {span.move for span in only.spans} == {"clap"}


def test_all_moves_are_chosen() -> None:
    seen = {s.move for seed in range(60) for s in Choreography.compose(track(), rng(seed), moves_per_clip=2).spans}
    assert seen == set(MOVES)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"moves_per_clip": 0}, "needs"), ({"moves": []}, "needs"), ({"moves": ["moonwalk"]}, "there is no move")],
)
def test_nonsense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Choreography.compose(track(), rng(0), **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no way to dance"):
        Choreography.compose(track(genre="polka"), rng(0))
    dance = Choreography.compose(track(), rng(0))
    for window in ((-1.0, 2.0), (15.0, 30.0), (3.0, 3.0)):
        with pytest.raises(ValueError, match="within the track"):
            dance.caption(*window)
