"""`assemble` from diffusers and transformers folders: every weight where it belongs, and nothing silently lost."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ASTModel

from musedance import MuseDanceNetworks, MuseDancePipeline
from musedance.errors import InputError
from musedance.noise_schedule import check_scheduler
from musedance.weights.assemble import assemble
from musedance.weights.check import check_folder
from musedance.weights.report import AssembleReport

SMALL: dict[str, Any] = {"num_frames": 4, "motion_frames": 1, "size": 64}


@pytest.fixture(scope="module")
def sources(upstream: Any) -> dict[str, Any]:
    return {"sd": str(upstream.sd_folder), "motion": str(upstream.motion_folder), "ast": str(upstream.ast_folder)}


@pytest.fixture(scope="module")
def assembled(sources: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AssembleReport:
    output = tmp_path_factory.mktemp("assembled") / "model"
    return assemble(**sources, output=output, **SMALL, fps=8)


@pytest.fixture(scope="module")
def pipeline(assembled: AssembleReport) -> MuseDancePipeline:
    return MuseDancePipeline.from_pretrained(assembled.folder)


def test_the_folder_is_whole_and_says_what_it_is(assembled: AssembleReport, pipeline: MuseDancePipeline) -> None:
    check_folder(assembled.folder)
    assert pipeline.config.stage == 0
    assert pipeline.config.provenance.startswith("assembled from stable-diffusion-v1-5, animatediff-motion-adapter")
    unet = pipeline.unet.config
    assert (unet.num_frames, unet.num_motion_frames, unet.fps, unet.sample_size) == (4, 1, 8, 8)
    assert unet.music_dim == 32 and pipeline.music_encoder.config.ast_config["num_mel_bins"] == 32
    assert pipeline.tokenizer.model_max_length == 77
    scheduler = pipeline.scheduler.config
    assert (scheduler.beta_schedule, scheduler.beta_start, scheduler.beta_end) == ("scaled_linear", 0.00085, 0.012)
    assert (scheduler.prediction_type, scheduler.rescale_betas_zero_snr) == ("epsilon", False)
    assert (scheduler.timestep_spacing, scheduler.clip_sample, scheduler.set_alpha_to_one) == ("trailing", False, True)
    assert pipeline.config.noise_schedule["prediction_type"] == "epsilon"


def test_no_file_names_a_place_on_this_machine(assembled: AssembleReport, upstream: Any) -> None:
    for path in assembled.folder.rglob("*.json"):
        assert str(upstream.sd_folder.parent) not in path.read_text(), path


def test_every_weight_is_where_it_belongs(pipeline: MuseDancePipeline, upstream: Any) -> None:
    unet, reference_net = pipeline.unet.state_dict(), pipeline.reference_net.state_dict()
    spatial, adapter = upstream.unet.state_dict(), upstream.adapter.state_dict()
    for key, tensor in spatial.items():
        assert torch.equal(unet[key], tensor), key
    for key, tensor in reference_net.items():
        assert torch.equal(tensor, spatial[key]), key
    for key, tensor in adapter.items():
        if not key.endswith("pos_embed.pe"):
            assert torch.equal(unet[key], tensor), key
    ast = ASTModel.from_pretrained(upstream.ast_folder).state_dict()
    assert all(torch.equal(tensor, ast[key]) for key, tensor in pipeline.music_encoder.ast.state_dict().items())
    for ours, theirs in ((pipeline.vae, upstream.vae), (pipeline.text_encoder, upstream.text_encoder)):
        assert all(torch.equal(tensor, theirs.state_dict()[key]) for key, tensor in ours.state_dict().items())


def test_new_modules_start_as_the_identity(pipeline: MuseDancePipeline, upstream: Any) -> None:
    known = upstream.unet.state_dict().keys() | upstream.adapter.state_dict().keys()
    new = {key: tensor for key, tensor in pipeline.unet.state_dict().items() if key not in known}
    outputs = [key for key in new if "_modules." in key and ".proj_out." in key]
    assert len(outputs) == 2 * 2 * 6  # weight and bias; music and beat; attention layers
    assert all(new[key].count_nonzero() == 0 for key in outputs)
    assert all(tensor.isfinite().all() for tensor in new.values())
    assert all(new[key].std() > 0 for key in new if key.endswith("attn1.to_q.weight"))


def test_the_report_counts_every_tensor(assembled: AssembleReport, upstream: Any) -> None:
    rows = {(row.component, row.origin): row for row in assembled.rows}
    adapter = [key for key in upstream.adapter.state_dict() if not key.endswith("pos_embed.pe")]
    assert rows["unet", "Stable Diffusion"].tensors == len(upstream.unet.state_dict())
    assert rows["unet", "Stable Diffusion"].parameters == sum(p.numel() for p in upstream.unet.parameters())
    assert rows["unet", "AnimateDiff"].tensors == len(adapter)
    assert rows["unet", "left out"].tensors == len(upstream.adapter.state_dict()) - len(adapter) > 0
    assert rows["unet", "new"].note == "beat_embedding, beat_modules, music_modules, music_projection"
    reference = rows["reference_net", "Stable Diffusion"], rows["reference_net", "left out"]
    assert reference[0].tensors + reference[1].tensors == len(upstream.unet.state_dict())
    assert (
        reference[1].tensors == 24
    )  # conv_norm_out, conv_out (4) and the last transformer (26) but for what it needs (6)
    assert rows["music_encoder", "left out"].tensors == 4  # the classifier's norm and linear layer
    assert rows["mask_encoder", "new"].tensors == 16
    table = str(assembled).split("\n")
    assert len(table) == len(assembled.rows) + 1 and all(len(line) < 120 for line in table)


def test_the_assembled_networks_work_together(pipeline: MuseDancePipeline) -> None:
    check_scheduler(pipeline.scheduler, dict(pipeline.config.noise_schedule))
    networks = MuseDanceNetworks(pipeline.unet, pipeline.reference_net, pipeline.mask_encoder)
    music = pipeline.music_encoder(torch.randn(1, 50, 32))
    with torch.no_grad():
        sample = networks(
            torch.randn(1, 4, 4, 4, 4),
            torch.tensor([999]),
            torch.randn(1, 77, 32),
            reference_latents=torch.randn(1, 4, 4, 4),
            empty_text=torch.randn(1, 77, 32),
            densepose=torch.rand(1, 3, 32, 32),
            motion_latents=torch.randn(1, 4, 1, 4, 4),
            music=music,
            music_positions=pipeline.music_encoder.token_times(50) * 8,
            beats=torch.tensor([[0, 1, 0, 0]]),
        )
    assert sample.shape == (1, 4, 4, 4, 4) and sample.isfinite().all()


def test_the_seed_decides_the_new_modules_only(
    sources: dict[str, Any], assembled: AssembleReport, tmp_path: Path
) -> None:
    before = torch.get_rng_state()
    for seed in (0, 1):
        assemble(**sources, output=tmp_path / f"{seed}", **SMALL, fps=8, seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    name = "unet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "0" / name).read_bytes() == (assembled.folder / name).read_bytes()
    first, second = load_file(tmp_path / "0" / name), load_file(tmp_path / "1" / name)
    changed = {key for key in first if not torch.equal(first[key], second[key])}
    assert changed and all("music_" in key or "beat_" in key for key in changed)


def test_half_precision(upstream: Any, sources: dict[str, Any], tmp_path: Path) -> None:
    assemble(**sources, output=tmp_path / "half", **SMALL, dtype="bfloat16")
    for path in (tmp_path / "half").rglob("*.safetensors"):
        assert all(tensor.dtype == torch.bfloat16 for tensor in load_file(path).values()), path
    unet = load_file(tmp_path / "half" / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(unet["conv_in.weight"], upstream.unet.conv_in.weight.bfloat16())


def edit(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def shrink_vocabulary(root: Path, size: int) -> None:
    edit_json(root / "sd/text_encoder/config.json", vocab_size=size)
    edit(root / SD_TEXT, lambda t: t.update({TOKENS: t[TOKENS][:size].clone()}))


SD_UNET, SD_VAE = "sd/unet/diffusion_pytorch_model.safetensors", "sd/vae/diffusion_pytorch_model.safetensors"
SD_TEXT, MOTION = "sd/text_encoder/model.safetensors", "motion/diffusion_pytorch_model.safetensors"
AST = "ast/model.safetensors"
TOKENS = "embeddings.token_embedding.weight"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "unet: missing": (
        lambda root: edit(root / SD_UNET, lambda t: [t.pop(key) for key in list(t) if "mid_block" in key]),
        r"the UNet of .* 46 missing \(mid_block\.\S+, mid_block\.\S+, mid_block\.\S+, \.\.\.\)",
    ),
    "unet: left over": (
        lambda root: edit(root / SD_UNET, lambda t: t.update({"controlnet.weight": torch.ones(2)})),
        r"1 left over \(controlnet.weight\)",
    ),
    "unet: shape": (
        lambda root: edit(root / SD_UNET, lambda t: t.update({"conv_in.bias": torch.ones(3)})),
        "conv_in.bias expected shape",
    ),
    "unet: no file": (lambda root: (root / SD_UNET).unlink(), "cannot read the UNet of"),
    "unet: another kind": (
        lambda root: edit_json(root / "sd/unet/config.json", upcast_attention=True),
        "not of Stable Diffusion 1.x's kind: upcast_attention=True",
    ),
    "vae: missing": (
        lambda root: edit(root / SD_VAE, lambda t: t.pop("quant_conv.bias")),
        r"the VAE of .* 1 missing \(quant_conv.bias\)",
    ),
    "text encoder: missing": (
        lambda root: edit(root / SD_TEXT, lambda t: t.pop("final_layer_norm.bias")),
        r"the text encoder of .* 1 missing \(final_layer_norm.bias\)",
    ),
    "text encoder: left over": (
        lambda root: edit(root / SD_TEXT, lambda t: t.update(extra=torch.ones(2))),
        r"the text encoder of .* 1 left over \(extra\)",
    ),
    "text encoder: shape": (
        lambda root: edit(root / SD_TEXT, lambda t: t.update({"final_layer_norm.bias": torch.ones(3)})),
        r"the text encoder of .* 1 of another shape \(final_layer_norm.bias\)",
    ),
    "tokenizer: none": (lambda root: shutil.rmtree(root / "sd/tokenizer"), "no CLIP vocabulary"),
    "tokenizer: too large": (
        lambda root: shrink_vocabulary(root, 500),
        "the tokenizer has 514 tokens",
    ),
    "motion: missing": (
        lambda root: edit(root / MOTION, lambda t: t.pop("up_blocks.1.motion_modules.2.proj_out.bias")),
        r"the motion modules of .* 1 missing \(up_blocks.1.motion_modules.2.proj_out.bias\)",
    ),
    "motion: left over": (
        lambda root: edit(root / MOTION, lambda t: t.update({"conv_in.weight": torch.ones(3)})),
        r"the motion modules of .* 1 left over \(conv_in.weight\)",
    ),
    "motion: other groups": (
        lambda root: edit_json(root / "motion/config.json", motion_norm_num_groups=16),
        "normalise in 16 groups, the UNet in 32",
    ),
    "ast: missing": (
        lambda root: edit(root / AST, lambda t: t.pop("audio_spectrogram_transformer.layernorm.bias")),
        r"AST of .* 1 missing \(layernorm.bias\)",
    ),
    "ast: left over": (
        lambda root: edit(root / AST, lambda t: t.update(extra=torch.ones(2))),
        r"AST of .* 1 left over \(extra\)",
    ),
    "ast: no feature extractor": (
        lambda root: (root / "ast/preprocessor_config.json").unlink(),
        "cannot read AST's feature extractor",
    ),
    "ast: another feature extractor": (
        lambda root: edit_json(root / "ast/preprocessor_config.json", num_mel_bins=64),
        "makes 64 mel bins, its model takes 32",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_it_stops_on_anything_missing_or_left_over(damage: str, sources: dict[str, Any], tmp_path: Path) -> None:
    damaged: dict[str, Any] = {}
    for name, folder in sources.items():
        damaged[name] = str(shutil.copytree(folder, tmp_path / name))
    break_it, message = DAMAGES[damage]
    break_it(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        assemble(**damaged, output=tmp_path / "model", **SMALL)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ast", "motion", "sd"]


def test_published_variants_of_the_same_weights(upstream: Any, assembled: AssembleReport, tmp_path: Path) -> None:
    """Old names in the VAE's attention; `text_model.` and position ids in the text encoder; AST without its head."""
    sd, ast = tmp_path / upstream.sd_folder.name, tmp_path / "ast"
    shutil.copytree(upstream.sd_folder, sd)
    old_names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    vae = load_file(sd / "vae/diffusion_pytorch_model.safetensors")
    for new, old in old_names.items():
        vae = {k.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): v for k, v in vae.items()}
    assert sum(".proj_attn." in key for key in vae) == 4
    save_file(vae, sd / "vae/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    text = {f"text_model.{k}": v for k, v in load_file(sd / "text_encoder/model.safetensors").items()}
    text["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(text, sd / "text_encoder/model.safetensors", metadata={"format": "pt"})
    upstream.ast.audio_spectrogram_transformer.save_pretrained(ast)
    shutil.copy(upstream.ast_folder / "preprocessor_config.json", ast)

    report = assemble(str(sd), str(upstream.motion_folder), str(ast), tmp_path / "model", **SMALL, fps=8)
    assert ("music_encoder", "left out") not in {(row.component, row.origin) for row in report.rows}
    for path in assembled.folder.rglob("*.safetensors"):
        found = load_file(report.folder / path.relative_to(assembled.folder))
        found = {key.removeprefix("text_model."): tensor for key, tensor in found.items()}  # kept when saved again
        for key, tensor in load_file(path).items():
            assert torch.equal(found.pop(key), tensor), f"{path} {key}"
        assert not found, path


def test_arguments_are_checked_before_anything_is_read(
    sources: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    with pytest.raises(InputError, match="motion_frames"):
        assemble(**sources, output=model, num_frames=2, motion_frames=3)
    with pytest.raises(InputError, match="exists already"):
        assemble(**sources, output=sources["ast"])
    for name in sources:
        with pytest.raises(InputError, match="/nowhere/at/all: there is no such file or folder"):
            assemble(**(sources | {name: "/nowhere/at/all"}), output=model)
    assert "reading" not in capsys.readouterr().err
    with pytest.raises(InputError, match="multiple of 8, not 100"):  # the 8 is the VAE's
        assemble(**sources, output=model, size=100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", ["sd", "motion", "ast"])
def test_without_a_network_the_hub_gives_one_line(
    which: str, sources: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"nobody/nothing-here.*network") as caught:
        assemble(**(sources | {which: "nobody/nothing-here"}), output=tmp_path / "model")
    assert "\n" not in str(caught.value)
