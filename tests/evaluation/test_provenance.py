"""What a report's numbers come from, and that videos of other settings are not taken for these."""

import json
import math
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from musedance.cli import main
from musedance.datasets.shards import open_dataset
from musedance.errors import InputError
from musedance.evaluation.footage import FolderVideos
from musedance.evaluation.processes import Processes
from musedance.evaluation.provenance import (
    command_line,
    describe_dataset,
    describe_files,
    describe_model,
    describe_videos,
    keep_settings,
    versions,
)

SETTINGS = {"model": {"path": "a", "fingerprint": "0123"}, "steps": 25, "music_guidance": None, "frames": (10, 20)}


def keep(folder: Path, settings: dict[str, Any]) -> None:
    keep_settings(folder, settings, Processes())


def test_the_same_settings_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "generated"
    keep(folder, SETTINGS)
    noted = (folder / "settings.json").read_bytes()
    keep(folder, dict(reversed(SETTINGS.items())))
    keep(folder, {**SETTINGS, "steps": 25.0})
    assert (folder / "settings.json").read_bytes() == noted
    assert [path.name for path in folder.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 30}, "made with steps 25, not 30"),
        ({"music_guidance": 2.0}, "made with music_guidance None, not 2.0"),
        ({"frames": (10, 21)}, r"made with frames \[10, 20\], not \[10, 21\]"),
        ({"seed": 1}, "made with seed None, not 1"),
        ({"model": {"path": "a", "fingerprint": "4567"}}, "made with model .*0123.*4567"),
    ],
)
def test_other_settings_are_refused_and_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    keep(tmp_path, SETTINGS)
    with pytest.raises(InputError, match=named) as error:
        keep(tmp_path, {**SETTINGS, **change})
    assert "choose another --output" in str(error.value) and "\n" not in str(error.value)
    keep(tmp_path, SETTINGS)  # what is noted is as it was


def test_a_setting_that_is_no_longer_there_is_a_difference(tmp_path: Path) -> None:
    keep(tmp_path, {**SETTINGS, "shift": 0.5})
    with pytest.raises(InputError, match=r"made with shift 0\.5, not None"):
        keep(tmp_path, SETTINGS)


def test_infinity_is_kept(tmp_path: Path) -> None:
    for _ in range(2):
        keep(tmp_path, {"limit": math.inf})
    with pytest.raises(InputError, match="limit"):
        keep(tmp_path, {"limit": -math.inf})


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null"])
def test_a_damaged_note_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(InputError, match=r"settings\.json cannot be read: remove"):
        keep(tmp_path, SETTINGS)


def test_a_datasets_digest_changes_with_its_rows(puppet_data: Path, tmp_path: Path) -> None:
    told = describe_dataset(open_dataset(puppet_data), "test")
    assert told["clips"] == 4 and told["split"] == "test" and told["path"] == str(puppet_data)
    copy = shutil.copytree(puppet_data, tmp_path / "moved")
    rows = copy / "test" / "metadata.jsonl"
    lines = rows.read_text().splitlines()
    rows.write_text("\n".join(reversed(lines)) + "\n")
    digest = told["rows_sha256"]
    assert describe_dataset(open_dataset(copy), "test")["rows_sha256"] == digest  # neither order nor place matter
    digests = {digest, describe_dataset(open_dataset(copy), "train")["rows_sha256"]}
    for changed in (lines[:3], [*lines[:3], lines[3].replace('"caption": "', '"caption": "x ')]):
        rows.write_text("\n".join(changed) + "\n")
        digests.add(describe_dataset(open_dataset(copy), "test")["rows_sha256"])
    assert len(digests) == 4


def test_the_digest_of_videos_changes_with_any_of_them(puppet_data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(puppet_data / "test" / "clips", tmp_path / "videos")

    def digest() -> str:
        told = describe_videos(FolderVideos(folder), "anywhere")
        assert told["path"] == "anywhere" and told["videos"] == len(list(folder.glob("*.mp4")))
        return told["sha256"]

    first, second = sorted(folder.glob("*.mp4"))[:2]
    digests = [digest()]
    os.utime(first, ns=(1, 1))
    assert digest() == digests[0]  # it is about contents
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    digests.append(digest())
    second.rename(folder / f"{second.stem}x.mp4")  # and no other order
    digests.append(digest())
    first.unlink()
    digests.append(digest())
    assert len(set(digests)) == 4


def test_the_digest_of_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.mp3"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    told = describe_files([one, two])
    assert set(told) == {str(one), str(two)} and len(set(told.values())) == 2
    assert told[str(one)] == "6b86b273ff34fce1"  # sha256sum of the digit
    two.write_bytes(b"1")
    assert describe_files([two])[str(two)] == told[str(one)]


def test_a_model_is_told_by_its_weights(small_model: Path, tiny_folder: Path) -> None:
    small, tiny = describe_model(small_model), describe_model(tiny_folder)
    assert small["fingerprint"] != tiny["fingerprint"] and small["stage"] == 0 and small["path"] == str(small_model)
    assert describe_model(small_model) == small


def test_versions_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    told = versions()
    assert (
        told["python"] == platform.python_version() and told["torch"].split("+")[0] == torch.__version__.split("+")[0]
    )
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/musedance", "evaluate", "--videos", "my videos"])
    assert command_line() == "musedance evaluate --videos 'my videos'"


def test_no_environment_variable_gets_into_a_report(
    puppet_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "WANDB_API_KEY", "SOMETHING"):
        monkeypatch.setenv(name, f"secret-of-{name}")
    monkeypatch.setenv("MUSEDANCE_WEIGHTS", str(tmp_path / "secret-of-weights"))
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(min((puppet_data / "test" / "clips").glob("*.mp4")), folder)
    output = tmp_path / "report"
    told = ("--videos", folder, "--reference", folder, "--output", output, "--shown", "0")
    assert main(["evaluate", *map(str, told)]) == 0
    written = [path for path in output.rglob("*") if path.is_file()]
    assert json.loads((output / "report.json").read_text())["provenance"]["versions"]
    assert len(written) >= 4 and not any(b"secret-of" in path.read_bytes() for path in written)
