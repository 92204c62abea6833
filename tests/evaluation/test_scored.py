"""Scores of a video go to a file and come back, or not at all."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from musedance.evaluation.scored import Scored


def scored() -> Scored:
    found = Scored(fps=12.5, num_frames=50)
    found.put("psnr_standard", math.inf)
    found.put("ssim_standard", np.float32(0.5))  # type: ignore[arg-type]
    found.put("beats_hit", None, "no kinematic beats")
    found.events = {"music": [-0.25, 0.25], "kinematic": []}
    found.speed = ([0.04, 0.12], [1.5, 0.0])
    found.curves = {"identity": ([0.5, 1.5], [0.1, 0.2])}
    found.features = {"hfd": np.arange(6, dtype=np.float64)[::2] / 3, "clip": np.ones(4, np.float32)}
    return found


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    scored().save(tmp_path / "a.json", "key")
    back = Scored.load(tmp_path / "a.json", "key")
    assert back is not None and back.seconds == 4.0
    assert back.scores == {"psnr_standard": math.inf, "ssim_standard": 0.5}
    assert back.reasons == {"beats_hit": "undefined: no kinematic beats"}
    assert back.events == {"music": [-0.25, 0.25], "kinematic": []}
    assert list(map(list, back.speed)) == [[0.04, 0.12], [1.5, 0.0]]
    assert list(map(list, back.curves["identity"])) == [[0.5, 1.5], [0.1, 0.2]]
    assert np.allclose(back.features["hfd"], [0, 2 / 3, 4 / 3]) and np.array_equal(back.features["clip"], np.ones(4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.safetensors"]


def test_without_features(tmp_path: Path) -> None:
    Scored(10, 3).save(tmp_path / "a.json", "key")
    assert Scored.load(tmp_path / "a.json", "key") == Scored(10, 3, speed=[[], []])  # type: ignore[arg-type]


def test_of_another_key_is_not_taken(tmp_path: Path) -> None:
    assert Scored.load(tmp_path / "a.json", "key") is None
    scored().save(tmp_path / "a.json", "key")
    assert Scored.load(tmp_path / "a.json", "another") is None
    scored().save(tmp_path / "a.json", "another")
    assert Scored.load(tmp_path / "a.json", "key") is None and Scored.load(tmp_path / "a.json", "another") is not None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"key"', "7", "null", "{}", '{"key": "key"}', '{"key": "key", "a": 1}']
)
def test_a_damaged_file_is_none(tmp_path: Path, text: str) -> None:
    scored().save(tmp_path / "a.json", "key")
    (tmp_path / "a.json").write_text(text)
    assert Scored.load(tmp_path / "a.json", "key") is None


@pytest.mark.parametrize("content", [None, b"", b"\x10\0\0\0\0\0\0\0not json"])
def test_damaged_features_are_none(tmp_path: Path, content: bytes | None) -> None:
    scored().save(tmp_path / "a.json", "key")
    features = tmp_path / "a.safetensors"
    features.unlink() if content is None else features.write_bytes(content)
    assert Scored.load(tmp_path / "a.json", "key") is None


def test_a_file_cut_off_anywhere_is_none(tmp_path: Path) -> None:
    scored().save(tmp_path / "a.json", "key")
    for name in ("a.json", "a.safetensors"):
        whole = (tmp_path / name).read_bytes()
        for length in range(0, len(whole) - 1, 7):
            (tmp_path / name).write_bytes(whole[:length])
            assert Scored.load(tmp_path / "a.json", "key") is None, (name, length)
        (tmp_path / name).write_bytes(whole)


def test_the_file_is_strict_json(tmp_path: Path) -> None:
    scored().save(tmp_path / "a.json", "key")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert content["scores"]["psnr_standard"] == "inf"
