"""The moving average against its formula, swapped in and out, saved and loaded, whole and in shards."""

import copy
import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from musedance.errors import InputError
from musedance.training.moving_average import MovingAverage

DECAY = 0.9  # the formula's n / (n + 9) passes it at n = 81


def network(dtype=torch.float32):
    """With a convolution whose weights are not contiguous, as channels_last makes them."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    return net.to(dtype).to(memory_format=torch.channels_last)


def move(net, step):
    """Stands for an optimiser step."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter.dtype))


def contents(net):
    return [parameter.detach().clone() for parameter in net.parameters()]


def averages(average, net):
    with average.swapped(net):
        return contents(net)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def averaged(net, decay=DECAY):
    return MovingAverage(dict(net.named_parameters()), decay)


@pytest.mark.parametrize("decay", [0.0, DECAY, 0.9999])
def test_the_average_follows_its_formula(decay):
    net = network()
    average, expected = averaged(net, decay), [p.double() for p in contents(net)]
    for n in range(1, 121):
        move(net, n)
        average.step()
        d = 0.0 if n == 1 else min(decay, n / (n + 9))
        expected = [d * a + (1 - d) * p.double() for a, p in zip(expected, contents(net), strict=True)]
        if n in (1, 2, 10, 120):
            for found, value in zip(averages(average, net), expected, strict=True):
                torch.testing.assert_close(found.double(), value, rtol=1e-5, atol=1e-5)


def test_a_short_run_does_not_stay_at_the_first_weights():
    """With 0.9999 from the start, 0.5 % of the way would be gone after 50 steps."""
    net = network()
    average, first = averaged(net, 0.9999), contents(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    for _ in range(50):
        average.step()
    for found, start in zip(averages(average, net), first, strict=True):
        torch.testing.assert_close(found, start + 1.0)


def test_the_average_is_float32_where_the_weights_are_not():
    """A change of 0.1 % a step is lost in a bfloat16 average, which has steps of 0.8 %."""
    parameter = nn.Parameter(torch.full((4,), 1.0, dtype=torch.bfloat16))
    average = MovingAverage({"p": parameter}, 0.999)
    for _ in range(3000):
        average.step()
    with torch.no_grad():
        parameter.add_(0.5)
    for _ in range(100):
        average.step()
    net = nn.ParameterList([parameter])
    expected = 1.5 - 0.5 * math.prod(n / (n + 9) for n in range(3001, 3101))
    with average.swapped(net):
        assert parameter.dtype == torch.bfloat16
        assert parameter[0].item() == pytest.approx(expected, rel=0.005)
    assert expected > 1.1  # so that standing still would be seen


def test_what_was_swapped_out_comes_back_bit_for_bit():
    net = network(torch.bfloat16)
    average = averaged(net)
    with torch.no_grad():
        net[2].weight[0] = torch.tensor([float("nan"), -0.0, 1e-40, float("inf")])
    before = [p.view(torch.int16) for p in contents(net)]
    for _ in range(2):
        with average.swapped(net):
            assert not same([p.view(torch.int16) for p in contents(net)], before)
        assert same([p.view(torch.int16) for p in contents(net)], before)
    with pytest.raises(KeyboardInterrupt), average.swapped(net):
        raise KeyboardInterrupt
    assert same([p.view(torch.int16) for p in contents(net)], before)


def test_swapping_keeps_the_optimizer_and_the_average_going():
    """The parameters stay the same objects in the same memory, and what happens within leaves no trace."""
    net, untouched = network(), network()
    pair = [(net, averaged(net)), (untouched, averaged(untouched))]
    places = [parameter.data_ptr() for parameter in net.parameters()]
    for n in range(5):
        for each, average in pair:
            move(each, n)
            average.step()
        averages(pair[0][1], net)
    assert [parameter.data_ptr() for parameter in net.parameters()] == places
    assert same(averages(pair[0][1], net), averages(pair[1][1], untouched))


def test_a_loaded_average_goes_on_bit_for_bit(tmp_path):
    net = network()
    unbroken = averaged(net)
    for n in range(7):
        move(net, n)
        unbroken.step()
    unbroken.save(tmp_path / "average.safetensors")
    other = copy.deepcopy(net)
    resumed = averaged(other)
    resumed.load(tmp_path / "average.safetensors")
    for n in range(7, 12):
        for each, average in ((net, unbroken), (other, resumed)):
            move(each, n)
            average.step()
    assert same(averages(unbroken, net), averages(resumed, other))


def test_averages_of_something_else_are_refused_and_nothing_is_loaded(tmp_path):
    small = nn.Linear(2, 2)
    averaged(small).save(tmp_path / "small.safetensors")
    for other in (nn.Linear(3, 2), nn.Linear(2, 2, bias=False), nn.Sequential(nn.Linear(2, 2))):
        average = averaged(other)
        before = averages(average, other)
        with pytest.raises(InputError, match="do not fit"):
            average.load(tmp_path / "small.safetensors")
        assert same(averages(average, other), before)


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_a_decay_that_cannot_be_is_refused(decay):
    with pytest.raises(InputError, match="ema_decay"):
        averaged(network(), decay)


SHARDED = """
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

from musedance.training.config import OptimConfig
from musedance.training.moving_average import MovingAverage
from musedance.training.optimizer import make_optimizer


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Sequential(nn.Linear(5, 4)), nn.Linear(4, 1))


def train(net, average, optimizer, steps):
    for _ in range(steps):
        net(x).pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.step()


def made(net):
    parameters = dict(net.named_parameters())
    optimizer = make_optimizer(parameters.values(), OptimConfig(lr=0.05))
    return parameters, MovingAverage(parameters, 0.9), optimizer


folder = Path(sys.argv[1])
dist.init_process_group("gloo")
rank = dist.get_rank()
x = torch.arange(6.0).reshape(2, 3)  # the same on both ranks: the mean of their gradients is one rank's

plain, net = network(), network()
fully_shard(net[1])
fully_shard(net)
(_, plain_average, plain_optimizer), (parameters, average, optimizer) = made(plain), made(net)
assert average.is_sharded and not plain_average.is_sharded
train(plain, plain_average, plain_optimizer, 5)
train(net, average, optimizer, 5)

with torch.no_grad():
    outside = net(x)  # the root keeps its gathered weights from here on
    torch.testing.assert_close(outside, plain(x))
    with average.swapped(net), plain_average.swapped(plain):
        within = net(x)
        torch.testing.assert_close(within, plain(x))
        assert not torch.allclose(within, outside)
    assert torch.equal(net(x), outside)

average.save(folder / f"average-{rank}.safetensors")
dist.barrier()
fresh = MovingAverage(parameters, 0.9)
fresh.load(folder / f"average-{rank}.safetensors")
train(plain, plain_average, plain_optimizer, 3)
for _ in range(3):
    net(x).pow(2).mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    average.step()
    fresh.step()
with torch.no_grad():
    with fresh.swapped(net), plain_average.swapped(plain):
        loaded = net(x)
        torch.testing.assert_close(loaded, plain(x))
    with average.swapped(net):
        assert torch.equal(net(x), loaded)

try:
    fresh.load(folder / f"average-{1 - rank}.safetensors")
except ValueError as error:
    assert "of another shape" in str(error)
else:
    raise AssertionError("the other rank's shards were taken")
dist.barrier()
print("sharded and whole averages agree", flush=True)
os._exit(0)  # gloo's threads may still free tensors while Python ends, which ends the process with SIGABRT (torch 2.13)
"""


def test_each_of_two_ranks_averages_its_shards(tmp_path):
    """FSDP2 on gloo, against the same training in one piece."""
    script = tmp_path / "sharded.py"
    script.write_text(SHARDED)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launch, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("sharded and whole averages agree") == 2
