"""Reading upstream weights: Stable Diffusion 1.5, AnimateDiff's motion modules, AST."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
from torch import Tensor
from transformers import ASTConfig, ASTFeatureExtractor, ASTModel, CLIPTextModel, CLIPTokenizer

from musedance.errors import InputError

from .byte_tokenizer import byte_alphabet
from .checkpoint_file import read_checkpoint
from .init import seeded, split_unet_section, text_config
from .loading import load_exactly
from .pretrained import load_model, load_part, source_kind
from .single_file import read_single_file

CLIP_TOKENIZER = "openai/clip-vit-large-patch14"


@dataclass(frozen=True)
class StableDiffusion:
    """Stable Diffusion's parts.

    Attributes:
        vae: in the dtype asked for, like the text encoder.
        text_encoder: CLIP.
        tokenizer: CLIP's, its maximal length set to the text encoder's.
        unet_config: `UNet2DConditionModel`'s arguments.
        unet_state: the UNet's weights, since two networks are made from them.
        left_out: tensors not used on purpose, by reason.
    """

    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    unet_config: dict[str, Any]
    unet_state: dict[str, Tensor]
    left_out: dict[str, list[Tensor]]


@dataclass(frozen=True)
class Motion:
    """AnimateDiff's motion modules.

    Attributes:
        state: weights under diffusers' names (`down_blocks.i.motion_modules.j.*`).
        num_attention_heads: heads of their attention.
        norm_num_groups: groups of their GroupNorm.
        position_tables: not used: they are sinusoidal, 24 or 32 long, and computed to the length needed.
    """

    state: dict[str, Tensor]
    num_attention_heads: int
    norm_num_groups: int
    position_tables: list[Tensor]

    @property
    def has_mid_block(self) -> bool:
        """v1.5-2 has a motion module in the middle block; v1.4, v1.5 and v3 have none."""
        return any(key.startswith("mid_block.") for key in self.state)


@dataclass(frozen=True)
class MusicSource:
    """AST.

    Attributes:
        config: fields of `ASTConfig`.
        state: weights under `ASTModel`'s names.
        feature_extractor: its own.
        left_out: names of the classifier's tensors.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]
    feature_extractor: ASTFeatureExtractor
    left_out: list[str]


def read_stable_diffusion(
    source: str, tokenizer: str | None, sections: Mapping[str, Any], dtype: torch.dtype
) -> StableDiffusion:
    """Read Stable Diffusion 1.x.

    Args:
        source: a diffusers folder, a hub id, or one file in the original layout.
        tokenizer: folder or hub id of CLIP's tokenizer; the source's own unless given, and `CLIP_TOKENIZER` for a
            single file, which holds no vocabulary.
        sections: `vae`, `text_encoder` and `unet` of a `model.yaml`: what a single file is a checkpoint of.
        dtype: of the VAE and the text encoder.

    Raises:
        InputError: something cannot be read, is missing or left over.
    """
    is_file = source_kind(source) == "file"
    if tokenizer is None and not is_file:
        clip_tokenizer = read_tokenizer(source, subfolder="tokenizer")
    else:
        clip_tokenizer = read_tokenizer(tokenizer or CLIP_TOKENIZER)
    if is_file:
        parts = _from_single_file(Path(source), clip_tokenizer, sections, dtype)
    else:
        parts = _from_folder(source, clip_tokenizer, dtype)
    config = parts.text_encoder.config
    if len(clip_tokenizer) > config.vocab_size:
        raise InputError(
            f"the tokenizer has {len(clip_tokenizer)} tokens, the text encoder of {source} {config.vocab_size}: "
            "they do not belong together"
        )
    clip_tokenizer.model_max_length = config.max_position_embeddings
    return parts


def _from_folder(source: str, tokenizer: CLIPTokenizer, dtype: torch.dtype) -> StableDiffusion:
    vae, _ = load_model(AutoencoderKL, source, "the VAE", subfolder="vae", dtype=dtype)
    text_encoder, _ = load_model(
        CLIPTextModel,
        source,
        "the text encoder",
        may_be_left_over=r".*position_ids$",  # a buffer that old versions of transformers saved
        subfolder="text_encoder",
        dtype=dtype,
    )
    unet, _ = load_model(UNet2DConditionModel, source, "the UNet", subfolder="unet", dtype=dtype)
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    return StableDiffusion(vae, text_encoder, tokenizer, config, unet.state_dict(), {})


def _from_single_file(
    path: Path, tokenizer: CLIPTokenizer, sections: Mapping[str, Any], dtype: torch.dtype
) -> StableDiffusion:
    unet_config, _ = split_unet_section(sections["unet"])
    unet_state, vae_state, text_state, left_out = read_single_file(path, unet_config, sections["vae"])
    with seeded(0, dtype):  # for the dtype, and to leave the global random state alone
        vae = AutoencoderKL(**sections["vae"])
        text_encoder = CLIPTextModel(text_config(sections["text_encoder"], tokenizer))
    load_exactly(vae, vae_state, f"the VAE of {path}")
    load_exactly(text_encoder, text_state, f"the text encoder of {path}")
    return StableDiffusion(vae, text_encoder, tokenizer, unet_config, unet_state, left_out)


def read_tokenizer(source: str, subfolder: str = "") -> CLIPTokenizer:
    """Read CLIP's tokenizer from a folder or hub id.

    Raises:
        InputError: there is none.
    """
    tokenizer = load_part(CLIPTokenizer, source, "the tokenizer", subfolder=subfolder)
    # Where there is no vocabulary, or no network, transformers makes an empty tokenizer without a word.
    if not set(byte_alphabet()) <= tokenizer.get_vocab().keys():
        raise InputError(
            f"{f'{source}/{subfolder}'.rstrip('/')}: no CLIP vocabulary there (tokenizer.json, or vocab.json and "
            "merges.txt); give a folder that has one, or check the network if this is a hub id"
        )
    return tokenizer


def read_motion(source: str) -> Motion:
    """Read AnimateDiff's motion modules.

    Args:
        source: a `MotionAdapter` folder or hub id, or an original file (v1.4, v1.5, v1.5-2, v3).

    Raises:
        InputError: the source cannot be read; whether the weights fit is seen when they are loaded.
    """
    if source_kind(source) == "file":
        tensors = {key.removeprefix("module."): tensor for key, tensor in read_checkpoint(Path(source)).items()}
        state = convert_animatediff_checkpoint_to_diffusers(tensors)  # renames, and drops the position tables
        tables = [tensor for key, tensor in tensors.items() if key.endswith(".pos_encoder.pe")]
        return Motion(state, num_attention_heads=8, norm_num_groups=32, position_tables=tables)
    adapter, _ = load_model(MotionAdapter, source, "the motion modules")
    everything = adapter.state_dict()
    state = {key: tensor for key, tensor in everything.items() if not key.endswith(".pos_embed.pe")}
    return Motion(
        state,
        num_attention_heads=adapter.config.motion_num_attention_heads,
        norm_num_groups=adapter.config.motion_norm_num_groups,
        position_tables=[tensor for key, tensor in everything.items() if key not in state],
    )


def read_ast(source: str, dtype: torch.dtype) -> MusicSource:
    """Read an Audio Spectrogram Transformer with its feature extractor, from a folder or hub id.

    Raises:
        InputError: something cannot be read, is missing or left over.
    """
    extractor = load_part(ASTFeatureExtractor, source, "AST's feature extractor")
    ast, classifier = load_model(ASTModel, source, "AST", may_be_left_over=r"classifier\.", dtype=dtype)
    if extractor.num_mel_bins != ast.config.num_mel_bins:
        raise InputError(
            f"the feature extractor of {source} makes {extractor.num_mel_bins} mel bins, "
            f"its model takes {ast.config.num_mel_bins}: they do not belong together"
        )
    config = {key: getattr(ast.config, key) for key in ASTConfig.__annotations__ if key != "model_type"}
    return MusicSource(config, ast.state_dict(), extractor, classifier)
