"""What the tests share: one tiny folder with random weights per session, and the picture and track of examples/."""

import os

# With more threads than cores torch and numpy are several times slower: each worker, with the processes that it starts,
# gets its share. To be said before either is imported.
THREADS = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(THREADS)

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from musedance.weights.init import init_folder  # noqa: E402

torch.set_num_threads(THREADS)
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


# The same examples every time, however slow the machine is: its first use of text takes seconds in a new clone.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder of the tiny size with random weights (seed 0); not to be changed."""
    return init_folder(tmp_path_factory.mktemp("weights") / "tiny", size="tiny", seed=0)


@pytest.fixture(scope="session")
def example_image() -> Path:
    """The drawn dancer (PNG, 640 x 640)."""
    return EXAMPLES / "dancer.png"


@pytest.fixture(scope="session")
def example_track() -> Path:
    """The synthesised track (MP3, 8 s, 120 BPM)."""
    return EXAMPLES / "beat_120bpm.mp3"
