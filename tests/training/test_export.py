"""From trained weights to a folder that the pipeline loads: whole, right, or not there."""

import json
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from diffusers import DDIMScheduler
from PIL import Image
from safetensors.torch import load_file

from musedance.datasets.cache_key import CacheKey
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.noise_schedule import check_scheduler
from musedance.pipeline import MuseDancePipeline
from musedance.training.config import ClipsConfig, LoraConfig
from musedance.training.export import export_folder, trained_weights
from musedance.training.lora import add_lora
from musedance.training.starting_point import check_start, load_networks, training_spec
from musedance.training.trainable import select_stage1, select_stage2, trained_parameters
from musedance.weights.check import check_folder

WEIGHTS = "diffusion_pytorch_model.safetensors"
TEMPORAL = ("music_modules", "beat_modules", "motion_modules", "music_projection", "beat_embedding")
LORA = LoraConfig(rank=2, alpha=6.0)


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


def scheduler(**settings):
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
    return DDIMScheduler(**(betas | {"prediction_type": "epsilon"} | settings))


def trained(model, stage, lora=None, shift=0.01):
    """The stage's networks after something like training: everything that it trains has moved."""
    networks = load_networks(model)
    (select_stage1 if stage == 1 else select_stage2)(networks)
    if lora is not None:
        add_lora(networks.unet, lora)
    generator = torch.Generator().manual_seed(stage)
    with torch.no_grad():
        for parameter in trained_parameters(networks).values():
            parameter.add_(shift * torch.randn(parameter.shape, generator=generator))
    return networks


def export(model, weights, output, *, stage, **settings):
    arguments = {
        "spec": ClipSpec.of_model(model),
        "dtype": "float32",
        "provenance": f"stage {stage}, 30 steps from abc",
        "lora": None,
    }
    noise = settings.pop("scheduler", None) or scheduler()
    return export_folder(model, weights, noise, stage=stage, output=output, **(arguments | settings))


@pytest.fixture(scope="module")
def stage1(small_model, accelerator, tmp_path_factory):
    """A stage 1 folder, and the networks that it was made from."""
    networks = trained(small_model, 1)
    output = tmp_path_factory.mktemp("stage1") / "model"
    return export(small_model, trained_weights(accelerator, networks), output, stage=1), networks


@pytest.fixture(scope="module")
def stage2(stage1, accelerator, tmp_path_factory):
    """The same for stage 2."""
    networks = trained(stage1[0], 2, shift=0.1)
    output = tmp_path_factory.mktemp("stage2") / "model"
    return export(stage1[0], trained_weights(accelerator, networks), output, stage=2), networks


def tensors(folder, part):
    return load_file(folder / part / WEIGHTS)


def index(folder):
    return json.loads((folder / "model_index.json").read_text())


def dance(folder):
    """Two segments of a video, as bytes."""
    pipeline = MuseDancePipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    music = (np.sin(np.arange(16000) * 0.2).astype(np.float32), 16000)
    picture = Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))
    generator = torch.Generator().manual_seed(0)
    video = pipeline(picture, music, "a dance", num_frames=6, num_inference_steps=2, generator=generator)
    return [np.asarray(frame) for frame in video.frames]


@pytest.mark.parametrize("stage", [1, 2])
def test_the_folder_holds_exactly_the_trained_networks(stage, stage1, stage2):
    folder, networks = stage1 if stage == 1 else stage2
    check_folder(folder)
    for name in ("unet", "reference_net", "mask_encoder"):
        saved, own = tensors(folder, name), getattr(networks, name).state_dict()
        assert saved.keys() == own.keys()
        assert all(torch.equal(saved[key], own[key]) for key in own), name
    assert index(folder)["stage"] == stage
    assert index(folder)["provenance"] == f"stage {stage}, 30 steps from abc"
    assert not [path.name for path in folder.parent.iterdir() if path != folder]


def test_each_stage_moves_its_own_weights_alone(small_model, stage1, stage2):
    start, first, second = (tensors(folder, "unet") for folder in (small_model, stage1[0], stage2[0]))
    for key in start:
        temporal = any(part in key for part in TEMPORAL)
        assert torch.equal(start[key], first[key]) == temporal, key
        assert torch.equal(first[key], second[key]) == (not temporal), key
    for part, moved in (("reference_net", True), ("mask_encoder", True)):
        a, b, c = (tensors(folder, part) for folder in (small_model, stage1[0], stage2[0]))
        assert all(torch.equal(a[key], b[key]) != moved and torch.equal(b[key], c[key]) for key in a)


def test_the_next_stage_starts_from_it_and_the_feature_cache_stays_valid(small_model, stage1, stage2):
    check_start(stage1[0], 2)
    check_start(stage2[0], 2)
    spec = ClipSpec.of_model(small_model)
    key = CacheKey.of_model(small_model, spec)
    for folder, _ in (stage1, stage2):
        assert key.differences(CacheKey.of_model(folder, spec)) == []


def test_the_folder_dances(stage1, stage2):
    with pytest.warns(UserWarning, match="still picture"):
        still = dance(stage1[0])
    assert all(np.array_equal(frame, still[0]) for frame in still)
    moving = dance(stage2[0])
    assert len(moving) == 6
    assert not all(np.array_equal(frame, moving[0]) for frame in moving)


def test_the_folder_keeps_the_noise_schedule_that_was_trained_on(stage1, accelerator, tmp_path):
    """Saved as scheduler and as noise_schedule, against which every other scheduler is held."""
    model, _ = stage1
    assert index(model)["noise_schedule"]["prediction_type"] == "epsilon"
    zero = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    weights = trained_weights(accelerator, trained(model, 2))
    folder = export(model, weights, tmp_path / "model", stage=2, scheduler=scheduler(**zero))
    assert index(folder)["noise_schedule"]["rescale_betas_zero_snr"] is True
    for output, prediction in ((model, "epsilon"), (folder, "v_prediction")):
        pipeline = MuseDancePipeline.from_pretrained(output)
        assert pipeline.scheduler.config.prediction_type == prediction
        check_scheduler(pipeline.scheduler, pipeline.config.noise_schedule)


def test_the_folder_says_what_the_clips_were(small_model, stage1, accelerator, tmp_path):
    networks = trained(small_model, 1)
    spec = training_spec(small_model, ClipsConfig(size=64, fps=8, num_frames=6))
    folder = export(small_model, trained_weights(accelerator, networks), tmp_path / "model", stage=1, spec=spec)
    assert ClipSpec.of_model(folder) == spec
    assert json.loads((folder / "reference_net" / "config.json").read_text())["sample_size"] == 8
    assert ClipSpec.of_model(stage1[0]) == ClipSpec.of_model(small_model)


def test_16_bit_folders_keep_their_frozen_weights_bit_for_bit(stage1, accelerator, tmp_path):
    MuseDancePipeline.from_pretrained(stage1[0], dtype=torch.bfloat16).save_pretrained(tmp_path / "start")
    weights = trained_weights(accelerator, trained(tmp_path / "start", 2))
    folder = export(tmp_path / "start", weights, tmp_path / "model", stage=2, dtype="bfloat16")
    before, after = tensors(tmp_path / "start", "unet"), tensors(folder, "unet")
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    for key, tensor in after.items():
        expected = weights.get(f"unet.{key}", before[key]).bfloat16()
        assert torch.equal(tensor, expected), key
    for part in ("text_encoder", "vae", "music_encoder", "reference_net"):
        (file,) = (folder / part).glob("*.safetensors")
        found, start = load_file(file), load_file(tmp_path / "start" / part / file.name)
        assert all(torch.equal(found[key], start[key]) for key in start), part


def test_lora_is_merged_and_kept_alone_beside(stage2, accelerator, tmp_path):
    model = stage2[0]
    torch.manual_seed(0)  # peft draws what the additions begin with
    networks = trained(model, 2, LORA, shift=0.3)
    weights = trained_weights(accelerator, networks)
    assert weights and all("lora" in name for name in weights)
    folder = export(model, weights, tmp_path / "model", stage=2, lora=LORA)
    assert tensors(folder, "unet").keys() == tensors(model, "unet").keys()
    alone = load_networks(model).unet
    alone.load_lora_adapter(tmp_path / "lora", prefix=None, use_safetensors=True)
    torch.manual_seed(1)
    latents, text = torch.randn(1, 5, 4, 4, 4), torch.randn(1, 6, 16)
    with torch.no_grad():
        trained_one, merged, shared, before = (
            unet(latents, 500, text).sample
            for unet in (networks.unet, load_networks(folder).unet, alone, load_networks(model).unet)
        )
    torch.testing.assert_close(merged, trained_one, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(shared, trained_one, rtol=1e-5, atol=1e-5)
    assert (before - trained_one).abs().max() > 1e-3
    start, end = tensors(model, "unet"), tensors(folder, "unet")
    for key in start:
        adapted = ".motion_modules." in key and ".attn" in key and key.endswith(".weight")
        assert torch.equal(start[key], end[key]) != adapted, key


@pytest.mark.parametrize("stage", [1, 2])
def test_weights_of_something_else_are_refused(stage, stage1, accelerator, tmp_path):
    weights = trained_weights(accelerator, trained(stage1[0], stage))
    name = next(iter(weights))
    other = trained_weights(accelerator, trained(stage1[0], 3 - stage))
    for wrong, what in (
        ({key: tensor for key, tensor in weights.items() if key != name}, f"1 missing .{name}"),
        (weights | {"unet.more": torch.zeros(1)}, "1 left over .unet.more"),
        (weights | {name: torch.zeros(1, 2, 3)}, f"1 of another shape .{name}"),
        (other, "left over"),
    ):
        with pytest.raises(InputError, match=what):
            export(stage1[0], wrong, tmp_path / "model", stage=stage)
    assert not list(tmp_path.iterdir())


def test_a_run_replaces_its_own_folder(stage1, accelerator, tmp_path):
    """Finished once, gone on with to more steps, finished again."""
    output = tmp_path / "model"
    for steps, shift in ((30, 0.01), (60, 0.02)):
        networks = trained(stage1[0], 2, shift=shift)
        weights = trained_weights(accelerator, networks)
        export(stage1[0], weights, output, stage=2, provenance=f"stage 2, {steps} steps from abc")
        assert f"{steps} steps" in index(output)["provenance"]
        assert torch.equal(tensors(output, "unet")["beat_embedding.weight"], networks.unet.beat_embedding.weight)
        assert list(tmp_path.iterdir()) == [output]


def test_nothing_else_is_replaced(stage1, accelerator, tmp_path):
    model = stage1[0]
    weights = trained_weights(accelerator, trained(model, 2))
    copied = shutil.copytree(model, tmp_path / "copied")
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "read.me").write_text("mine")
    other = export(model, weights, tmp_path / "other", stage=2, provenance="stage 2, 30 steps from def")
    for output in (model, copied, notes, other, notes / "read.me"):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(InputError, match="exists already and is not of this run"):
            export(model, weights, output, stage=2)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_is_never_made_from_and_at_the_same_place(stage2, accelerator):
    """Even where a run of stage 2 goes on from a folder whose provenance is like its own."""
    weights = trained_weights(accelerator, trained(stage2[0], 2))
    with pytest.raises(InputError, match="exists already"):
        export(stage2[0], weights, stage2[0], stage=2)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_leaves_what_was_there(stage1, accelerator, tmp_path):
    model, output = stage1[0], tmp_path / "model"
    weights = trained_weights(accelerator, trained(model, 2))
    export(model, weights, output, stage=2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        for name in ("model", "new"):
            with pytest.raises(InputError, match="cannot write") as caught:
                export(model, weights, tmp_path / name, stage=2)
            assert "\n" not in str(caught.value)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_a_killed_run_left_is_no_hindrance(stage1, accelerator, tmp_path):
    weights = trained_weights(accelerator, trained(stage1[0], 2))
    for left in (".new-model", ".old-model"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "half").write_text("")
    export(stage1[0], weights, tmp_path / "model", stage=2)
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_trained_weights_are_float32_copies_by_plain_names(small_model, accelerator):
    """Compiling a model's repeated blocks renames nothing; training on changes no copy."""
    networks = trained(small_model, 2)
    names = set(trained_parameters(networks))
    networks.unet.compile_repeated_blocks()
    networks.unet.beat_embedding.to(torch.bfloat16)
    weights = trained_weights(accelerator, accelerator.prepare_model(networks))
    assert weights.keys() == names
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    before = {name: tensor.clone() for name, tensor in weights.items()}
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.zero_()
    assert all(
        torch.equal(tensor, before[name]) and tensor.any() for name, tensor in weights.items() if before[name].any()
    )


DISTRIBUTED = """
import sys

import torch
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard

from musedance.training.export import trained_weights
from musedance.training.starting_point import load_networks
from musedance.training.trainable import select_stage2, trained_parameters

accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2


def networks():
    found = load_networks(sys.argv[1])
    select_stage2(found)
    return found


expected = {name: p.detach().clone() for name, p in trained_parameters(networks()).items()}
sharded = networks()
for block in [*sharded.unet.down_blocks, *sharded.unet.up_blocks]:
    fully_shard(block)
fully_shard(sharded)
for model in (accelerator.prepare_model(networks()), sharded):
    weights = trained_weights(accelerator, model)
    if not accelerator.is_main_process:
        assert weights == {}
        continue
    assert list(weights) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())

with torch.no_grad():  # the root keeps what it gathers here
    latents, text = torch.zeros(1, 5, 4, 4, 4), torch.zeros(1, 6, 16)
    parameters = trained_parameters(sharded)
    sharded(latents, torch.tensor([5]), text, reference_latents=latents[:, :, 0], empty_text=text)
    for parameter in parameters.values():
        parameter.detach().to_local().fill_(0.25)
weights = trained_weights(accelerator, sharded)
assert all((tensor == 0.25).all() for tensor in weights.values())
accelerator.wait_for_everyone()
print("the weights are whole")
accelerator.end_training()
"""


def test_two_ranks_give_whole_weights(small_model, tmp_path):
    """DDP and FSDP2 on gloo."""
    script = tmp_path / "distributed.py"
    script.write_text(DISTRIBUTED)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launch, str(script), str(small_model)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the weights are whole") == 2
