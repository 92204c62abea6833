"""A number of the card, and whether it is what it has to be."""

import numpy as np
import pytest

from musedance.proof.finding import Finding, mean_finding, share_finding


@pytest.mark.parametrize(
    ("value", "interval", "least", "holds"),
    [
        (0.9, (0.4, 0.95), 0.5, False),  # the lower end counts
        (0.9, (0.6, 0.95), 0.5, True),
        (0.9, (0.5, 0.95), 0.5, False),  # above, not at
        (0.9, None, 0.5, True),
        (0.4, None, 0.5, False),
        (0.9, (0.6, 0.95), None, None),
        (float("nan"), None, 0.0, False),
        (0.9, (float("nan"), float("nan")), 0.0, False),
    ],
)
def test_the_intervals_lower_end_has_to_be_high_enough(
    value: float, interval: tuple[float, float] | None, least: float | None, holds: bool | None
) -> None:
    assert Finding("text", "", value, interval, 10, least).holds is holds


def test_what_is_not_known_is_left_out_of_a_mean() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0, np.nan])
    found = mean_finding("beat", "lift", values, list("abcdef"), least=0.0, truth=2.0)
    assert (found.value, found.n, found.truth, found.least) == (3.0, 3, 2.0, 0.0)
    assert found.interval is not None and found.interval[0] < 3 < found.interval[1]


def test_clusters_widen_the_interval() -> None:
    """Eight values of two clips that agree are not eight values."""
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 8)
    alone, grouped = (mean_finding("beat", "", values, names) for names in (range(32), np.repeat(range(4), 8).tolist()))
    assert alone.interval is not None and grouped.interval is not None
    assert np.ptp(grouped.interval) > 1.8 * np.ptp(alone.interval)
    assert mean_finding("beat", "", values, ["same"] * 32).interval is None


def test_a_share_has_its_exact_interval() -> None:
    """All of n right: the lower end is 0.025 to the power of 1 / n."""
    found = share_finding("text", "", np.ones(30, bool), range(30), least=0.9, chance=0.1)
    assert (found.value, found.n, found.chance) == (1.0, 30, 0.1)
    assert found.interval == pytest.approx((0.025 ** (1 / 30), 1.0), abs=1e-9)
    assert found.holds is False and share_finding("text", "", np.ones(60, bool), range(60), least=0.9).holds is True
    half = share_finding("text", "", np.arange(30) < 15, range(30))
    assert half.value == 0.5 and half.interval is not None
    assert 0.25 < half.interval[0] <= 0.31298 and 0.68702 <= half.interval[1] < 0.75  # of independent trials, or wider


def test_a_share_of_clusters_that_agree_is_known_less_well() -> None:
    right = np.repeat(np.arange(8) % 2 == 0, 20)
    alone, grouped = (share_finding("text", "", right, names) for names in (range(160), np.repeat(range(8), 20)))
    assert alone.interval is not None and grouped.interval is not None
    assert np.ptp(grouped.interval) > 2 * np.ptp(alone.interval)
    assert share_finding("text", "", right, ["one"] * 160).interval == (0, 1)  # nothing is known of others
