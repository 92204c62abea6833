"""What the networks must equal: the plain UNet, UNetMotionModel, AnimateDiff's own arithmetic, the paper's way."""

import pytest
import torch
from diffusers import MotionAdapter, UNetMotionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import nn

from musedance.models.attention import MuseDanceAttnProcessor


def by_frame(video: torch.Tensor) -> torch.Tensor:
    return video.transpose(1, 2).flatten(0, 1)


def test_a_new_model_equals_the_plain_unet_bit_for_bit(tiny):
    """Whatever music, beats and previous frames say: stage 2 starts exactly where stage 1 ended."""
    plain, unet = tiny.plain_unet(), tiny.unet(awake=False)
    missing, unexpected = unet.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all("_modules." in key or key.startswith(("music_projection.", "beat_embedding.")) for key in missing)
    batch = tiny.batch()
    video, text, time = batch["noisy_latents"], batch["text"], batch["timestep"]
    with torch.no_grad():
        motion = unet(batch["motion_latents"], 0, text, return_motion_features=True)
        told = {key: batch[key] for key in ("music", "music_positions", "beats")}
        got = unet(video, time, text, motion=motion, **told).sample
        expected = plain(by_frame(video), time.repeat_interleave(6), text.repeat_interleave(6, 0)).sample
        assert torch.equal(by_frame(got), expected)
        assert torch.equal(unet(video[:, :, 0], time, text).sample, plain(video[:, :, 0], time, text).sample)


class PerFrameNorm(nn.Module):
    """AnimateDiff's own normalisation: each frame of (b, c, f, h, w) by itself. diffusers' lets it span the frames."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.norm(x[:, :, i]) for i in range(x.shape[2])], dim=2)


@pytest.mark.parametrize("frames", [1, 6, 40])
@pytest.mark.parametrize("mid_block", [True, False])
def test_with_animatediff_weights_it_equals_the_motion_unet(tiny, frames, mid_block):
    """At one frame as diffusers has it, at many with AnimateDiff's per-frame normalisation; 40 frames > its 32."""
    plain = tiny.plain_unet()
    torch.manual_seed(3)
    adapter = MotionAdapter(
        block_out_channels=tiny.spatial["block_out_channels"],
        motion_layers_per_block=2,
        motion_num_attention_heads=4,
        motion_norm_num_groups=4,
        motion_max_seq_length=48,
        use_motion_mid_block=mid_block,
    )
    tiny.wake(adapter, seed=3)
    motion_unet = UNetMotionModel.from_unet2d(plain, adapter).eval()
    if frames > 1:
        for module in list(motion_unet.modules()):
            if type(module).__name__ == "AnimateDiffTransformer3D":
                module.norm = PerFrameNorm(module.norm)

    unet = tiny.unet(awake=False, num_motion_frames=0, use_motion_mid_block=mid_block)
    unet.load_state_dict(plain.state_dict(), strict=False)
    weights = {key: value for key, value in adapter.state_dict().items() if not key.endswith("pos_embed.pe")}
    missing, unexpected = unet.load_state_dict(weights, strict=False)
    assert not unexpected and not any("motion_modules" in key for key in missing)
    batch = tiny.batch(batch=1, frames=frames)
    video, time, text = batch["noisy_latents"], batch["timestep"], batch["text"]
    with torch.no_grad():
        got = unet(video, time, text).sample
        expected = motion_unet(video, time, text.repeat_interleave(frames, 0)).sample
        still = unet(by_frame(video), time, text.repeat_interleave(frames, 0)).sample
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-5)
    assert not torch.allclose(by_frame(got), still, atol=1e-3)


def test_joining_the_reference_equals_the_papers_concatenation_along_the_width():
    """Section 3.2: concatenate along W, attend, keep the first half. In float64, on two videos of three frames."""
    torch.manual_seed(0)
    attn = Attention(16, heads=4, dim_head=4).double()
    batch, frames, height, width = 2, 3, 4, 6
    x = torch.randn(batch * frames, height, width, 16, dtype=torch.float64)
    reference = torch.randn(batch, height, width, 16, dtype=torch.float64)

    wide = torch.cat([x, reference.repeat_interleave(frames, 0)], dim=2)
    attn.set_processor(AttnProcessor2_0())
    literal = attn(wide.flatten(1, 2)).unflatten(1, (height, 2 * width))[:, :, :width].flatten(1, 2)
    attn.set_processor(MuseDanceAttnProcessor())
    joined = attn(x.flatten(1, 2), reference=reference.flatten(1, 2), num_frames=frames)
    torch.testing.assert_close(joined, literal, rtol=0, atol=1e-12)


def test_a_masked_reference_equals_none_and_only_for_its_own_video(networks, tiny):
    batch = tiny.batch()
    video, time, text = batch["noisy_latents"], batch["timestep"], batch["text"]
    with torch.no_grad():
        reference = networks.encode_reference(batch["reference_latents"], batch["empty_text"])
        mixed = networks.unet(video, time, text, reference=reference, reference_mask=torch.tensor([True, False])).sample
        seen = networks.unet(video, time, text, reference=reference).sample
        unseen = networks.unet(video, time, text).sample
    torch.testing.assert_close(mixed[0], seen[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mixed[1], unseen[1], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(seen[1], unseen[1], atol=1e-3)
