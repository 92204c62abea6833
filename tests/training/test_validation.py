"""Validation: held-out clips through the real pipeline, on one process, on two, and with sharded weights.

Run as a script, under torchrun, this file is one rank of `test_two_ranks_give_what_one_gives`.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from accelerate.utils import InitProcessGroupKwargs
from PIL import Image
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.media.audio import read_audio
from musedance.media.video import VideoReader
from musedance.models import MaskEncoder, MuseDanceNetworks, MuseDanceUNet, ReferenceNet
from musedance.training.config import Stage1Config, Stage2Config, TrainingConfig
from musedance.training.scheduler import training_scheduler
from musedance.training.validation import ValidationResult, Validator, log_validation
from musedance.training.validation_clips import HeldOutClips
from musedance.training.validation_scores import image_scores


def make_config(model: Path, data: Path, stage: int, **validation) -> TrainingConfig:
    config = Stage1Config() if stage == 1 else Stage2Config()
    config.model, config.data.root = str(model), str(data)
    for key, value in ({"samples": 3, "steps": 2} | validation).items():
        setattr(config.validation, key, value)
    return config


def make_validator(config: TrainingConfig, folder: Path, stage: int) -> Validator:
    scheduler = training_scheduler(Path(config.model), config.objective)
    return Validator(config, stage=stage, scheduler=scheduler, spec=ClipSpec.of_model(config.model), folder=folder)


def load_networks(model: Path) -> MuseDanceNetworks:
    return MuseDanceNetworks(
        MuseDanceUNet.from_pretrained(model / "unet"),
        ReferenceNet.from_pretrained(model / "reference_net"),
        MaskEncoder.from_pretrained(model / "mask_encoder"),
    ).train()


def run(config: TrainingConfig, folder: Path, stage: int, networks: MuseDanceNetworks | None = None, step: int = 5):
    networks = load_networks(Path(config.model)) if networks is None else networks
    return make_validator(config, folder, stage).run(Accelerator(cpu=True), networks, step)


def read_video(path: Path) -> np.ndarray:
    with VideoReader(path) as video:
        return np.stack(list(video.stream(video.info.fps)))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the two ranks have, so that sums are in the same order; more threads would only slow models so small down."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=[1, 2])
def stage(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def validated(stage, small_model, puppet_data, tmp_path_factory) -> tuple[ValidationResult, Path]:
    """One validation of each stage and its folder; not to be changed."""
    folder = tmp_path_factory.mktemp(f"validation-{stage}")
    return run(make_config(small_model, puppet_data, stage), folder, stage), folder


@pytest.fixture
def damaged_data(puppet_data, tmp_path) -> Path:
    """The first of four validation clips is cut short."""
    folder = tmp_path / "damaged"
    shutil.copytree(puppet_data, folder)
    damage(folder, 1)
    return folder


def damage(data: Path, count: int) -> list[str]:
    dataset = open_dataset(data)
    clips = dataset.split("validation")[:count]
    for clip in clips:
        path = dataset.locate(clip)
        path.write_bytes(path.read_bytes()[:3000])
    return [clip.id for clip in clips]


def test_files_of_a_validation(stage, validated):
    result, folder = validated
    suffix = "png" if stage == 1 else "mp4"
    assert result.step == 5 and result.num_samples == len(result.files) == 3
    assert all(file.parent == folder / "step-00000005" and file.suffix == f".{suffix}" for file in result.files)
    assert set(contents(folder)) == {
        "step-00000005.png",
        "step-00000005.json",
        *(f"step-00000005/{file.name}" for file in result.files),
    }
    told = json.loads((folder / "step-00000005.json").read_text())
    assert told["n"] == 3 and list(told["samples"]) == [file.stem for file in result.files]
    for name, score in result.scores.items():
        assert told[name] == score == pytest.approx(np.mean([one[name] for one in told["samples"].values()]))
    assert set(result.scores) == {"psnr", "ssim"}
    with Image.open(result.sheet) as sheet:
        assert sheet.width > sheet.height / 4


def test_the_scores_are_those_of_the_written_frames(stage, validated, small_model, puppet_data):
    """Of stage 1 exactly, from the picture; of stage 2 as far as the video's compression lets it be seen."""
    result, folder = validated
    told = json.loads((folder / "step-00000005.json").read_text())["samples"]
    held_out = HeldOutClips(open_dataset(puppet_data), ClipSpec.of_model(small_model), stage=stage, count=3)
    for file, clip in zip(result.files, held_out.clips, strict=True):
        assert file.stem == clip.id
        true = held_out.read(clip).frames
        if stage == 1:
            reference, target, generated = np.split(np.array(Image.open(file)), 3, axis=1)
            assert (target == true[0]).all() and (reference == np.asarray(held_out.read(clip).reference)).all()
            assert image_scores(generated[None], true) == pytest.approx(told[clip.id])
        else:
            with VideoReader(file) as video:
                generated = video.frames_at([(frame + 0.5) / 12 for frame in range(4)])
            assert image_scores(generated, true)["psnr"] == pytest.approx(told[clip.id]["psnr"], abs=1.0)


def test_videos_have_the_clips_sound(small_model, puppet_data, tmp_path):
    result = run(make_config(small_model, puppet_data, 2, samples=1), tmp_path, 2)
    dataset = open_dataset(puppet_data)
    clip = dataset.split("validation")[0]
    with VideoReader(result.files[0]) as video:
        assert video.info.num_frames == 4 and video.info.fps == 12
    heard = read_audio(result.files[0])
    assert heard.duration == pytest.approx(4 / 12, abs=0.03)  # AAC comes in blocks of 1024 samples
    true = read_audio(dataset.locate(clip)).mono(8000)[: 8000 // 3]
    assert np.corrcoef(heard.mono(8000)[: len(true)], true)[0, 1] > 0.9


def test_a_step_validated_twice_gives_the_same_files(stage, validated, small_model, puppet_data, tmp_path):
    torch.manual_seed(1234)
    run(make_config(small_model, puppet_data, stage), tmp_path, stage)
    assert contents(tmp_path) == contents(validated[1])


def test_the_given_weights_are_validated(validated, stage, small_model, puppet_data, tmp_path):
    """Other weights give other pictures; dropout, which training may have switched on, does not."""
    networks = load_networks(small_model)
    for module in networks.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    config = make_config(small_model, puppet_data, stage)
    assert run(config, tmp_path / "same", stage, networks).scores == validated[0].scores
    with torch.no_grad():
        for parameter in networks.unet.conv_out.parameters():
            parameter.mul_(0.5)
    assert run(config, tmp_path / "other", stage, networks).scores != validated[0].scores


def test_every_clip_and_seed_has_its_own_noise(small_model, puppet_data, tmp_path):
    """Seen where the model says nothing: with predictions of zero, what is sampled is the noise."""
    networks = load_networks(small_model)
    torch.nn.init.zeros_(networks.unet.conv_out.weight)
    torch.nn.init.zeros_(networks.unet.conv_out.bias)
    config, pictures = make_config(small_model, puppet_data, 1, samples=2), []
    for seed in (0, 1):
        config.seed = seed
        files = run(config, tmp_path / str(seed), 1, networks).files
        pictures += [np.asarray(Image.open(file))[:, -32:].tobytes() for file in files]
    assert len(set(pictures)) == 4


def test_training_goes_on_as_if_nothing_had_been(stage, small_model, puppet_data, tmp_path):
    networks = load_networks(small_model)
    networks.unet.down_blocks.eval()
    networks.mask_encoder.requires_grad_(False)
    networks.unet.enable_gradient_checkpointing()
    networks.unet.conv_in.weight.grad = torch.ones_like(networks.unet.conv_in.weight)

    def state():
        return {
            "modes": [module.training for module in networks.modules()],
            "gradients": [parameter.requires_grad for parameter in networks.parameters()],
            "weights": [parameter.tolist() for parameter in networks.parameters()],
            "grad": networks.unet.conv_in.weight.grad.tolist(),
            "processors": [id(one) for one in networks.unet.attn_processors.values()],
            "config": json.dumps(networks.unet.config, default=str),
            "random": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
            "enabled": torch.is_grad_enabled(),
        }

    torch.manual_seed(7)
    before = state()
    run(make_config(small_model, puppet_data, stage, samples=1), tmp_path, stage, networks)
    after = state()
    for name in before:
        assert after[name] == before[name], name


def test_bfloat16_with_frozen_weights_of_16_bits(small_model, puppet_data, tmp_path):
    """As stage 2 trains where memory is short: spatial weights in bfloat16, motion modules in float32."""
    networks = load_networks(small_model)
    for name, parameter in networks.named_parameters():
        if "motion_modules" not in name:
            parameter.data = parameter.data.bfloat16()
    config = make_config(small_model, puppet_data, 2, samples=1)
    validator = make_validator(config, tmp_path / "short", 2)
    accelerator = Accelerator(cpu=True)
    accelerator.autocast = lambda: torch.autocast("cpu", torch.bfloat16)  # an Accelerator's own precision is global
    short, plain = validator.run(accelerator, networks, 1), run(config, tmp_path / "plain", 2)
    assert short.scores["psnr"] == pytest.approx(plain.scores["psnr"], rel=0.05) and short.scores != plain.scores
    one, other = (read_video(result.files[0]).astype(float) for result in (short, plain))
    assert 0 < np.abs(one - other).mean() < 0.3 * one.std()  # 0.15 when written


def test_a_clip_that_cannot_be_read_is_left_out(small_model, damaged_data, puppet_data, tmp_path):
    whole = run(make_config(small_model, puppet_data, 2, samples=4), tmp_path / "whole", 2)
    with pytest.warns(UserWarning, match=f"not validated: clip {whole.files[0].stem}"):
        result = run(make_config(small_model, damaged_data, 2, samples=4), tmp_path / "damaged", 2)
    assert [file.name for file in result.files] == [file.name for file in whole.files[1:]]
    for file, other in zip(result.files, whole.files[1:], strict=True):
        assert file.read_bytes() == other.read_bytes()


def test_no_clip_can_be_read(small_model, damaged_data, tmp_path):
    damage(damaged_data, 4)
    with pytest.warns(UserWarning, match="not validated"):
        result = run(make_config(small_model, damaged_data, 1), tmp_path / "out", 1)
    assert (result.num_samples, result.scores, result.files, result.sheet) == (0, {}, [], None)
    log_validation(Accelerator(cpu=True), result, 5)


@pytest.mark.parametrize("why", ["not wanted", "no split", "too short"])
def test_runs_without_validation_say_so_where_it_was_wanted(why, small_model, puppet_data, tmp_path):
    config = make_config(small_model, puppet_data, 2, every=0 if why == "not wanted" else 10)
    if why == "no split":
        config.data.root = str(tmp_path / "data")
        shutil.copytree(puppet_data, tmp_path / "data", ignore=shutil.ignore_patterns("validation"))
    spec = replace(ClipSpec.of_model(small_model), num_frames=51 if why == "too short" else 4)
    scheduler = training_scheduler(small_model, config.objective)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        validator = Validator(config, stage=2, scheduler=scheduler, spec=spec, folder=tmp_path)
    told = [str(warning.message) for warning in said if "there is no validation" in str(warning.message)]
    assert len(told) == (why != "not wanted")
    assert not validator.enabled and not validator.due(0) and not validator.due(10)
    with pytest.raises(RuntimeError):
        validator.run(Accelerator(cpu=True), load_networks(small_model), 10)


def test_when_it_is_due(small_model, puppet_data, tmp_path):
    validator = make_validator(make_config(small_model, puppet_data, 1, every=4), tmp_path, 1)
    assert validator.enabled and [step for step in range(1, 13) if validator.due(step)] == [4, 8, 12]


@pytest.mark.parametrize("wrong", [{"every": -1}, {"samples": 0}, {"steps": 0}, {"steps": 1001}])
def test_settings_that_cannot_be(wrong, small_model, puppet_data, tmp_path):
    with pytest.raises(InputError, match="validation needs"):
        make_validator(make_config(small_model, puppet_data, 2, **wrong), tmp_path, 2)


def test_other_frame_rates_are_refused_before_training(small_model, puppet_data, tmp_path):
    config = make_config(small_model, puppet_data, 2)
    scheduler = training_scheduler(small_model, config.objective)
    spec = replace(ClipSpec.of_model(small_model), fps=8)
    with pytest.raises(InputError, match="12 frames per second, the model 8"):
        Validator(config, stage=2, scheduler=scheduler, spec=spec, folder=tmp_path)


def test_scikit_image_is_missed_before_training(small_model, puppet_data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)  # an import of it fails
    with pytest.raises(InputError, match=r"musedance\[train\]"):
        make_validator(make_config(small_model, puppet_data, 2), tmp_path, 2)


class Recorder(GeneralTracker):
    """A tracker that takes pictures as wandb's does."""

    name = "wandb"
    requires_logging_directory = False

    def __init__(self):
        super().__init__(_blank=True)
        self.values, self.images, self.tracker = {}, {}, None

    def store_init_configuration(self, values):
        pass

    def log(self, values, step=None, **kwargs):
        self.values |= {name: (value, step) for name, value in values.items()}

    def log_images(self, values, step=None):
        self.images |= {name: (list(pictures), step) for name, pictures in values.items()}


def test_trackers_are_sent_scores_and_sheet(validated, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result, _ = validated
    sheet, recorder = np.asarray(Image.open(result.sheet)), Recorder()
    accelerator = Accelerator(cpu=True, log_with=["tensorboard", recorder], project_dir=tmp_path)
    accelerator.init_trackers("run")
    log_validation(accelerator, result, 5)
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"images": 0}).Reload()  # before the tracker ends
    for name, score in result.scores.items():
        assert [(one.step, one.value) for one in events.Scalars(f"validation/{name}")] == [(5, pytest.approx(score))]
        assert recorder.values[f"validation/{name}"] == (score, 5)
    (picture,) = events.Images("validation")
    (tmp_path / "picture.png").write_bytes(picture.encoded_image_string)
    assert picture.step == 5 and (np.asarray(Image.open(tmp_path / "picture.png")) == sheet).all()
    ((recorded,), step) = recorder.images["validation"]
    assert step == 5 and (recorded == sheet).all()
    accelerator.end_training()


def test_two_ranks_give_what_one_gives(small_model, puppet_data, damaged_data, tmp_path):
    """Three samples on two ranks, so that one of them is filled up; then with shards, and a clip that is damaged."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    folders = [str(path) for path in (small_model, puppet_data, damaged_data, tmp_path)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    ended = subprocess.run(
        [*launcher, __file__, *folders], env=environment, capture_output=True, text=True, timeout=400
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert told[0] == told[1]  # every rank is told everything

    plain = run(make_config(small_model, puppet_data, 2), tmp_path / "one", 2)
    with pytest.warns(UserWarning, match="not validated"):
        left_out = run(make_config(small_model, damaged_data, 1, samples=4), tmp_path / "one-sharded", 1)
    for one, two, kind in ((plain, told[0]["plain"], "plain"), (left_out, told[0]["sharded"], "sharded")):
        assert two["num_samples"] == one.num_samples == 3
        assert two["scores"] == pytest.approx(one.scores, rel=1e-5)
        assert [Path(file).name for file in two["files"]] == [file.name for file in one.files]
        assert contents(tmp_path / kind).keys() == contents(tmp_path / one.sheet.parent).keys()
    assert ended.stderr.count("not validated") == 1  # by the rank whose clip it is


def one_rank(model: Path, plain: Path, damaged: Path, folder: Path) -> None:
    """What a rank of the test above does."""
    patience = InitProcessGroupKwargs(timeout=timedelta(seconds=100))  # a rank that waits in vain is to end
    accelerator = Accelerator(cpu=True, kwargs_handlers=[patience])
    assert accelerator.num_processes == 2
    found = {}
    networks = load_networks(model)
    config = make_config(model, plain, 2)
    found["plain"] = make_validator(config, folder / "plain", 2).run(accelerator, networks, 5)

    for module in networks.modules():
        if type(module).__name__ in MuseDanceUNet._no_split_modules:
            fully_shard(module)
    fully_shard(networks)
    latents, text = torch.zeros(1, 5, 4, 4), torch.zeros(1, 7, 16)
    training_step = {"reference_latents": latents, "empty_text": text}
    networks(latents, torch.zeros(1), text, **training_step).mean().backward()
    config = make_config(model, damaged, 1, samples=4)
    found["sharded"] = make_validator(config, folder / "sharded", 1).run(accelerator, networks, 5)

    assert isinstance(networks, FSDPModule) and all(isinstance(one, DTensor) for one in networks.parameters())
    networks(latents, torch.zeros(1), text, **training_step).mean().backward()
    results = {kind: asdict(result) for kind, result in found.items()}
    (folder / f"rank-{accelerator.process_index}.json").write_text(json.dumps(results, default=str))
    accelerator.end_training()


if __name__ == "__main__":
    warnings.simplefilter("always")
    one_rank(*map(Path, sys.argv[1:]))
