"""Networks of metrics: those whose weights are there are loaded, of the others the report says how to get them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from musedance.errors import InputError
from musedance.evaluation.tools import ToolOptions, load_tools
from musedance.metrics.weight_files import WEIGHT_FILES
from musedance.report.catalog import MEASURES
from tests.metrics.test_clip_embeddings import PREPROCESSOR
from tests.metrics.test_lpips import published
from tests.metrics.test_pose import save_vitpose
from tests.metrics.test_wav2clip import random_release

CPU = torch.device("cpu")
OF_CLIP = {"cs", "clip_identity"}
OF_FILES = {"lpips_standard", "lpips_disco", "fvd_standard", "fvd_disco"}


def save_clip(folder: Path, width: int = 512) -> Path:
    """A small random CLIP in the published format, its embeddings `width` wide (those of ViT-B/32 are 512)."""
    tiny = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = tiny | {"vocab_size": 99, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 1}
    vision = tiny | {"image_size": 224, "patch_size": 32, "projection_dim": width}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=width, initializer_factor=10.0)
    CLIPModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


def save_weights(state: dict[str, torch.Tensor], name: str, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """As a published file, whose digest is from now on that of these weights."""
    path = folder / WEIGHT_FILES[name].file_name
    torch.save(state, path)
    if WEIGHT_FILES[name].sha256 is not None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        patch.setitem(WEIGHT_FILES, name, replace(WEIGHT_FILES[name], sha256=digest))
    return path


def test_without_weights_each_measure_says_how_to_get_them(tmp_path: Path) -> None:
    tools = load_tools(ToolOptions(str(tmp_path)), CPU)
    assert set(tools.missing) == OF_FILES | OF_CLIP <= set(MEASURES) and not tools.files
    for measure, file in {
        "lpips_standard": "alexnet-owt-7be5be79.pth",
        "lpips_disco": "vgg16-397923af.pth",
        "fvd_standard": "i3d_pretrained_400.pt",
        "fvd_disco": "i3d_pretrained_400.pt",
        "cs": "Wav2CLIP.pt",
    }.items():
        assert tools.missing[measure].startswith("not computed: weights missing; ") and file in tools.missing[measure]
    assert "--clip" in tools.missing["clip_identity"]
    assert not tools.lpips and tools.i3d is tools.clip is tools.wav2clip is tools.pose is None


def test_what_is_there_is_loaded_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alex = save_weights(published("alex"), "lpips_alex", tmp_path, monkeypatch)
    wav2clip = save_weights(random_release(), "wav2clip", tmp_path, monkeypatch)
    tools = load_tools(ToolOptions(str(tmp_path)), CPU)
    assert set(tools.lpips) == {"standard"} and tools.wav2clip is not None
    assert set(tools.missing) == (OF_FILES | OF_CLIP) - {"lpips_standard"}
    assert "--clip" in tools.missing["cs"]  # Wav2CLIP is there, CLIP is not
    for name, path in (("lpips_alex", alex), ("wav2clip", wav2clip)):
        assert tools.files[name] == f"{path.name}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_clip_alone_gives_no_cs(tmp_path: Path) -> None:
    tools = load_tools(ToolOptions(str(tmp_path), clip=str(save_clip(tmp_path / "clip"))), CPU)
    assert tools.clip is not None and "clip_identity" not in tools.missing and "Wav2CLIP" in tools.missing["cs"]


def test_a_clip_of_another_space_gives_no_cs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(random_release(), "wav2clip", tmp_path, monkeypatch)
    fitting, other = save_clip(tmp_path / "clip"), save_clip(tmp_path / "large", width=24)
    assert "cs" not in load_tools(ToolOptions(str(tmp_path), clip=str(fitting)), CPU).missing
    missing = load_tools(ToolOptions(str(tmp_path), clip=str(other)), CPU).missing
    assert "24 wide" in missing["cs"] and "clip_identity" not in missing


def test_models_of_a_folder_are_told_by_their_weights(tmp_path: Path) -> None:
    clip, pose = save_clip(tmp_path / "clip"), tmp_path / "pose"
    save_vitpose(pose)
    options = ToolOptions(str(tmp_path), clip=str(clip), pose=str(pose))
    tools = load_tools(options, CPU)
    assert tools.pose is not None and str(clip) in tools.files["clip"] and str(pose) in tools.files["pose"]
    assert load_tools(options, CPU).files == tools.files
    save_vitpose(pose, seed=1)
    other = load_tools(options, CPU).files
    assert other["pose"] != tools.files["pose"] and other["clip"] == tools.files["clip"]


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    torch.save(published("alex"), tmp_path / WEIGHT_FILES["lpips_alex"].file_name)
    with pytest.raises(InputError, match="is damaged or not AlexNet for LPIPS"):
        load_tools(ToolOptions(str(tmp_path)), CPU)


@pytest.mark.parametrize("kind", ["clip", "pose"])
def test_a_model_that_is_not_there_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        load_tools(ToolOptions(str(tmp_path), **{kind: str(tmp_path / "empty")}), CPU)
