"""Gradients, dtypes, shapes and files: what training and any other program need of the networks."""

import copy
from functools import partial

import pytest
import torch
from diffusers import UNet2DConditionModel

from musedance.models import MaskEncoder, MuseDanceUNet, MusicEncoder, ReferenceNet
from musedance.models.blocks import TemporalBlock


def kept_bytes(networks, batch):
    """What is kept for the backward pass, counted by autograd's own hooks."""
    sizes = {}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        networks.train()(**batch)
    return sum(sizes.values())


def gradients(networks, batch, share=1.0):
    """Gradients of a loss that is a mean over samples."""
    prediction = networks(**batch)
    (prediction.pow(2).mean() * share).backward()
    return {name: p.grad.clone() for name, p in networks.named_parameters() if p.grad is not None}


def test_every_parameter_has_a_gradient_in_a_mixed_batch(tiny):
    """A parameter that no loss reaches stops distributed training."""
    networks, batch = tiny.networks(), tiny.batch()
    half = torch.tensor([True, False])
    masks = {f"{name}_mask": half for name in ("music", "motion", "reference", "densepose")}
    found = gradients(networks, {**batch, **masks})
    assert {name for name, _ in networks.named_parameters()} == set(found)
    assert all(torch.isfinite(gradient).all() for gradient in found.values())


def test_checkpointed_gradients_equal_plain_ones(tiny):
    plain, batch = tiny.networks(), tiny.batch()
    checkpointed = copy.deepcopy(plain)
    checkpointed.unet.enable_gradient_checkpointing()
    checkpointed.reference_net.enable_gradient_checkpointing()
    expected, got = gradients(plain.train(), batch), gradients(checkpointed.train(), batch)
    assert expected.keys() == got.keys()
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_checkpointing_saves_activations(tiny):
    networks = tiny.networks()
    plain = kept_bytes(networks, tiny.batch(frames=12))
    networks.unet.enable_gradient_checkpointing()
    networks.reference_net.enable_gradient_checkpointing()
    assert kept_bytes(networks, tiny.batch(frames=12)) < 0.5 * plain


def test_spatial_transformers_are_computed_again_as_a_whole(tiny):
    """diffusers' way, by the blocks inside, keeps more."""
    networks = tiny.networks()
    networks.unet.enable_gradient_checkpointing()
    whole = kept_bytes(networks, tiny.batch(frames=12))
    UNet2DConditionModel.enable_gradient_checkpointing(networks.unet)
    for block in networks.unet.modules():
        if isinstance(block, TemporalBlock):
            block.run = lambda module, *args, run=block.run: (
                module(*args) if isinstance(module, partial) else run(module, *args)
            )
    assert whole < 0.9 * kept_bytes(networks, tiny.batch(frames=12))


def test_two_accumulated_half_batches_equal_the_whole(tiny):
    """Features kept on modules between passes would leak from one into the other, or fail in the second backward."""
    networks, batch = tiny.networks(), tiny.batch()
    whole = gradients(networks, batch)
    networks.zero_grad()
    for i in range(2):
        half = {key: value if key == "music_positions" else value[i : i + 1] for key, value in batch.items()}
        accumulated = gradients(networks, half, share=0.5)
    for name in whole:
        torch.testing.assert_close(accumulated[name], whole[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("size", [(8, 12), (12, 8), (5, 7), (1, 3), (9, 9)])
def test_any_height_and_width(networks, tiny, size):
    """Portrait, landscape, odd: never the square root of h * w."""
    batch = tiny.batch(height=size[0], width=size[1])
    with torch.no_grad():
        assert networks(**batch).shape == batch["noisy_latents"].shape


def test_a_picture_and_its_transpose_are_told_apart(networks, tiny):
    """A layer that confuses height and width on a non-square input gives each pixel another's neighbours.

    With an 8 x 12 reference that is constant along its width, a target constant along its width stays so away from
    the left and right borders, where the convolutions' zero padding shows.
    """
    batch = tiny.batch(batch=1, frames=2, height=4, width=40)
    for name in ("noisy_latents", "reference_latents"):
        batch[name] = batch[name][..., :1].expand_as(batch[name]).contiguous()
    with torch.no_grad():
        out = networks(**{**batch, "densepose": None, "motion_latents": None})
    middle = out[..., 16:24]
    spread_along_width = (middle - middle.mean(-1, keepdim=True)).abs().mean()
    spread_along_height = (middle - middle.mean(-2, keepdim=True)).abs().mean()
    assert spread_along_width < 0.2 * spread_along_height


def test_bf16_throughout(tiny):
    """Reference and motion features keep the model's dtype; the result is the float32 one, roughly."""
    networks, batch = tiny.networks(), tiny.batch()
    with torch.no_grad():
        expected = networks(**batch)
        networks.to(torch.bfloat16)
        keep = ("music_positions", "beats", "timestep")
        batch = {key: value if key in keep else value.bfloat16() for key, value in batch.items()}
        reference = networks.encode_reference(batch["reference_latents"], batch["empty_text"], batch["densepose"])
        motion = networks.encode_motion(batch["motion_latents"], batch["text"], reference)
        got = networks(**batch)
    assert {feature.dtype for feature in [*reference.values(), *motion.values(), got]} == {torch.bfloat16}
    assert (got.float() - expected).pow(2).mean() < 0.01 * expected.pow(2).mean()


def test_autocast_with_float32_weights(tiny):
    networks, batch = tiny.networks(), tiny.batch()
    with torch.autocast("cpu", torch.bfloat16):
        networks(**batch, music_mask=torch.tensor([True, False])).float().pow(2).mean().backward()
    assert {p.grad.dtype for p in networks.parameters() if p.grad is not None} == {torch.float32}
    assert all(torch.isfinite(p.grad).all() for p in networks.unet.music_projection.parameters())


def test_modules_switch_off_by_config(tiny):
    switches = ("use_music_modules", "use_beat_modules", "use_motion_modules")
    batch = tiny.batch()
    told = {key: batch[key] for key in ("music", "music_positions", "beats")}
    for switch in switches:
        unet = tiny.unet(**{switch: False})
        kind = switch.split("_")[1]
        assert not [key for key in unet.state_dict() if f"{kind}_" in key]
        with torch.no_grad():
            assert torch.isfinite(unet(batch["noisy_latents"], batch["timestep"], batch["text"], **told).sample).all()
    bare = tiny.unet(**dict.fromkeys(switches, False))
    assert bare.state_dict().keys() == tiny.plain_unet().state_dict().keys()


def test_each_network_round_trips_through_its_folder(networks, tiny, tmp_path):
    ast = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_length": 64,
    }
    torch.manual_seed(0)
    models = [networks.unet, networks.reference_net, networks.mask_encoder, MusicEncoder(ast).eval()]
    classes = [MuseDanceUNet, ReferenceNet, MaskEncoder, MusicEncoder]
    for model, model_class in zip(models, classes, strict=True):
        folder = tmp_path / model_class.__name__
        model.save_pretrained(folder)
        loaded = model_class.from_pretrained(folder)
        assert {k: v for k, v in loaded.config.items() if k[0] != "_"} == {
            k: (list(v) if isinstance(v, tuple) else v) for k, v in model.config.items() if k[0] != "_"
        }
        assert loaded.state_dict().keys() == model.state_dict().keys()
        assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())
    unet = MuseDanceUNet.from_pretrained(tmp_path / "MuseDanceUNet")
    batch = tiny.batch()
    arguments = batch["noisy_latents"], batch["timestep"], batch["text"]
    with torch.no_grad():
        assert torch.equal(unet(*arguments).sample, networks.unet(*arguments).sample)


def test_an_unsupported_unet_is_refused_by_the_key_that_is_at_fault(tiny):
    with pytest.raises(ValueError, match="transformer_layers_per_block"):
        tiny.unet(transformer_layers_per_block=2)
    with pytest.raises(ValueError, match="use_linear_projection"):
        ReferenceNet(**tiny.spatial, use_linear_projection=True)


def test_the_whole_step_compiles_without_graph_breaks(tiny):
    """Tracing only (the eager backend), so that it takes seconds."""
    networks, batch = tiny.networks(), tiny.batch()
    compiled = torch.compile(networks.unet, fullgraph=True, backend="eager")
    with torch.no_grad():
        reference = networks.encode_reference(batch["reference_latents"], batch["empty_text"])
        motion = networks.encode_motion(batch["motion_latents"], batch["text"], reference)
        told = {key: batch[key] for key in ("music", "music_positions", "beats")}
        arguments = batch["noisy_latents"], batch["timestep"], batch["text"]
        got = compiled(*arguments, reference=reference, motion=motion, **told).sample
        expected = networks.unet(*arguments, reference=reference, motion=motion, **told).sample
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
