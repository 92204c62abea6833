"""What the tests share: tiny folders with random weights, drawn clips, and the picture and track of examples/."""

import os

# With more threads than cores torch and numpy are several times slower: each worker, with the processes that it starts,
# gets its share. To be said before either is imported.
THREADS = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(THREADS)

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

import musedance.weights.init  # noqa: E402
from musedance.puppets.performance import World  # noqa: E402
from musedance.puppets.world import write_puppets  # noqa: E402
from musedance.weights.init import init_folder, load_sections  # noqa: E402

torch.set_num_threads(THREADS)
WIDTH = 16  # of the small model
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


def small_sections() -> dict:
    """The tiny size, with fewer of everything: K = 4 and M = 2 frames of 32 x 32 pixels."""
    sections = load_sections("tiny")
    sections["vae"] |= {"block_out_channels": [8, 8, 8, 8], "norm_num_groups": 4, "latent_channels": 5}
    sections["text_encoder"] |= {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1}
    sections["text_encoder"]["projection_dim"] = WIDTH
    sections["unet"] |= {"num_frames": 4, "sample_size": 4, "in_channels": 5, "out_channels": 5}
    sections["unet"] |= {"block_out_channels": [WIDTH, 2 * WIDTH], "norm_num_groups": 4, "attention_head_dim": 2}
    sections["unet"] |= {"down_block_types": ["CrossAttnDownBlock2D"] * 2, "up_block_types": ["CrossAttnUpBlock2D"] * 2}
    sections["unet"] |= {"music_dim": WIDTH, "condition_dim": WIDTH, "cross_attention_dim": WIDTH}
    sections["mask_encoder"] |= {"latent_channels": 5, "block_out_channels": [4, 8, 8, 8]}
    ast = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": WIDTH}
    sections["music_encoder"]["ast_config"] |= ast
    return sections


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder of stage 0 with random weights, see `small_sections`; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musedance.weights.init, "load_sections", lambda size: small_sections())
        return init_folder(tmp_path_factory.mktemp("models") / "small", seed=0)


@pytest.fixture(scope="session")
def puppet_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 clips of 50 frames of 64 x 64 at 12 fps, eight of them in train, four in validation; not to be changed."""
    world = World(seed=0, width=64, height=64, fps=12.0, num_frames=50)
    return write_puppets(tmp_path_factory.mktemp("puppets") / "data", world, clips=16, workers=1)
