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


def test_it_ends_at_the_bottom_of_a_bowl() -> None:
    place = nn.Parameter(torch.tensor([3.0, -2.0]))
    descent = Descent([place], lr=0.1, steps=400, weight_decay=0.0)
    for _ in range(400):
        descent.step(1000 * (place - torch.tensor([1.0, 1.0])).square().sum())  # as steep as may be: it is clipped
    assert descent.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    assert torch.allclose(place, torch.ones(2), atol=1e-2)
