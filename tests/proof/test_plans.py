"""What is the same and what is another in the videos that a claim rests on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musedance.datasets.tempo import tempo
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos
from musedance.evaluation.settings import TestSet
from musedance.proof.plans import every_genre, every_move, other_beats, own_takes, reference_of
from musedance.proof.takes import Take, Takes
from musedance.puppets.moves import MOVES
from musedance.puppets.world import write_puppets

from .conftest import FRAMES, GENRES, world


def far(one: float | None, other: float | None) -> bool:
    """Whether two tempi are 15 % apart, whichever octave they are in."""
    assert one and other
    ratio = abs(np.log2(one / other)) % 1
    return bool(min(ratio, 1 - ratio) > np.log2(1.15))


def test_the_reference_is_another_clip_of_the_same_source(videos: DatasetVideos) -> None:
    found = {clip.id: reference_of(videos, clip) for clip in videos.clips.values()}
    for name, other in found.items():
        assert other != name and videos.clips[other].source == videos.clips[name].source
    assert set(found.values()) == set(videos.clips)  # each is a reference once


def test_where_there_is_a_portrait_it_is_the_picture(tmp_path: Path) -> None:
    folder = write_puppets(tmp_path / "data", replace(world(22), portraits=True), clips=8, split="test", workers=1)
    dataset, videos = TestSet(str(folder)).open(None)
    assert len(videos.ids) == 8 and not any(clip.portrait for clip in videos.clips.values())
    takes = own_takes(videos)
    made = Takes(videos, takes)
    for take in takes:
        portrait = dataset.portraits("test")[videos.clips[take.music].source]
        assert take.picture == portrait.id
        picture = videos.pictures(portrait, [0])[0]
        assert np.array_equal(np.asarray(made.inputs(take.id).picture), picture)
        assert not np.array_equal(videos.read(take.music).frames[0], picture)


def test_own_takes_change_nothing_but_the_picture(videos: DatasetVideos) -> None:
    takes = own_takes(videos)
    assert sorted(take.music for take in takes) == videos.ids
    for take in takes:
        clip = videos.clips[take.music]
        assert take.id == f"own_{clip.id}" and take.beats == take.noise == clip.id
        assert take.picture == reference_of(videos, clip)
        assert take.prompt == ", then ".join(span.text for span in clip.timeline)


def test_other_beats_change_nothing_but_the_beats(videos: DatasetVideos) -> None:
    own = {take.music: take for take in own_takes(videos)}
    takes = other_beats(videos, 10)
    assert len({take.music for take in takes}) == 10
    for take in takes:
        assert replace(take, id=own[take.music].id, beats=take.music) == own[take.music]
        assert far(tempo(videos.clips[take.beats]), tempo(videos.clips[take.music]))
    assert takes == other_beats(videos, 10) != other_beats(videos, 10, seed=1)


def test_without_other_tempi_beats_cannot_be_swapped(videos: DatasetVideos) -> None:
    (source, *_) = {clip.source for clip in videos.clips.values()}
    alike = [clip for clip in videos.clips.values() if clip.source == source]
    with pytest.raises(InputError, match="more tempi are needed"):
        other_beats(DatasetVideos(videos.dataset, alike), 2)


def test_every_move_changes_nothing_but_the_words(videos: DatasetVideos) -> None:
    takes = every_move(videos, ["jump", "spin", "bow"], references=6)
    assert len(takes) == len({take.id for take in takes}) == 18
    for take in takes:
        assert take.music == take.beats == take.noise
        assert take.picture == reference_of(videos, videos.clips[take.music])
    for picture in {take.picture for take in takes}:
        asked = [take for take in takes if take.picture == picture]
        assert [take.asked for take in asked] == ["jump", "spin", "bow"]
        assert [take.prompt for take in asked] == [MOVES[take.asked].phrases[0] for take in asked]
    assert len({videos.clips[take.picture].source for take in takes}) == 6  # one picture of each character


def test_every_genre_changes_nothing_but_the_music(videos: DatasetVideos) -> None:
    takes = every_genre(videos, GENRES, references=6)
    assert len(takes) == len({take.id for take in takes}) == 12
    for take in takes:
        _, genre, name = take.id.split("_", 2)
        clip = videos.clips[name]
        assert videos.facts(take.music).groups["genre"] == genre
        own = Take(take.id, reference_of(videos, clip), take.music, name, clip.timeline[0].text, name, genre)
        assert take == own
    with pytest.raises(InputError, match="no clip has music of the genre polka"):
        every_genre(videos, [*GENRES, "polka"], references=2)


def test_a_take_takes_each_thing_from_where_it_says(videos: DatasetVideos) -> None:
    one, two, three, four = videos.ids[0], videos.ids[5], videos.ids[10], videos.ids[15]
    takes = Takes(videos, [Take("own_x", one, two, three, "jumps high", four)])
    case, inputs = takes.cases["own_x"], takes.inputs("own_x")
    assert (case.facts.prompt, case.noise, case.num_frames, case.canvas) == ("jumps high", four, FRAMES, (64, 64))
    assert takes.fps == 12
    assert np.array_equal(np.asarray(inputs.picture), videos.read(one).frames[0])
    assert np.array_equal(inputs.sound.samples, videos.read(two).sound.samples)
    clip = videos.clips[three]
    assert inputs.bpm is None and inputs.beats is not None
    np.testing.assert_allclose(inputs.beats, np.array(clip.beats) - clip.track_start)  # from the clip's own start
    assert case.facts.track == clip.track
