"""A pipeline folder with random weights, for tests, benchmarks and training from nothing."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from omegaconf import OmegaConf
from transformers import ASTFeatureExtractor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from musedance.errors import InputError
from musedance.files import check_new_folder
from musedance.models import MaskEncoder, MuseDanceUNet, MusicEncoder, ReferenceNet
from musedance.pipeline import MuseDancePipeline

from .byte_tokenizer import byte_tokenizer
from .folder import save_folder

SIZES = ("tiny", "sd15")
DTYPES = ("float32", "bfloat16", "float16")


def load_sections(size: str) -> dict[str, Any]:
    """The model description `configs/<size>/model.yaml`: one mapping of constructor arguments per component.

    Raises:
        InputError: there is no such size.
    """
    if size not in SIZES:
        raise InputError(f"there is no size {size!r}; possible: {', '.join(SIZES)}")
    with as_file(files("musedance.configs") / size / "model.yaml") as path:
        return OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[return-value]


def parse_dtype(name: str | torch.dtype) -> torch.dtype:
    """`"bfloat16"` -> `torch.bfloat16`.

    Raises:
        InputError: not one of `DTYPES`.
    """
    name = str(name).removeprefix("torch.")
    if name not in DTYPES:
        raise InputError(f"weights are saved as {', '.join(DTYPES)}, not as {name}")
    return getattr(torch, name)


@contextmanager
def seeded(seed: int, dtype: torch.dtype) -> Iterator[None]:
    """Modules built inside have this dtype and weights that depend on the seed alone; both are restored after.

    Raises:
        InputError: the seed does not fit into 64 bits.
    """
    if not 0 <= seed < 2**63:
        raise InputError(f"the seed has to lie between 0 and 2^63 - 1, not {seed}")
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reseed the GPUs
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def split_unet_section(section: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `unet` section -> (`UNet2DConditionModel`'s arguments, MuseDance's own)."""
    upstream = inspect.signature(UNet2DConditionModel.__init__).parameters
    shared = {key: value for key, value in section.items() if key in upstream}
    return shared, {key: value for key, value in section.items() if key not in upstream}


def text_config(section: dict[str, Any], tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    """The text encoder's config, with the special tokens of the tokenizer."""
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return CLIPTextConfig(**section, **special)


def init_folder(output: str | Path, size: str = "tiny", seed: int = 0, dtype: str | torch.dtype = "float32") -> Path:
    """Write a pipeline folder with random weights (stage 0).

    The same size, seed and dtype give the same weights, bit for bit, whatever ran before; the global random state is
    left as it was. The tokenizer has one token per byte, since no vocabulary can be made up.

    Args:
        output: folder to make; it may exist if it is empty.
        size: `"tiny"` (128 px, 24 frames) or `"sd15"` (640 px, 48 frames, Stable Diffusion 1.5's networks).
        seed: 0 to 2^63 - 1.
        dtype: of the weights; one of `DTYPES`.

    Returns:
        The folder.

    Raises:
        InputError: an argument cannot be used, or the folder cannot be written.
    """
    output, sections, dtype = check_new_folder(output), load_sections(size), parse_dtype(dtype)
    tokenizer = byte_tokenizer(sections["text_encoder"]["max_position_embeddings"])
    shared, _ = split_unet_section(sections["unet"])
    makers = {
        "vae": lambda: AutoencoderKL(**sections["vae"]),
        "text_encoder": lambda: CLIPTextModel(text_config(sections["text_encoder"], tokenizer)),
        "unet": lambda: MuseDanceUNet(**sections["unet"]),
        "reference_net": lambda: ReferenceNet(**shared),
        "mask_encoder": lambda: MaskEncoder(**sections["mask_encoder"]),
        "music_encoder": lambda: MusicEncoder(**sections["music_encoder"]),
    }
    models = {}
    for name, make in makers.items():
        with seeded(seed, dtype):  # anew for each, so that no component's weights hang on another's size
            models[name] = make()
        parameters = sum(parameter.numel() for parameter in models[name].parameters())
        print(f"{name}: {parameters / 1e6:.2f} M random parameters", file=sys.stderr, flush=True)
    pipeline = MuseDancePipeline(
        **models,
        tokenizer=tokenizer,
        feature_extractor=ASTFeatureExtractor(**sections["feature_extractor"]),
        scheduler=DDIMScheduler(**sections["scheduler"]),
        stage=0,
        provenance=f"random weights, size {size}, seed {seed}",
    )
    print(f"writing {output}", file=sys.stderr, flush=True)
    return save_folder(pipeline, output)
