"""What the benchmarks count, and the budget the model has to keep."""

import importlib.util
from argparse import Namespace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode


def load(name: str):
    path = Path(__file__).resolve().parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_attention_is_counted_on_the_meta_device():
    """Two matrix products of 2 FLOPs per multiply-add; a counter that misses them flatters attention."""
    query, key = torch.empty(3, 5, 100, 16, device="meta"), torch.empty(3, 5, 70, 16, device="meta")
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.scaled_dot_product_attention(query, key, key)
    assert counter.get_total_flops() == 2 * 2 * 3 * 5 * 100 * 70 * 16


def test_a_step_costs_at_most_one_and_a_half_times_the_motion_unets():
    """Stable Diffusion 1.5's sizes, 8 frames at 256 px, with reference, music, beats and motion frames."""
    benchmark = load("denoising_step")
    options = Namespace(size="sd15", frames=8, pixels=256)
    ours, theirs = (benchmark.count_flops(name, options) for name in ("MuseDanceUNet", "UNetMotionModel"))
    assert 1.0 < ours / theirs <= 1.5
