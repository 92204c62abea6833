"""A model whose modules begin anew: what it keeps, what it draws, and that it moves as little as after stage 1."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from musedance import MuseDancePipeline
from musedance.cli import main
from musedance.errors import InputError
from musedance.tiny.renew import renew_modules
from musedance.weights.modules import load_unet

MODULES = "music_projection.", "beat_embedding.", ".music_modules.", ".beat_modules.", ".motion_modules."


@pytest.fixture(scope="module")
def trained(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of its UNet's weights are other than those that a UNet begins with."""
    pipeline = MuseDancePipeline.from_pretrained(small_model)
    with torch.no_grad():
        for weight in pipeline.unet.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    pipeline.register_to_config(stage=2, provenance="trained")
    folder = tmp_path_factory.mktemp("trained") / "model"
    pipeline.save_pretrained(folder)
    return folder


def weights(folder: Path, part: str = "unet") -> dict[str, torch.Tensor]:
    return load_file(folder / part / "diffusion_pytorch_model.safetensors")


def test_only_modules_are_new(trained: Path, tmp_path: Path) -> None:
    assert main(["tiny", "renew", str(tmp_path / "renewed"), "--model", str(trained)]) == 0
    before, after = weights(trained), weights(tmp_path / "renewed")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert torch.equal(after[name], weight.bfloat16()) != any(part in name for part in MODULES), name
    for part in ("vae", "reference_net"):
        for name, weight in weights(trained, part).items():
            assert torch.equal(weights(tmp_path / "renewed", part)[name], weight.bfloat16())
    config = MuseDancePipeline.from_pretrained(tmp_path / "renewed").config
    assert (config.stage, config.provenance) == (1, "trained; modules new, seed 0")


def test_new_modules_change_nothing_yet(trained: Path, tmp_path: Path) -> None:
    """So the row without modules of an ablation is the folder itself."""
    renewed = renew_modules(trained, tmp_path / "renewed")
    torch.manual_seed(0)
    unet = load_unet(renewed, ("music", "beat", "motion"), torch.float32)
    config = unet.config
    frames, size = config.num_frames, config.sample_size
    sample = torch.randn(1, config.in_channels, frames, size, size)
    told = {"encoder_hidden_states": torch.randn(1, 3, config.cross_attention_dim)}
    heard = {
        "music": torch.randn(1, 6, config.music_dim),
        "music_positions": torch.linspace(0, frames, 6),
        "beats": torch.ones(1, frames, dtype=torch.long),
    }
    bare = load_unet(renewed, (), torch.float32)
    with torch.no_grad():
        expected = bare(sample, 500, **told).sample
        torch.testing.assert_close(unet(sample, 500, **told, **heard).sample, expected)
        other = load_unet(trained, ("music", "beat", "motion"), torch.float32)(sample, 500, **told, **heard).sample
    assert (other - expected).abs().max() > 0.1


def test_the_seed_draws_them(trained: Path, tmp_path: Path) -> None:
    folders = [renew_modules(trained, tmp_path / str(i), seed) for i, seed in enumerate((0, 0, 1))]
    first, again, other = (weights(folder) for folder in folders)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_nothing_is_overwritten(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="exists already"):
        renew_modules(trained, tmp_path)
