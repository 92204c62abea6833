"""The mean of two models: which tensors, of what, and what cannot be averaged."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from musedance import MuseDancePipeline
from musedance.cli import main
from musedance.errors import InputError
from musedance.tiny.mean import mean_model

FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def other(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each of its networks' weights differs from the small model's."""
    folder = shutil.copytree(small_model, tmp_path_factory.mktemp("mean") / "other")
    for part in ("unet", "reference_net", "vae"):
        weights = load_file(folder / part / FILE)
        save_file({name: weight + 0.5 for name, weight in weights.items()}, folder / part / FILE, {"format": "pt"})
    return folder


def test_networks_are_averaged_and_the_rest_is_the_seconds(small_model: Path, other: Path, tmp_path: Path) -> None:
    assert main(["tiny", "mean", str(tmp_path / "mean"), str(small_model), str(other)]) == 0
    for part in ("unet", "reference_net"):
        mean, first, second = (load_file(folder / part / FILE) for folder in (tmp_path / "mean", small_model, other))
        assert mean.keys() == first.keys()
        for name, weight in mean.items():
            assert torch.equal(weight, ((first[name] + second[name]) / 2).bfloat16()), name
    vae, expected = (load_file(folder / "vae" / FILE) for folder in (tmp_path / "mean", other))
    assert all(torch.equal(vae[name], weight.bfloat16()) for name, weight in expected.items())
    one, mean = (MuseDancePipeline.from_pretrained(folder).config for folder in (small_model, tmp_path / "mean"))
    assert mean.provenance == f"mean of ({one.provenance}) and ({one.provenance})"
    assert {key: value for key, value in mean.items() if key not in ("provenance", "_name_or_path")} == {
        key: value for key, value in one.items() if key not in ("provenance", "_name_or_path")
    }


def test_other_networks_have_no_mean(small_model: Path, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the unet of both models differ in shape"):
        mean_model(small_model, tiny_folder, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
