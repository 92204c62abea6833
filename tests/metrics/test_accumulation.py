"""The exponent by which errors grow, against curves whose exponent is known."""

import numpy as np
import pytest

from musedance.metrics.accumulation import growth_exponent

TIMES = np.arange(12) + 0.5


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.7, 2.5])
@pytest.mark.parametrize("base", [0.0, 0.3])
@pytest.mark.parametrize("size", [0.02, 40.0])
def test_a_power_of_time_is_found_whatever_it_starts_from(exponent: float, base: float, size: float) -> None:
    values = base + size * TIMES**exponent
    assert growth_exponent(TIMES.tolist(), values.tolist()) == pytest.approx(exponent, abs=0.011)


@pytest.mark.parametrize(("push", "expected"), [(0.0, 0.5), (1.0, 1.0)])
def test_a_random_walk_grows_as_the_root_of_time_and_a_push_as_time(push: float, expected: float) -> None:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(2000, 12, 3)) * (0.2 if push else 1.0)
    steps[..., 0] += push
    distances = np.linalg.norm(steps.cumsum(axis=1), axis=2).mean(axis=0)
    found = growth_exponent((np.arange(12) + 1).tolist(), (0.1 + distances).tolist())
    assert found == pytest.approx(expected, abs=0.05)


def test_segments_of_seconds_do_not_hide_it() -> None:
    """Eight segments of 4 s, within which nothing is added."""
    times = np.arange(32) + 0.5
    segment = times // 4
    assert growth_exponent(times.tolist(), np.sqrt(segment + 1).tolist()) == pytest.approx(0.5, abs=0.2)
    assert growth_exponent(times.tolist(), (segment + 1).tolist()) == pytest.approx(1, abs=0.2)


def test_a_jump_that_stays_is_far_below_a_random_walk() -> None:
    values = [0.1, *[0.4] * 11]
    exponent = growth_exponent(TIMES.tolist(), values)
    assert exponent is not None and exponent < 0.2


def test_what_does_not_rise_or_is_too_short_has_none() -> None:
    assert growth_exponent(TIMES.tolist(), [0.3] * 12) is None
    assert growth_exponent(TIMES.tolist(), (1 - 0.01 * TIMES).tolist()) is None
    assert growth_exponent([0.5, 1.5, 2.5, 3.5, 4.5], [1, 2, 3, 4, 5]) is None
    assert growth_exponent([], []) is None
