"""A pickled file that carries code is refused, and the code is not run."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from musedance.errors import InputError
from musedance.weights.assemble import assemble


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_the_payload_is_real(tmp_path: Path) -> None:
    torch.save({"a": Payload(tmp_path / "ran")}, tmp_path / "evil.ckpt")
    torch.load(tmp_path / "evil.ckpt", weights_only=False)
    assert (tmp_path / "ran").exists()


PLACES = {
    "sd file": "v1-5.ckpt",
    "sd unet": "sd/unet/diffusion_pytorch_model.bin",
    "sd vae": "sd/vae/diffusion_pytorch_model.bin",
    "sd text encoder": "sd/text_encoder/pytorch_model.bin",
    "motion file": "mm_sd_v15_v2.ckpt",
    "motion folder": "motion/diffusion_pytorch_model.bin",
    "ast": "ast/pytorch_model.bin",
}


@pytest.mark.parametrize("modern", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", PLACES)
def test_code_in_a_pickle_is_refused_and_not_run(place: str, modern: bool, upstream: Any, tmp_path: Path) -> None:
    folders = {"sd": upstream.sd_folder, "motion": upstream.motion_folder, "ast": upstream.ast_folder}
    sources: dict[str, Any] = {}
    for name, folder in folders.items():
        sources[name] = str(shutil.copytree(folder, tmp_path / name))
    path = tmp_path / PLACES[place]
    if place.endswith("file"):
        sources[place.split()[0]] = str(path)
    for weights in path.parent.glob("*.safetensors"):
        weights.unlink()
    content = {"state_dict": {"a": torch.ones(2), "b": Payload(tmp_path / "ran")}}
    torch.save(content, path, _use_new_zipfile_serialization=modern)
    with pytest.raises(
        InputError, match=r"holds code \(\w+\.mkdir\), which is never run; use a .safetensors"
    ) as caught:
        assemble(**sources, output=tmp_path / "model", tokenizer=str(upstream.tokenizer_folder))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists(), "the payload ran"
    assert not (tmp_path / "model").exists()


def test_pickled_weights_without_code_are_read(upstream: Any, tmp_path: Path) -> None:
    """Older uploads have nothing else."""
    sd = shutil.copytree(upstream.sd_folder, tmp_path / "sd")
    for part, model in (("unet", upstream.unet), ("vae", upstream.vae)):
        (sd / part / "diffusion_pytorch_model.safetensors").unlink()
        torch.save(model.state_dict(), sd / part / "diffusion_pytorch_model.bin")
    report = assemble(
        str(sd), str(upstream.motion_folder), str(upstream.ast_folder), tmp_path / "model", num_frames=4, size=64
    )
    assert report.folder == tmp_path / "model" and not list((tmp_path / "model").rglob("*.bin"))
