"""The folder that the tiny model's two stages start from: trained VAE and encoders, random UNets."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor
from tqdm import tqdm
from transformers import ASTFeatureExtractor, CLIPTextModel, CLIPTokenizer
from yaml import YAMLError

from musedance.datasets.folder import Dataset
from musedance.datasets.shards import open_dataset
from musedance.errors import InputError
from musedance.files import check_new_folder
from musedance.models import MaskEncoder, MuseDanceUNet, MusicEncoder, ReferenceNet
from musedance.pipeline import MuseDancePipeline
from musedance.tiny.music import (
    GENRE_NAMES,
    Hearing,
    Lesson,
    MusicTraining,
    compose_lesson,
    lesson_loss,
    train_music_encoder,
)
from musedance.tiny.music import windows as music_windows
from musedance.tiny.text import TextTraining, make_tokenizer, train_text_encoder
from musedance.tiny.vae import VaeTraining, read_frames, reconstruction_psnr, train_vae
from musedance.weights.folder import save_folder
from musedance.weights.init import load_sections, seeded, split_unet_section, text_config

HELD_OUT_TRACKS = 48


@dataclass(frozen=True)
class BaseSettings:
    """`configs/tiny/base.yaml`."""

    seed: int = 0
    vae: VaeTraining = field(default_factory=VaeTraining)
    text: TextTraining = field(default_factory=TextTraining)
    music: MusicTraining = field(default_factory=MusicTraining)


def load_settings(path: Path) -> BaseSettings:
    """Read settings from yaml; what is not given keeps its default.

    Raises:
        InputError: a key or a value that cannot be.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(BaseSettings), OmegaConf.load(path))
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except (OmegaConfBaseException, YAMLError, OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def make_base(output: str | Path, data: str | Path, settings: BaseSettings, device: torch.device) -> dict[str, float]:
    """Train VAE, text encoder and music encoder, and write a pipeline folder with them (stage 0).

    Args:
        output: folder to make.
        data: dataset of puppets; the VAE learns from its training split and is tested on its validation split.
        settings: how.
        device: where.

    Returns:
        How good they are on what they have not seen, by name.

    Raises:
        InputError: there is something at `output`, or `data` cannot be read.
    """
    output, dataset = check_new_folder(output), open_dataset(data)
    music_encoder, scores = make_music_encoder(settings, device)
    tokenizer, text_encoder, understood = make_text_encoder(settings, device)
    vae, psnr = make_vae(dataset, settings, device)
    save_base(output, settings.seed, vae, tokenizer, text_encoder, music_encoder)
    return {**scores, "prompts understood": understood, "vae psnr (dB)": psnr}


def make_music_encoder(settings: BaseSettings, device: torch.device) -> tuple[MusicEncoder, dict[str, float]]:
    """Trained, with what it hears in new tracks."""
    sections = load_sections("tiny")
    with seeded(settings.seed, torch.float32):
        encoder = MusicEncoder(**sections["music_encoder"])
    lessons = compose_lessons(ASTFeatureExtractor(**sections["feature_extractor"]), settings)
    new, known = lessons[:HELD_OUT_TRACKS], lessons[HELD_OUT_TRACKS:]
    hearing = train_music_encoder(encoder, known, settings.music, device, settings.seed)
    return encoder, music_scores(encoder, hearing, new, settings.music, device)


def make_text_encoder(settings: BaseSettings, device: torch.device) -> tuple[CLIPTokenizer, CLIPTextModel, float]:
    """With its vocabulary; trained, with the share of new prompts that it understands."""
    section = load_sections("tiny")["text_encoder"]
    tokenizer = make_tokenizer(section["max_position_embeddings"], settings.text.merges)
    with seeded(settings.seed, torch.float32):
        encoder = CLIPTextModel(text_config({**section, "vocab_size": len(tokenizer)}, tokenizer))
    understood = train_text_encoder(encoder, tokenizer, settings.text, device, settings.seed)
    # Calls leave their truncation and padding in it. Saved with them, it is another one once it is loaded and saved
    # again, as stage 1 does, and the feature cache is refused.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer, encoder, understood


def make_vae(dataset: Dataset, settings: BaseSettings, device: torch.device) -> tuple[AutoencoderKL, float]:
    """Trained, with its PSNR (dB) on frames of other characters."""
    with seeded(settings.seed, torch.float32):
        vae = AutoencoderKL(**load_sections("tiny")["vae"])
    frames = read_frames(dataset, dataset.dances("train"), settings.vae.frames_per_clip)
    train_vae(vae, frames, settings.vae, device, settings.seed)
    return vae, reconstruction_psnr(vae, read_frames(dataset, dataset.dances("validation"), 4))


def save_base(
    output: Path,
    seed: int,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    music_encoder: MusicEncoder,
) -> Path:
    """Write them and UNets with random weights as a pipeline folder."""
    sections = load_sections("tiny")
    shared, _ = split_unet_section(sections["unet"])
    makers = {
        "unet": lambda: MuseDanceUNet(**sections["unet"]),
        "reference_net": lambda: ReferenceNet(**shared),
        "mask_encoder": lambda: MaskEncoder(**sections["mask_encoder"]),
    }
    networks = {}
    for name, make in makers.items():
        with seeded(seed, torch.float32):
            networks[name] = make()
    pipeline = MuseDancePipeline(
        vae=vae.cpu(),
        text_encoder=text_encoder.cpu(),
        tokenizer=tokenizer,
        music_encoder=music_encoder.cpu(),
        feature_extractor=ASTFeatureExtractor(**sections["feature_extractor"]),
        scheduler=DDIMScheduler(**sections["scheduler"]),
        **networks,
        stage=0,
        provenance=f"tiny: VAE and encoders trained on drawn dancers and composed music, seed {seed}",
    )
    return save_folder(pipeline, output)


def compose_lessons(extractor: ASTFeatureExtractor, settings: BaseSettings) -> list[Lesson]:
    """Tracks to learn from, and before them those to test with."""
    count = settings.music.tracks + HELD_OUT_TRACKS
    return [
        compose_lesson(extractor, settings.music, settings.seed, index)
        for index in tqdm(range(count), unit="track", desc="composing")
    ]


@torch.no_grad()
def music_scores(
    encoder: MusicEncoder,
    hearing: Hearing,
    lessons: list[Lesson],
    training: MusicTraining,
    device: torch.device,
) -> dict[str, float]:
    """On new tracks: how often the genre is told, and the shares of the variance of both phases that are explained."""
    right, errors, errors_of_two = [], [], []
    for batch in music_windows(lessons, training, 8, seed=1):
        on_device: dict[str, Tensor] = {name: value.to(device) for name, value in batch.items()}
        _, whole = hearing(encoder(on_device["mel"]))
        right.append((whole[:, 0, : len(GENRE_NAMES)].argmax(1) == on_device["genre"]).float().mean())
        parts = lesson_loss(encoder, hearing, on_device)[1]
        errors.append(parts["phase"])
        errors_of_two.append(parts["two beats"])
    return {
        "genres heard": float(torch.stack(right).mean()),
        "beat phase explained": 1 - sum(errors) / len(errors),  # sin^2 + cos^2 = 1 is its variance
        "phase of two beats explained": 1 - sum(errors_of_two) / len(errors_of_two),
    }
