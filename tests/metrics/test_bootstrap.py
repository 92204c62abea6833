"""Intervals of means: how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import t

from musedance.metrics.bootstrap import mean_interval


def coverage(clusters: int, size: int, shared: float, repetitions: int = 400, naive: bool = False) -> float:
    """How often the interval holds 0, the true mean; values of one cluster share a part of what they are."""
    rng = np.random.default_rng(clusters)
    labels = np.repeat(np.arange(clusters), size)
    held = 0
    for seed in range(repetitions):
        values = shared * rng.normal(size=clusters).repeat(size) + rng.normal(size=clusters * size)
        low, high = mean_interval(values, None if naive else labels.tolist(), seed, draws=500)
        held += low <= 0 <= high
    return held / repetitions


@pytest.mark.parametrize(("clusters", "size"), [(8, 1), (8, 4), (30, 1), (30, 3)])
def test_19_of_20_intervals_hold_the_truth(clusters: int, size: int) -> None:
    assert 0.92 <= coverage(clusters, size, shared=1.0) <= 0.985  # 400 repetitions: 0.95 +- 0.02


def test_clips_of_one_track_are_not_independent() -> None:
    assert coverage(20, 5, shared=1.0, naive=True) < 0.8


def test_copies_add_nothing() -> None:
    values = np.random.default_rng(0).normal(size=20)
    labels = list(range(20))
    once = mean_interval(values, labels)
    assert mean_interval(np.repeat(values, 6), np.repeat(labels, 6).tolist()) == pytest.approx(once)
    naive = mean_interval(np.repeat(values, 6))
    assert naive[1] - naive[0] < 0.6 * (once[1] - once[0])


def test_it_agrees_with_students_t_for_normal_values() -> None:
    values = np.random.default_rng(1).normal(3, 2, 60)
    expected = t.interval(0.95, 59, values.mean(), values.std(ddof=1) / np.sqrt(60))
    assert mean_interval(values, draws=20_000) == pytest.approx(expected, abs=0.06)


def test_names_and_order_of_clusters_do_not_matter() -> None:
    values, labels = np.array([1.0, 2.0, 5.0, 7.0, 7.5]), ["a", "a", "b", "c", "c"]
    assert mean_interval(values, labels) == mean_interval(values, [9, 9, 4, 0, 0])
    shuffled = mean_interval(values[[1, 0, 2, 4, 3]], ["a", "a", "b", "c", "c"])
    assert shuffled == pytest.approx(mean_interval(values, labels))


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(2).normal(size=30)
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4) != mean_interval(values, seed=5)


def test_two_clusters_give_the_widest_interval_there_is() -> None:
    assert mean_interval(np.array([1.0, 2.0, 6.0]), ["a", "a", "b"]) == pytest.approx((1.5, 6.0))


def test_too_few_clusters() -> None:
    assert mean_interval(np.zeros(0)) is None
    assert mean_interval(np.array([1.0])) is None
    assert mean_interval(np.array([1.0, 2.0, 3.0]), ["a", "a", "a"]) is None


@pytest.mark.parametrize("values", [[1.0, np.nan], [np.inf, 1.0], [1.0]])
def test_what_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values must be"):
        mean_interval(np.array(values), ["a", "b"])
