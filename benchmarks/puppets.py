"""How fast the built-in world is made: frames per second of whole datasets, and what a source's time goes into.

python benchmarks/puppets.py
python benchmarks/puppets.py --size 256 --clips 200 --workers 4
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from musedance.commands.puppets import parse_size
from musedance.puppets.clip_files import FOLDERS, write_clip
from musedance.puppets.performance import CLIPS_PER_SOURCE, Performance, World, perform
from musedance.puppets.world import write_puppets


def frames_per_second(world: World, clips: int, workers: int) -> float:
    """Of everything, from starting the workers to the finished folder."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_puppets(Path(folder) / "puppets", world, clips=clips, workers=workers)
        return clips * world.num_frames / (time.perf_counter() - start)


def mean_seconds(action: Callable[[int], object], count: int) -> float:
    """Of `action(0)`, `action(1)`, ..., the first of which only warms up."""
    action(0)
    start = time.perf_counter()
    for index in range(count):
        action(index)
    return (time.perf_counter() - start) / count


def draw(performance: Performance) -> None:
    """All clips of a source, without writing them."""
    for first in performance.starts:
        for time_ in (first + np.arange(performance.world.num_frames)) / performance.world.fps:
            performance.scene.draw(performance.choreography.pose(float(time_)))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="128")
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--sources", type=int, default=12, help="of the second table")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    width, height = parse_size(options.size)
    world = World(seed=1, width=width, height=height)

    print(f"| workers | clips of {options.size} px | frames/s |\n|---|---|---|")
    for workers in sorted({1, options.workers}):
        print(f"| {workers} | {options.clips} | {frames_per_second(world, options.clips, workers):.0f} |", flush=True)

    performances = [perform(world, index) for index in range(options.sources)]
    with tempfile.TemporaryDirectory() as folder:
        for name in FOLDERS:
            (Path(folder) / name).mkdir()

        def write(index: int) -> None:
            for number in range(CLIPS_PER_SOURCE):
                write_clip(Path(folder), "train", f"source-{index}", performances[index], number)

        parts = {
            "music, scene and choreography": mean_seconds(lambda index: perform(world, index), options.sources),
            "drawing": mean_seconds(lambda index: draw(performances[index]), options.sources),
            "drawing and writing": mean_seconds(write, options.sources),
        }
    frames = CLIPS_PER_SOURCE * world.num_frames
    print(
        f"\n| a source of {CLIPS_PER_SOURCE} clips, one process, n = {options.sources} | ms | frames/s |\n|---|---|---|"
    )
    for name, seconds in parts.items():
        print(f"| {name} | {1000 * seconds:.0f} | {frames / seconds:.0f} |")


if __name__ == "__main__":
    main()
