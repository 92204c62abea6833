"""Which folder a stage starts from, and what is taken from it."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.pipeline import MuseDancePipeline
from musedance.training.config import ClipsConfig
from musedance.training.starting_point import check_start, load_networks, training_spec

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def of_stage(small_model, tmp_path):
    """The small model, said to be of some stage."""

    def make(stage):
        folder = shutil.copytree(small_model, tmp_path / f"stage{stage}")
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps(index | {"stage": stage}))
        return folder

    return make


@pytest.mark.parametrize(("found", "stage"), [(0, 1), (1, 1), (1, 2), (2, 2)])
def test_a_stage_starts_from_what_comes_before_it_or_goes_on(of_stage, found, stage):
    check_start(of_stage(found), stage)


@pytest.mark.parametrize(
    ("found", "stage", "advice"),
    [
        (0, 2, "train stage 1 first"),
        (2, 1, "cannot go back to stage 1"),
        (7, 1, "`stage` in its model_index.json is 7"),
    ],
)
def test_another_start_is_refused_with_what_to_do(of_stage, found, stage, advice):
    folder = of_stage(found)
    with pytest.raises(InputError, match=advice) as caught:
        check_start(folder, stage)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_none_or_not_whole_is_refused(of_stage, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        check_start(tmp_path / "nothing", 1)
    folder = of_stage(1)
    weights = folder / "unet" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(InputError, match="copy it again"):
        check_start(folder, 2)


def test_networks_are_float32_whatever_the_folder_has(small_model, tmp_path):
    pipeline = MuseDancePipeline.from_pretrained(small_model, dtype=torch.bfloat16)
    pipeline.save_pretrained(tmp_path / "bf16")
    networks = load_networks(tmp_path / "bf16")
    assert {parameter.dtype for parameter in networks.parameters()} == {torch.float32}
    for part, name in ((networks.unet, "unet"), (networks.reference_net, "reference_net")):
        saved = load_file(tmp_path / "bf16" / name / WEIGHTS)
        assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
        assert part.state_dict().keys() == saved.keys()
        assert all(torch.equal(tensor, saved[key].float()) for key, tensor in part.state_dict().items())


def test_a_tensor_that_is_missing_is_named(of_stage):
    """diffusers would leave it as uninitialised memory."""
    folder = of_stage(1)
    path, key = folder / "unet" / WEIGHTS, "music_projection.null_token"
    tensors = load_file(path)
    del tensors[key]
    save_file(tensors, path)
    with pytest.raises(InputError, match=rf"unet of .*1 missing \({key}\)"):
        load_networks(folder)


def test_training_changes_none_of_the_folders_files(of_stage):
    """Loaded weights may lie in memory that is mapped from the file."""
    folder = of_stage(1)
    before = (folder / "unet" / WEIGHTS).read_bytes()
    networks = load_networks(folder)
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.add_(1.0)
    assert (folder / "unet" / WEIGHTS).read_bytes() == before


def test_clips_are_what_the_model_was_made_for_unless_the_config_says_otherwise(small_model):
    assert training_spec(small_model, ClipsConfig()) == ClipSpec.of_model(small_model)
    spec = training_spec(small_model, ClipsConfig(size=64, fps=8, num_frames=6))
    assert (spec.pixels, spec.fps, spec.num_frames, spec.num_motion_frames) == (64 * 64, 8, 6, 2)
    assert training_spec(small_model, ClipsConfig(num_frames=6)).pixels == 32 * 32


@pytest.mark.parametrize(
    ("clips", "what"),
    [
        ({"size": 100}, "clips.size has to be a multiple of 8, not 100"),
        ({"size": 0}, "clips.size has to be a multiple of 8, not 0"),
        ({"size": -8}, "clips.size has to be a multiple of 8, not -8"),
        ({"fps": 0}, "clips.fps has to be at least 1, not 0"),
        ({"num_frames": 0}, "clips.num_frames has to be at least 2"),
        ({"num_frames": 1}, "clips.num_frames has to be at least 2"),
        ({"num_frames": 62}, "fps has to lie between 13 and"),  # AST hears 5.12 s here, 61 frames at 12 fps
        ({"fps": 200}, "fps has to lie between 1 and"),
    ],
)
def test_clips_that_cannot_be_are_refused(small_model, clips, what):
    with pytest.raises(InputError, match=what):
        training_spec(small_model, ClipsConfig(**clips))
