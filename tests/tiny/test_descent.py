"""The learning rate's course, and where it leads."""

import numpy as np
import pytest
import torch
from torch import nn

from musedance.tiny.descent import Descent, rise_and_fall


@pytest.mark.parametrize("steps", [20, 100, 5000])
def test_it_rises_in_a_line_and_falls_with_half_a_cosine(steps: int) -> None:
    course = np.array([rise_and_fall(step, steps) for step in range(steps + 1)])
    top = steps // 20
    np.testing.assert_allclose(course[:top], np.arange(1, top + 1) / top)
    assert course[top] == course.max() == 1 and course[-1] == pytest.approx(0, abs=1e-9)
    falling = course[top:]
    assert (np.diff(falling) < 0).all()
    np.testing.assert_allclose(falling + falling[::-1], 1)  # a cosine is symmetric about its middle


@pytest.mark.parametrize("steps", range(1, 20))
def test_short_trainings_learn_at_every_step(steps: int) -> None:
    course = [rise_and_fall(step, steps) for step in range(steps)]
    assert course[0] == 1 and all(0 < share <= 1 for share in course)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_it_ends_at_the_bottom_of_a_bowl(optimizer: str) -> None:
    place, matrix = nn.Parameter(torch.tensor([3.0, -2.0])), nn.Parameter(torch.tensor([[2.0, 0.5], [-1.0, 1.5]]))
    descent = Descent([place, matrix], lr=0.1, steps=400, optimizer=optimizer, weight_decay=0.0)
    for _ in range(400):
        far = (place - 1).square().sum() + (matrix - torch.eye(2)).square().sum()
        descent.step(1000 * far)  # as steep as may be: it is clipped
    assert descent.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    assert torch.allclose(place, torch.ones(2), atol=1e-2) and torch.allclose(matrix, torch.eye(2), atol=1e-2)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_muon_goes_as_far_along_small_gradients_as_along_large_ones(optimizer: str) -> None:
    """A gradient of singular values 1 and 0.1: Muon's step has two alike, AdamW's, of signs, has one only."""
    matrix = nn.Parameter(torch.zeros(2, 2))
    turn = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    gradient = turn @ torch.diag(torch.tensor([1.0, 0.1])) @ turn
    Descent([matrix], lr=0.1, steps=1, optimizer=optimizer, weight_decay=0.0).step((matrix * gradient).sum())
    large, small = torch.linalg.svdvals(matrix.detach())
    assert large > 0 and (small > large / 2) == (optimizer == "muon")
