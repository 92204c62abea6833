"""A batch of frames, sound and text -> what the networks read: the frozen encoders' side of training."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from musedance.conditions.text import encode_prompt
from musedance.datasets.spec import packing_of
from musedance.latents import encode_pixels
from musedance.models import MusicEncoder

FROZEN = ("vae", "text_encoder", "tokenizer", "music_encoder", "feature_extractor")  # components of a pipeline folder
_PLAIN = ("reference_mask", "densepose_mask", "motion_mask", "music_mask", "beats")  # the same in all batches
_CACHED = ("latents", "reference_latents", "motion_latents", "text", "empty_text", "music", "music_positions")


class Encoders:
    """VAE, CLIP and AST, on one device, without gradient.

    Each picture, piece of music and text goes through its encoder alone: what comes out depends on nothing else in the
    batch, so that features computed ahead of training equal those computed in it bit for bit. In a batch they would
    differ in the last digits, since the order of summation follows the batch size; on a picture of 640 x 640 pixels a
    batch gains next to nothing.

    Args:
        vae, text_encoder, tokenizer, music_encoder: a pipeline's.
        fps: frames per second of the model.
        packing: the side of the square of the VAE's latents that is one position for the UNet.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        music_encoder: MusicEncoder,
        fps: float,
        packing: int = 1,
    ) -> None:
        self.vae, self.text_encoder, self.music_encoder = (
            model.requires_grad_(False).eval() for model in (vae, text_encoder, music_encoder)
        )
        self.tokenizer, self.fps, self.packing = tokenizer, fps, packing

    @classmethod
    def from_folder(cls, model: str | Path, fps: float, device: torch.device, dtype: torch.dtype) -> "Encoders":
        """Load them, and nothing else, from a pipeline folder."""
        model = Path(model)
        return cls(
            AutoencoderKL.from_pretrained(model / "vae", torch_dtype=dtype).to(device),
            CLIPTextModel.from_pretrained(model / "text_encoder", dtype=dtype).to(device),
            CLIPTokenizer.from_pretrained(model / "tokenizer"),
            MusicEncoder.from_pretrained(model / "music_encoder", torch_dtype=dtype).to(device),
            fps,
            packing_of(model),
        )

    @property
    def device(self) -> torch.device:
        """Of all three."""
        return self.vae.device

    @torch.no_grad()
    def latents(self, frames: Tensor) -> Tensor:
        """`(n, H, W, 3)` uint8 RGB -> `(n, channels, h, w)`: the posterior's mode, packed and scaled."""
        encoded = [self._latent(frame) for frame in frames.split(1)]
        # Plain memory order, as a cache's: what comes of it later is the same to the last digit only then.
        return torch.cat(encoded).contiguous()

    @torch.no_grad()
    def music(self, mel: Tensor) -> Tensor:
        """`(n, mel_frames, mel_bins)` -> `(n, tokens, dim)`."""
        mel = mel.to(self.device, self.music_encoder.dtype)
        return torch.cat([self.music_encoder(one[None]) for one in mel])

    def music_positions(self, mel_frames: int) -> Tensor:
        """When each token is, `(tokens,)` in frames from the window's start; NaN for the two without a time."""
        return (self.music_encoder.token_times(mel_frames) * self.fps).to(self.device)

    @torch.no_grad()
    def text(self, prompts: list[str]) -> Tensor:
        """Texts -> `(n, tokens, dim)`."""
        return torch.cat([encode_prompt(prompt, self.tokenizer, self.text_encoder, self.device) for prompt in prompts])

    def _latent(self, frame: Tensor) -> Tensor:
        pixels = frame.to(self.device).permute(0, 3, 1, 2).float() / 255 * 2 - 1  # the memory order of the pipeline's
        return encode_pixels(self.vae, pixels, self.packing)


def encode_batch(batch: dict[str, Any], device: torch.device, encoders: Encoders | None = None) -> dict[str, Tensor]:
    """What training does with every batch: encode what is not encoded, and bring it to the device.

    Args:
        batch: from a `ClipLoader`, of files or of a feature cache.
        device: the networks'.
        encoders: needed for batches of files; on the same device.

    Returns:
        `latents`, the clean latents that noise is added to, and beside them the keyword arguments of
        `MuseDanceNetworks.forward`: floats in the encoders' dtype (or the cache's), positions and DensePose in float32.
    """
    inputs = {name: batch[name].to(device, non_blocking=True) for name in _PLAIN if name in batch}
    if "densepose" in batch:
        inputs["densepose"] = (batch["densepose"].to(device).permute(0, 3, 1, 2).float() / 255).contiguous()
    if "frames" not in batch:
        encoded = {name: batch[name].to(device, non_blocking=True) for name in _CACHED if name in batch}
    elif encoders is None:
        raise ValueError("a batch of frames needs encoders")
    else:
        encoded = _encode(batch, encoders)
    for name in ("latents", "motion_latents"):
        if name in encoded and encoded[name].ndim == 5:
            encoded[name] = encoded[name].transpose(1, 2).contiguous()  # the networks want frames after channels
    return inputs | encoded


def _encode(batch: dict[str, Any], encoders: Encoders) -> dict[str, Tensor]:
    encoded = {"reference_latents": encoders.latents(batch["reference_frames"])}
    frames = batch["frames"]
    if frames.ndim == 4:
        encoded["latents"] = encoders.latents(frames)
    else:
        encoded["latents"] = encoders.latents(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        encoded["motion_latents"] = _motion_latents(
            batch["motion_frames"], batch["motion_mask"], encoded["latents"], encoders
        )
    encoded["text"] = encoders.text(batch["prompts"])
    encoded["empty_text"] = encoders.text([""]).repeat(len(encoded["text"]), 1, 1)
    if "mel" in batch:
        encoded["music"] = encoders.music(batch["mel"])
        encoded["music_positions"] = encoders.music_positions(batch["mel"].shape[1])
    return encoded


def _motion_latents(frames: Tensor, present: Tensor, latents: Tensor, encoders: Encoders) -> Tensor:
    """Only those that are there are encoded; the others are zero, and hidden by the mask."""
    motion = latents.new_zeros(*frames.shape[:2], *latents.shape[2:])
    if present.any() and frames.shape[1]:
        given = frames[present]
        motion[present.to(motion.device)] = encoders.latents(given.flatten(0, 1)).unflatten(0, given.shape[:2])
    return motion
