"""Frechet distances whose value is known: exact sample moments, closed forms, and a matrix root as a second opinion."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from musedance.metrics.frechet import frechet_distance, rank_warning


def exact_sample(mean: np.ndarray, covariance: np.ndarray, n: int = 50, seed: int = 0) -> np.ndarray:
    """`(n, d)` with exactly this mean and unbiased covariance."""
    noise = np.random.default_rng(seed).normal(size=(n, len(mean)))
    orthonormal = np.linalg.qr(noise - noise.mean(axis=0))[0]
    return mean + np.sqrt(n - 1) * orthonormal @ np.linalg.cholesky(covariance).T


def rotation(d: int, seed: int = 5) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def random_covariance(d: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(d, d))
    return root @ root.T + 0.1 * np.eye(d)


def test_a_set_against_itself_and_in_another_order():
    features = np.random.default_rng(1).normal(3, 2, size=(20, 8))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(features, features) >= 0


def test_a_shift_counts_with_its_squared_length():
    features = np.random.default_rng(1).normal(size=(20, 3))
    assert frechet_distance(features, features + np.array([1.0, -2.0, 2.0])) == pytest.approx(9)


def test_commuting_covariances():
    """|m|^2 + sum of (s_a - s_b)^2, whatever the numbers of clips."""
    deviations_a, deviations_b = np.array([1.0, 2.0, 0.5, 3.0]), np.array([2.0, 2.0, 1.5, 0.1])
    turned = rotation(4)
    a = exact_sample(np.zeros(4), np.diag(deviations_a**2), n=30) @ turned
    b = exact_sample(np.array([0.0, 3.0, 0.0, 4.0]), np.diag(deviations_b**2), n=90, seed=1) @ turned
    assert frechet_distance(a, b) == pytest.approx(25 + ((deviations_a - deviations_b) ** 2).sum())


def test_a_scaled_set():
    """tr(C) (s - 1)^2 around the same mean."""
    covariance = random_covariance(5, seed=2)
    a = exact_sample(np.zeros(5), covariance)
    assert frechet_distance(a, 3 * a) == pytest.approx(4 * np.trace(covariance))


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 40), (5, 7)])
def test_fewer_clips_than_features(n, m):
    """Sets on one line each: variances s^2 and t^2 along unit vectors u and v give s^2 + t^2 - 2 s t |u v|."""
    rng = np.random.default_rng(n)
    d = 30
    u, v = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, d)))
    along_u, along_v = rng.normal(size=n), rng.normal(size=m)
    along_u, along_v = along_u - along_u.mean(), along_v - along_v.mean()
    s, t = along_u.std(ddof=1), along_v.std(ddof=1)
    expected = s**2 + t**2 - 2 * s * t * abs(u @ v)
    assert frechet_distance(np.outer(along_u, u), np.outer(along_v, v)) == pytest.approx(expected)


@pytest.mark.parametrize("n", [12, 200])
def test_agrees_with_a_matrix_root(n):
    """The usual way, where the covariances have full rank."""
    d = 10
    a = np.random.default_rng(0).normal(size=(n, d)) @ random_covariance(d, seed=3)
    b = np.random.default_rng(1).normal(size=(n + 5, d)) @ random_covariance(d, seed=4) + 1
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(covariance_a @ covariance_b)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariance_a + covariance_b - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_rotations_shifts_and_exchange_change_nothing():
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(9, 15)), rng.normal(1, 2, size=(25, 15))
    distance = frechet_distance(a, b)
    turned = rotation(15)
    assert distance > 1
    assert frechet_distance(a @ turned, b @ turned) == pytest.approx(distance)
    assert frechet_distance(a + 100, b + 100) == pytest.approx(distance)
    assert frechet_distance(b, a) == pytest.approx(distance)


def test_single_precision_features_are_summed_in_double():
    """On a large common offset the variance would drown in float32."""
    a = np.random.default_rng(0).integers(0, 8, size=(64, 4)).astype(np.float32)
    b = np.random.default_rng(1).integers(0, 8, size=(64, 4)).astype(np.float32)
    assert frechet_distance(a + 65536, b + 65536) == pytest.approx(frechet_distance(a, b), rel=1e-6)


def test_few_clips_are_biased_upwards():
    rng = np.random.default_rng(0)
    few, many = (frechet_distance(rng.normal(size=(n, 20)), rng.normal(size=(n, 20))) for n in (16, 1024))
    assert few > 10 * many > 0


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 3)), np.zeros((5, 3)), "at least 2 clips in each set, not 1 and 5"),
        (np.zeros((5, 3)), np.zeros((0, 3)), "not 5 and 0"),
        (np.zeros((5, 3)), np.zeros((5, 4)), "a column a feature"),
        (np.zeros(5), np.zeros(5), "a column a feature"),
        (np.array([[0.0], [np.nan]]), np.zeros((5, 1)), "not finite"),
        (np.zeros((5, 1)), np.array([[0.0], [np.inf]]), "not finite"),
    ],
)
def test_what_has_no_distance(a, b, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(a, b)


def test_warnings_by_number_of_clips():
    assert "rank of" not in (rank_warning(100, 28) or "")
    for n, d in [(2, 28), (28, 28), (300, 400), (400, 400)]:
        assert f"rank {n - 1} at most" in (rank_warning(n, d) or "")
    for n in (29, 100, 255):
        warning = rank_warning(n, 28)
        assert warning is not None and f"{n} clips" in warning and "256" in warning and "rank" not in warning
    assert rank_warning(256, 28) is None
    assert rank_warning(401, 400) is None
