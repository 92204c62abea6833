"""Samples per second and worker: stage 1 and stage 2, from a dataset's files and from its feature cache.

    musedance puppets DATA --clips 64 --seed 0
    musedance init MODEL --size tiny
    musedance dataset cache DATA --model MODEL --device cpu --dtype float32
    python benchmarks/loading.py --data DATA --model MODEL --cache DATA/cache

The time of a batch is that between two batches with nothing done in between, so it is what the workers can deliver.
Encoding is what training from files does with each batch beside that, and training from the cache does not.
"""

import argparse
import statistics
import time
import warnings
from itertools import islice
from pathlib import Path

import torch

from musedance.datasets.encode import Encoders, encode_batch
from musedance.datasets.loader import make_loader
from musedance.datasets.spec import ClipSpec
from musedance.device import choose_device, choose_dtype


def samples_per_second(options: argparse.Namespace, stage: int, cache: Path | None, num_workers: int) -> list[float]:
    """One figure a repeat; the first batches, for which the workers start, are left out."""
    loader = make_loader(
        options.data,
        options.model,
        stage=stage,
        batch_size=options.batch_size,
        cache=cache,
        num_workers=num_workers,
        max_failure_share=0,
    )
    batches = iter(loader)
    list(islice(batches, 1 + 2 * num_workers))  # what was prefetched while nobody measured
    figures = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        count = sum(len(batch["ids"]) for batch in islice(batches, options.batches))
        figures.append(count / (time.perf_counter() - start))
    return figures


def encoding_milliseconds(options: argparse.Namespace, encoders: Encoders, stage: int) -> float:
    """Of one sample, median over batches."""
    times = []
    loader = make_loader(options.data, options.model, stage=stage, batch_size=options.batch_size)
    for batch in islice(loader, 4):
        start = time.perf_counter()
        encode_batch(batch, encoders.device, encoders)
        if encoders.device.type == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / len(batch["ids"]) * 1000)
    return statistics.median(times[1:])  # the first sets things up


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--batches", type=int, default=15, help="a repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args()
    warnings.simplefilter("error")  # a clip that is skipped would flatter the figures

    device = choose_device(options.device)
    spec = ClipSpec.of_model(options.model)
    encoders = Encoders.from_folder(options.model, spec.fps, device, choose_dtype(options.dtype, device))
    print("| samples | from | workers | samples/s, median (min to max) | per worker | encoding, ms a sample |")
    print("|---|---|---|---|---|---|")
    for stage in (1, 2):
        encoding = f"{encoding_milliseconds(options, encoders, stage):.0f}"
        for cache in (None, options.cache) if options.cache else (None,):
            for workers in options.workers:
                figures = samples_per_second(options, stage, cache, workers)
                median, low, high = statistics.median(figures), min(figures), max(figures)
                print(
                    f"| stage {stage} | {'cache' if cache else 'files'} | {workers or 'none'} | "
                    f"{median:.0f} ({low:.0f} to {high:.0f}) | {median / max(1, workers):.0f} | "
                    f"{'-' if cache else encoding} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
