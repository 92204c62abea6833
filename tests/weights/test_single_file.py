"""`assemble` from a single file in Stable Diffusion's original layout, by inverting the layout here."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import save_file
from torch import Tensor

from musedance import MuseDancePipeline
from musedance.errors import InputError
from musedance.weights.assemble import assemble
from musedance.weights.init import load_sections, split_unet_section

State = dict[str, Tensor]
SMALL: dict[str, Any] = {"num_frames": 4, "motion_frames": 1, "size": 64}

# diffusers' name -> the original one, inside a residual block of the UNet
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_NAMES = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
}


def to_ldm_unet(state: State, layers: int) -> State:
    """Blocks are numbered through: every layer and every down- or upsampler's place in one list."""
    attention_blocks = {key.split(".")[1] for key in state if re.match(r"up_blocks\.\d+\.attentions", key)}

    def rename(key: str) -> str:
        for new, old in UNET_ENDS.items():
            if key.startswith(f"{new}."):
                key = key.replace(new, old, 1)
        if found := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.", key):
            side, i, kind, j = found[1], int(found[2]), found[3], int(found[4])
            rest = key[found.end() :]
            if kind == "downsamplers":
                return f"input_blocks.{(i + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
            if kind == "upsamplers":
                return f"output_blocks.{i * (layers + 1) + layers}.{2 if str(i) in attention_blocks else 1}.{rest}"
            place = i * (layers + 1) + j + (side == "down")
            key = f"{'input' if side == 'down' else 'output'}_blocks.{place}.{int(kind == 'attentions')}.{rest}"
        if re.match(r"((in|out)put_blocks\.\d+|middle_block)\.[02]\.", key):
            for new, old in RESNET.items():
                key = key.replace(f".{new}.", f".{old}.")
        return key

    return {f"model.diffusion_model.{rename(key)}": tensor for key, tensor in state.items()}


def to_ldm_vae(state: State, blocks: int) -> State:
    """The decoder counts its blocks backwards; attention projections are 1 x 1 convolutions."""
    converted = {}
    for key, tensor in state.items():
        if ".attentions." in key and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]
        for new, old in VAE_NAMES.items():
            key = re.sub(rf"(^|\.){re.escape(new)}\.", rf"\1{old}.", key)
        key = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", key)
        key = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", key)
        key = re.sub(r"up_blocks\.(\d+)\.resnets", lambda m: f"up.{blocks - 1 - int(m[1])}.block", key)
        key = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{blocks - 1 - int(m[1])}.upsample", key)
        converted[f"first_stage_model.{key}"] = tensor
    return converted


def to_ldm_text(state: State) -> State:
    prefix = "cond_stage_model.transformer.text_model."
    return {prefix + key.removeprefix("text_model."): tensor for key, tensor in state.items()}


@pytest.fixture(scope="module")
def original(upstream: Any) -> State:
    """A whole checkpoint with everything that published ones carry along."""
    unet = to_ldm_unet(upstream.unet.state_dict(), layers=2)
    extras = {
        "alphas_cumprod": torch.ones(1000),
        "alphas_cumprod_prev": torch.ones(1000),
        "betas": torch.ones(1000),
        "sqrt_one_minus_alphas_cumprod": torch.ones(1000),
        "log_one_minus_alphas_cumprod": torch.ones(1000),
        "posterior_mean_coef1": torch.ones(1000),
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.num_updates": torch.tensor(7),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
    }
    ema = {"model_ema." + key.removeprefix("model.").replace(".", ""): torch.zeros_like(t) for key, t in unet.items()}
    text = to_ldm_text(upstream.text_encoder.state_dict())
    state = unet | to_ldm_vae(upstream.vae.state_dict(), blocks=4) | text | extras | ema
    return {key: tensor.contiguous().clone() for key, tensor in state.items()}


@pytest.fixture
def run(upstream: Any, tmp_path: Path) -> Callable[..., Any]:
    def run(sd: Path, **kwargs: Any) -> Any:
        others = str(upstream.motion_folder), str(upstream.ast_folder), tmp_path / "model"
        options = {"tokenizer": str(upstream.tokenizer_folder), "sections": upstream.sections} | SMALL | kwargs
        return assemble(str(sd), *others, **options)

    return run


def test_the_layout_is_stable_diffusions() -> None:
    """Full size, nothing allocated: known names and shapes of v1-5-pruned-emaonly, and diffusers' converters agree."""
    sections = load_sections("sd15")
    with torch.device("meta"):
        unet = UNet2DConditionModel(**split_unet_section(sections["unet"])[0]).state_dict()
        vae = AutoencoderKL(**sections["vae"]).state_dict()
    ldm_unet, ldm_vae = to_ldm_unet(unet, layers=2), to_ldm_vae(vae, blocks=4)
    assert len(ldm_unet) == 686 and len(ldm_vae) == 248
    known = {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "model.diffusion_model.input_blocks.3.0.op.weight": (320, 320, 3, 3),
        "model.diffusion_model.input_blocks.4.0.skip_connection.weight": (640, 320, 1, 1),
        "model.diffusion_model.middle_block.1.proj_in.weight": (1280, 1280, 1, 1),
        "model.diffusion_model.output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
        "model.diffusion_model.output_blocks.5.2.conv.weight": (1280, 1280, 3, 3),
        "model.diffusion_model.output_blocks.11.0.in_layers.2.weight": (320, 640, 3, 3),
        "model.diffusion_model.out.2.bias": (4,),
        "first_stage_model.encoder.down.0.block.0.conv1.weight": (128, 128, 3, 3),
        "first_stage_model.encoder.mid.attn_1.q.weight": (512, 512, 1, 1),
        "first_stage_model.decoder.up.0.block.2.norm2.bias": (128,),
        "first_stage_model.decoder.up.3.upsample.conv.weight": (512, 512, 3, 3),
        "first_stage_model.quant_conv.weight": (8, 8, 1, 1),
    }
    assert {key: tuple((ldm_unet | ldm_vae)[key].shape) for key in known} == known
    back = convert_ldm_unet_checkpoint(ldm_unet, sections["unet"])
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in unet.items()}
    back = convert_ldm_vae_checkpoint(ldm_vae, sections["vae"])
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in vae.items()}


@pytest.mark.parametrize("form", ["safetensors", "ckpt", "old ckpt", "bare ckpt", "half safetensors"])
def test_every_weight_arrives(form: str, original: State, upstream: Any, run: Any, tmp_path: Path) -> None:
    half = form.startswith("half")
    path = tmp_path / f"v1-5.{form.split()[-1]}"
    if path.suffix == ".safetensors":
        save_file({k: v.half() if half else v for k, v in original.items()}, path)
    elif form == "bare ckpt":
        torch.save(original, path)
    else:
        lightning = {"epoch": 3, "global_step": 840000, "state_dict": original}
        torch.save(lightning, path, _use_new_zipfile_serialization=form == "ckpt")
    before = torch.get_rng_state()
    report = run(path)
    assert torch.equal(torch.get_rng_state(), before)
    pipeline = MuseDancePipeline.from_pretrained(tmp_path / "model")
    expected = {
        pipeline.unet: upstream.unet,
        pipeline.vae: upstream.vae,
        pipeline.text_encoder: upstream.text_encoder,
    }
    for ours, theirs in expected.items():
        state = ours.state_dict()
        for key, tensor in theirs.state_dict().items():
            assert torch.equal(state[key], tensor.half().float() if half else tensor), key
    assert pipeline.vae.config.scaling_factor == 0.18215
    assert pipeline.text_encoder.config.eos_token_id == pipeline.tokenizer.eos_token_id
    left_out = {row.note: row.tensors for row in report.rows if row.component == "(single file)"}
    ema = len(upstream.unet.state_dict()) + 2
    assert left_out == {"EMA copies": ema, "noise schedule": 6, "position ids": 1}


UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
DAMAGES: dict[str, tuple[Callable[[State], object], str]] = {
    "unet: missing": (
        lambda t: t.pop(f"{UNET}out.2.bias"),
        r"UNet of Stable Diffusion: these weights do not fit, 1 missing \(conv_out.bias\)",
    ),
    "unet: missing downsampler bias": (
        lambda t: t.pop(f"{UNET}input_blocks.3.0.op.bias"),
        r"1 missing \(down_blocks.0.downsamplers.0.conv.bias\)",
    ),
    "unet: unknown to the converter": (
        lambda t: t.update({f"{UNET}label_emb.0.0.weight": torch.ones(3)}),
        r"1 left over \(model.diffusion_model.label_emb.0.0.weight\)",
    ),
    "unet: unknown to the model": (
        lambda t: t.update({f"{UNET}input_blocks.1.1.norm_extra.weight": torch.ones(3)}),
        r"1 left over \(down_blocks.0.attentions.0.norm_extra.weight\)",
    ),
    "unet: shape": (
        lambda t: t.update({f"{UNET}input_blocks.0.0.weight": torch.ones(32, 9, 3, 3)}),
        r"1 of another shape \(conv_in.weight \[32, 9, 3, 3\] instead of \[32, 4, 3, 3\]\)",
    ),
    "vae: none": (
        lambda t: [t.pop(key) for key in list(t) if key.startswith(VAE)],
        r"the VAE of .* 248 missing",
    ),
    "vae: unknown to the converter": (
        lambda t: t.update({f"{VAE}loss.logvar": torch.ones(1)}),
        r"1 left over \(first_stage_model.loss.logvar\)",
    ),
    "text encoder: missing": (
        lambda t: t.pop(f"{TEXT}final_layer_norm.bias"),
        r"the text encoder of .* 1 missing \(final_layer_norm.bias\)",
    ),
    "text encoder: of Stable Diffusion 2": (
        lambda t: t.update({"cond_stage_model.model.ln_final.weight": torch.ones(2)}),
        r"as Stable Diffusion 1.5: these weights do not fit, 1 left over \(cond_stage_model.model.ln_final.weight\)",
    ),
    "something else": (lambda t: t.update({"control_model.a": torch.ones(2)}), r"1 left over \(control_model.a\)"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_it_stops_on_anything_missing_or_left_over(damage: str, original: State, run: Any, tmp_path: Path) -> None:
    break_it, message = DAMAGES[damage]
    tensors = dict(original)
    break_it(tensors)
    if damage == "vae: none":
        message = message.replace("248", str(sum(key.startswith(VAE) for key in original)))
    save_file(tensors, tmp_path / "v1-5.safetensors")
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path / "v1-5.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_the_real_architecture_is_the_default(original: State, run: Any, tmp_path: Path) -> None:
    save_file(original, tmp_path / "v1-5.safetensors")
    with pytest.raises(InputError, match=r"the VAE of .*of another shape"):
        run(tmp_path / "v1-5.safetensors", sections=None)


def test_the_tokenizer_comes_from_the_hub_unless_given(
    original: State, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    save_file(original, tmp_path / "v1-5.safetensors")
    with pytest.raises(InputError, match="openai/clip-vit-large-patch14"):
        run(tmp_path / "v1-5.safetensors", tokenizer=None)
    run(tmp_path / "v1-5.safetensors")  # with a tokenizer no network is needed


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_damaged_files_give_one_line(content: bytes, suffix: str, run: Any, tmp_path: Path) -> None:
    path = tmp_path / f"v1-5{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"cannot read .*v1-5\{suffix}: \S") as caught:
        run(path)
    assert "\n" not in str(caught.value)
