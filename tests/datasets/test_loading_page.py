"""The example of docs/loading.md runs, and its table of keys is complete."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from musedance.datasets.loader import make_loader

PAGE = Path(__file__).resolve().parents[2] / "docs" / "loading.md"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On pictures this small, threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_example_runs(dataset_folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(code.replace("DATA", str(dataset_folder)).replace("MODEL", str(tiny_folder)), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "(2, 32, 24, 8, 8)" in lines[0] and "'motion_latents'" in lines[0]


@pytest.mark.parametrize("stage", [1, 2])
def test_every_key_is_in_the_table(stage: int, dataset_folder: Path, tiny_folder: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([12, ]+) \|.*\| (?:(\w+)|list)", PAGE.read_text(), re.MULTILINE)
    batch = next(iter(make_loader(dataset_folder, tiny_folder, stage=stage, batch_size=1)))
    assert {name for name, stages, _ in rows if str(stage) in stages} == batch.keys()
