"""One training step of each stage: time of its parts, samples/s, peak memory, FLOPs, and share of the GPU's peak.

    python benchmarks/training_step.py                                       # the tiny size, for a CPU
    python benchmarks/training_step.py --size sd15 --flops                   # the paper's shapes, for a GPU of 80 GB
    python benchmarks/training_step.py clips.size=512 clips.num_frames=24 batch_size=1 --size sd15 --stages 2

Settings are those of configs/ with the overrides. Each row is measured in a process of its own, on random weights and
batches, with everything present; "as configured" takes features from a cache. The optimiser's time holds clipping and
moving average. Peak memory is what PyTorch has allocated on a GPU, and the whole process's on a CPU. `--flops` counts
a step (see training_count.py; a minute a stage for sd15). The share of the peak is that of the FLOPs that the model
needs, so without what checkpointing computes again, in the time of the whole step, of what a large bf16 matrix product
reaches.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from training_count import PRECISIONS, TERA, Shapes, cached_batch, count, make_networks, read_config
from transformers import CLIPTextModel

from musedance.datasets.encode import Encoders, encode_batch
from musedance.device import choose_dtype
from musedance.failures import is_out_of_memory
from musedance.latents import packing
from musedance.models import MusicEncoder
from musedance.training.config import TrainingConfig
from musedance.training.moving_average import MovingAverage
from musedance.training.objective import Objective
from musedance.training.optimizer import make_optimizer
from musedance.training.trainable import trained_parameters
from musedance.weights.byte_tokenizer import byte_tokenizer
from musedance.weights.init import load_sections, seeded, text_config

LIVE = "live encoders"
ROWS: dict[str, list[str]] = {
    "as configured": [],
    LIVE: [],
    "no checkpointing": ["memory.gradient_checkpointing=false"],
    "no checkpointing, attention=math": ["memory.gradient_checkpointing=false", "memory.attention=math"],
    "frozen_dtype=bfloat16": ["frozen_dtype=bfloat16"],
    "compiled": ["memory.compile=true"],
}
PARTS = ("encoding", "forward", "backward", "optimiser")


def configure(stage: int, row: str, options: argparse.Namespace) -> TrainingConfig:
    """The stage's config with what the row changes; for the tiny size with the shapes of its own model."""
    own = ["clips.size=null", "clips.num_frames=null"] if options.size == "tiny" else []
    precision = {torch.float32: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}
    own.append(f"memory.precision={precision[choose_dtype('auto', torch.device(options.device))]}")
    return read_config(f"stage{stage}.yaml", [*own, *options.overrides, *ROWS[row]])


def make_encoders(config: TrainingConfig, sections: dict[str, Any], device: torch.device) -> Encoders:
    """The frozen encoders with random weights, in the precision that the trainer gives them."""
    tokenizer = byte_tokenizer(sections["text_encoder"]["max_position_embeddings"])
    with seeded(0, PRECISIONS[config.memory.precision]):
        vae = AutoencoderKL(**sections["vae"]).to(device)
        text_encoder = CLIPTextModel(text_config(sections["text_encoder"], tokenizer)).to(device)
        music_encoder = MusicEncoder(**sections["music_encoder"]).to(device)
    side = packing(sections["unet"]["in_channels"], sections["vae"]["latent_channels"])
    return Encoders(vae, text_encoder, tokenizer, music_encoder, config.clips.fps or sections["unet"]["fps"], side)


def batch_of_files(config: TrainingConfig, sections: dict[str, Any]) -> dict[str, Any]:
    """The batch of `cached_batch` before it is encoded."""
    shapes, batch = Shapes.of(config, sections), cached_batch(config, sections, torch.float32)
    for name in ("latents", "reference_latents", "motion_latents", "text", "empty_text", "music", "music_positions"):
        batch.pop(name, None)

    def frames(*leading: int) -> torch.Tensor:
        return torch.randint(256, (*leading, shapes.pixels, shapes.pixels, 3), dtype=torch.uint8)

    batch |= {"reference_frames": frames(shapes.batch), "prompts": ["a dancer turns and jumps"] * shapes.batch}
    if shapes.frames is None:
        return batch | {"frames": frames(shapes.batch)}
    mel_bins = sections["music_encoder"]["ast_config"]["num_mel_bins"]
    return batch | {
        "frames": frames(shapes.batch, shapes.frames),
        "motion_frames": frames(shapes.batch, shapes.motion_frames),
        "mel": torch.randn(shapes.batch, shapes.mel_frames, mel_bins),
    }


def measure(stage: int, row: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each part of each step after two to warm up, and the peak memory."""
    torch.manual_seed(0)
    device, sections = torch.device(options.device), load_sections(options.size)
    config = configure(stage, row, options)
    encoders = make_encoders(config, sections, device) if row == LIVE else None
    precision = PRECISIONS[config.memory.precision]
    batch = cached_batch(config, sections, precision) if encoders is None else batch_of_files(config, sections)
    networks = make_networks(config, sections).to(device)
    trained = trained_parameters(networks)
    objective = Objective(DDIMScheduler(**sections["scheduler"]), config.objective)
    optimizer = make_optimizer(trained.values(), config.optim)
    average = None if config.ema_decay is None else MovingAverage(trained, config.ema_decay)

    steps = []
    for _ in range(options.repeats + 2):  # the first compiles and makes the optimizer's state
        marks = [now(device)]
        inputs = encode_batch(batch, device, encoders)
        latents = inputs.pop("latents")
        marks.append(now(device))
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = objective(networks, latents, inputs, batch["noise_seeds"]).weighted
        marks.append(now(device))
        loss.backward()
        marks.append(now(device))
        torch.nn.utils.clip_grad_norm_(trained.values(), config.optim.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        if average is not None:
            average.step()
        marks.append(now(device))
        steps.append([after - before for before, after in pairwise(marks)])
    cuda = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"steps": steps[2:], "peak": peak, "device_flops": matmul_flops(device) if cuda else None}


def now(device: torch.device) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def matmul_flops(device: torch.device, side: int = 8192, repeats: int = 30) -> float:
    """FLOP/s of a product of two bf16 matrices: what can be had, which is less than the device's data sheet says."""
    torch.cuda.empty_cache()
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    a @ b
    start = now(device)
    for _ in range(repeats):
        a @ b
    return 2 * side**3 * repeats / (now(device) - start)


def run_row(stage: int, row: str, options: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(stage), row]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def needed_flops(config: TrainingConfig, sections: dict[str, Any]) -> int:
    """Of a step that computes nothing twice."""
    plain = replace(config, memory=replace(config.memory, gradient_checkpointing=False, compile=False))
    found = count(plain, sections)
    return found.forward + found.backward


def table(options: argparse.Namespace) -> str:
    """Measure the rows and print them."""
    lines = [
        f"{options.size}, {' '.join(options.overrides) or 'as configured'}, {options.device}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, n = {options.repeats}; seconds, median",
        "",
        "| stage | setting | TFLOP | encoding | forward | backward | optimiser | step (min to max) | samples/s "
        "| peak GiB | share of bf16 peak |",
        "|" + "---|" * 11,
    ]
    sections = load_sections(options.size)
    for stage in options.stages:
        flops = needed_flops(configure(stage, "as configured", options), sections) if options.flops else 0
        for row in options.rows:
            if stage == 1 and row.startswith("frozen_dtype"):
                continue
            result = run_row(stage, row, options)
            lines.append(describe(stage, row, result, flops, configure(stage, row, options).batch_size))
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def describe(stage: int, row: str, result: dict[str, Any], flops: int, batch_size: int) -> str:
    """A line of the table."""
    counted = f"{flops / TERA:.3g}" if flops else "-"
    if "problem" in result:
        return f"| {stage} | {row} | {counted} | {result['problem']} |" + " - |" * 7
    totals = [sum(step) for step in result["steps"]]
    step = statistics.median(totals)
    parts = [f"{statistics.median(part):.3f}" for part in zip(*result["steps"], strict=True)]
    share = f"{flops / step / result['device_flops']:.1%}" if flops and result["device_flops"] else "-"
    cells = [str(stage), row, counted, *parts, f"{step:.3f} ({min(totals):.3f} to {max(totals):.3f})"]
    cells += [f"{batch_size / step:.3g}", f"{result['peak'] / 2**30:.2f}", share]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Read the options, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["tiny", "sd15"], default="tiny")
    parser.add_argument("--stages", type=int, nargs="+", choices=[1, 2], default=[1, 2])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--flops", action="store_true", help="count them")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the configs, e.g. batch_size=1")
    options = parser.parse_intermixed_args()
    if options.measure is None:
        print(table(options))
        return
    try:
        print(json.dumps(measure(int(options.measure[0]), options.measure[1], options)))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(json.dumps({"problem": "out of memory"}))


if __name__ == "__main__":
    main()
