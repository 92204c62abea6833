"""Numbers that can be worked out by hand from the eight clips."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from musedance.datasets.folder import DatasetFolder
from musedance.datasets.statistics import format_statistics, frequent_words, statistics_of


def test_counts_of_each_split(dataset_folder: Path) -> None:
    splits = statistics_of(DatasetFolder(dataset_folder).clips)["splits"]
    assert list(splits) == ["train", "validation", "all"]
    assert [splits[name]["clips"] for name in splits] == [6, 2, 8]
    assert [splits[name]["sources"] for name in splits] == [3, 1, 4]
    assert [splits[name]["tracks"] for name in splits] == [3, 1, 4]
    assert [splits[name]["densepose"] for name in splits] == [1 / 2, 1 / 2, 1 / 2]
    assert [splits[name]["timeline"] for name in splits] == [1 / 6, 1 / 2, 1 / 4]
    assert [splits[name]["truth"] for name in splits] == [1 / 6, 1 / 2, 1 / 4]
    assert splits["all"]["hours"] == pytest.approx(8 * 50 / 12 / 3600)


def test_distributions(dataset_folder: Path) -> None:
    clips = DatasetFolder(dataset_folder).clips
    clips[0] = replace(clips[0], width=48)
    numbers = statistics_of(clips)
    assert numbers["sizes"] == {"64 x 64": 7, "48 x 64": 1}
    assert numbers["fps"] == {"12": 8}
    assert numbers["frames"] == {"min": 50, "median": 50, "max": 50}
    tempo = numbers["tempo"]  # 120, 100, 90 and 140 BPM, each track once
    assert (tempo["min"], tempo["median"], tempo["max"]) == pytest.approx((90, 110, 140), rel=1e-3)
    assert numbers["tempo"]["tracks_without"] == 0
    assert sum(numbers["tempo_distribution"].values()) == 4
    assert numbers["caption_words"] == {"min": 10, "median": 10, "max": 10, "without": 0}


def test_tracks_without_beats_and_clips_without_captions_are_counted(dataset_folder: Path) -> None:
    clips = DatasetFolder(dataset_folder).clips
    clips[5:] = [replace(clip, beats=(), caption="") for clip in clips[5:]]
    numbers = statistics_of(clips)
    assert numbers["tempo"]["tracks_without"] == 2
    assert numbers["caption_words"]["without"] == 3


def test_frequent_words_are_counted_once_a_caption() -> None:
    captions = ["The cat spins and spins.", "A CAT claps; the dancer's tail-feather sways", "spins 3 times", "ñandú"]
    words = frequent_words(captions)
    assert list(words.items())[:2] == [("cat", 2), ("spins", 2)]
    assert words["dancer's"] == words["tail-feather"] == words["ñandú"] == 1
    assert not {"the", "and", "a", "3"} & words.keys()


def test_text_has_the_same_numbers(dataset_folder: Path) -> None:
    dataset = DatasetFolder(dataset_folder)
    text = format_statistics(dataset.info, statistics_of(dataset.clips))
    rows = [line.split() for line in text.splitlines()]
    assert ["train", "6", "3", "3", "0.007", "50%", "17%", "17%"] in rows
    assert ["all", "8", "4", "4", "0.009", "50%", "25%", "25%"] in rows
    assert "beats a minute: 90 to 140, median 110" in text


def test_an_empty_dataset_has_numbers_too() -> None:
    numbers = json.loads(json.dumps(statistics_of([])))
    assert numbers["splits"] == {} and numbers["tempo"]["median"] is None
    assert "beats a minute: none" in format_statistics({}, numbers)
