"""AnimateDiff's original motion files (v1.4, v1.5, v1.5-2, v3), written here by inverting their layout."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import MotionAdapter
from safetensors.torch import save_file
from torch import Tensor

from musedance import MuseDancePipeline
from musedance.errors import InputError
from musedance.weights.assemble import assemble

# diffusers' name -> AnimateDiff's
NAMES = {
    r"\.motion_modules\.(\d+)\.": r".motion_modules.\1.temporal_transformer.",
    r"\.attn1\.": ".attention_blocks.0.",
    r"\.attn2\.": ".attention_blocks.1.",
    r"(transformer_blocks\.\d+)\.norm1\.": r"\1.norms.0.",
    r"(transformer_blocks\.\d+)\.norm2\.": r"\1.norms.1.",
    r"(transformer_blocks\.\d+)\.norm3\.": r"\1.ff_norm.",
}
VERSIONS = {"mm_sd_v14": (24, False), "mm_sd_v15": (24, False), "mm_sd_v15_v2": (32, True), "v3_sd15_mm": (32, False)}


def to_original(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """diffusers keeps one table per block, AnimateDiff one per attention; ours are wrong on purpose."""
    original = {}
    for key, tensor in state.items():
        for new, old in NAMES.items():
            key = re.sub(new, old, key)
        if key.endswith(".pos_embed.pe"):
            for i in range(2):
                table = torch.full_like(tensor, 1e6)
                original[key.replace(".pos_embed.pe", f".attention_blocks.{i}.pos_encoder.pe")] = table
        else:
            original[key] = tensor.clone()
    return original


def adapter_weights(version: str) -> dict[str, Tensor]:
    length, mid = VERSIONS[version]
    adapter = MotionAdapter(block_out_channels=(32, 64), use_motion_mid_block=mid, motion_max_seq_length=length)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return adapter.state_dict()


def run(upstream: Any, motion: Path, output: Path) -> Any:
    return assemble(
        str(upstream.sd_folder), str(motion), str(upstream.ast_folder), output, num_frames=26, motion_frames=2, size=64
    )


def test_the_layout_is_animatediffs() -> None:
    """Names and shapes of the published mm_sd_v15_v2.ckpt; nothing is allocated."""
    with torch.device("meta"):
        adapter = MotionAdapter(block_out_channels=(320, 640, 1280, 1280), motion_max_seq_length=32)
    assert sum(parameter.numel() for parameter in adapter.parameters()) / 1e6 == pytest.approx(453.2, abs=0.1)
    original = {key: tuple(tensor.shape) for key, tensor in to_original(adapter.state_dict()).items()}
    known = {
        "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,),
        "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight": (320, 320),
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.to_q.weight": (
            320,
            320,
        ),
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.to_out.0.bias": (
            320,
        ),
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe": (
            1,
            32,
            320,
        ),
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.norms.1.weight": (320,),
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.ff_norm.weight": (320,),
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.ff.net.0.proj.weight": (2560, 320),
        "mid_block.motion_modules.0.temporal_transformer.proj_out.weight": (1280, 1280),
        "up_blocks.3.motion_modules.2.temporal_transformer.proj_out.bias": (320,),
    }
    assert {key: original.get(key) for key in known} == known
    assert len(original) == 21 * 28  # 21 modules


@pytest.mark.parametrize("form", ["plain.ckpt", "module.ckpt", "module.safetensors"])
@pytest.mark.parametrize("version", VERSIONS)
def test_original_files_load(version: str, form: str, upstream: Any, tmp_path: Path) -> None:
    state = adapter_weights(version)
    original = to_original(state)
    path = tmp_path / f"{version}.{form}"
    if form.startswith("module"):
        original = {f"module.{key}": tensor for key, tensor in original.items()}
    if form == "module.safetensors":
        save_file(original, path)
    elif form == "module.ckpt":
        torch.save({"epoch": 1, "global_step": 2, "state_dict": original}, path)
    else:
        torch.save({**original, "animatediff_config": {"unet_additional_kwargs": {"use_motion_module": True}}}, path)

    report = run(upstream, path, tmp_path / "model")
    unet = MuseDancePipeline.from_pretrained(tmp_path / "model").unet
    assert unet.config.use_motion_mid_block == VERSIONS[version][1]
    assert unet.config.motion_num_attention_heads == 8
    ours = {key: tensor for key, tensor in unet.state_dict().items() if ".motion_modules." in key}
    theirs = {key: tensor for key, tensor in state.items() if not key.endswith("pos_embed.pe")}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    rows = {row.origin: row for row in report.rows if row.component == "unet"}
    assert rows["AnimateDiff"].tensors == len(theirs)
    assert rows["AnimateDiff"].note == ("" if VERSIONS[version][1] else "no middle block")
    assert rows["left out"].tensors == 2 * (len(state) - len(theirs))


def test_the_files_position_tables_are_not_used(upstream: Any, tmp_path: Path) -> None:
    """26 frames and 2 motion frames where the file's tables have 24 rows, and wrong ones."""
    torch.save(to_original(adapter_weights("mm_sd_v14")), tmp_path / "mm.ckpt")
    run(upstream, tmp_path / "mm.ckpt", tmp_path / "model")
    unet = MuseDancePipeline.from_pretrained(tmp_path / "model").unet
    with torch.no_grad():
        sample = unet(torch.randn(1, 4, 26, 2, 2), 500, torch.randn(1, 77, 32)).sample
    assert sample.isfinite().all() and sample.abs().max() < 1e3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("up_blocks.1.motion_modules.2.temporal_transformer.proj_out.bias"),
            r"the motion modules: these weights do not fit, 1 missing \(up_blocks.1.motion_modules.2.proj_out.bias\)",
        ),
        (lambda t: t.update({"unet.conv_in.weight": torch.ones(2)}), r"1 left over \(unet.conv_in.weight\)"),
        (
            lambda t: [t.pop(key) for key in list(t) if key.startswith("mid_block.") and "to_q" in key],
            r"2 missing \(mid_block.motion_modules.0.transformer_blocks.0.attn1.to_q.weight, ",
        ),
        (
            lambda t: t.update({"up_blocks.1.motion_modules.2.temporal_transformer.proj_out.bias": torch.ones(2)}),
            r"1 of another shape \(up_blocks.1.motion_modules.2.proj_out.bias \[2\] instead of \[32\]\)",
        ),
        (lambda t: t.clear(), "holds no weights"),
    ],
)
def test_it_stops_on_anything_missing_or_left_over(change: Any, message: str, upstream: Any, tmp_path: Path) -> None:
    original = to_original(adapter_weights("mm_sd_v15_v2"))
    change(original)
    torch.save(original, tmp_path / "mm.ckpt")
    with pytest.raises(InputError, match=message) as caught:
        run(upstream, tmp_path / "mm.ckpt", tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()
