"""The feature cache: the same loss as without it, no work done twice, and nothing stale."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from musedance import MuseDancePipeline
from musedance.datasets.cache import build_cache
from musedance.datasets.encode import Encoders, encode_batch
from musedance.datasets.folder import DatasetFolder, write_dataset
from musedance.datasets.loader import make_loader
from musedance.datasets.shard_writer import write_shards
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.models import MuseDanceNetworks

SPEC = ClipSpec(pixels=48 * 48, multiple=16, fps=12, num_frames=24, num_motion_frames=2, grid=24)
CPU = torch.device("cpu")
HERE: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On pictures this small, threads wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cache(dataset_folder: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return build_cache(dataset_folder, tiny_folder, tmp_path_factory.mktemp("features") / "cache", spec=SPEC, **HERE)


@pytest.fixture
def model_copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """Hard links, to be unlinked before they are written."""
    return shutil.copytree(tiny_folder, tmp_path / "model", copy_function=os.link)


@pytest.fixture
def cache_copy(cache: Path, tmp_path: Path) -> Path:
    return shutil.copytree(cache, tmp_path / "cache")


@pytest.mark.parametrize("stage", [1, 2])
def test_the_loss_is_the_same_bit_for_bit(stage: int, dataset_folder: Path, tiny_folder: Path, cache: Path) -> None:
    pipe = MuseDancePipeline.from_pretrained(tiny_folder)
    encoders = Encoders.from_folder(tiny_folder, 12, CPU, torch.float32)
    networks = MuseDanceNetworks(pipe.unet, pipe.reference_net, pipe.mask_encoder)
    with torch.no_grad():  # nothing at zero, so that every input counts
        for parameter in networks.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {"stage": stage, "batch_size": 3, "spec": SPEC, "seed": 1}
    live = make_loader(dataset_folder, tiny_folder, **options)
    cached = make_loader(dataset_folder, tiny_folder, cache=cache, **options)
    for batch, features in islice(zip(live, cached, strict=True), 2):
        assert batch["ids"] == features["ids"] and "frames" not in features and "prompts" not in features
        inputs, ready = encode_batch(batch, CPU, encoders), encode_batch(features, CPU)
        assert inputs.keys() == ready.keys()
        for name, value in inputs.items():
            assert value.dtype == ready[name].dtype and torch.equal(value.nan_to_num(-1), ready[name].nan_to_num(-1)), (
                name
            )
        losses = [loss_of(networks, pipe.scheduler, given) for given in (inputs, ready)]
        assert losses[0] == losses[1] and torch.isfinite(losses[0])


@torch.no_grad()
def loss_of(networks: MuseDanceNetworks, scheduler: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    inputs = dict(inputs)
    latents = inputs.pop("latents")
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(7))
    timesteps = torch.tensor([10, 500, 999])[: len(latents)]
    prediction = networks(scheduler.add_noise(latents, noise, timesteps), timesteps, **inputs)
    return torch.nn.functional.mse_loss(prediction, scheduler.get_velocity(latents, noise, timesteps))


def test_it_holds_what_was_said(cache: Path, dataset_folder: Path, tiny_folder: Path) -> None:
    pipe = MuseDancePipeline.from_pretrained(tiny_folder)
    channels, tokens, width = pipe.unet.config.in_channels, pipe.tokenizer.model_max_length, 96
    side = 48 // pipe.vae_scale_factor
    clips = DatasetFolder(dataset_folder).clips
    files = sorted((cache / "clips").iterdir())
    assert [file.name for file in files] == sorted(f"{clip.id}.safetensors" for clip in clips)
    features = load_file(cache / "clips" / "clip-00.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in features.items()} == {
        "latents": (50, channels, side, side),
        "music": (3, 150, width),  # windows at 0, 2 and 26
        "text": (3, tokens, width),  # the caption, and each of the timeline's two spans
    }
    with safe_open(files[0], "pt") as file:
        assert json.loads(file.metadata()["texts"]) == sorted(
            [clips[0].caption, *(span.text for span in clips[0].timeline)]
        )


def test_finished_work_is_not_done_again(cache_copy: Path, dataset_folder: Path, tiny_folder: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in cache_copy.rglob("*") if file.is_file()}
    assert build_cache(dataset_folder, tiny_folder, cache_copy, spec=SPEC, **HERE) == cache_copy
    assert {file: file.stat().st_mtime_ns for file in cache_copy.rglob("*") if file.is_file()} == before


def test_a_run_cut_short_goes_on(
    dataset_folder: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, small, encode, calls = tmp_path / "cache", replace(SPEC, pixels=16 * 16), Encoders.latents, []

    def interrupted(self: Encoders, frames: torch.Tensor) -> torch.Tensor:
        calls.append(len(frames))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, frames)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Encoders, "latents", interrupted)
        build_cache(dataset_folder, tiny_folder, cache, spec=small, **HERE)
    done = {file.name: file.stat().st_mtime_ns for file in (cache / "clips").iterdir()}
    assert done.keys() == {"clip-00.safetensors", "clip-01.safetensors"}
    with pytest.raises(InputError, match="not complete: run musedance dataset cache"):
        make_loader(dataset_folder, tiny_folder, stage=1, batch_size=1, cache=cache, spec=small)
    build_cache(dataset_folder, tiny_folder, cache, spec=small, **HERE)
    times = {file.name: file.stat().st_mtime_ns for file in (cache / "clips").iterdir()}
    assert len(times) == 8 and times.items() >= done.items()
    make_loader(dataset_folder, tiny_folder, stage=1, batch_size=1, cache=cache, spec=small)


def test_the_folder_that_training_writes_keeps_its_cache(
    cache: Path, dataset_folder: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    pipe = MuseDancePipeline.from_pretrained(tiny_folder)
    with torch.no_grad():
        for model in (pipe.unet, pipe.reference_net, pipe.mask_encoder):
            for parameter in model.parameters():
                parameter.add_(0.1)
    pipe.save_pretrained(tmp_path / "trained")
    loader = make_loader(dataset_folder, tmp_path / "trained", stage=2, batch_size=1, cache=cache, spec=SPEC)
    assert next(iter(loader))["latents"].shape == (1, 24, pipe.unet.config.in_channels, 3, 3)


def change_tensor(file: str) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        tensors = load_file(model / file)
        name = sorted(tensors)[0]
        (model / file).unlink()
        save_file(tensors | {name: tensors[name] + 1e-4}, model / file, metadata={"format": "pt"})

    return change


@pytest.mark.parametrize(
    ("component", "file"),
    [
        ("vae", "vae/diffusion_pytorch_model.safetensors"),
        ("text_encoder", "text_encoder/model.safetensors"),
        ("music_encoder", "music_encoder/diffusion_pytorch_model.safetensors"),
    ],
)
def test_other_frozen_weights_are_refused(
    component: str, file: str, cache: Path, dataset_folder: Path, model_copy: Path
) -> None:
    change_tensor(file)(model_copy)
    with pytest.raises(InputError, match=rf"stale, {component} is \w+ instead of \w+: remove it and run") as caught:
        make_loader(dataset_folder, model_copy, stage=2, batch_size=1, cache=cache, spec=SPEC)
    assert str(model_copy) in str(caught.value) and str(cache) in str(caught.value)
    with pytest.raises(InputError, match=f"cache for something else, {component} is"):
        build_cache(dataset_folder, model_copy, cache, spec=SPEC, **HERE)


@pytest.mark.parametrize(
    "change", [{"pixels": 64 * 64}, {"multiple": 32}, {"num_frames": 20}, {"num_motion_frames": 4}, {"grid": 6}]
)
def test_another_spec_is_refused(change: dict[str, int], cache: Path, dataset_folder: Path, tiny_folder: Path) -> None:
    ((name, value),) = change.items()
    with pytest.raises(InputError, match=rf"stale, {name} is {getattr(SPEC, name)} instead of {value}: "):
        make_loader(dataset_folder, tiny_folder, stage=2, batch_size=1, cache=cache, spec=replace(SPEC, **change))


def test_a_changed_clip_is_refused_and_computed_again(cache_copy: Path, dataset_copy: Path, tiny_folder: Path) -> None:
    videos = dataset_copy / "train" / "clips"
    shutil.copy(videos / "clip-00.mp4", videos / "clip-02.mp4")
    with pytest.raises(InputError, match=r"stale for 1 clips, which are new or have changed: clip-02; run musedance"):
        make_loader(dataset_copy, tiny_folder, stage=1, batch_size=1, cache=cache_copy, spec=SPEC)
    times = {file.name: file.stat().st_mtime_ns for file in (cache_copy / "clips").iterdir()}
    build_cache(dataset_copy, tiny_folder, cache_copy, spec=SPEC, **HERE)
    changed = {f.name for f in (cache_copy / "clips").iterdir() if f.stat().st_mtime_ns != times[f.name]}
    assert changed == {"clip-02.safetensors"}
    make_loader(dataset_copy, tiny_folder, stage=1, batch_size=1, cache=cache_copy, spec=SPEC)


def test_new_captions_and_lost_files_are_noticed(cache_copy: Path, dataset_copy: Path, tiny_folder: Path) -> None:
    clips = DatasetFolder(dataset_copy).clips
    write_dataset(dataset_copy, {}, [replace(clips[0], caption="Another dance."), *clips[1:]])
    (cache_copy / "clips" / "clip-05.safetensors").unlink()
    path = cache_copy / "clips" / "clip-06.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"stale for 3 clips, .*: clip-00, clip-05, clip-06;"):
        make_loader(dataset_copy, tiny_folder, stage=1, batch_size=1, cache=cache_copy, spec=SPEC)


@pytest.mark.filterwarnings("ignore:clip clip-04 is skipped")
def test_a_bad_clip_is_replaced_as_without_the_cache(dataset_copy: Path, tiny_folder: Path, cache_copy: Path) -> None:
    (dataset_copy / "train" / "clips" / "clip-04.mp4").write_bytes(b"no video")
    (cache_copy / "clips" / "clip-04.safetensors").unlink()
    with pytest.raises(InputError, match=r"1 of 8 clips cannot be read, more than 5%: clip-04"):
        build_cache(dataset_copy, tiny_folder, cache_copy, spec=SPEC, **HERE)
    build_cache(dataset_copy, tiny_folder, cache_copy, spec=SPEC, max_failure_share=0.2, **HERE)
    options: dict[str, Any] = {"stage": 2, "batch_size": 2, "spec": SPEC, "max_failure_share": 0.2}
    live = make_loader(dataset_copy, tiny_folder, **options)
    cached = make_loader(dataset_copy, tiny_folder, cache=cache_copy, **options)
    for a, b in islice(zip(live, cached, strict=True), 6):
        assert a["ids"] == b["ids"] and torch.equal(a["beats"], b["beats"])
    assert cached.failures.reasons.keys() == live.failures.reasons.keys() == {"clip-04"}


def test_shards_and_folders_give_the_same_batches(
    cache: Path, dataset_folder: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    shards = write_shards(DatasetFolder(dataset_folder), tmp_path / "shards", shard_size=0.2)
    for stage, features in ((1, None), (2, None), (1, cache), (2, cache)):
        options: dict[str, Any] = {"stage": stage, "batch_size": 3, "spec": SPEC, "cache": features}
        a = make_loader(dataset_folder, tiny_folder, **options)
        b = make_loader(shards, tiny_folder, num_workers=1, **options)
        for one, other in islice(zip(a, b, strict=True), 2):
            assert one.keys() == other.keys()
            for name, value in one.items():
                same = (
                    torch.equal(value.nan_to_num(), other[name].nan_to_num())
                    if torch.is_tensor(value)
                    else value == other[name]
                )
                assert same, name


def test_what_is_no_cache_is_left_alone(dataset_folder: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.png").write_bytes(b"x")
    with pytest.raises(InputError, match="no feature cache: name another folder"):
        build_cache(dataset_folder, tiny_folder, tmp_path / "photos", spec=SPEC, **HERE)
    with pytest.raises(InputError, match=r"is no feature cache: it has no cache\.json"):
        make_loader(dataset_folder, tiny_folder, stage=1, batch_size=1, cache=tmp_path / "photos", spec=SPEC)
    for content in ("{", "[]", '{"format": "musedance-cache", "version": 1}', '{"format": "x", "version": 1}'):
        (tmp_path / "photos" / "cache.json").write_text(content)
        with pytest.raises(InputError, match=r"cache\.json"):
            make_loader(dataset_folder, tiny_folder, stage=1, batch_size=1, cache=tmp_path / "photos", spec=SPEC)
    assert sorted(file.name for file in (tmp_path / "photos").iterdir()) == ["cache.json", "me.png"]


def test_bfloat16_is_stored_as_it_is_computed(
    dataset_folder: Path, tiny_folder: Path, cache: Path, tmp_path: Path
) -> None:
    small = replace(SPEC, pixels=16 * 16, grid=48)
    half = build_cache(dataset_folder, tiny_folder, tmp_path / "half", spec=small, device="cpu", dtype="bfloat16")
    batch = next(iter(make_loader(dataset_folder, tiny_folder, stage=2, batch_size=1, cache=half, spec=small)))
    assert batch["latents"].dtype == batch["music"].dtype == batch["text"].dtype == torch.bfloat16
    assert batch["music_positions"].dtype == torch.float32
    with pytest.raises(InputError, match="dtype is bfloat16 instead of float32"):
        build_cache(dataset_folder, tiny_folder, half, spec=small, **HERE)
