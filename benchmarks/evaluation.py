"""Seconds a video: making it, reading it, and each kind of metric.

    musedance init MODEL --size tiny
    musedance puppets DATA --clips 64 --seed 0
    OMP_NUM_THREADS=2 python benchmarks/evaluation.py --data DATA --model MODEL --split train

Metrics whose weights are not given are measured with random ones of the same shape: these take as long.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from musedance.device import choose_device
from musedance.evaluation.cases import DatasetCases
from musedance.evaluation.footage import Footage
from musedance.evaluation.score_music import add_events
from musedance.evaluation.scored import Scored
from musedance.evaluation.settings import TestSet
from musedance.evaluation.tools import NETWORKS
from musedance.inference.studio import Settings, Studio
from musedance.metrics.consistency import colour_distances, flicker, identity_distances, seam_jump
from musedance.metrics.flow import flow_magnitudes
from musedance.metrics.fvd import fvd_features
from musedance.metrics.handcrafted import handcrafted_features
from musedance.metrics.i3d import I3D
from musedance.metrics.image_quality import psnr, ssim
from musedance.metrics.kinematics import LEAST_FLOW
from musedance.metrics.lpips import Lpips


def parts_of(video: Footage, cases: DatasetCases, name: str, device: torch.device) -> dict[str, Callable[[], object]]:
    """What scoring a video consists of."""
    frames, fps, sound = video.frames, video.fps, video.sound
    assert sound is not None
    i3d = I3D().to(device).eval()
    lpips = {mode: Lpips(network).to(device).eval().requires_grad_(False) for mode, network in NETWORKS.items()}

    def music() -> None:
        flow = flow_magnitudes(frames, fps)
        add_events(Scored(fps, len(frames)), flow, flow, sound, cases.cases[name].facts, LEAST_FLOW)

    def consistency() -> None:
        identity_distances(frames, frames[0])
        colour_distances(frames, frames[0])
        flicker(frames)
        seam_jump(frames, 24)

    return {
        "reading it": lambda: cases.videos.read(name),
        "PSNR and SSIM, both modes": lambda: [of(frames, frames, mode) for of in (psnr, ssim) for mode in MODES],
        "HFD's features": lambda: handcrafted_features(frames, fps),
        "flow, beats, onsets": music,
        "consistency": consistency,
        "LPIPS, both modes": lambda: [of.distances(frames, frames, mode) for mode, of in lpips.items()],
        "I3D, both modes": lambda: [fvd_features(i3d, frames, mode, device) for mode in MODES],
    }


MODES = ("standard", "disco")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--num-frames", type=int, default=48)
    parser.add_argument("--videos", type=int, default=5)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()

    device = choose_device(options.device)
    _, truth = TestSet(options.data, options.split, options.videos, options.num_frames).open(options.model)
    cases = DatasetCases(truth)
    studio = Studio(Settings(model=str(options.model), device=options.device))
    times: dict[str, list[float]] = {}
    for number, name in enumerate([truth.ids[0], *truth.ids]):  # the first compiles and loads
        video, inputs, case = truth.read(name), cases.inputs(name), cases.cases[name]
        height, width = case.canvas

        def make(inputs=inputs, case=case, height=height, width=width) -> None:  # type: ignore[no-untyped-def]
            studio.pipeline(
                inputs.picture,
                inputs.sound,
                case.facts.prompt,
                num_frames=case.num_frames,
                height=height,
                width=width,
                num_inference_steps=options.steps,
            )

        for what, run in {"making it": make, **parts_of(video, cases, name, device)}.items():
            start = time.perf_counter()
            run()
            if number:
                times.setdefault(what, []).append(time.perf_counter() - start)
    print("| of a video | s, median (min to max) | share of making it |")
    print("|---|---|---|")
    making = statistics.median(times["making it"])
    for what, seconds in times.items():
        median = statistics.median(seconds)
        print(f"| {what} | {median:.3f} ({min(seconds):.3f} to {max(seconds):.3f}) | {median / making:.1%} |")


if __name__ == "__main__":
    main()
