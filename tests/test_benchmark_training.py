"""What the training benchmarks count, held against closed forms and against real tensors, and that they run."""

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from musedance.puppets.performance import World
from musedance.puppets.world import write_puppets
from musedance.weights.init import load_sections

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
WIDTH, FRAMES, PIXELS = 64, 3, 64


@pytest.fixture(scope="module")
def counting():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("training_count")


@pytest.fixture(scope="module")
def sections():
    """The tiny size with a thinner UNet."""
    sections = load_sections("tiny")
    one = {"block_out_channels": [WIDTH], "down_block_types": ["CrossAttnDownBlock2D"]}
    sections["unet"] |= one | {"up_block_types": ["CrossAttnUpBlock2D"]}
    return sections


@pytest.fixture(scope="module")
def counts(counting, sections):
    """Of a small step, by (stage, with checkpointing)."""

    def count(stage, checkpointing, **kwargs):
        overrides = [f"clips.num_frames={FRAMES}", f"clips.size={PIXELS}", "batch_size=2"]
        overrides.append(f"memory.gradient_checkpointing={str(checkpointing).lower()}")
        return counting.count(counting.read_config(f"stage{stage}.yaml", overrides), sections, **kwargs)

    return {(stage, kept): count(stage, kept) for stage in (1, 2) for kept in (False, True)} | {
        "real": count(2, True, fake=False)
    }


@pytest.mark.parametrize("freeze", [True, False])
def test_what_is_trained_follows_the_config(counting, sections, freeze):
    overrides = [f"clips.num_frames={FRAMES}", f"clips.size={PIXELS}", f"freeze_spatial={str(freeze).lower()}"]
    networks = counting.make_networks(counting.read_config("stage2.yaml", overrides), sections)
    assert next(networks.reference_net.parameters()).requires_grad is not freeze
    assert next(networks.unet.conv_in.parameters()).requires_grad is not freeze


def test_a_meter_counts_products_and_what_is_alive(counting):
    """2 FLOPs per multiply-add, and the backward of a linear layer costs two more products."""
    x, weight = torch.randn(100, 64, requires_grad=True), torch.randn(32, 64, requires_grad=True)
    with counting.Meter([x, weight]) as meter:
        y = functional.linear(x, weight)
        product = 2 * 100 * 64 * 32
        assert (meter.flops, meter.live) == (product, 100 * 32 * 4)
        y.sum().backward()
        assert meter.flops == 3 * product
        del y
        assert meter.live == 100 * 64 * 4 + 32 * 64 * 4  # the gradients are left
    assert meter.peak >= 100 * 32 * 4 + 100 * 64 * 4 + 32 * 64 * 4


def test_a_meter_sees_attention_on_the_cpu_and_its_backward(counting):
    shape = 2, 3, 50, 16
    query, key, value = (torch.randn(shape, requires_grad=True) for _ in range(3))
    with counting.Meter([query, key, value]) as meter:
        out = functional.scaled_dot_product_attention(query, key, value)
        product = 2 * 2 * 3 * 50 * 50 * 16
        assert meter.flops == 2 * product
        assert meter.live < 2 * 3 * 50 * 50 * 4  # no matrix of scores is kept
        out.sum().backward()
        assert meter.flops == 2 * product + 5 * product  # with the scores computed again, as the fused kernels do


def test_norms_are_in_float32_under_autocast_as_on_a_gpu(counting):
    x, weight = torch.randn(4, 8, dtype=torch.bfloat16, requires_grad=True), torch.ones(8)
    with torch.autocast("cpu", torch.bfloat16), counting.norms_as_on_a_gpu():
        layer, group = functional.layer_norm(x, (8,), weight), functional.group_norm(x, 2, weight)
        assert functional.linear(layer, torch.ones(8, 8)).dtype == torch.bfloat16  # autocast is on again
    assert layer.dtype == group.dtype == torch.float32
    torch.testing.assert_close(layer, functional.layer_norm(x.float(), (8,)))
    assert functional.layer_norm(x, (8,), weight.bfloat16()).dtype == torch.bfloat16  # and all is as before


def test_what_checkpointing_computes_again_is_freed_again(counting):
    layers = [torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.Linear(64, 64)) for _ in range(6)]
    x = torch.randn(1000, 64)

    def run(keep):
        parameters = [p for layer in layers for p in layer.parameters()]
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        with counting.Meter([x, *parameters, *(p.grad for p in parameters)]) as meter:
            hidden = x
            for layer in layers:
                hidden = layer(hidden) if keep else checkpoint(layer, hidden, use_reentrant=False)
            hidden = hidden.sum()
            forward, kept = meter.flops, meter.live
            hidden.backward()
            left = meter.live
        return forward, meter.flops - forward, kept, left

    plain, checkpointed = run(True), run(False)
    assert checkpointed[0] == plain[0]
    # Each layer's last product is needed by nothing and is not computed again.
    assert checkpointed[1] == plain[1] + plain[0] // 2
    assert checkpointed[2] < 0.5 * plain[2]
    assert max(plain[3], checkpointed[3]) < 2000


def test_tensors_without_content_are_counted_like_real_ones(counts):
    assert counts["real"] == counts[2, True]


def test_frozen_weights_get_no_gradients(counting, sections, counts, monkeypatch):
    """A product's backward is two products, and one where the weight is frozen."""
    for stage in (1, 2):
        found = counts[stage, False]
        assert found.trained < found.parameters
        assert found.gradients == 4 * found.trained
        assert found.optimizer == 12 * found.trained
    monkeypatch.setattr(counting, "select_stage2", lambda networks, _: networks.requires_grad_(True))
    overrides = [f"clips.num_frames={FRAMES}", f"clips.size={PIXELS}", "memory.gradient_checkpointing=false"]
    everything = counting.count(counting.read_config("stage2.yaml", overrides), sections)
    assert everything.forward == counts[2, False].forward
    assert counts[2, False].backward < 0.7 * everything.backward
    assert counts[2, False].backward < 1.7 * counts[2, False].forward


def test_checkpointing_computes_about_a_forward_more_and_keeps_less(counts):
    for stage in (1, 2):
        plain, checkpointed = counts[stage, False], counts[stage, True]
        assert checkpointed.forward == plain.forward
        again = (checkpointed.backward - plain.backward) / plain.forward
        assert 0.5 < again <= 1
        assert checkpointed.kept < 0.5 * plain.kept
        assert checkpointed.total < plain.total


def test_flops_and_activations_grow_with_the_batch(counting, sections):
    """By as much for each sample; weights, gradients and optimizer stay as they are."""
    config = counting.read_config("stage1.yaml", [f"clips.size={PIXELS}"])
    one, two, three = (counting.count(replace(config, batch_size=n), sections) for n in (1, 2, 3))
    for part in ("forward", "kept"):
        first, second = getattr(two, part) - getattr(one, part), getattr(three, part) - getattr(two, part)
        assert second == pytest.approx(first, rel=0.01)
        assert second > 0
    for part in ("weights", "gradients", "optimizer"):
        assert getattr(one, part) == getattr(three, part)


def test_music_tokens_are_as_many_as_the_encoder_gives(counting):
    for size, frames in (("tiny", 24), ("sd15", 48)):
        sections = load_sections(size)
        with torch.device("meta"):
            encoder = counting.MusicEncoder(**sections["music_encoder"])
        config = counting.read_config("stage2.yaml", ["clips.size=null", f"clips.num_frames={frames}"])
        shapes = counting.Shapes.of(config, sections)
        assert shapes.music_tokens == len(encoder.token_times(shapes.mel_frames))


def table(script, *arguments):
    """Run a benchmark as a user does: the rows of the table that it prints, by their columns."""
    command = [sys.executable, BENCHMARKS / script, *arguments]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in ran.stdout.splitlines() if line[:1] == "|"]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


SHORT = [f"clips.num_frames={FRAMES}", f"clips.size={PIXELS}", "batch_size=1"]


def test_the_parts_of_a_step_are_measured():
    """Of real steps of both stages, each in a process of its own."""
    rows = table("training_step.py", *SHORT, "--device", "cpu", "--repeats", "1", "--rows", "live encoders")
    assert [(row["stage"], row["setting"]) for row in rows] == [("1", "live encoders"), ("2", "live encoders")]
    for row in rows:
        parts = sum(float(row[part]) for part in ("encoding", "forward", "backward", "optimiser"))
        assert float(row["step (min to max)"].split()[0]) == pytest.approx(parts, abs=0.003)
        assert float(row["samples/s"]) > 0 < float(row["peak GiB"])


def test_the_real_trainers_time_is_shared_out(tiny_folder, tmp_path):
    data = write_puppets(tmp_path / "data", World(seed=0, width=64, height=64, num_frames=30), clips=4, workers=1)
    where = ["--data", data, "--model", tiny_folder, "--stages", "1", "--steps", "2", "--warm-up", "1"]
    (row,) = table("training_overhead.py", *where, *SHORT, "data.workers=0")
    shares = {name: float(cell.rstrip("%")) for name, cell in row.items() if cell.endswith("%")}
    outside = shares.pop("outside forward and backward")
    assert sum(shares.values()) == pytest.approx(100, abs=1)
    assert outside == pytest.approx(100 - shares["forward"] - shares["backward"], abs=0.2)
    assert min(shares[part] for part in ("forward", "backward", "encoding", "data wait")) > 0
