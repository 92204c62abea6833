"""LoRA on the motion modules: nothing changes at first, only it learns, and merging changes nothing."""

import sys

import pytest
import torch

from musedance.errors import InputError
from musedance.models import MuseDanceUNet
from musedance.training.config import LoraConfig
from musedance.training.lora import add_lora, merge_lora, save_lora
from musedance.training.starting_point import load_networks
from musedance.training.trainable import select_stage2, trained_parameters

CONFIG = LoraConfig(rank=3, alpha=7.0)  # alpha / rank is not 1, so that losing it shows


@pytest.fixture
def networks(small_model):
    """With motion modules that do something: new ones are the identity."""
    networks = load_networks(small_model)
    randomise(networks.unet, "motion_modules")
    return networks


def randomise(unet, pattern):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if pattern in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def predict(unet):
    """On K = 4 frames of 4 x 4 latents, in the UNet's dtype."""
    torch.manual_seed(1)
    latents, text = torch.randn(2, 5, 4, 4, 4), torch.randn(2, 6, 16)
    with torch.no_grad():
        return unet(latents.to(unet.dtype), 500, text.to(unet.dtype)).sample


def test_at_first_nothing_changes(networks):
    before = predict(networks.unet)
    add_lora(networks.unet, CONFIG)
    assert torch.equal(predict(networks.unet), before)


def test_only_the_motion_modules_additions_learn_and_each_of_them(networks):
    select_stage2(networks)
    add_lora(networks.unet, CONFIG)
    trained = trained_parameters(networks)
    layers = {name.partition(".lora_")[0] for name in trained}
    modules = len(networks.unet.motion_feature_names)
    assert all(".motion_modules." in name and ".lora_" in name for name in trained)
    assert len(layers) == modules * 2 * 4  # two attentions of four projections
    assert len(trained) == 2 * len(layers)
    randomise(networks.unet, "lora_B")  # while B is zero A has no gradient
    latents, text = torch.randn(1, 5, 4, 4, 4), torch.randn(1, 6, 16)
    networks.unet(latents, 500, text).sample.pow(2).mean().backward()
    with_gradient = {name for name, p in networks.named_parameters() if p.grad is not None and p.grad.any()}
    assert with_gradient == set(trained)


def test_additions_are_float32_beside_frozen_16_bit_weights(networks):
    networks.unet.to(torch.bfloat16)
    before = predict(networks.unet)
    add_lora(networks.unet, CONFIG)
    assert {p.dtype for p in trained_parameters(networks.unet).values()} == {torch.float32}
    assert torch.equal(predict(networks.unet), before)


def test_merging_changes_no_prediction_and_leaves_a_plain_unet(networks, small_model, tmp_path):
    plain = networks.unet.state_dict().keys()
    before = predict(networks.unet)
    add_lora(networks.unet, CONFIG)
    randomise(networks.unet, "lora_B")
    adapted = predict(networks.unet)
    assert (adapted - before).abs().max() > 1e-3
    merge_lora(networks.unet)
    torch.testing.assert_close(predict(networks.unet), adapted, rtol=1e-5, atol=1e-5)
    assert networks.unet.state_dict().keys() == plain
    networks.unet.save_pretrained(tmp_path)
    torch.testing.assert_close(predict(MuseDanceUNet.from_pretrained(tmp_path)), adapted, rtol=1e-5, atol=1e-5)


def test_what_is_merged_is_alpha_over_rank_times_the_product(networks):
    add_lora(networks.unet, CONFIG)
    randomise(networks.unet, "lora_B")
    layer = networks.unet.mid_block.motion_modules[0].transformer_blocks[0].attn2.to_v
    before, a, b = (
        weight.detach().clone()
        for weight in (layer.base_layer.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight)
    )
    assert a.shape[0] == b.shape[1] == 3
    merge_lora(networks.unet)
    after = networks.unet.mid_block.motion_modules[0].transformer_blocks[0].attn2.to_v.weight
    torch.testing.assert_close(after, before + 7.0 / 3.0 * b @ a)


def test_additions_can_be_shared_alone(networks, small_model, tmp_path):
    add_lora(networks.unet, CONFIG)
    randomise(networks.unet, "lora_B")
    path = save_lora(networks.unet, tmp_path / "lora")
    assert [file.name for file in path.parent.iterdir()] == ["pytorch_lora_weights.safetensors"]
    assert str(tmp_path).encode() not in path.read_bytes()

    fresh = load_networks(small_model).unet
    randomise(fresh, "motion_modules")
    fresh.load_lora_adapter(path.parent, prefix=None, use_safetensors=True)
    torch.testing.assert_close(predict(fresh), predict(networks.unet), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"rank": 0}, "lora.rank has to be at least 1, not 0"),
        ({"rank": 4, "alpha": 0.0}, "lora.alpha"),
        ({"rank": 4, "dropout": 1.0}, "lora.dropout"),
    ],
)
def test_values_that_cannot_be_are_refused(networks, settings, what):
    with pytest.raises(InputError, match=what):
        add_lora(networks.unet, LoraConfig(**settings))


def test_a_model_without_motion_modules_is_refused(networks):
    bare = MuseDanceUNet.from_config({**networks.unet.config, "use_motion_modules": False})
    with pytest.raises(InputError, match="no motion modules"):
        add_lora(bare, CONFIG)


def test_motion_modules_that_do_nothing_yet_are_refused(small_model):
    """Behind a projection of zero no gradient reaches the additions."""
    with pytest.raises(InputError, match=r"train stage 2 with lora\.rank=null first"):
        add_lora(load_networks(small_model).unet, CONFIG)


def test_without_peft_the_message_says_what_to_install(networks, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r'pip install "musedance\[train\]"'):
        add_lora(networks.unet, CONFIG)
    assert not [name for name in networks.unet.state_dict() if "lora" in name]
