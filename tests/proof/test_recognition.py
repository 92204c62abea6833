"""What is shown to the recogniser, and what its answers come to."""

from pathlib import Path

import numpy as np
import pytest
import torch

from musedance.datasets.shards import open_dataset
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos
from musedance.media.video import VideoReader
from musedance.proof.recogniser import small
from musedance.proof.recognition import Judge, Windows, judge_finding, read_windows, recognition_finding
from musedance.proof.takes import Take
from musedance.puppets.moves import MOVES

from .test_recogniser import squares


def move_of(text: str) -> str:
    """The move that a phrase of a timeline stands for."""
    (name,) = [name for name, move in MOVES.items() if text in move.phrases]
    return name


@pytest.mark.parametrize(("num_frames", "stride"), [(12, 5), (20, 13)])
def test_windows_show_one_move_and_nobody_rests(puppet_data: Path, num_frames: int, stride: int) -> None:
    """Clips of several moves: those windows are left out in which it changes, or in which somebody freezes."""
    dataset = open_dataset(puppet_data)
    clips = dataset.clips
    found = read_windows(dataset, clips, num_frames, stride)
    videos = DatasetVideos(dataset, clips)
    expected, left_out = [], set()
    for clip in clips:
        with dataset.open(clip) as file, VideoReader(file) as video:
            frames = small(np.stack(list(video.stream(video.info.fps))))
        for first in range(0, clip.num_frames - num_frames + 1, stride):
            start, end = first / clip.fps, (first + num_frames) / clip.fps
            moves = {move_of(s.text) for s in clip.timeline if s.start < end - 1e-6 and s.end > start + 1e-6}
            if len(moves) == 1 and "freeze" not in moves:
                expected.append((frames[first : first + num_frames], *moves, videos.facts(clip.id).groups["genre"]))
            else:
                left_out.add("freeze" if "freeze" in moves else "change")
    assert left_out >= {"change"} and len(expected) == len(found.moves)
    assert found.frames.shape == (len(expected), num_frames, 3, 32, 32)
    for (frames, move, genre), shown, known, played in zip(
        expected, found.frames, found.moves, found.genres, strict=True
    ):
        assert (move, genre) == (known, played) and torch.equal(frames, shown)
    assert set(found.sources) <= {clip.source for clip in clips} and len(found.sources) == len(expected)


def test_rests_are_left_out(puppet_data: Path) -> None:
    """There are such windows, and they would be of one move."""
    dataset = open_dataset(puppet_data)
    resting = [clip for clip in dataset.clips if any(move_of(span.text) == "freeze" for span in clip.timeline)]
    assert resting
    assert "freeze" not in read_windows(dataset, dataset.clips, 4, 1).moves


def test_clips_in_which_moves_change_all_the_time_are_refused(puppet_data: Path) -> None:
    dataset = open_dataset(puppet_data)
    changing = [clip for clip in dataset.clips if len(clip.timeline) > 1]
    with pytest.raises(InputError, match="show one move: make puppets with one move a clip"):
        read_windows(dataset, changing, changing[0].num_frames)


def windows(count: int, seed: int) -> Windows:
    """Squares that swing, called by names."""
    frames, labels = squares(count, seed)
    moves = [("bob", "sway")[int(label)] for label in labels]
    return Windows(frames, moves, ["waltz"] * count, [f"s{k}" for k in range(count)])


def test_a_judge_knows_names_and_how_often_it_is_right() -> None:
    """Of clips that it has not seen; what it tells of these very videos comes to the same."""
    shown, unseen = windows(16, 0), windows(40, 1)
    judge = Judge.trained(shown, unseen, shown.moves, unseen.moves, steps=3)
    assert judge.names == ("bob", "sway") and judge.sources == unseen.sources
    videos = {f"v{k}": frames.permute(0, 2, 3, 1).numpy() for k, frames in enumerate(unseen.frames)}
    told = judge.told(videos)
    assert list(told) == list(videos) and set(told.values()) <= {"bob", "sway"}
    right = [told[f"v{k}"] == move for k, move in enumerate(unseen.moves)]
    assert judge.right.tolist() == right
    assert judge.told(dict(reversed(videos.items()))) == told
    unknown = Judge.trained(shown, unseen, shown.moves, ["spin"] * 40, steps=1)
    assert not unknown.right.any()  # what it has never heard of it cannot tell


def test_the_judges_own_accuracy_is_a_finding() -> None:
    own = judge_finding("text", judge(0.93), 0.8)
    assert own.value == pytest.approx(0.93) and own.n == 100 and own.chance == 0.25 and own.holds
    assert not judge_finding("text", judge(0.93), 0.9).holds  # the interval's lower end is not over it
    assert judge_finding("music", judge(0.93), None).holds is None


def judge(accuracy: float = 0.95) -> Judge:
    right = np.arange(100) < 100 * accuracy
    return Judge(None, ("a", "b", "c", "d"), right, [f"s{k}" for k in range(100)])  # type: ignore[arg-type]


def takes(pictures: bool = True) -> list[Take]:
    """Four moves of ten pictures; or each of its own picture."""
    return [
        Take(f"{move}{k}", f"p{k}" if pictures else f"p{k}{move}", "m", "m", "", f"p{k}", asked=move)
        for k in range(10)
        for move in "abcd"
    ]


def test_what_is_recognised_is_compared_with_guessing() -> None:
    """Ten pictures, four moves: all right but one in ten."""
    told = {take.id: take.asked for take in takes()} | {f"a{k}": "b" for k in range(4)}
    found = recognition_finding("text", judge(), takes(), told, times_chance=3.0)
    assert found.value == 0.9 and found.n == 40 and found.truth == 0.95
    assert found.chance == 0.25 and found.least == 0.75 and found.holds
    assert found.interval is not None and found.interval[0] > 0.75
    always = recognition_finding("text", judge(), takes(), dict.fromkeys(told, "a"), times_chance=1.0)
    assert always.value == 0.25 and always.holds is False  # who always does the same is as good as guessing


def test_videos_of_one_picture_are_one() -> None:
    """Half of the pictures right in all moves, half in none: the interval is of ten things, not of forty."""
    told = {take.id: take.asked if int(take.id[1:]) < 5 else "none" for take in takes()}
    by_picture, alone = (
        recognition_finding("text", judge(), some, told, 1.0).interval for some in (takes(), takes(pictures=False))
    )
    assert by_picture is not None and alone is not None
    assert np.ptp(by_picture) > 1.6 * np.ptp(alone)
