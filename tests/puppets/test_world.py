"""Datasets of drawn dancers: valid, reproducible, in time with their music, and described by what they show."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from musedance.conditions.densepose import read_densepose_labels
from musedance.datasets.clip import Clip
from musedance.datasets.folder import DatasetFolder
from musedance.datasets.validate import validate
from musedance.errors import InputError
from musedance.media.audio import Audio, read_audio
from musedance.media.video import VideoReader, probe
from musedance.puppets.genres import GENRES
from musedance.puppets.moves import MOVES
from musedance.puppets.performance import CLIPS_PER_SOURCE, Performance, World, perform
from musedance.puppets.pose import AT_EASE
from musedance.puppets.scene import JOINTS, KINDS
from musedance.puppets.world import split_of, write_puppets

WORLD = World(seed=5, width=96, height=128, num_frames=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """Three sources, one of each split; the last has only two clips."""
    return DatasetFolder(write_puppets(tmp_path_factory.mktemp("world") / "puppets", WORLD, clips=10, workers=1))


def truth(folder: DatasetFolder, clip: Clip) -> dict[str, Any]:
    """The ground truth of a clip: its tensors and what the header says."""
    with safe_open(folder.locate(clip, "truth"), "np") as file:
        facts = json.loads(file.metadata()["truth"])
        return {"joints": file.get_tensor("joints"), "visible": file.get_tensor("visible"), "facts": facts}


def read_frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.stack(list(reader.stream(float(reader.info.fps))))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def source_of(clip: Clip) -> Performance:
    return perform(WORLD, int(clip.source.split("-")[1]))


def test_every_row_describes_its_files(folder: DatasetFolder) -> None:
    assert len(folder.clips) == 10 and len({clip.id for clip in folder.clips}) == 10
    for clip in folder.clips:
        info = probe(folder.locate(clip))
        assert (info.width, info.height) == (clip.width, clip.height) == (96, 128)
        assert float(info.fps) == clip.fps == 12 and info.has_audio
        assert read_frames(folder.locate(clip)).shape == (clip.num_frames, 128, 96, 3)
        sound = read_audio(folder.locate(clip))
        assert sound.sampling_rate == 16000 and sound.samples.shape[0] == 1
        assert abs(sound.duration - clip.duration) < 1 / clip.fps
        assert clip.source_start == clip.track_start and clip.caption
        assert clip.timeline[0].start == 0 and clip.timeline[-1].end == pytest.approx(clip.duration, abs=1e-3)
        assert clip.beats[0] < clip.track_start + clip.duration < clip.beats[-1] + 1


def test_part_maps_are_drawn_frame_by_frame(folder: DatasetFolder) -> None:
    """Decoded, they are the labels that were drawn, to the bit; the video shows the same frames."""
    for clip in folder.clips[1::5]:
        performance = source_of(clip)
        times = (performance.starts[int(clip.id[-1])] + np.arange(clip.num_frames)) / clip.fps
        drawn = [performance.scene.draw(performance.choreography.pose(float(time))) for time in times]
        labels = read_densepose_labels(read_frames(folder.locate(clip, "densepose")))
        np.testing.assert_array_equal(labels, np.stack([frame.parts for frame in drawn]))
        pictures = np.stack([frame.picture for frame in drawn]).astype(float)
        errors = np.abs(read_frames(folder.locate(clip)) - pictures).mean(axis=(1, 2, 3))
        assert errors.max() < 6


def test_ground_truth_agrees_with_the_part_maps(folder: DatasetFolder) -> None:
    for clip in folder.clips[::4]:
        known = truth(folder, clip)
        joints, visible = known["joints"], known["visible"]
        assert joints.shape == (clip.num_frames, len(JOINTS), 2) and joints.dtype == np.float32
        assert visible.shape == (clip.num_frames, len(JOINTS)) and visible.dtype == bool
        assert known["facts"]["joints"] == list(JOINTS) and known["facts"]["kind"] in KINDS
        assert visible.mean() > 0.3
        labels = read_densepose_labels(read_frames(folder.locate(clip, "densepose")))
        frame, joint = np.nonzero(visible)
        columns, rows = np.floor(joints[frame, joint]).astype(int).T
        assert (labels[frame, rows, columns] > 0).all()


def test_captions_name_the_moves(folder: DatasetFolder) -> None:
    for clip in folder.clips:
        moves = truth(folder, clip)["facts"]["moves"]
        assert moves[0]["start"] == 0 and moves[-1]["end"] == pytest.approx(clip.duration, abs=1e-3)
        assert len(clip.timeline) == len(moves)
        for span, move in zip(clip.timeline, moves, strict=True):
            assert (span.start, span.end) == pytest.approx((move["start"], move["end"]), abs=1e-3)
            assert span.text in MOVES[move["move"]].phrases
            if span.end - span.start > 0.5:
                assert span.text in clip.caption


def test_times_in_the_truth_are_those_of_the_row(folder: DatasetFolder) -> None:
    for clip in folder.clips:
        facts = truth(folder, clip)["facts"]
        expected = [b - clip.track_start for b in clip.beats if 0 <= b - clip.track_start < clip.duration]
        np.testing.assert_allclose(facts["beats"], expected, atol=2e-4)
        np.testing.assert_allclose(np.diff(clip.beats), 60 / facts["bpm"], atol=2e-4)
        assert len(facts["energy"]) == len(facts["beats"]) and set(facts["downbeats"]) <= set(facts["beats"])


def test_sound_is_in_sync(folder: DatasetFolder) -> None:
    """The sound of the file against the track, composed anew: equal, and nowhere better than without a shift."""
    for clip in folder.clips[::3]:
        track = source_of(clip).track
        whole = Audio(Audio(track.samples[None], track.sampling_rate).mono(16000)[None], 16000)
        expected = whole.cut(clip.track_start, clip.track_start + clip.duration).samples[0]
        heard = read_audio(folder.locate(clip)).samples[0][: len(expected)]
        count = 1 << 17
        spectra = np.fft.rfft(heard, count) * np.conj(np.fft.rfft(expected[: len(heard)], count))
        shift = int(np.argmax(np.fft.irfft(spectra)))
        assert min(shift, count - shift) <= 16  # 1 ms
        assert np.corrcoef(heard, expected[: len(heard)])[0, 1] > 0.95


def test_splits_share_no_source_and_no_track(folder: DatasetFolder) -> None:
    assert [len(folder.split(name)) for name in ("train", "validation", "test")] == [4, 4, 2]
    for key in ("source", "track"):
        owners = [{getattr(clip, key) for clip in folder.split(name)} for name in ("train", "validation", "test")]
        assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    counts = [[split_of(index) for index in range(1000)].count(name) for name in ("train", "validation", "test")]
    assert counts == [900, 50, 50]


def test_a_portrait_shows_the_dancer_at_ease_and_leaves_the_clips_as_they_are(
    folder: DatasetFolder, tmp_path: Path
) -> None:
    other = DatasetFolder(write_puppets(tmp_path / "portraits", replace(WORLD, portraits=True), clips=10, workers=1))
    made, plain = files_of(other.path), files_of(folder.path)
    assert all(made[name] == content for name, content in plain.items() if name.endswith((".mp4", ".safetensors")))
    for name in ("train", "validation", "test"):
        assert [clip.id for clip in other.dances(name)] == [clip.id for clip in folder.split(name)]
        (portrait,) = other.portraits(name).values()
        assert portrait.source == other.dances(name)[0].source and portrait.caption == "stands still"
        scene = source_of(portrait).scene
        for part in ("video", "densepose"):
            first, second = read_frames(other.locate(portrait, part))
            assert np.abs(first.astype(int) - second).mean() < 1
        assert np.abs(read_frames(other.locate(portrait))[0] - scene.draw(AT_EASE).picture.astype(float)).mean() < 6
    assert validate(other, workers=1).problems == []


def test_clips_of_a_source_lie_apart(folder: DatasetFolder) -> None:
    for clips in (folder.split("train"), folder.split("validation")):
        assert len(clips) == CLIPS_PER_SOURCE
        for clip, following in itertools.pairwise(clips):
            assert clip.source == following.source and clip.beats == following.beats
            assert following.track_start >= clip.track_start + clip.duration
            assert (
                abs(clip.track_start * clip.fps - round(clip.track_start * clip.fps)) < 1e-3
            )  # on the source's frames


def test_the_same_files_with_any_number_of_workers_and_clips(folder: DatasetFolder, tmp_path: Path) -> None:
    """7 clips are the first 7 of 10, byte for byte, made by other processes."""
    fewer = files_of(write_puppets(tmp_path / "fewer", WORLD, clips=7, workers=2))
    more = files_of(folder.path)
    clips = {name for name in fewer if name.endswith((".mp4", ".safetensors"))}
    assert len(clips) == 21
    assert all(fewer[name] == more[name] for name in clips)
    assert fewer["train/metadata.jsonl"] == more["train/metadata.jsonl"]
    assert more["validation/metadata.jsonl"].startswith(fewer["validation/metadata.jsonl"])


def test_other_seeds_give_other_clips() -> None:
    first, other = perform(WORLD, 0), perform(replace(WORLD, seed=6), 0)
    assert not np.array_equal(first.track.samples, other.track.samples)
    assert not np.array_equal(first.scene.background, other.scene.background)
    assert first.starts != other.starts


def test_sizes_and_rates_leave_the_rest_alone() -> None:
    small, large = perform(World(seed=1), 0), perform(World(seed=1, width=256, height=256), 0)
    np.testing.assert_array_equal(small.track.samples, large.track.samples)
    assert small.choreography.spans == large.choreography.spans
    assert small.scene.character.kind == large.scene.character.kind


def test_kinds_are_kept_to() -> None:
    kinds = {perform(World(seed=1, kinds=("cat", "robot")), index).scene.character.kind for index in range(12)}
    assert kinds == {"cat", "robot"}


def test_a_world_in_which_nothing_is_chosen_stays_what_it_was() -> None:
    """What two seeds gave before backgrounds, moves, genres and tempi could be chosen."""
    first = perform(World(seed=5), 0)
    assert first.starts == (2, 91, 184, 267) and first.scene.character.kind == "person"
    assert (first.track.genre, first.track.bpm, len(first.track.beats)) == ("ballad", 77.3, 37)
    assert [span.move for span in first.choreography.spans[:4]] == ["clap", "twist", "clap", "arm_swing"]
    second = perform(World(seed=6, moves_per_clip=1, kinds=("cat", "robot")), 1)
    assert second.starts == (11, 87, 177, 270) and second.scene.character.kind == "cat"
    assert (second.track.genre, second.track.bpm) == ("waltz", 127.4)
    assert [span.move for span in second.choreography.spans[:4]] == [
        "kick_right",
        "point_left",
        "jumping_jack",
        "bounce",
    ]


@pytest.mark.parametrize(("moves_per_clip", "chosen"), [(1, ("jump", "bow", "spin")), (3, ("clap", "march"))])
def test_only_the_chosen_moves_are_danced(moves_per_clip: int, chosen: tuple[str, ...]) -> None:
    """And all of them; nobody rests but in breaks of the music."""
    world, danced = World(seed=2, moves_per_clip=moves_per_clip, moves=chosen), set()
    for index in range(6):
        performance = perform(world, index)
        for span in performance.choreography.spans:
            if span.move == "freeze":
                assert any(start - 1e-6 <= span.start < end for start, end in performance.track.breaks)
            else:
                danced.add(span.move)
    assert danced == set(chosen)


def test_genres_are_kept_to() -> None:
    assert {perform(World(seed=1, genres=("waltz", "house")), k).track.genre for k in range(12)} == {"waltz", "house"}


def test_tempi_lie_where_they_are_to_in_every_genre() -> None:
    """Faster than ballads are otherwise; over the whole range, to a tenth."""
    low, high = 110, 150
    assert GENRES["ballad"].bpm[1] < low
    tempi = [perform(World(seed=1, genres=("ballad",), bpm=(low, high)), index).track for index in range(12)]
    assert all(low <= track.bpm <= high and round(track.bpm, 1) == track.bpm for track in tempi)
    assert all(np.allclose(np.diff(track.beats), 60 / track.bpm) for track in tempi)
    assert np.ptp([track.bpm for track in tempi]) > 20
    assert {perform(World(seed=1, bpm=(120, 120)), index).track.bpm for index in range(4)} == {120.0}


def test_backgrounds_are_kept_to_and_leave_dancer_music_and_dance_as_they_were() -> None:
    """The backdrop is photographers' paper: smooth everywhere, as wallpaper never is."""
    paper, wall = World(seed=1, backgrounds=("backdrop",)), World(seed=1, backgrounds=("wallpaper",))
    for index in range(6):
        one, other = perform(paper, index), perform(wall, index)
        edges = [np.abs(np.diff(p.scene.background.astype(int), axis=1)).max() for p in (one, other)]
        assert edges[0] <= 4 < edges[1]
        assert one.choreography.spans == other.choreography.spans and one.starts == other.starts
        np.testing.assert_array_equal(one.track.samples, other.track.samples)
        assert one.scene.character.kind == other.scene.character.kind
        assert (one.scene.scale, one.scene.feet) == (other.scene.scale, other.scene.feet)


def test_each_choice_leaves_the_others_alone() -> None:
    """Tempo, genre and moves change neither the scene nor when clips begin; moves do not change the track."""
    plain, chosen = World(seed=9), World(seed=9, genres=("latin",), bpm=(100, 101), moves=("jump", "bow"))
    for index in range(3):
        one, other = perform(plain, index), perform(chosen, index)
        assert one.starts == other.starts
        np.testing.assert_array_equal(one.scene.background, other.scene.background)
        moved = perform(replace(plain, moves=("jump", "bow")), index)
        np.testing.assert_array_equal(one.track.samples, moved.track.samples)


def test_all_clips_in_one_split(tmp_path: Path) -> None:
    """The same clips as in the usual three, byte for byte; no other split has a folder."""
    small = World(seed=5, width=64, height=64, num_frames=4)
    usual = files_of(write_puppets(tmp_path / "usual", small, clips=10, workers=1))
    folder = write_puppets(tmp_path / "test", small, clips=10, split="test", workers=1)
    assert [len(DatasetFolder(folder).split(name)) for name in ("train", "validation", "test")] == [0, 0, 10]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["test"]
    clips = {Path(name).name: content for name, content in usual.items() if "/clips/" in name}
    assert len(clips) == 10 and files_of(folder / "test" / "clips") == clips


def stops(performance: Performance, start: float) -> np.ndarray:
    """The kinematic beats of a clip: seconds from its first frame where the joints, on the whole, are slowest."""
    world = performance.world
    times = start + np.arange(world.num_frames) / world.fps
    joints = np.stack([performance.scene.draw(performance.choreography.pose(float(time))).joints for time in times])
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=2).mean(axis=1)
    slowest = np.flatnonzero((speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:])) + 1
    return (slowest + 0.5) / world.fps


def hits(beats: np.ndarray, stops: np.ndarray, clip_seconds: float) -> Iterator[bool]:
    """For each beat that is well within the clip, whether the dancer stops within 100 ms of it."""
    for beat in beats[(beats > 0.25) & (beats < clip_seconds - 0.25)]:
        yield bool(len(stops) and np.abs(stops - beat).min() < 0.1)


def test_the_dancers_stop_on_the_beats() -> None:
    """Against the same beats half a beat later, in each of 8 sources."""
    world = World(seed=8, width=64, height=64)
    for index in range(8):
        performance = perform(world, index)
        on: list[bool] = []
        off: list[bool] = []
        for first in performance.starts:
            start = first / world.fps
            beats = performance.track.beats[performance.track.energy > 0] - start
            found = stops(performance, start)
            on += hits(beats, found, world.clip_seconds)
            off += hits(beats + 30 / performance.track.bpm, found, world.clip_seconds)
        genre = performance.track.genre
        assert np.mean(on) > 0.6, f"source {index}, {genre}: {np.mean(on):.2f} of n = {len(on)}"
        assert np.mean(on) - np.mean(off) > 0.3, f"source {index}, {genre}: {np.mean(off):.2f} of n = {len(off)}"


def test_one_move_a_clip() -> None:
    """Whole, blends included; and another in the next clip, which may give a reference picture."""
    world, moves = World(seed=4, moves_per_clip=1), []
    for index in range(12):
        performance = perform(world, index)
        for first in performance.starts:
            start, blend = first / world.fps, 0.5 * 60 / performance.track.bpm
            danced = [span for span in performance.choreography.spans if span.move != "freeze"]
            (move,) = {s.move for s in danced if s.start < start + world.clip_seconds and s.end + blend > start}
            moves.append(move)
    pairs = np.array(moves).reshape(12, -1)
    assert (pairs[:, 1:] != pairs[:, :-1]).all()


def test_the_dancers_freeze_in_breaks() -> None:
    still, moving = [], []
    for index in range(12):
        performance = perform(WORLD, index)
        for start, end in performance.track.breaks:
            for times, speeds in (((start + 0.1, end - 0.1), still), ((start - 1.0, start - 0.1), moving)):
                points = [
                    performance.scene.draw(performance.choreography.pose(float(time))).joints
                    for time in np.arange(*times, 1 / 12)
                ]
                speeds.append(np.linalg.norm(np.diff(points, axis=0), axis=2).mean())
    assert len(still) > 4
    assert max(still) < 0.1 * np.mean(moving)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"width": 100}, "size 100x128 .* multiples of 8 from 64 to 1024"),
        ({"height": 56}, "multiples of 8"),
        ({"height": 1032}, "multiples of 8"),
        ({"fps": 0}, "fps has to lie between 4 and 60, not 0"),
        ({"fps": float("nan")}, "fps has to lie"),
        ({"num_frames": 1}, "2 to 600 frames"),
        ({"num_frames": 600, "fps": 8}, "at most 60 s"),
        ({"moves_per_clip": 0}, "1 to 8 moves, not 0"),
        ({"kinds": ("cat", "dragon")}, "no dancer of kind 'dragon'; possible: person, cat"),
        ({"kinds": ()}, "no dancer"),
        ({"seed": -1}, "seed has to lie"),
        ({"backgrounds": ("room", "beach")}, "no background 'beach'; possible: gradient, backdrop"),
        ({"backgrounds": ()}, "no background"),
        ({"moves": ("jump", "moonwalk", "fly")}, "no move 'fly, moonwalk'; possible: wave_right, wave_left"),
        ({"moves": ()}, "no move"),
        ({"genres": ("waltz", "polka")}, "no genre 'polka'; possible: house, rock"),
        ({"genres": ()}, "no genre"),
        ({"bpm": (60, 100)}, r"between 70 and 160 BPM, not \(60, 100\)"),
        ({"bpm": (100, 161)}, "between 70 and 160 BPM"),
        ({"bpm": (140, 80)}, "between 70 and 160 BPM"),
        ({"bpm": (float("nan"), 100)}, "between 70 and 160 BPM"),
    ],
)
def test_worlds_that_cannot_be_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        World(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"clips": 0}, "clips"),
        ({"clips": 4, "workers": 0}, "1 worker"),
        ({"clips": 4, "split": "exam"}, "split has to be one of train, validation, test, not 'exam'"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        write_puppets(tmp_path / "puppets", WORLD, **given)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    before = files_of(tmp_path)
    for name in ("file", "folder"):
        with pytest.raises(InputError, match="exists already"):
            write_puppets(tmp_path / name, WORLD, clips=1)
    assert files_of(tmp_path) == before


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second source cannot be made: neither the folder nor what was written before remains."""

    def broken(world: World, index: int) -> Performance:
        if index == 1:
            raise RuntimeError("no second source")
        return perform(world, index)

    monkeypatch.setattr("musedance.puppets.world.perform", broken)
    with pytest.raises(RuntimeError, match="no second source"):
        write_puppets(tmp_path / "puppets", WORLD, clips=5, workers=1)
    assert not list(tmp_path.iterdir())
