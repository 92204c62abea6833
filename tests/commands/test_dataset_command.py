"""`musedance dataset` as a user meets it, on the dataset that docs/dataset.md makes by hand."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from musedance.cli import main
from musedance.datasets.clip import Clip
from musedance.datasets.folder import DatasetFolder
from musedance.datasets.shards import open_dataset

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "dataset.md"


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run `musedance dataset` in a folder where the document's example has made `my-dataset`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSEDANCE_TRACEBACK", raising=False)
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8").split("## By hand")[1], re.S)
    exec(example, {})

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main(["dataset", *arguments])
        return Ran(code, *capfd.readouterr())

    return run


def test_the_example_of_the_document_is_a_good_dataset(run: Callable[..., Ran]) -> None:
    assert run("validate", "my-dataset")[:2] == (0, "1 clip, all good\n")
    (clip,) = DatasetFolder("my-dataset").clips
    assert (clip.track_start, clip.caption) == (12.5, "waves both arms")


def test_the_example_for_shards_reads_them(run: Callable[..., Ran]) -> None:
    assert run("shard", "my-dataset", "packed").code == 0
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8").split("## Shards")[1], re.S)[
        :1
    ]
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["frames"].shape == (2, 64, 64, 3)


def test_the_document_names_every_key() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").split("### A row")[1].split("### The files")[0]
    keys = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [name for key in keys for name in re.findall(r"`(\w+)`", key)]
    assert named == list(Clip.__dataclass_fields__)


def test_problems_are_listed_one_a_line_and_the_exit_code_says_so(run: Callable[..., Ran]) -> None:
    table = Path("my-dataset/train/metadata.jsonl")
    row = json.loads(table.read_text())
    rows = [row | {"num_frames": 49, "width": 66, "timeline": [{"start": 0, "end": 1, "text": "x"}]}, row]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("my-dataset/train/clips/old.mp4").touch()
    code, out, _ = run("validate", "my-dataset")
    lines = out.splitlines()
    assert code == 2
    assert lines[0] == "my-dataset/train/metadata.jsonl, line 2: the id a occurs twice"
    assert lines[1].startswith("a: clips/a.mp4 has 50 frames, the row says 49: ")
    assert lines[2].startswith("a: clips/a.mp4 is 64 x 64, the row says 66 x 64: ")
    assert lines[3:] == ["1 clip, 3 problems"]


def test_warnings_do_not_change_the_exit_code(run: Callable[..., Ran]) -> None:
    Path("my-dataset/train/clips/old\x1b[31m.mp4").touch()
    code, out, _ = run("validate", "my-dataset", "--workers", "1")
    assert code == 0
    line = "warning: train: no row names train/clips/old\N{REPLACEMENT CHARACTER}[31m.mp4; remove what is not needed"
    assert out.splitlines() == [line, "1 clip, all good"]


def test_statistics_as_text_and_as_json(run: Callable[..., Ran]) -> None:
    code, out, _ = run("stats", "my-dataset")
    assert code == 0
    assert out.startswith("mine\n") and "beats a minute: 120 to 120" in out
    numbers = json.loads(run("stats", "my-dataset", "--json").out)
    assert numbers["splits"]["train"]["clips"] == 1 and numbers["sizes"] == {"64 x 64": 1}


def test_the_page_lies_in_the_folder_unless_named(run: Callable[..., Ran]) -> None:
    assert run("page", "my-dataset")[:2] == (0, "my-dataset/index.html\n")
    assert run("page", "my-dataset", "--output", "other.html", "--clips", "5")[:2] == (0, "other.html\n")
    for page in ("my-dataset/index.html", "other.html"):
        assert "waves both arms" in Path(page).read_text(encoding="utf-8")
    assert run("validate", "my-dataset").out == "1 clip, all good\n"  # the page is no stray


def test_shards_are_made_once_and_read_by_all_actions(run: Callable[..., Ran]) -> None:
    assert run("shard", "my-dataset", "packed/a", "--shard-size", "1")[:2] == (0, "packed/a\n")
    assert open_dataset("packed/a").clips == open_dataset("my-dataset").clips
    assert run("validate", "packed/a")[:2] == (0, "1 clip, all good\n")
    assert run("stats", "packed/a", "--json").out == run("stats", "my-dataset", "--json").out
    assert run("page", "packed/a").code == 0
    code, out, err = run("shard", "my-dataset", "packed/a")
    assert (code, out) == (2, "") and "packed/a exists already" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: ACTION"),
        (["validate"], "required: FOLDER"),
        (["polish", "my-dataset"], "invalid choice"),
        (["validate", "none"], "none is no dataset folder"),
        (["stats", "."], "no dataset folder"),
        (["page", "my-dataset", "--clips", "0"], "at least 1 clip"),
        (["page", "my-dataset", "--clips", "few"], "invalid int"),
        (["page", "my-dataset", "--output", "none/a.html"], "cannot be written"),
        (["shard", "my-dataset", "packed", "--shard-size", "0"], "size of a shard"),
        (["cache", "my-dataset"], "required: --model"),
        (["validate", "my-dataset", "--workers", "0"], "workers"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run: Callable[..., Ran], arguments: list[str], message: str) -> None:
    before = sorted(Path().rglob("*"))
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and err.startswith("musedance: error: ") and message in err
    assert sorted(Path().rglob("*")) == before


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, argparse; from musedance.commands import dataset; dataset.add_options(argparse.ArgumentParser());"
        "print(sorted({'numpy', 'av', 'torch', 'tqdm', 'safetensors'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_who_has_read_enough_may_leave(run: Callable[..., Ran]) -> None:
    """As `head` does: no complaint."""
    command = [sys.executable, "-m", "musedance", "dataset", "stats", "my-dataset"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
