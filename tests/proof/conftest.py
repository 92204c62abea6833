"""Drawn clips as the card's questions need them: one move a clip, many tempi, several of each source."""

from pathlib import Path

import pytest

from musedance.datasets.shards import open_dataset
from musedance.evaluation.footage import DatasetVideos
from musedance.puppets.performance import World
from musedance.puppets.world import write_puppets

MOVES, GENRES = ("jump", "bow", "wave_right"), ("waltz", "house")
FRAMES = 24


def world(seed: int, num_frames: int = FRAMES) -> World:
    """Three moves, two genres, any tempo; 64 x 64 at 12 fps."""
    return World(
        seed=seed,
        width=64,
        height=64,
        num_frames=num_frames,
        moves_per_clip=1,
        moves=MOVES,
        genres=GENRES,
        bpm=(76, 145),
    )


@pytest.fixture(scope="session")
def exam_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 clips of six sources, all in the split test; not to be changed."""
    return write_puppets(tmp_path_factory.mktemp("proof") / "test", world(21), clips=24, split="test", workers=1)


@pytest.fixture
def videos(exam_data: Path) -> DatasetVideos:
    """Its clips as they are."""
    dataset = open_dataset(exam_data)
    return DatasetVideos(dataset, dataset.split("test"))
