"""A dataset folder is what Hugging Face `datasets` calls a video folder."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from musedance.datasets.folder import DatasetFolder

pytest.importorskip("datasets")

LOAD = """
import json, sys
import datasets
loaded = datasets.load_dataset("videofolder", data_dir=sys.argv[1], cache_dir=sys.argv[2])
rows = {name: list(part.cast_column("video", datasets.Video(decode=False))) for name, part in loaded.items()}
print(json.dumps({"features": {key: repr(value) for key, value in loaded["train"].features.items()}, "rows": rows}))
"""


def load(folder: Path, cache: Path) -> dict[str, Any]:
    """In a process of its own: the library reads its settings when it is imported."""
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cache)}
    command = [sys.executable, "-c", LOAD, str(folder), str(cache)]
    ran = subprocess.run(command, env=offline, text=True, capture_output=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_datasets_reads_every_row(dataset_folder: Path, tmp_path: Path) -> None:
    loaded = load(dataset_folder, tmp_path)
    assert list(loaded["features"])[:2] == ["video", "id"]
    assert "Video" in loaded["features"]["video"]
    for name, kind in {"beats": "List(Value('float64'))", "densepose": "Value('string')", "fps": "float64"}.items():
        assert kind in loaded["features"][name]
    dataset = DatasetFolder(dataset_folder)
    assert set(loaded["rows"]) == {"train", "validation"}
    for split, rows in loaded["rows"].items():
        clips = dataset.split(split)
        assert [row["id"] for row in rows] == [clip.id for clip in clips]
        for row, clip in zip(rows, clips, strict=True):
            assert Path(row.pop("video")["path"]) == dataset.locate(clip)
            assert row == {key: value for key, value in json.loads(clip.to_json()).items() if key != "file_name"}
