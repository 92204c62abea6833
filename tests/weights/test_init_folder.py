"""`musedance init`: random weights that depend on the seed alone, and the two sizes."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from transformers import CLIPTextModel

from musedance import MaskEncoder, MuseDancePipeline, MuseDanceUNet, MusicEncoder, ReferenceNet
from musedance.errors import InputError
from musedance.latents import packing, scale_factor
from musedance.weights.byte_tokenizer import byte_tokenizer
from musedance.weights.check import check_folder
from musedance.weights.init import init_folder, load_sections, split_unet_section, text_config


def weights(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.safetensors")}


def parameters(model: torch.nn.Module) -> float:
    """Millions."""
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def test_same_seed_same_weights_whatever_ran_before(tiny_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    torch.randn(7)
    before = torch.get_rng_state()
    init_folder(tmp_path / "again", "tiny", seed=0)
    assert torch.equal(torch.get_rng_state(), before), "the global random state has moved"
    assert torch.get_default_dtype() == torch.float32
    assert weights(tmp_path / "again") == weights(tiny_folder)


def test_another_seed_gives_other_weights_in_every_component(tiny_folder: Path, tmp_path: Path) -> None:
    other = weights(init_folder(tmp_path / "other", "tiny", seed=1))
    assert all(other[name] != content for name, content in weights(tiny_folder).items())


def test_the_folder_says_what_it_is_and_loads(tiny_folder: Path) -> None:
    check_folder(tiny_folder)
    pipeline = MuseDancePipeline.from_pretrained(tiny_folder)
    assert pipeline.config.stage == 0
    assert pipeline.config.provenance == "random weights, size tiny, seed 0"
    assert (pipeline.unet.config.num_frames, pipeline.unet.config.num_motion_frames, pipeline.unet.config.fps) == (
        24,
        2,
        12,
    )
    assert pipeline.unet.config.sample_size * pipeline.vae_scale_factor == 128
    assert 4 * pipeline.vae.config.latent_channels == pipeline.unet.config.in_channels == 32  # packed 2 x 2
    assert pipeline.text_encoder.config.eos_token_id == pipeline.tokenizer.eos_token_id
    scheduler = pipeline.scheduler.config
    assert (scheduler.prediction_type, scheduler.rescale_betas_zero_snr) == ("v_prediction", True)
    assert (scheduler.timestep_spacing, scheduler.clip_sample, scheduler.set_alpha_to_one) == ("trailing", False, True)
    assert 9 < parameters(pipeline.unet) + parameters(pipeline.reference_net) < 12


def test_all_weights_are_finite_and_of_the_dtype_asked_for(tmp_path: Path) -> None:
    folder = init_folder(tmp_path / "half", "tiny", seed=0, dtype="bfloat16")
    for path in folder.rglob("*.safetensors"):
        for name, tensor in load_file(path).items():
            assert tensor.dtype == torch.bfloat16 and tensor.isfinite().all(), f"{path.parent.name} {name}"


def test_a_taken_name_an_unknown_size_and_a_bad_dtype_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    (tmp_path / "file").write_text("")
    for output in ("mine", "file"):
        with pytest.raises(InputError, match="exists already"):
            init_folder(tmp_path / output)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not lose"
    with pytest.raises(InputError, match=r"no size 'huge'; possible: tiny, sd15"):
        init_folder(tmp_path / "new", "huge")
    with pytest.raises(InputError, match="float32, bfloat16, float16, not as int8"):
        init_folder(tmp_path / "new", dtype="int8")
    with pytest.raises(InputError, match="seed"):
        init_folder(tmp_path / "new", seed=-1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: MuseDancePipeline, folder: Path) -> None:
        (Path(folder) / "unet").mkdir(parents=True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MuseDancePipeline, "save_pretrained", full_disk)
    with pytest.raises(InputError, match=r"cannot write .*No space left on device"):
        init_folder(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_sd15_has_the_published_sizes() -> None:
    """Parameter counts of Stable Diffusion 1.5, MotionAdapter v1.5-2 and AST; nothing is allocated."""
    sections = load_sections("sd15")
    shared, own = split_unet_section(sections["unet"])
    assert own.keys() == {"num_frames", "num_motion_frames", "fps", "music_dim", "condition_dim"} | {
        "motion_num_attention_heads"
    }
    with torch.device("meta"):
        unet, reference_net = MuseDanceUNet(**sections["unet"]), ReferenceNet(**shared)
        vae = AutoencoderKL(**sections["vae"])
        text_encoder = CLIPTextModel(text_config(sections["text_encoder"], byte_tokenizer(77)))
        music_encoder = MusicEncoder(**sections["music_encoder"])
        mask_encoder = MaskEncoder(**sections["mask_encoder"])
    count = {"SD": 0, "motion": 0}
    for name, parameter in unet.named_parameters():
        if ".motion_modules." in name:
            count["motion"] += parameter.numel()
        elif not any(new in name for new in ("music_", "beat_")):
            count["SD"] += parameter.numel()
    assert count["SD"] == 859_520_964
    assert count["motion"] / 1e6 == pytest.approx(453.2, abs=0.1)
    assert parameters(reference_net) == pytest.approx(857, abs=1)
    assert parameters(vae) * 1e6 == 83_653_863
    assert parameters(text_encoder) * 1e6 == 123_060_480
    assert parameters(music_encoder) == pytest.approx(86.2, abs=0.1)
    assert parameters(mask_encoder) < 2
    assert unet.config.sample_size * 8 == 640 and unet.config.num_frames == 48


@pytest.mark.parametrize("size", ["tiny", "sd15"])
def test_sections_fit_together(size: str) -> None:
    sections = load_sections(size)
    unet, ast = sections["unet"], sections["music_encoder"]["ast_config"]
    side = packing(unet["in_channels"], sections["vae"]["latent_channels"])
    assert unet["in_channels"] == unet["out_channels"] == sections["mask_encoder"]["latent_channels"]
    assert unet["cross_attention_dim"] == sections["text_encoder"]["hidden_size"]
    assert unet["music_dim"] == ast["hidden_size"]
    extractor = sections["feature_extractor"]
    assert (extractor["num_mel_bins"], extractor["max_length"]) == (ast["num_mel_bins"], ast["max_length"])
    assert unet["num_frames"] / unet["fps"] * 100 < ast["max_length"]  # spectrogram frames are 10 ms apart
    levels = [len(sections[name]["block_out_channels"]) for name in ("vae", "mask_encoder")]
    assert scale_factor(levels[0], side) == scale_factor(levels[1], 1)


def test_the_yaml_files_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert json.dumps(load_sections("tiny"))  # plain lists, numbers and strings
