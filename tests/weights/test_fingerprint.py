"""`fingerprint`: follows every weight and config, and nothing else."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from musedance import MuseDanceUNet
from musedance.errors import InputError
from musedance.weights.fingerprint import fingerprint


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_folder, tmp_path / "model", copy_function=os.link)


def test_moving_and_describing_the_folder_changes_nothing(folder: Path, tmp_path: Path) -> None:
    before = fingerprint(folder)
    assert len(before) == 16 and int(before, 16) >= 0
    (folder / "README.md").write_text("my model")
    (folder / "pipeline.py").unlink()
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs")
    folder.rename(tmp_path / "elsewhere")
    assert fingerprint(tmp_path / "elsewhere") == before
    assert fingerprint(str(tmp_path / "elsewhere")) == before


def test_every_config_and_its_name_count(folder: Path) -> None:
    seen = {fingerprint(folder)}
    configs = sorted(folder.rglob("*.json"))
    assert len(configs) >= 10
    for path in configs:
        content = path.read_text()
        path.unlink()  # it is a hard link
        path.write_text(content + " ")
        seen.add(fingerprint(folder))
    assert len(seen) == len(configs) + 1
    (folder / "vae").rename(folder / "vae2")
    assert fingerprint(folder) not in seen


@pytest.mark.parametrize("component", ["mask_encoder", "music_encoder"])
def test_training_any_one_tensor_changes_it(component: str, folder: Path) -> None:
    path = folder / component / "diffusion_pytorch_model.safetensors"
    tensors, seen = load_file(path), {fingerprint(folder)}
    for name, tensor in tensors.items():
        path.unlink()
        save_file(tensors | {name: tensor + 1e-5}, path, metadata={"format": "pt"})
        seen.add(fingerprint(folder))
    assert len(seen) == len(tensors) + 1


def test_one_optimiser_step_changes_it_and_saving_again_does_not(tiny_folder: Path, tmp_path: Path) -> None:
    unet = MuseDanceUNet.from_pretrained(tiny_folder / "unet")
    unet.register_to_config(_name_or_path="")
    unet.save_pretrained(tmp_path / "a")
    unet.save_pretrained(tmp_path / "b")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    unet.beat_embedding.weight.grad = torch.ones_like(unet.beat_embedding.weight)
    torch.optim.Adam([unet.beat_embedding.weight], lr=1e-5).step()
    unet.save_pretrained(tmp_path / "b")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


def test_ten_gigabytes_cost_next_to_nothing(tmp_path: Path) -> None:
    """A sparse file of 10 GB with 2 000 tensors."""
    size = 5_000_000
    tensors = {
        f"{i}": {"dtype": "U8", "shape": [size], "data_offsets": [i * size, (i + 1) * size]} for i in range(2000)
    }
    header = json.dumps(tensors).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2000 * size)
    started = time.perf_counter()
    fingerprint(tmp_path)
    assert time.perf_counter() - started < 2


def test_a_cut_file_is_refused(folder: Path) -> None:
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-100])
    with pytest.raises(InputError, match="copy it again"):
        fingerprint(folder)
