"""Batches decoded by decord; in a process of its own with a time limit, since it can hang in native code."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from musedance.datasets.shard_writer import write_shards
from musedance.datasets.shards import open_dataset

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("decord"), reason="needs decord")

SCRIPT = """
import sys
from musedance.datasets.loader import make_loader
from musedance.datasets.spec import ClipSpec

spec = ClipSpec(pixels=64 * 64, multiple=8, fps=12, num_frames=24, num_motion_frames=2)
options = {"stage": int(sys.argv[3]), "batch_size": 2, "spec": spec, "max_failure_share": 0}
ours, theirs = (
    next(iter(make_loader(*sys.argv[1:3], video_backend=backend, **options))) for backend in ("pyav", "decord")
)
assert ours["ids"] == theirs["ids"]
error = (ours["frames"].int() - theirs["frames"].int()).abs().float().mean()
assert 0 < error < 8, error  # decord spreads colours more coarsely: these are its own frames, and the same ones
"""


def load(dataset: Path, model: Path, stage: int = 1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(dataset), str(model), str(stage)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("stage", [1, 2])
def test_the_same_frames(dataset_folder: Path, tiny_folder: Path, stage: int) -> None:
    ran = load(dataset_folder, tiny_folder, stage)
    assert ran.returncode == 0, ran.stderr


def test_shards_are_refused(dataset_folder: Path, tiny_folder: Path, tmp_path: Path) -> None:
    ran = load(write_shards(open_dataset(dataset_folder), tmp_path / "packed"), tiny_folder)
    assert ran.returncode == 1
    assert "reads files by their path only" in ran.stderr
