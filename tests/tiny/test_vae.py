"""The VAE of the built-in model: how it begins, what it learns from, and that it learns."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

import musedance.device
import musedance.tiny.vae
from musedance.datasets.shards import open_dataset
from musedance.media.video import VideoReader
from musedance.tiny.vae import (
    CARRIER,
    FIRST_LOG_VARIANCE,
    VaeTraining,
    _crops,
    initialise,
    latent_deviation,
    read_frames,
    reconstruction_psnr,
    to_signed,
    train_vae,
)
from musedance.weights.init import load_sections, seeded

CPU = torch.device("cpu")
QUICK = VaeTraining(steps=60, batch_size=6, crop=32, lr=3e-3)
Make = Callable[..., AutoencoderKL]


def even(*levels: int) -> Tensor:
    """A picture of one grey for each level."""
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 64, 64).contiguous()


def norms(vae: AutoencoderKL, frames: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What goes into each norm and what comes out of it, when pictures go through encoder and decoder."""
    seen: list[tuple[Tensor, Tensor]] = []
    handles = [
        module.register_forward_hook(lambda module, given, made: seen.append((given[0], made)))
        for module in vae.modules()
        if isinstance(module, nn.GroupNorm)
    ]
    with torch.no_grad():
        vae.decode(vae.encode(to_signed(frames)).latent_dist.mean)
    for handle in handles:
        handle.remove()
    return seen


def middle(features: Tensor) -> Tensor:
    """The difference between two even pictures in the middle of the canvas, without the carriers."""
    row, column = (side // 2 for side in features.shape[2:])
    return (features[1] - features[0])[:-2, row, column]


def test_at_first_norms_hand_on_how_light_even_pictures_are() -> None:
    """What is lighter by so much going in is lighter by as much coming out; usually it is as the norm pleases."""
    with seeded(0, torch.float32):
        vae = AutoencoderKL(**load_sections("tiny")["vae"]).eval()

    def gains() -> np.ndarray:
        changes = [(middle(given), middle(made)) for given, made in norms(vae, even(140, 240))]
        return np.array([float(given @ made / (given @ given)) for given, made in changes])

    assert gains().max() > 3 * gains().min()
    torch.manual_seed(0)
    initialise(vae)
    assert gains().min() > 0.75 and gains().max() < 1.35


def test_the_carriers_reach_every_norm_as_they_were(make_vae: Make, drawn_frames: Tensor) -> None:
    vae = make_vae().eval()
    initialise(vae)
    for given, made in norms(vae, drawn_frames[:2]):
        expected = torch.tensor([CARRIER, -CARRIER])[:, None, None].expand_as(given[0, -2:])
        assert all(torch.equal(one, expected) for one in given[:, -2:])
        assert not made[:, -2:].any()


def test_at_first_the_posterior_is_narrow(make_vae: Make, drawn_frames: Tensor) -> None:
    vae = make_vae().eval()
    initialise(vae)
    with torch.no_grad():
        posterior = vae.encode(to_signed(drawn_frames)).latent_dist
    assert (posterior.logvar == FIRST_LOG_VARIANCE).all()
    assert torch.isfinite(posterior.mean).all() and (posterior.mean.std((0, 2, 3)) > 0).all()


def test_it_is_for_one_norm_group(make_vae: Make) -> None:
    with pytest.raises(ValueError, match="for one group, not for 4"):
        initialise(make_vae(norm_num_groups=4))


def test_even_pictures_are_learned_sooner_from_this_beginning(make_vae: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network from its usual weights is several decibels behind: the mean of three beginnings."""
    colours = np.random.default_rng(0).integers(0, 256, (64, 3, 1, 1), dtype=np.uint8)
    plain = torch.from_numpy(colours).expand(-1, -1, 32, 32).contiguous()
    quick = VaeTraining(steps=60, batch_size=8, crop=16, lr=3e-3)

    def reached() -> float:
        vaes = [make_vae(seed) for seed in range(3)]
        for seed, vae in enumerate(vaes):
            train_vae(vae, plain, quick, CPU, seed)
        return float(np.mean([reconstruction_psnr(vae, plain) for vae in vaes]))

    ours = reached()
    monkeypatch.setattr(musedance.tiny.vae, "initialise", lambda vae: None)
    assert ours > reached() + 2


def test_it_learns_to_show_drawn_frames(make_vae: Make, drawn_frames: Tensor) -> None:
    """Better than their mean colour, after seconds; latents come to unit deviation."""
    vae, barely = make_vae(), make_vae()
    error = train_vae(vae, drawn_frames, QUICK, CPU)
    assert 0 < error < 0.8 * train_vae(barely, drawn_frames, VaeTraining(steps=5, batch_size=6, crop=32, lr=3e-3), CPU)
    signed = to_signed(drawn_frames)
    grey = (signed - signed.mean((0, 2, 3), keepdim=True)).square().flatten(1).mean(1)
    assert reconstruction_psnr(vae, drawn_frames) > float((-10 * torch.log10(grey / 4)).mean()) + 2
    assert latent_deviation(vae, drawn_frames) * vae.config.scaling_factor == pytest.approx(1, rel=1e-3)
    assert not vae.training


def trained_weights(vae: AutoencoderKL, frames: Tensor, seed: int, state: int) -> Tensor:
    """After a few steps; the global state is as it likes to be."""
    with torch.random.fork_rng():
        torch.manual_seed(state)
        train_vae(vae, frames, VaeTraining(steps=3, batch_size=4, crop=16), CPU, seed)
    return torch.cat([value.flatten() for value in vae.state_dict().values()])


def test_another_seed_gives_other_weights(make_vae: Make, drawn_frames: Tensor) -> None:
    first, again, other = (trained_weights(make_vae(), drawn_frames, seed, state=1) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_seed_alone_decides(make_vae: Make, drawn_frames: Tensor) -> None:
    first, other_state = (trained_weights(make_vae(), drawn_frames, 0, state) for state in (1, 2))
    assert torch.equal(first, other_state)


def test_matrices_are_multiplied_in_bfloat16_only_where_it_is_not_emulated(
    make_vae: Make, drawn_frames: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []
    for instructions in (True, False):
        monkeypatch.setattr(musedance.device, "cpu_has_bfloat16", lambda found=instructions: found)
        vae = make_vae()
        vae.encoder.conv_in.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
        train_vae(vae, drawn_frames, VaeTraining(steps=1, batch_size=4, crop=16), CPU)
        assert seen[0] == (torch.bfloat16 if instructions else torch.float32)
        seen.clear()


def test_psnr_is_that_of_the_pictures(make_vae: Make, drawn_frames: Tensor) -> None:
    """Against the formula, on 8-bit pictures one by one."""
    vae = make_vae().eval()
    expected = []
    for frame in drawn_frames[:3]:
        with torch.no_grad():
            made = vae.decode(vae.encode(to_signed(frame[None])).latent_dist.mean).sample[0].clamp(-1, 1)
        error = float(((made + 1) * 127.5 - frame).square().mean())
        expected.append(20 * np.log10(255) - 10 * np.log10(error))
    assert reconstruction_psnr(vae, drawn_frames[:3]) == pytest.approx(np.mean(expected), abs=1e-3)


def test_of_two_crops_the_one_that_shows_more(drawn_frames: Tensor) -> None:
    """Half of the frames are empty: a quarter of the crops is left to them."""
    frames = torch.cat([drawn_frames, torch.full_like(drawn_frames, 128)])
    training = VaeTraining(steps=25, batch_size=16, crop=24)
    batches = list(_crops(frames, training, torch.Generator().manual_seed(0)))
    assert [batch.shape for batch in batches] == [(16, 3, 24, 24)] * 25
    crops = torch.cat(batches)
    assert -1 <= crops.min() < crops.max() <= 1
    empty = float((crops.flatten(1).std(1) == 0).float().mean())
    assert 0.18 < empty < 0.32  # n = 400
    again = torch.cat(list(_crops(frames, training, torch.Generator().manual_seed(0))))
    assert torch.equal(crops, again)


def test_crops_come_from_everywhere() -> None:
    """Each corner of a picture is in some crop, and every frame."""
    place = torch.arange(32 * 32, dtype=torch.int64).view(32, 32)
    frames = torch.stack([torch.stack([place % 256, place // 256, torch.full_like(place, k)]) for k in range(3)])
    training = VaeTraining(steps=40, batch_size=8, crop=30)
    crops = torch.cat(list(_crops(frames.byte(), training, torch.Generator().manual_seed(0))))
    found = ((crops + 1) * 127.5).round().long()
    corners = (found[:, 0] + 256 * found[:, 1])[:, 0, 0]
    assert set(corners.tolist()) == {32 * top + left for top in range(3) for left in range(3)}
    assert set(found[:, 2, 0, 0].tolist()) == {0, 1, 2}


def test_frames_of_clips_are_evenly_spread(puppet_data: Path) -> None:
    dataset = open_dataset(puppet_data)
    clips = dataset.split("validation")[:2]
    frames = read_frames(dataset, clips, 4)
    assert frames.shape == (8, 3, 64, 64) and frames.dtype == torch.uint8
    for clip, found in zip(clips, frames.split(4), strict=True):
        with dataset.open(clip) as file, VideoReader(file) as video:
            whole = np.stack(list(video.stream(video.info.fps)))
        expected = whole[np.linspace(0, clip.num_frames - 1, 4).round().astype(int)]
        assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), expected)
