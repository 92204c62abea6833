"""Ways in which other projects lose the reference: each is refused or keeps it."""

import pytest
import torch
from diffusers.hooks import apply_group_offloading
from diffusers.models.attention_processor import AttnProcessor2_0

from musedance.models.attention import MuseDanceAttnProcessor


def processors(model):
    return list(model.attn_processors.values())


def test_other_processors_slicing_and_fusing_are_refused(tiny):
    networks = tiny.networks()
    for model in (networks.unet, networks.reference_net):
        for lose in (
            lambda model: model.set_attn_processor(AttnProcessor2_0()),
            lambda model: model.set_default_attn_processor(),
            lambda model: model.set_attention_slice("auto"),
            lambda model: model.fuse_qkv_projections(),
        ):
            with pytest.raises(ValueError, match=r"reference|slicing|processor"):
                lose(model)
        assert all(isinstance(p, MuseDanceAttnProcessor) for p in processors(model))


def test_the_backend_reaches_every_attention_layer(tiny):
    networks = tiny.networks()
    for model in (networks.unet, networks.reference_net):
        model.set_attention_backend("native")
        assert {str(p._attention_backend.value) for p in processors(model)} == {"native"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a CUDA GPU")
def test_xformers_is_refused_in_plain_words_where_it_cannot_run(tiny):
    networks = tiny.networks()
    for model in (networks.unet, networks.reference_net):
        with pytest.raises(RuntimeError, match="xformers attention needs"):
            model.set_attention_backend("xformers")
        with pytest.raises(RuntimeError, match="xformers attention needs"):
            model.enable_xformers_memory_efficient_attention()
        assert all(isinstance(p, MuseDanceAttnProcessor) for p in processors(model))


@pytest.mark.parametrize("level", ["block_level", "leaf_level"])
def test_group_offloading_changes_nothing(tiny, level):
    """Hooks copy the containers among a module's arguments; features written into a copy would be lost."""
    networks, batch = tiny.networks(), tiny.batch()
    with torch.no_grad():
        expected = networks(**batch)
        for model in (networks.unet, networks.reference_net, networks.mask_encoder):
            blocks = {"num_blocks_per_group": 1} if level == "block_level" else {}
            cpu = torch.device("cpu")
            apply_group_offloading(model, onload_device=cpu, offload_device=cpu, offload_type=level, **blocks)
        got = networks(**batch)
    assert torch.equal(got, expected)


def test_sequential_offloading_changes_nothing(tiny):
    """accelerate keeps the weights on the meta device between calls: nothing may read one outside its module."""
    from accelerate import cpu_offload

    networks, batch = tiny.networks(), tiny.batch()
    with torch.no_grad():
        expected = networks(**batch)
        for model in (networks.unet, networks.reference_net, networks.mask_encoder):
            cpu_offload(model, torch.device("cpu"))
        assert next(networks.unet.parameters()).device.type == "meta"
        got = networks(**{**batch, "beats": batch["beats"]})
        unknown = networks(**{**batch, "beats": None, "music": None})
    assert torch.equal(got, expected)
    assert torch.isfinite(unknown).all()
