"""`check_folder`: one clear line for every way in which a folder is not a whole pipeline folder."""

import inspect
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from musedance import MuseDancePipeline
from musedance.errors import InputError
from musedance.weights.check import COMPONENTS, check_folder


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage; hard links, so files have to be replaced rather than written to."""
    return shutil.copytree(tiny_folder, tmp_path / "model", copy_function=os.link)


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def edit_index(folder: Path, **changes: object) -> None:
    index = json.loads((folder / "model_index.json").read_text()) | changes
    replace(folder / "model_index.json", json.dumps(index).encode())


def test_a_whole_folder_passes(folder: Path) -> None:
    check_folder(folder)


def test_the_table_of_components_is_the_pipelines() -> None:
    signature = inspect.signature(MuseDancePipeline.__init__).parameters
    components = [name for name, parameter in signature.items() if parameter.default is inspect.Parameter.empty]
    assert sorted(COMPONENTS) == sorted(set(components) - {"self"})


def pickle_only(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")


def cut(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    replace(path, path.read_bytes()[:-1])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "not a pipeline folder: it has no model_index.json"),
    "broken index": (lambda f: replace(f / "model_index.json", b"{"), "model_index.json cannot be read"),
    "index of a list": (lambda f: replace(f / "model_index.json", b"[]"), "no JSON object"),
    "another pipeline": (
        lambda f: edit_index(f, _class_name="StableDiffusionPipeline"),
        "holds a StableDiffusionPipeline, not a MuseDancePipeline",
    ),
    "no component": (lambda f: shutil.rmtree(f / "music_encoder"), "not complete: it has no music_encoder"),
    "no config": (lambda f: (f / "vae/config.json").unlink(), "vae/config.json is missing"),
    "broken config": (lambda f: replace(f / "vae/config.json", b"\xff\x00"), "config.json cannot be read"),
    "no scheduler": (lambda f: (f / "scheduler/scheduler_config.json").unlink(), "scheduler_config.json is missing"),
    "no feature extractor": (
        lambda f: (f / "feature_extractor/preprocessor_config.json").unlink(),
        "preprocessor_config.json is missing",
    ),
    "no weights": (
        lambda f: (f / "text_encoder/model.safetensors").unlink(),
        "text_encoder/model.safetensors is missing",
    ),
    "no vocabulary": (lambda f: (f / "tokenizer/tokenizer.json").unlink(), "tokenizer/tokenizer.json is missing"),
    "pickled weights": (pickle_only, "unet has pickled weights only"),
    "cut short": (cut, r"unet.diffusion_pytorch_model.safetensors has \d+ bytes instead of \d+; copy it again"),
    "empty weights": (
        lambda f: replace(f / "vae/diffusion_pytorch_model.safetensors", b""),
        "cut short or no safetensors",
    ),
    "no safetensors": (
        lambda f: replace(f / "vae/diffusion_pytorch_model.safetensors", (9).to_bytes(8, "little") + b"not json!"),
        "no safetensors file",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_named_in_one_line(damage: str, folder: Path) -> None:
    break_it, message = DAMAGES[damage]
    break_it(folder)
    with pytest.raises(InputError, match=message) as caught:
        check_folder(folder)
    assert "\n" not in str(caught.value)


def test_nothing_there_or_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; make a pipeline folder with `musedance init`"):
        check_folder(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="is a file"):
        check_folder(str(tmp_path / "model.safetensors"))


def test_sharded_weights_pass_and_a_lost_shard_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    MuseDancePipeline.from_pretrained(tiny_folder).save_pretrained(tmp_path, max_shard_size="5MB")
    shards = sorted((tmp_path / "unet").glob("*-of-*.safetensors"))
    assert len(shards) > 2
    check_folder(tmp_path)
    shards[1].unlink()
    with pytest.raises(InputError, match=re.escape(f"unet/{shards[1].name} is missing")):
        check_folder(tmp_path)
