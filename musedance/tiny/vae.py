"""The built-in model's VAE: trained on frames of drawn dancers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from tqdm import tqdm

from musedance.datasets.clip import Clip
from musedance.datasets.folder import Dataset
from musedance.device import has_bfloat16
from musedance.media.video import VideoReader
from musedance.tiny.descent import Descent
from musedance.weights.init import seeded

FIRST_LOG_VARIANCE = -4.0  # of the posterior: drowned in noise of deviation 1, latents would first be ignored
CARRIER = 8.0  # the constant in the two channels that carry nothing else


@dataclass(frozen=True)
class VaeTraining:
    """How the VAE is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: crops a step.
        crop: side of a crop, pixels; a multiple of the VAE's scale factor. The VAE has no attention, so that what it
            learns from crops holds for whole pictures.
        frames_per_clip: how many frames of each clip are crops taken from, evenly spread.
        lr: the highest learning rate; it rises during the first twentieth and falls to 0 with half a cosine.
        edge_weight: of the mean absolute error of differences between neighbouring pixels, beside the mean absolute
            error of a pixel in [-1, 1]: outlines and faces are few pixels.
        kl_weight: of the divergence from a standard normal, averaged over latent values.
    """

    steps: int = 2400
    batch_size: int = 24
    crop: int = 48
    frames_per_clip: int = 8
    lr: float = 3e-3
    edge_weight: float = 0.5
    kl_weight: float = 3e-2


def train_vae(vae: AutoencoderKL, frames: Tensor, training: VaeTraining, device: torch.device, seed: int = 0) -> float:
    """Train in place, in bfloat16 where the device multiplies in it, and set `scaling_factor` to unit deviation.

    The loss is the absolute error, which keeps edges sharp where squares would blur them, of a picture decoded from
    a sample of the posterior: so the decoder learns to do without digits that the UNet will not get right either.

    Args:
        vae: on any device; it ends on `device`.
        frames: `(n, 3, H, W)` uint8.
        training: how.
        device: where.
        seed: of weights, crops and noise.

    Returns:
        The mean absolute error of the last tenth of the steps, in [0, 2].
    """
    with seeded(seed, torch.float32):
        initialise(vae)
    vae.to(device).train()
    descent = Descent(vae.parameters(), training.lr, training.steps, optimizer="muon", beta2=0.99, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.Generator(device).manual_seed(seed)
    errors = []
    with tqdm(_crops(frames, training, generator), total=training.steps, unit="step", desc="vae") as bar:
        for pictures in bar:
            pictures = pictures.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
                posterior = vae.encode(pictures).latent_dist
                decoded = vae.decode(posterior.sample(noise)).sample
            error = (decoded.float() - pictures).abs().mean()
            divergence = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float())
            edges = _edge_error(decoded.float(), pictures)
            loss = error + training.edge_weight * edges + training.kl_weight * divergence.mean()
            descent.step(loss)
            errors.append(float(error.detach()))
            bar.set_postfix(error=f"{np.mean(errors[-100:]):.4f}", refresh=False)
    vae.eval()
    vae.register_to_config(scaling_factor=round(1 / latent_deviation(vae, frames[:: max(len(frames) // 256, 1)]), 4))
    return float(np.mean(errors[-max(training.steps // 10, 1) :]))


@torch.no_grad()
def initialise(vae: AutoencoderKL) -> None:
    """Weights with which a VAE of few channels learns in a thousand steps what takes tens of thousands otherwise.

    Each convolution keeps the variance of what it reads, each residual block starts as the identity (its second
    convolution is 0), and the posterior is narrow. In pictures with large even areas GroupNorm takes away how light
    and how colourful they are; the last two channels everywhere hold +-`CARRIER` therefore and nothing else, so that
    each norm (of one group) divides by nearly the same number at first, and its weight undoes that.

    Args:
        vae: with `norm_num_groups` 1.

    Raises:
        ValueError: there are more groups.
    """
    if vae.config.norm_num_groups != 1:
        raise ValueError(f"the carriers are for one group, not for {vae.config.norm_num_groups}")
    for name, module in vae.named_modules():
        if isinstance(module, nn.GroupNorm):
            channels = module.num_channels
            nn.init.constant_(module.weight, ((2 * CARRIER**2 + channels) / channels) ** 0.5)
            module.weight[-2:] = 0
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
            if name.endswith("conv2"):
                nn.init.zeros_(module.weight)
            elif not name.endswith(("conv_out", "quant_conv")):
                module.weight[-2:] = 0
                module.bias[-2:] = torch.tensor([CARRIER, -CARRIER])
            if not name.endswith(("conv_in", "quant_conv")):
                module.weight[:, -2:] = 0
    vae.quant_conv.weight[vae.config.latent_channels :] = 0
    vae.quant_conv.bias[vae.config.latent_channels :] = FIRST_LOG_VARIANCE


@torch.no_grad()
def latent_deviation(vae: AutoencoderKL, frames: Tensor) -> float:
    """Standard deviation of the latents of `frames` (n, 3, H, W) uint8, over everything."""
    device = next(vae.parameters()).device
    latents = [vae.encode(to_signed(batch).to(device)).latent_dist.mean.cpu() for batch in frames.split(16)]
    return float(torch.cat(latents).std())


@torch.no_grad()
def reconstruction_psnr(vae: AutoencoderKL, frames: Tensor) -> float:
    """Mean PSNR in dB over pictures `(n, 3, H, W)` uint8 that went through the VAE."""
    device = next(vae.parameters()).device
    scores = []
    for batch in frames.split(16):
        pictures = to_signed(batch).to(device)
        decoded = vae.decode(vae.encode(pictures).latent_dist.mean).sample.clamp(-1, 1)
        scores.append(-10 * torch.log10((decoded - pictures).square().flatten(1).mean(1) / 4))
    return float(torch.cat(scores).mean())


def to_signed(frames: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return frames.float() / 127.5 - 1


def read_frames(dataset: Dataset, clips: Sequence[Clip], per_clip: int) -> Tensor:
    """Evenly spread frames of all clips, `(len(clips) * per_clip, 3, H, W)` uint8."""
    pictures = []
    for clip in tqdm(clips, unit="clip", desc="reading frames"):
        chosen = np.linspace(0, clip.num_frames - 1, per_clip).round()
        with dataset.open(clip) as file, VideoReader(file) as reader:
            pictures.append(reader.frames_at(chosen / clip.fps))
    return torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2).contiguous()


def _edge_error(decoded: Tensor, pictures: Tensor) -> Tensor:
    """Mean absolute error of the differences to the pixel below and to the right."""
    error = decoded - pictures
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


def _crops(frames: Tensor, training: VaeTraining, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches `(batch_size, 3, crop, crop)` in [-1, 1], for all steps: of two random crops the one that shows more."""
    count, _, height, width = frames.shape
    side = training.crop

    def crop() -> Tensor:
        chosen = int(torch.randint(count, (), generator=generator))
        top = int(torch.randint(height - side + 1, (), generator=generator))
        left = int(torch.randint(width - side + 1, (), generator=generator))
        return to_signed(frames[chosen, :, top : top + side, left : left + side])

    for _ in range(training.steps):
        pairs = [(crop(), crop()) for _ in range(training.batch_size)]
        yield torch.stack([max(pair, key=lambda picture: float(picture.std((1, 2)).sum())) for pair in pairs])
