"""What the tests share: one tiny folder with random weights per session, and the picture and track of examples/."""

import os
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def pytest_configure() -> None:
    """Give each worker its share of the cores: with more threads than cores torch is several times slower."""
    import torch

    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder of the tiny size with random weights (seed 0)."""
    from musedance.weights.init import init_folder

    folder = tmp_path_factory.mktemp("weights") / "tiny"
    init_folder(folder, size="tiny", seed=0)
    return folder


@pytest.fixture(scope="session")
def example_image() -> Path:
    """The drawn dancer (PNG)."""
    return EXAMPLES / "dancer.png"


@pytest.fixture(scope="session")
def example_track() -> Path:
    """The synthesised track (MP3, 8 s, 120 BPM)."""
    return EXAMPLES / "beat_120bpm.mp3"
