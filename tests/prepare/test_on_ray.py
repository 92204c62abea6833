"""The same on Ray: a local instance with two cores."""

import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from musedance.datasets.folder import DatasetFolder
from musedance.errors import InputError
from musedance.prepare import make_stages, prepare

STAGES = """
from dataclasses import dataclass
from musedance.datasets.clip import Span
from musedance.prepare.captioner import Caption

@dataclass(frozen=True)
class Namer:
    def caption(self, frames, times, duration, name="the clip"):
        if name.startswith("bad"):
            raise RuntimeError("no words")
        return Caption(name, (Span(0.0, duration, name),))
"""


@pytest.fixture
def namer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A captioner in a module of its own, and a Ray that knows where that lies."""
    ray = pytest.importorskip("ray")
    (tmp_path / "stages_for_ray.py").write_text(STAGES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # Ray's own processes find modules as any others do
    ray.init(num_cpus=2, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False)
    yield import_module("stages_for_ray").Namer()
    ray.shutdown()
    del sys.modules["stages_for_ray"]


def test_a_cluster_that_does_not_answer_is_said_at_once(studio: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    studio.dance(tmp_path / "a.mp4", seed=1, seconds=1.25)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(InputError, match=f"no Ray cluster answers at {address}"):
            prepare([tmp_path / "a.mp4"], tmp_path / "out", ray=address, progress=False)


def test_rows_and_files_are_the_same(
    studio: Any, tmp_path: Path, namer: Any, listing: Callable[[Path], dict[str, tuple[int, bytes]]]
) -> None:
    """Through both steps, each with actors of its own; with videos that fail in either step."""
    for seed, name in enumerate(("a", "bad", "c d")):
        studio.dance(tmp_path / "in" / f"{name}.mp4", seed=seed, seconds=1.5, left=20 + 30 * seed)
    (tmp_path / "in" / "e.mp4").write_text("no video")
    stages = replace(make_stages(num_frames=12, size=64, min_size=16), captioner=namer)
    outputs = {}
    for address in (None, "local"):
        output = tmp_path / str(address) / "out"
        outcome = prepare([tmp_path / "in"], output, stages=stages, test=0.3, ray=address, workers=1, progress=False)
        assert (outcome.num_new, outcome.num_failed) == (4, 2)
        outputs[address] = {name: content for name, (_, content) in listing(output).items()}
        assert [clip.caption for clip in DatasetFolder(output).clips] == [
            clip.id for clip in DatasetFolder(output).clips
        ]
        assert len(DatasetFolder(output).clips) == 2
    assert outputs[None] == outputs["local"]
    again = prepare([tmp_path / "in"], tmp_path / "local" / "out", stages=stages, test=0.3, ray="local", progress=False)
    assert again.num_new == 1  # the one that ended in an error of ours
