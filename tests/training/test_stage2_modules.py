"""Stage 2 with some of its modules: the others are neither trained, nor there, nor heard."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from musedance import MuseDancePipeline
from musedance.cli import main
from musedance.errors import InputError
from musedance.evaluation.ablation import cumulative_rows
from musedance.models import MuseDanceNetworks
from musedance.training.starting_point import check_modules, load_networks
from musedance.weights.modules import MODULES

WEIGHTS = Path("unet") / "diffusion_pytorch_model.safetensors"
PARTS = {
    "music": ("music_modules", "music_projection"),
    "beat": ("beat_modules", "beat_embedding"),
    "motion": ("motion_modules",),
}


def module_of(key: str) -> str | None:
    """The module that a weight belongs to; `None` for spatial ones."""
    return next((name for name, parts in PARTS.items() if any(part in key for part in parts)), None)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def start1(tmp_path, small_model):
    """A folder that says it is of stage 1."""
    folder = shutil.copytree(small_model, tmp_path / "start1")
    edit(folder / "model_index.json", stage=1)
    return folder


@pytest.fixture
def train(call_training, puppet_data, tmp_path):
    """Trains stage 2 for two steps and returns the exit code and the folder."""

    def train(model, modules, *more, output="run"):
        given = [f"model={model}", f"data.root={puppet_data}", f"output={tmp_path / output}", "validation.every=0"]
        return call_training(2, *given, "steps=2", f"modules=[{modules}]", *more), tmp_path / output / "model"

    return train


@pytest.mark.parametrize(
    ("modules", "more"),
    [("music", ["validation.every=2", "validation.samples=1", "validation.steps=1"]), ("music, motion", [])],
)
def test_the_trained_folder_has_these_modules_alone(
    modules, more, start1, train, example_image, example_track, tmp_path
):
    asked = set(modules.split(", "))
    code, folder = train(start1, modules, *more)
    assert code == 0
    config = json.loads((folder / "unet" / "config.json").read_text())
    assert {name for name in MODULES if config[f"use_{name}_modules"]} == asked
    before, after = load_file(start1 / WEIGHTS), load_file(folder / WEIGHTS)
    assert after.keys() == {key for key in before if module_of(key) in {None, *asked}}
    moved = {key for key in after if not after[key].equal(before[key])}
    assert {module_of(key) for key in moved} == asked  # spatial weights are the start's to the bit
    for part in ("reference_net", "mask_encoder"):
        file = f"{part}/diffusion_pytorch_model.safetensors"
        assert (folder / file).read_bytes() == (start1 / file).read_bytes()
    saved = load_file(folder.parent / "checkpoints" / "step-00000002" / "trained.safetensors")
    assert {module_of(key) for key in saved} == asked

    video = tmp_path / "dance.mp4"
    arguments = ["--model", folder, "--image", example_image, "--music", example_track, "--prompt", "waves"]
    arguments += ["--output", video, "--duration", "0.8", "--steps", "1", "--seed", "0"]  # three segments
    assert main(["infer", *map(str, arguments)]) == 0
    assert video.is_file()
    assert MuseDancePipeline.from_pretrained(folder).config.stage == 2
    assert [row.name for row in cumulative_rows([folder, start1])] == ["none", modules.replace(", ", " + ")]


def test_a_run_goes_on_with_the_modules_that_it_has(start1, train, capsys):
    """From a checkpoint, as from its folder."""
    code, folder = train(start1, "music")
    assert code == 0
    capsys.readouterr()
    assert train(start1, "music, beat", "--resume", "latest", "steps=3")[0] == 2
    assert "modules was [music], now [music, beat]" in capsys.readouterr().err
    assert train(start1, "music", "--resume", "latest", "steps=3")[0] == 0  # and its folder is replaced
    assert "stage 2, 3 steps" in json.loads((folder / "model_index.json").read_text())["provenance"]
    assert train(folder, "music, beat", output="more")[0] == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "musedance: error" in line]
    assert f"{folder} is of stage 2 and has no beat modules" in line and "go on with modules=[music]" in line
    assert not (folder.parents[1] / "more").exists()
    code, further = train(folder, "music", output="further")
    assert code == 0
    assert load_file(further / WEIGHTS).keys() == load_file(folder / WEIGHTS).keys()


@pytest.mark.parametrize(
    ("stage", "built", "asked", "words"),
    [
        (1, MODULES, ("motion",), None),
        (1, MODULES, MODULES, None),
        (1, ("music", "beat"), ("music",), None),
        (1, ("music", "beat"), MODULES, "is of stage 1 and has no motion modules"),
        (2, ("music", "beat"), ("beat", "music"), None),
        (2, ("music",), ("beat", "motion"), r"no beat, motion modules, but modules is \[beat, motion\]"),
        (2, MODULES, ("music",), r"has music, beat, motion modules, but modules is \[music\]"),
    ],
)
def test_what_a_folder_can_go_on_with(stage, built, asked, words, start1):
    edit(start1 / "model_index.json", stage=stage)
    edit(start1 / "unet" / "config.json", **{f"use_{name}_modules": name in built for name in MODULES})
    if words is None:
        check_modules(start1, asked)
    else:
        with pytest.raises(InputError, match=words) as caught:
            check_modules(start1, asked)
        assert "\n" not in str(caught.value)


def without_zeros(networks: MuseDanceNetworks) -> MuseDanceNetworks:
    """New modules end in projections of zero: give each weight of zero a value, so that all is heard that can be."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in networks.parameters():
            if not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return networks


def told(seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch of one."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "noisy_latents": draw(1, 5, 4, 4, 4),
        "timestep": torch.tensor([500]),
        "text": draw(1, 6, 16),
        "reference_latents": draw(1, 5, 4, 4),
        "empty_text": draw(1, 6, 16),
        "music": draw(1, 7, 16),
        "music_positions": torch.arange(7.0),
        "beats": torch.tensor([[0, 1, 0, 0]]),
        "motion_latents": draw(1, 5, 2, 4, 4),
    }


@pytest.mark.parametrize("modules", [("music",), ("beat",), ("motion",), ("music", "motion"), MODULES])
def test_what_is_left_out_is_not_heard_and_the_rest_is(modules, small_model):
    networks, batch, other = without_zeros(load_networks(small_model, modules)).eval(), told(), told(1)
    changes = {
        "music": {"music": other["music"]},
        "beat": {"beats": 1 - batch["beats"]},
        "motion": {"motion_latents": other["motion_latents"]},
    }
    with torch.no_grad():
        prediction = networks(**batch)
        for name, change in changes.items():
            assert torch.equal(networks(**{**batch, **change}), prediction) == (name not in modules), name


def test_no_other_weight_may_be_missing_or_left_over(start1):
    """Only the left out modules' weights are dropped, and only where the config says that they are there."""
    path = start1 / WEIGHTS
    tensors = load_file(path)
    save_file(tensors | {"down_blocks.0.drum_modules.0.weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"1 left over \(down_blocks.0.drum_modules"):
        load_networks(start1, ["music"])
    save_file({key: tensor for key, tensor in tensors.items() if key != "music_projection.null_token"}, path)
    with pytest.raises(InputError, match=r"1 missing \(music_projection"):
        load_networks(start1, ["music"])
    load_networks(start1, ["beat", "motion"])
    save_file(tensors, path)
    edit(start1 / "unet" / "config.json", use_beat_modules=False)
    with pytest.raises(InputError, match=r"left over \(beat_embedding"):
        load_networks(start1, ["music"])
    with pytest.raises(InputError, match="has no beat modules"):
        load_networks(start1, ["music", "beat"])


def test_lora_without_motion_modules_is_refused(train, start1, capsys):
    assert train(start1, "music, beat", "lora.rank=2")[0] == 2
    assert "add motion" in capsys.readouterr().err
