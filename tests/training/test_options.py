"""What the scripts can be told, tried on the real scripts."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from musedance.cli import main
from musedance.datasets.folder import DatasetFolder, write_dataset
from musedance.datasets.spec import ClipSpec

QUICK = ["steps=2", "validation.every=0"]


@pytest.fixture
def start1(tmp_path: Path, small_model: Path) -> Path:
    """A folder that says it is of stage 1."""
    folder = shutil.copytree(small_model, tmp_path / "start1")
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"stage": 1, "noise_schedule": schedule(folder)}))
    return folder


def schedule(folder: Path) -> dict:
    return json.loads((folder / "model_index.json").read_text())["noise_schedule"]


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def unet(model: Path) -> dict:
    return load_file(model / "unet" / "diffusion_pytorch_model.safetensors")


def test_a_cache_gives_the_same_losses(start1, puppet_data, call_training, tmp_path, capsys):
    """Also of clips of another size and length than the model's, which the trained folder says then."""
    changes = ["--size", "48", "--num-frames", "8", "--output", str(tmp_path / "cache")]
    encoding = ["--model", str(start1), "--device", "cpu", "--dtype", "float32"]
    assert main(["dataset", "cache", str(puppet_data), *encoding, *changes]) == 0
    given = [f"model={start1}", f"data.root={puppet_data}", *QUICK, "clips.size=48", "clips.num_frames=8"]
    assert call_training(2, *given, f"output={tmp_path / 'live'}") == 0
    assert call_training(2, *given, f"output={tmp_path / 'cached'}", f"data.cache={tmp_path / 'cache'}") == 0
    assert losses(tmp_path / "live") == losses(tmp_path / "cached")
    spec = ClipSpec.of_model(tmp_path / "cached" / "model")
    assert (spec.pixels, spec.num_frames) == (48 * 48, 8)
    wrong = [*given, f"output={tmp_path / 'wrong'}", f"data.cache={tmp_path / 'cache'}", "clips.size=null"]
    assert call_training(2, *wrong) == 2
    assert "pixels is 2304 instead of 1024" in capsys.readouterr().err


def test_accumulation_equals_a_larger_batch(start1, puppet_data, call_training, tmp_path):
    """Two clips in one pass or one after the other: the same step, up to the order of sums."""
    dataset = DatasetFolder(puppet_data)
    data = shutil.copytree(puppet_data, tmp_path / "data")
    write_dataset(data, {**dataset.info}, dataset.split("train")[:2])
    given = [f"model={start1}", f"data.root={data}", "steps=1", "validation.every=0", "ema_decay=null"]
    given += ["optim.name=adamw", "optim.eps=1"]  # with Adam's small epsilon a step is the sign of a gradient
    for name, sizes in (("whole", ["batch_size=2"]), ("halves", ["batch_size=1", "accumulation=2"])):
        assert call_training(2, *given, f"output={tmp_path / name}", *sizes) == 0
    assert losses(tmp_path / "whole")[0] == pytest.approx(losses(tmp_path / "halves")[0], rel=1e-5)
    start, whole, halves = (
        unet(path) for path in (start1, tmp_path / "whole" / "model", tmp_path / "halves" / "model")
    )
    moved = [name for name in start if not whole[name].equal(start[name])]
    assert moved
    for name in moved:
        largest = (whole[name] - start[name]).abs().max()
        assert (whole[name] - halves[name]).abs().max() <= 1e-3 * largest + 1e-9, name


def test_other_music_of_the_clip_is_heard_if_asked_for(start1, puppet_data, call_training, tmp_path):
    given = [f"model={start1}", f"data.root={puppet_data}", *QUICK, "steps=3"]
    for name, shift in (("own", "0"), ("again", "0"), ("other", "1")):
        assert call_training(2, *given, f"output={tmp_path / name}", f"music_shift={shift}") == 0
    own, again, other = (losses(tmp_path / name) for name in ("own", "again", "other"))
    assert own == again and own[-1] != other[-1]


def test_a_low_memory_run_trains_lora_only(start1, puppet_data, call_training, tmp_path):
    """16-bit frozen weights, checkpointing, LoRA, from a folder of stage 2; checkpoints hold the LoRA alone."""
    given = [f"data.root={puppet_data}", *QUICK]
    assert call_training(2, *given, f"model={start1}", f"output={tmp_path / 'first'}") == 0
    model, run = tmp_path / "first" / "model", tmp_path / "lora"
    small = ["frozen_dtype=bfloat16", "memory.precision=bf16", "memory.gradient_checkpointing=true", "lora.rank=2"]
    given += [f"model={model}", f"output={run}", *small]
    assert call_training(2, *given) == 0
    before, after = unet(model), unet(run / "model")
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved and all("motion_modules" in name and ".to_" in name for name in moved)
    saved = load_file(run / "checkpoints" / "step-00000002" / "trained.safetensors")
    assert saved and all(".lora_" in name for name in saved)
    assert (run / "lora" / "pytorch_lora_weights.safetensors").is_file()
    assert call_training(2, *given, "steps=3", "--resume", "latest") == 0
    assert [row["step"] for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())] == [1, 2, 3]


def test_an_unfrozen_run_trains_appearance_too(start1, puppet_data, call_training, tmp_path):
    given = [f"model={start1}", f"data.root={puppet_data}", f"output={tmp_path / 'run'}", *QUICK]
    assert call_training(2, *given, "freeze_spatial=false") == 0
    before, after = unet(start1), unet(tmp_path / "run" / "model")
    moved = {name for name in before if not before[name].equal(after[name])}
    assert len(moved) > 0.95 * len(before)  # a key's bias has no gradient in a softmax
    assert {"conv_in.weight", "beat_embedding.weight"} <= moved
    reference_net = "reference_net/diffusion_pytorch_model.safetensors"
    first, last = (load_file(folder / reference_net) for folder in (start1, tmp_path / "run" / "model"))
    assert sum(not first[name].equal(last[name]) for name in first) > 0.9 * len(first)
    assert call_training(2, *given, "freeze_spatial=false", "steps=3", "--resume", "latest") == 0
    assert call_training(2, *given, "steps=4", "--resume", "latest") == 2  # that would be another run


def test_epsilon_without_zero_terminal_snr(small_model, puppet_data, call_training, tmp_path, capsys):
    """Stable Diffusion's own objective; stage 2 then has to keep to it."""
    epsilon = ["objective.prediction_type=epsilon", "objective.zero_terminal_snr=false"]
    given = [f"data.root={puppet_data}", *QUICK, f"output={tmp_path / 'run'}"]
    assert call_training(1, f"model={small_model}", *given, *epsilon) == 0
    assert schedule(tmp_path / "run" / "model")["prediction_type"] == "epsilon"
    given = [f"model={tmp_path / 'run' / 'model'}", f"data.root={puppet_data}", f"output={tmp_path / 'run2'}", *QUICK]
    assert call_training(2, *given) == 2
    assert "objective.prediction_type=epsilon objective.zero_terminal_snr=false" in capsys.readouterr().err
    assert call_training(2, *given, *epsilon) == 0
