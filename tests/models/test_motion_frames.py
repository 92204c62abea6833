"""The last M frames of the previous segment: in every motion module, in every mode, absent per sample."""

import pytest
import torch


def motion_of(networks, batch):
    with torch.no_grad():
        reference = networks.encode_reference(batch["reference_latents"], batch["empty_text"])
        return reference, networks.encode_motion(batch["motion_latents"], batch["text"], reference)


@pytest.mark.parametrize("mode", ["eval", "train", "train with checkpointing"])
@pytest.mark.parametrize("with_reference", [True, False])
def test_every_motion_module_sees_them_in_every_mode(tiny, mode, with_reference):
    """One module's features after another are changed; each time the prediction changes. Down, middle and up."""
    networks, batch = tiny.networks(), tiny.batch(batch=1)
    reference, motion = motion_of(networks, batch)
    networks.train(mode != "eval")
    if mode == "train with checkpointing":
        networks.unet.enable_gradient_checkpointing()

    def predict(motion):
        video, time, text = batch["noisy_latents"], batch["timestep"], batch["text"]
        with torch.set_grad_enabled(mode != "eval"):
            told = {"reference": reference} if with_reference else {}
            return networks.unet(video, time, text, motion=motion, **told).sample.detach()

    before = predict(motion)
    assert list(motion) == networks.unet.motion_feature_names
    assert {name.split(".")[0] for name in motion} == {"down_blocks", "mid_block", "up_blocks"}
    for name in motion:
        changed = {**motion, name: motion[name].flip(1) + 1}
        assert not torch.allclose(predict(changed), before, atol=1e-5), name


def test_stable_diffusion_has_21_motion_modules():
    from musedance.models import MuseDanceUNet

    with torch.device("meta"):
        unet = MuseDanceUNet(cross_attention_dim=768)
    assert len(unet.motion_feature_names) == 21


def test_absent_in_half_of_a_batch(networks, tiny):
    """A masked video equals one without previous frames, whatever stands in their place; its neighbour has them."""
    batch = tiny.batch()
    reference, motion = motion_of(networks, batch)
    arguments = batch["noisy_latents"], batch["timestep"], batch["text"]
    with torch.no_grad():
        mixed = networks.unet(*arguments, reference=reference, motion=motion, motion_mask=torch.tensor([True, False]))
        present = networks.unet(*arguments, reference=reference, motion=motion)
        absent = networks.unet(*arguments, reference=reference)
    torch.testing.assert_close(mixed.sample[0], present.sample[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mixed.sample[1], absent.sample[1], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(present.sample[1], absent.sample[1], atol=1e-3)


def test_current_frames_keep_their_positions_without_previous_ones(tiny):
    """On positions M..M+K-1 with or without a prefix: a model with another M would see other positions."""
    unet, other = tiny.unet(), tiny.unet(num_motion_frames=0)
    other.load_state_dict(unet.state_dict())
    batch = tiny.batch(batch=1)
    arguments = batch["noisy_latents"], batch["timestep"], batch["text"]
    with torch.no_grad():
        assert not torch.allclose(unet(*arguments).sample, other(*arguments).sample, atol=1e-4)


def test_each_frame_is_normalised_by_itself(tiny):
    """With attention switched off, a loud neighbour or a prefix changes nothing in the other frames."""
    networks = tiny.networks()
    for name, module in networks.unet.named_modules():
        if "motion_modules" in name and name.endswith(("attn1.to_v", "attn2.to_v")):
            torch.nn.init.zeros_(module.weight)
        if "music_modules" in name or "beat_modules" in name:
            for parameter in module.parameters():
                torch.nn.init.zeros_(parameter)
    batch = tiny.batch(batch=1)
    loud = batch["noisy_latents"].clone()
    loud[:, :, 0] *= 30
    arguments = batch["timestep"], batch["text"]
    _, motion = motion_of(networks, batch)
    with torch.no_grad():
        quiet = networks.unet(batch["noisy_latents"], *arguments).sample
        beside_loud = networks.unet(loud, *arguments).sample
        with_prefix = networks.unet(batch["noisy_latents"], *arguments, motion=motion).sample
    torch.testing.assert_close(beside_loud[:, :, 1:], quiet[:, :, 1:], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(with_prefix, quiet, rtol=1e-5, atol=1e-5)


def test_another_number_of_frames_is_refused(networks, tiny):
    batch = tiny.batch()
    with pytest.raises(ValueError, match="motion holds 1 frames"):
        networks(**{**batch, "motion_latents": batch["motion_latents"][:, :, :1]})
