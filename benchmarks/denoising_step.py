"""One denoising step of MuseDanceUNet beside diffusers' UNetMotionModel: time, peak memory and FLOPs.

    python benchmarks/denoising_step.py                              # Stable Diffusion 1.5's sizes, 8 frames, 256 px
    python benchmarks/denoising_step.py --frames 48 --pixels 640     # the paper's shapes, for a GPU
    python benchmarks/denoising_step.py --flops-only                 # seconds, no weights

Both get the same latents, text and time, and random weights of the same sizes. Each is measured in a process of its
own, so that one's memory does not hide the other's. FLOPs (2 per multiply-add) are counted on the meta device, where
PyTorch's counter sees attention too; on the CPU it does not. "Once" rows are what MuseDance pays outside the steps.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import UNetMotionModel
from torch.utils.flop_counter import FlopCounterMode

from musedance.models import MuseDanceUNet, ReferenceNet

SD15: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768}
SMALL: dict[str, Any] = {"sample_size": 16, "cross_attention_dim": 64, "block_out_channels": (32, 64, 64, 64)}
MUSIC_DIM, TEXT_TOKENS = 768, 77
MODELS = ("UNetMotionModel", "MuseDanceUNet", "MuseDanceUNet without music and beats", "MuseDanceUNet spatial only")
ONCE = ("once a video: ReferenceNet", "once a segment: motion features")


def build(name: str, options: argparse.Namespace) -> Callable[[], Any]:
    """A function that runs what a row of the table is about, on tensors made once."""
    spatial = SMALL if options.size == "small" else SD15
    side, device, dtype = options.pixels // 8, torch.get_default_device(), torch.get_default_dtype()
    latents = torch.randn(1, 4, options.frames, side, side, device=device, dtype=dtype)
    text = torch.randn(1, TEXT_TOKENS, spatial["cross_attention_dim"], device=device, dtype=dtype)
    t = torch.tensor(500, device=device)
    if name == "UNetMotionModel":
        motion_unet = UNetMotionModel(**spatial).eval()
        return lambda: motion_unet(latents, t, text.repeat_interleave(options.frames, 0)).sample
    if name.endswith("ReferenceNet"):
        reference_net = ReferenceNet(**spatial).eval()
        return lambda: reference_net(latents[:, :, 0], text)

    told = not name.endswith("without music and beats")
    switches = {"use_music_modules": told, "use_beat_modules": told}
    unet = MuseDanceUNet(num_frames=options.frames, music_dim=MUSIC_DIM, **switches, **spatial).eval()
    with torch.device("meta"):
        shapes = ReferenceNet(**spatial)(torch.randn(1, 4, side, side), text.to("meta"))
    reference = {key: torch.randn(value.shape, device=device, dtype=dtype) for key, value in shapes.items()}
    if name.endswith("motion features"):
        last = latents[:, :, :2]
        return lambda: unet(last, 0, text, reference=reference, return_motion_features=True)
    if name.endswith("spatial only"):
        images = latents[0].transpose(0, 1)
        return lambda: unet(images, t, text.expand(options.frames, -1, -1)).sample
    motion = {
        key: torch.randn(value.shape, device=device, dtype=dtype)
        for key, value in unet(latents[:, :, :2], 0, text, return_motion_features=True).items()
    }
    tokens = 2 + 12 * max(1, int((options.frames / 12 * 100 - 2 - 16) // 10 + 1))  # AST's, at 12 frames a second
    conditions = {
        "music": torch.randn(1, tokens, MUSIC_DIM, device=device, dtype=dtype),
        "music_positions": torch.linspace(0, options.frames, tokens, device=device, dtype=torch.float32),
        "beats": torch.zeros(1, options.frames, device=device, dtype=torch.long),
    }
    return lambda: unet(latents, t, text, reference=reference, motion=motion, **conditions).sample


@torch.no_grad()
def count_flops(name: str, options: argparse.Namespace) -> int:
    """FLOPs of one call, counted without computing anything."""
    torch.set_default_device("meta")
    try:
        step = build(name, options)
        with FlopCounterMode(display=False) as counter:
            step()
    finally:
        torch.set_default_device("cpu")
    return counter.get_total_flops()


@torch.no_grad()
def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Times of the calls after one to warm up, and the peak memory of this process (or of the GPU)."""
    torch.set_default_device(options.device)
    torch.set_default_dtype(getattr(torch, options.dtype))
    cuda = options.device == "cuda"
    step = build(name, options)
    seconds = []
    for _ in range(options.repeats + 1):
        start = time.perf_counter()
        step()
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds[1:], "peak": peak}


def table(options: argparse.Namespace) -> str:
    """Measure each row in a process of its own and print it beside the first."""
    lines = [
        f"{options.size}, {options.frames} frames, {options.pixels} x {options.pixels} px, {options.dtype}, "
        f"{options.device}, torch {torch.__version__}, {torch.get_num_threads()} threads, n = {options.repeats}",
        "",
        "| | TFLOP | ratio | seconds, median (min to max) | ratio | peak GiB | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    first: tuple[float, float, float] | None = None
    for name in (*MODELS, *ONCE):
        flops, seconds, peak, spread = count_flops(name, options) / 1e12, 0.0, 0.0, "-"
        if not options.flops_only:
            command = [sys.executable, __file__, *sys.argv[1:], "--measure", name]
            result = json.loads(
                subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
            )
            seconds, peak = statistics.median(result["seconds"]), result["peak"] / 2**30
            spread = f"{seconds:.2f} ({min(result['seconds']):.2f} to {max(result['seconds']):.2f})"
        first = first or (flops, seconds, peak)
        ratios = [f"{a / b:.2f}" if b else "-" for a, b in zip((flops, seconds, peak), first, strict=True)]
        memory = f"{peak:.2f}" if peak else "-"
        lines.append(f"| {name} | {flops:.3f} | {ratios[0]} | {spread} | {ratios[1]} | {memory} | {ratios[2]} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    """Read the options, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["sd15", "small"], default="sd15")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--flops-only", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    print(json.dumps(measure(options.measure, options)) if options.measure else table(options))


if __name__ == "__main__":
    main()
