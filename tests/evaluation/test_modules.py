"""Which modules a folder has, and what is left when they are knocked out: everything else, to the bit."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import musedance.weights.init
from musedance.errors import InputError
from musedance.evaluation.modules import load_without, modules_of, spatial_fingerprint, stage_of
from musedance.models import MuseDanceUNet
from musedance.pipeline import MuseDancePipeline
from musedance.weights.init import init_folder, load_sections
from musedance.weights.modules import MODULES

WEIGHTS = "diffusion_pytorch_model.safetensors"
SUBSETS = [("music",), ("beat",), ("motion",), ("music", "motion"), MODULES]


def linked(folder: Path, output: Path, **index: object) -> Path:
    """A copy of a folder, its UNet and index files of their own."""
    shutil.copytree(folder, output, copy_function=os.link, ignore=shutil.ignore_patterns("unet", "model_index.json"))
    shutil.copytree(folder / "unet", output / "unet")
    found = json.loads((folder / "model_index.json").read_text())
    (output / "model_index.json").write_text(json.dumps(found | index))
    return output


def small_sections() -> dict:
    """The tiny size with thinner UNets and segments of 4 frames."""
    sections = load_sections("tiny")
    sections["unet"] |= {"num_frames": 4, "block_out_channels": [16], "norm_num_groups": 4}
    return sections


@pytest.fixture(scope="module")
def stage0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder with random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musedance.weights.init, "load_sections", lambda size: small_sections())
        return init_folder(tmp_path_factory.mktemp("models") / "stage0")


@pytest.fixture(scope="module")
def stage2(stage0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As stage 2 might leave it: none of the UNet's projections is zero."""
    folder = linked(stage0, tmp_path_factory.mktemp("models") / "stage2", stage=2, provenance="drawn")
    unet = MuseDanceUNet.from_pretrained(folder / "unet")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in unet.parameters():
            if not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    unet.save_pretrained(folder / "unet")
    return folder


@pytest.fixture(scope="module")
def stage1(stage2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, said to be of stage 1."""
    return linked(stage2, tmp_path_factory.mktemp("models") / "stage1", stage=1)


def dance(pipeline: MuseDancePipeline) -> np.ndarray:
    """Latents of a video of two segments, so that motion frames count."""
    pipeline.set_progress_bar_config(disable=True)
    music = (np.sin(np.arange(16000) * 0.2).astype(np.float32) * (np.arange(16000) % 8000 < 800), 16000)
    picture = Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))
    size = {"height": 32, "width": 32, "num_frames": 6, "num_inference_steps": 2, "guidance_scale": 2.0}
    generator = torch.Generator().manual_seed(0)
    return np.asarray(pipeline(picture, music, "a dance", generator=generator, output_type="latent", **size).frames)


@pytest.fixture(scope="module")
def whole_video(stage2: Path) -> np.ndarray:
    """What the model gives with all its modules."""
    return dance(MuseDancePipeline.from_pretrained(stage2))


def silenced(folder: Path, modules: Collection[str]) -> MuseDancePipeline:
    """The whole model with the output projections of some modules at zero: these are then the identity."""
    pipeline = MuseDancePipeline.from_pretrained(folder)
    projections = [
        module.proj_out
        for name, module in pipeline.unet.named_modules()
        if any(name.split(".")[-2:-1] == [f"{kind}_modules"] for kind in modules)
    ]
    assert projections
    with torch.no_grad():
        for projection in projections:
            projection.weight.zero_()
            projection.bias.zero_()
    return pipeline


def test_a_folder_has_the_modules_that_it_has_and_has_trained(
    stage0: Path, stage1: Path, stage2: Path, tmp_path: Path
) -> None:
    assert [stage_of(folder) for folder in (stage0, stage1, stage2)] == [0, 1, 2]
    assert modules_of(stage0) == modules_of(stage1) == frozenset()
    assert modules_of(stage2) == set(MODULES)
    load_without(stage2, ["beat"], torch.float32, "cpu").save_pretrained(tmp_path / "saved")
    assert modules_of(tmp_path / "saved") == {"music", "motion"}
    with pytest.raises(InputError, match="does not exist"):
        modules_of(tmp_path / "nothing")
    with pytest.raises(InputError, match="which stage it is of"):
        stage_of(linked(stage2, tmp_path / "odd", stage="two"))


@pytest.mark.parametrize("modules", SUBSETS)
def test_without_a_module_all_else_is_as_it_was(
    modules: tuple[str, ...], stage2: Path, whole_video: np.ndarray
) -> None:
    """As if the module were the identity, in a video of two segments; and it does hear what is left in."""
    pipeline = load_without(stage2, modules, torch.float32, "cpu")
    video = dance(pipeline)
    assert np.array_equal(video, dance(silenced(stage2, modules)))
    assert not np.allclose(video, whole_video, atol=1e-3)
    assert {name for name in MODULES if not pipeline.unet.config[f"use_{name}_modules"]} == set(modules)
    assert not [key for key in pipeline.unet.state_dict() if any(f"{name}_modules." in key for name in modules)]
    listed = ", ".join(name for name in MODULES if name in modules)
    assert pipeline.config.provenance == f"drawn; without its {listed} modules"


def test_without_leaving_out_anything_it_is_the_folder(stage2: Path, whole_video: np.ndarray) -> None:
    pipeline = load_without(stage2, [], torch.float32, "cpu")
    assert np.array_equal(dance(pipeline), whole_video)
    assert pipeline.config.provenance == "drawn"


def test_stage_1_without_modules_denoises_every_frame_by_itself(stage1: Path) -> None:
    """A video, not a still; and each frame is what the UNet makes of that frame alone."""
    with pytest.raises(InputError, match="is of stage 1, its motion modules are not trained: leave them out too"):
        load_without(stage1, ["music", "beat"], torch.float32, "cpu")
    pipeline = load_without(stage1, MODULES, torch.float32, "cpu")
    assert pipeline.config.stage == 2
    video = dance(pipeline)
    assert len({video[:, k].tobytes() for k in range(6)}) == 6
    torch.manual_seed(0)
    latents = torch.randn(1, pipeline.unet.config.in_channels, 4, 4, 4)
    text = torch.randn(1, 3, pipeline.unet.config.cross_attention_dim)
    with torch.no_grad():
        whole = pipeline.unet(latents, 500, text).sample
        for k in range(4):
            alone = pipeline.unet(latents[:, :, k], 500, text).sample
            torch.testing.assert_close(whole[:, :, k], alone, rtol=1e-4, atol=1e-5)


def test_dtype_and_device_are_those_asked_for(stage2: Path) -> None:
    pipeline = load_without(stage2, ["motion"], torch.bfloat16, torch.device("cpu"))
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    assert {parameter.dtype for part in networks for parameter in part.parameters()} == {torch.bfloat16}
    assert not any(part.training for part in networks)


def test_what_cannot_be_left_out_or_read(stage2: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no drums modules; possible: music, beat, motion"):
        load_without(stage2, ["drums"], torch.float32, "cpu")
    folder = linked(stage2, tmp_path / "broken")
    tensors = load_file(folder / "unet" / WEIGHTS)
    save_file({key: tensor for key, tensor in tensors.items() if key != "conv_in.weight"}, folder / "unet" / WEIGHTS)
    with pytest.raises(InputError, match=r"1 missing \(conv_in.weight\)"):
        load_without(folder, ["beat"], torch.float32, "cpu")


def test_nothing_is_said_of_weights_that_are_left_out(stage2: Path) -> None:
    code = "import sys, torch; from pathlib import Path; from musedance.evaluation.modules import load_without; "
    code += "load_without(Path(sys.argv[1]), ['music', 'beat', 'motion'], torch.float32, 'cpu')"
    ran = subprocess.run([sys.executable, "-c", code, str(stage2)], text=True, capture_output=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


@pytest.fixture
def changed(stage2: Path, tmp_path: Path) -> Callable[..., Path]:
    """The folder with weights of one component changed."""

    def change(component: str, changes: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
        folder = linked(stage2, tmp_path / f"changed {len(list(tmp_path.iterdir()))}")
        (path,) = (folder / component).glob("*.safetensors")
        tensors = changes(load_file(path))
        path.unlink()
        save_file(tensors, path)
        return folder

    return change


def test_the_spatial_fingerprint_is_that_of_what_stage_2_leaves_alone(
    changed: Callable[..., Path], stage1: Path, stage2: Path, tmp_path: Path
) -> None:
    def moved(part: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
        return lambda tensors: {key: tensor + 0.1 * (part in key) for key, tensor in tensors.items()}

    start = spatial_fingerprint(stage2)
    assert spatial_fingerprint(stage1) == start
    for part in ("music_modules", "beat_modules", "motion_modules", "music_projection", "beat_embedding"):
        assert spatial_fingerprint(changed("unet", moved(part))) == start, part
    load_without(stage2, ["beat"], torch.float32, "cpu").save_pretrained(tmp_path / "sharded", max_shard_size="400KB")
    assert len(list((tmp_path / "sharded" / "unet").glob("*.safetensors"))) > 1
    assert spatial_fingerprint(tmp_path / "sharded") == start

    assert spatial_fingerprint(changed("unet", moved("conv_in"))) != start
    assert spatial_fingerprint(changed("unet", moved("mid_block.resnets.0.norm1.bias"))) != start
    assert spatial_fingerprint(changed("vae", moved("post_quant_conv.bias"))) != start
    assert spatial_fingerprint(changed("reference_net", lambda t: {k: v.bfloat16() for k, v in t.items()})) != start
