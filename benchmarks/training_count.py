"""FLOPs and memory of one training step, counted rather than measured: exact sizes, no weights, no GPU.

    python benchmarks/training_count.py                          # both stages as the paper trains them, and variants
    python benchmarks/training_count.py --size tiny              # the built-in size
    python benchmarks/training_count.py clips.size=512 clips.num_frames=24

The real networks, objective and autocast run forward and backward on tensors that have a shape and no content
(PyTorch's fake tensors). Every operation adds its FLOPs (2 per multiply-add, PyTorch's own formulas), every tensor its
bytes from when it is made until it is freed, in blocks of 512 bytes. So the peak is that of the tensors of a GPU of its
own. Not counted: the CUDA context (about 0.5 GiB), what cuDNN and cuBLAS take as workspace, fragmentation, and NCCL's
buffers. Gradients are there all the time, as DDP and accumulation have them. Attention keeps no matrix of scores, as
SDPA's fused kernels do not. The optimizer works in place.
"""

import argparse
import functools
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any
from unittest.mock import patch

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from musedance.datasets.encode import encode_batch
from musedance.latents import packing, scale_factor
from musedance.models import MaskEncoder, MuseDanceNetworks, MuseDanceUNet, MusicEncoder, ReferenceNet
from musedance.models.temporal import MotionModule
from musedance.training.config import Stage1Config, Stage2Config, TrainingConfig
from musedance.training.config_file import load_config
from musedance.training.frozen import cast_frozen
from musedance.training.lora import add_lora
from musedance.training.objective import Objective
from musedance.training.trainable import select_stage1, select_stage2, train_mode, trained_parameters
from musedance.training.trainer import prepare_networks
from musedance.weights.init import load_sections, split_unet_section

GIB, TERA = 2**30, 1e12
BLOCK = 512  # bytes; CUDA's allocator rounds up to it
ADAM = {"adamw": 8, "adamw8bit": 2}  # bytes a trained parameter
PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PAPER_GPUS, A100, USED = 32, 312 * TERA, 0.4  # A100's bf16 peak, and the share of it that is assumed to be reached
ROWS: dict[str, tuple[str, list[str]]] = {
    "stage 1": ("stage1.yaml", []),
    "stage 1, no checkpointing": ("stage1.yaml", ["memory.gradient_checkpointing=false"]),
    "stage 2": ("stage2.yaml", []),
    "stage 2, frozen_dtype=bfloat16": ("stage2.yaml", ["frozen_dtype=bfloat16"]),
    "stage 2, no checkpointing": ("stage2.yaml", ["memory.gradient_checkpointing=false"]),
    "stage 2, stage2_24gb.yaml": ("stage2_24gb.yaml", []),
}


def read_config(file: str, overrides: Iterable[str] = ()) -> TrainingConfig:
    """A config of `configs/`, with something for what has no default."""
    schema: type[TrainingConfig] = Stage1Config if file.startswith("stage1") else Stage2Config
    with as_file(files("musedance.configs") / file) as path:
        return load_config(schema, path, ["model=MODEL", "output=RUN", "data.root=DATA", *overrides])


@dataclass(frozen=True)
class Shapes:
    """What a batch looks like: the config's clips, or the model's own where it says nothing."""

    batch: int
    frames: int | None  # None: stage 1
    motion_frames: int
    pixels: int
    mel_frames: int
    music_tokens: int

    @classmethod
    def of(cls, config: TrainingConfig, sections: dict[str, Any]) -> "Shapes":
        """`sections`: of `configs/SIZE/model.yaml`."""
        unet, ast = sections["unet"], sections["music_encoder"]["ast_config"]
        frames = config.clips.num_frames or unet["num_frames"]
        seconds = frames / (config.clips.fps or unet["fps"])
        mel_frames = 1 + (round(seconds * sections["feature_extractor"]["sampling_rate"]) - 400) // 160
        patches = [(mel_frames, ast["time_stride"]), (ast["num_mel_bins"], ast["frequency_stride"])]
        across, down = ((length - ast["patch_size"]) // stride + 1 for length, stride in patches)
        return cls(
            batch=config.batch_size,
            frames=frames if isinstance(config, Stage2Config) else None,
            motion_frames=unet["num_motion_frames"],
            pixels=config.clips.size or sections["vae"]["sample_size"],
            mel_frames=mel_frames,
            music_tokens=2 + across * down,
        )


def make_networks(config: TrainingConfig, sections: dict[str, Any]) -> MuseDanceNetworks:
    """The networks with random weights, as a stage's script and the trainer set them up."""
    shared, _ = split_unet_section(sections["unet"])
    networks = MuseDanceNetworks(
        MuseDanceUNet(**sections["unet"]), ReferenceNet(**shared), MaskEncoder(**sections["mask_encoder"])
    )
    if isinstance(config, Stage2Config):
        select_stage2(networks, config.freeze_spatial)
        if config.lora.rank is not None:  # which is refused where all is zero, as in random weights
            first = next(module for module in networks.unet.modules() if isinstance(module, MotionModule))
            first.proj_out.weight = torch.nn.Parameter(torch.ones_like(first.proj_out.weight, device="cpu"))
            add_lora(networks.unet, config.lora)
        cast_frozen(networks, config.frozen_dtype)
    else:
        select_stage1(networks)
    prepare_networks(networks, config)
    train_mode(networks)
    return networks


def cached_batch(config: TrainingConfig, sections: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """A batch as it comes from a feature cache (docs/loading.md) with everything present; random numbers."""
    shapes, unet = Shapes.of(config, sections), sections["unet"]
    vae = sections["vae"]
    packed = packing(unet["in_channels"], vae["latent_channels"])
    n, channels = shapes.batch, unet["in_channels"]
    side = shapes.pixels // scale_factor(len(vae["block_out_channels"]), packed)
    text = (n, sections["text_encoder"]["max_position_embeddings"], unet["cross_attention_dim"])
    frames = () if shapes.frames is None else (shapes.frames,)

    def randn(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=dtype)

    batch = {
        "latents": randn(n, *frames, channels, side, side),
        "reference_latents": randn(n, channels, side, side),
        "reference_mask": torch.ones(n, dtype=torch.bool),
        "text": randn(*text),
        "empty_text": randn(*text),
        "noise_seeds": list(range(n)),
    }
    if shapes.frames is None:
        batch["densepose"] = torch.zeros(n, shapes.pixels, shapes.pixels, 3, dtype=torch.uint8)
        batch["densepose_mask"] = torch.ones(n, dtype=torch.bool)
        return batch
    return batch | {
        "motion_latents": randn(n, shapes.motion_frames, channels, side, side),
        "motion_mask": torch.ones(n, dtype=torch.bool),
        "music": randn(n, shapes.music_tokens, unet["music_dim"]),
        "music_positions": torch.linspace(0, shapes.frames, shapes.music_tokens),
        "music_mask": torch.ones(n, dtype=torch.bool),
        "beats": torch.zeros(n, shapes.frames, dtype=torch.long),
    }


class Meter(TorchDispatchMode):
    """Counts what runs inside: `flops`, and bytes of the tensors that were made inside, `live` now and at the `peak`.

    Args:
        existing: tensors that are there before; neither they nor views of them count.
    """

    def __init__(self, existing: Iterable[Tensor]) -> None:
        super().__init__()
        self.flops = self.live = self.peak = 0
        self._storages: dict[int, Any] = {id(x): x for x in (tensor.untyped_storage() for tensor in existing)}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = _ATTENTION.get(func._overloadpacket) or flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        if id(storage) not in self._storages:
            size = -(-storage.nbytes() // BLOCK) * BLOCK
            freed = functools.partial(self._freed, id(storage), size)
            self._storages[id(storage)] = weakref.ref(storage, freed)
            self.live += size
            self.peak = max(self.peak, self.live)

    def _freed(self, key: int, size: int, _: Any) -> None:
        del self._storages[key]
        self.live -= size


def _attention_flops(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _attention_backward_flops(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)


_ATTENTION: dict[Any, Callable[..., int]] = {  # PyTorch has formulas for its GPU kernels only
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}


@contextmanager
def norms_as_on_a_gpu() -> Iterator[None]:
    """Autocast computes norms in float32 on a GPU and leaves them in 16 bits on a CPU: twice their memory."""

    def lifted(norm: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(norm)
        def compute(*args: Any, **kwargs: Any) -> Tensor:
            if not torch.is_autocast_enabled("cpu"):
                return norm(*args, **kwargs)
            args, kwargs = torch.utils._pytree.tree_map_only(Tensor, Tensor.float, (args, kwargs))
            with torch.autocast("cpu", enabled=False):
                return norm(*args, **kwargs)

        return compute

    functional = torch.nn.functional
    with (
        patch.object(functional, "layer_norm", lifted(functional.layer_norm)),
        patch.object(functional, "group_norm", lifted(functional.group_norm)),
    ):
        yield


@dataclass(frozen=True)
class Counts:
    """FLOPs of a step without encoding, parameters, bytes."""

    forward: int
    backward: int
    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int  # and moving average
    batch: int
    kept: int  # by the forward for the backward
    activations: int  # most that is there beside all the above

    @property
    def total(self) -> int:
        """The peak of the step."""
        return self.weights + self.gradients + self.optimizer + self.batch + self.activations


def count(config: TrainingConfig, sections: dict[str, Any], *, fake: bool = True) -> Counts:
    """One pass forward and backward.

    Args:
        config: of a stage.
        sections: of `configs/SIZE/model.yaml`.
        fake: without computing anything; else with real tensors on the CPU, to compare.
    """
    objective = Objective(DDIMScheduler(**sections["scheduler"]), config.objective)
    precision = PRECISIONS[config.memory.precision]
    with torch.device("meta"):
        networks = make_networks(config, sections)
    with FakeTensorMode(allow_non_fake_inputs=True) if fake else nullcontext():
        networks.to_empty(device="cpu")
        batch = cached_batch(config, sections, torch.bfloat16)
        trained = trained_parameters(networks).values()
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        inputs = encode_batch(batch, torch.device("cpu"))
        weights = [*networks.parameters(), *networks.buffers()]
        gradients, values = [p.grad for p in trained if p.grad is not None], list(inputs.values())
        latents = inputs.pop("latents")
        with Meter([*weights, *gradients, *values, *batch_tensors(batch)]) as meter, norms_as_on_a_gpu():
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                loss = objective(networks, latents, inputs, batch["noise_seeds"]).weighted
            forward, kept = meter.flops, meter.live
            loss.backward()
    numbers = sum(p.numel() for p in trained)
    return Counts(
        forward=forward,
        backward=meter.flops - forward,
        parameters=sum(p.numel() for p in networks.parameters()),
        trained=numbers,
        weights=sum(tensor.nbytes for tensor in weights),
        gradients=sum(tensor.nbytes for tensor in gradients),
        optimizer=numbers * (ADAM[config.optim.name] + (4 if config.ema_decay is not None else 0)),
        batch=sum(tensor.nbytes for tensor in values),
        kept=kept,
        activations=meter.peak,
    )


def batch_tensors(batch: dict[str, Any]) -> list[Tensor]:
    """Of a batch, which holds other things too."""
    return [value for value in batch.values() if isinstance(value, Tensor)]


def count_encoding(config: TrainingConfig, sections: dict[str, Any]) -> int:
    """FLOPs of the VAE over all pictures and of AST over the music; the text's are three orders below."""
    shapes = Shapes.of(config, sections)
    with FakeTensorMode(), torch.no_grad():
        picture = torch.zeros(1, 3, shapes.pixels, shapes.pixels)
        vae = AutoencoderKL(**sections["vae"])
        with Meter([]) as pictures:
            vae.encode(picture)
        if shapes.frames is None:
            return 2 * shapes.batch * pictures.flops
        ast = MusicEncoder(**sections["music_encoder"])
        with Meter([]) as music:
            ast(torch.zeros(1, shapes.mel_frames, ast.config.ast_config["num_mel_bins"]))
    # Half of the samples have motion frames.
    frames = shapes.frames + 1 + shapes.motion_frames / 2
    return round(shapes.batch * (frames * pictures.flops + music.flops))


def table(size: str, overrides: list[str]) -> str:
    """Both stages: FLOPs, memory, and what a training of the paper's length would cost."""
    sections = load_sections(size)
    lines = [
        f"{size}, one GPU; TFLOP of one pass, GiB at its peak",
        "",
        "| | batch | frames | px | trained / all, M | encoding | forward | backward | kept for backward | weights "
        "| gradients | optimizer, average | activations at the peak | all |",
        "|" + "---|" * 14,
    ]
    costs = [
        "",
        f"Estimates: 30 000 steps on {PAPER_GPUS} GPUs, and time at {USED:.0%} of an A100's {A100 / TERA:.0f} TFLOP/s.",
        "",
        "| | PFLOP a step of all GPUs | EFLOP in all | s a step | GPU-hours, features cached | with live encoders |",
        "|---|---|---|---|---|---|",
    ]
    for name, (file, settings) in ROWS.items():
        config = read_config(file, [*settings, *overrides])
        shapes, found, encoding = Shapes.of(config, sections), count(config, sections), count_encoding(config, sections)
        memory = (found.kept, found.weights, found.gradients, found.optimizer, found.activations, found.total)
        lines.append(
            f"| {name} | {shapes.batch} | {shapes.frames or 1} | {shapes.pixels} | {found.trained / 1e6:.1f} / "
            f"{found.parameters / 1e6:.1f} | {encoding / TERA:.4g} | {found.forward / TERA:.4g} | "
            f"{found.backward / TERA:.4g} | " + " | ".join(f"{part / GIB:.2f}" for part in memory) + " |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
        if not settings and config.steps == 30_000:
            step, steps = found.forward + found.backward, config.steps
            hours = [PAPER_GPUS * steps * flops / (USED * A100) / 3600 for flops in (step, step + encoding)]
            costs.append(
                f"| {name} | {PAPER_GPUS * step / 1e15:.4g} | {PAPER_GPUS * steps * step / 1e18:.4g} | "
                f"{step / (USED * A100):.2f} | {hours[0]:.0f} | {hours[1]:.0f} |"
            )
    return "\n".join(lines + costs)


def main() -> None:
    """Read the options, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["tiny", "sd15"], default="sd15")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the configs, e.g. batch_size=1")
    options = parser.parse_intermixed_args()
    warnings.simplefilter("ignore")
    own = ["clips.size=null", "clips.num_frames=null"] if options.size == "tiny" else []
    print(table(options.size, [*own, *options.overrides]))


if __name__ == "__main__":
    main()
