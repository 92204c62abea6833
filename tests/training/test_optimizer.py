"""The optimizer against Adam's arithmetic, the schedules against their formulas, and going on where they were."""

import copy
import importlib.util
import json
import math
import sys
import types

import pytest
import torch
from torch import nn

from musedance import device as devices
from musedance.errors import InputError
from musedance.training.config import OptimConfig
from musedance.training.optimizer import make_optimizer, make_schedule, restore_schedule, schedule_state

STEPS, WARMUP, LR = 20, 4, 1e-3


def adam(parameter, gradients, lr, beta1, beta2, eps, weight_decay):
    """Kingma and Ba 2015, with the decoupled weight decay of Loshchilov and Hutter 2019, in float64."""
    p, m, v = parameter.double(), 0.0, 0.0
    for n, gradient in enumerate(gradients, 1):
        g = gradient.double()
        p = p * (1 - lr * weight_decay)
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        p = p - lr * (m / (1 - beta1**n)) / ((v / (1 - beta2**n)).sqrt() + eps)
    return p


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_optimizer_is_adam(weight_decay):
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.randn(7, 3))
    start, gradients = parameter.detach().clone(), [torch.randn(7, 3) for _ in range(10)]
    config = OptimConfig(lr=LR, betas=[0.8, 0.95], eps=1e-6, weight_decay=weight_decay)
    optimizer = make_optimizer([parameter], config)
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step()
    expected = adam(start, gradients, LR, 0.8, 0.95, 1e-6, weight_decay)
    torch.testing.assert_close(parameter.detach().double(), expected, rtol=0, atol=1e-6)


def test_the_default_is_the_papers_adam():
    group = make_optimizer([nn.Parameter(torch.zeros(1))], OptimConfig()).param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (1e-5, 0.0, (0.9, 0.999))


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(InputError, match=r"optim\.name has to be one of adamw, adamw8bit, muon, not 'sgd'"):
        make_optimizer([nn.Parameter(torch.zeros(1))], OptimConfig(name="sgd"))


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 4, 3, 3), (5, 5)])
def test_muon_makes_a_matrix_of_each_step_whose_directions_are_equally_long(shape):
    """Whatever the gradient's singular values, the step's are about 1, times what AdamW's length comes to."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(shape))
    start = weight.detach().clone()
    optimizer = make_optimizer([weight], OptimConfig(name="muon", lr=LR))
    gradient = torch.randn(shape) * torch.logspace(0, -2, shape[0]).view(-1, *[1] * (len(shape) - 1))
    weight.grad = gradient.clone()
    optimizer.step()
    step = (weight.detach() - start).flatten(1) / (LR * 0.2 * max(shape[0], math.prod(shape[1:])) ** 0.5)
    found, given = torch.linalg.svdvals(step), torch.linalg.svdvals(gradient.flatten(1))
    assert found.min() > 0.6 and found.max() < 1.3 and given.max() / given.min() > 5
    assert (step * gradient.flatten(1)).sum() < 0  # downwards


@pytest.mark.parametrize("instructions", [True, False])
def test_muon_multiplies_in_float32_where_bfloat16_is_emulated(instructions, monkeypatch):
    """The Newton-Schulz iterations of Jordan et al. 2024 in float64; bfloat16 has three digits."""
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: instructions)
    torch.manual_seed(0)
    gradient, weight = torch.randn(8, 24), nn.Parameter(torch.zeros(8, 24))
    optimizer = make_optimizer([weight], OptimConfig(name="muon", lr=1.0))
    weight.grad = gradient.clone()
    optimizer.step()
    step = -weight.detach().double() / (0.2 * 24**0.5)

    x = gradient.double() / gradient.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    error = (step - x).abs().max().item()
    assert error < 1e-5 if not instructions else 1e-4 < error < 0.05


def test_muon_leaves_vectors_to_adam():
    torch.manual_seed(0)
    vector = nn.Parameter(torch.randn(7))
    start, gradients = vector.detach().clone(), [torch.randn(7) for _ in range(5)]
    config = OptimConfig(name="muon", lr=LR, betas=[0.8, 0.95], eps=1e-6, weight_decay=0.1)
    optimizer = make_optimizer([nn.Parameter(torch.zeros(3, 3)), vector], config)
    for gradient in gradients:
        vector.grad = gradient.clone()
        optimizer.step()
    expected = adam(start, gradients, LR, 0.8, 0.95, 1e-6, 0.1)
    torch.testing.assert_close(vector.detach().double(), expected, rtol=0, atol=1e-6)


def test_muon_goes_on_where_it_was():
    torch.manual_seed(0)
    gradients = [(torch.randn(6, 4), torch.randn(6)) for _ in range(6)]

    def run(upto, state=None, weights=None):
        parameters = [nn.Parameter(w.clone()) for w in weights or (torch.ones(6, 4), torch.ones(6))]
        optimizer = make_optimizer(parameters, OptimConfig(name="muon", lr=LR))
        if state is not None:
            optimizer.load_state_dict(copy.deepcopy(state))
        for both in gradients[slice(3 if state else 0, upto)]:
            for parameter, gradient in zip(parameters, both, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
        return [parameter.detach() for parameter in parameters], optimizer.state_dict()

    (whole, _), (half, state) = run(6), run(3)
    for one, other in zip(whole, run(6, state, half)[0], strict=True):
        assert torch.equal(one, other)


def test_muon_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(InputError, match=r'pip install "musedance\[train\]"'):
        make_optimizer([nn.Parameter(torch.zeros(2, 2))], OptimConfig(name="muon"))


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_8_bits_without_bitsandbytes_say_what_to_install():
    with pytest.raises(InputError, match=r'pip install "musedance\[gpu\]"'):
        make_optimizer([nn.Parameter(torch.zeros(1))], OptimConfig(name="adamw8bit"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_8_bits_without_a_gpu_say_so(monkeypatch):
    package = types.SimpleNamespace(AdamW8bit=object)
    monkeypatch.setitem(sys.modules, "bitsandbytes", types.SimpleNamespace(optim=package))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", package)
    with pytest.raises(InputError, match="needs a CUDA GPU"):
        make_optimizer([nn.Parameter(torch.zeros(1))], OptimConfig(name="adamw8bit"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_8_bits_on_a_gpu_move_weights_as_32_do():
    pytest.importorskip("bitsandbytes")
    ends = []
    for name in ("adamw", "adamw8bit"):
        torch.manual_seed(0)
        parameter = nn.Parameter(torch.randn(256, 64, device="cuda"))
        optimizer = make_optimizer([parameter], OptimConfig(name=name, lr=LR))
        for _ in range(10):
            parameter.pow(2).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        ends.append(parameter.detach())
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=0.05 * 10 * LR)


def rising(n):
    return n / WARMUP


FORMULAS = {
    "constant": lambda n: LR,
    "constant_with_warmup": lambda n: LR * min(1, rising(n)),
    "linear": lambda n: LR * (rising(n) if n < WARMUP else (STEPS - n) / (STEPS - WARMUP)),
    "cosine": lambda n: (
        LR * (rising(n) if n < WARMUP else (1 + math.cos(math.pi * (n - WARMUP) / (STEPS - WARMUP))) / 2)
    ),
    "polynomial": lambda n: LR * rising(n) if n < WARMUP else 1e-7 + (LR - 1e-7) * (STEPS - n) / (STEPS - WARMUP),
}


def make(name, lr=LR):
    config = OptimConfig(lr=lr, schedule=name, warmup_steps=0 if name == "constant" else WARMUP)
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], config)
    return optimizer, make_schedule(optimizer, config, STEPS)


def rates(optimizer, schedule, steps):
    """The learning rate that each step is taken with."""
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("name", FORMULAS)
def test_schedules_follow_their_formulas(name):
    expected = [FORMULAS[name](n) for n in range(STEPS)]
    assert rates(*make(name), STEPS) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("done", [0, 1, WARMUP, 13])
def test_a_restored_schedule_goes_on_exactly(name, done):
    """Through JSON, into a new optimizer that starts at another rate."""
    unbroken = rates(*make(name), STEPS)
    optimizer, schedule = make(name)
    rates(optimizer, schedule, done)
    state = json.loads(json.dumps(schedule_state(schedule)))

    optimizer, schedule = make(name)
    optimizer.param_groups[0]["lr"] = 123.0
    kept = copy.deepcopy(state)
    restore_schedule(schedule, state)
    assert rates(optimizer, schedule, STEPS - done) == unbroken[done:]
    assert state == kept


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"schedule": "cosin"}, "optim.schedule has to be one of constant, .*not 'cosin'"),
        ({"schedule": "piecewise_constant"}, "optim.schedule has to be one of"),
        ({"schedule": "constant", "warmup_steps": 3}, "take constant_with_warmup"),
        ({"schedule": "linear", "warmup_steps": STEPS}, f"between 0 and the run's {STEPS} steps, not {STEPS}"),
        ({"schedule": "linear", "warmup_steps": -1}, "not -1"),
        ({"schedule": "polynomial", "lr": 1e-8}, "optim.lr has to be larger"),
    ],
)
def test_schedules_that_cannot_be_are_refused(settings, what):
    config = OptimConfig(**settings)
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], config)
    with pytest.raises(InputError, match=what):
        make_schedule(optimizer, config, STEPS)
