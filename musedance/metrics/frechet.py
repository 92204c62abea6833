"""Frechet distance between two sets of features, each taken for a Gaussian: what FVD and HFD are made of.

    d = |m_a - m_b|^2 + tr(C_a) + tr(C_b) - 2 tr((C_a C_b)^(1/2))

(Dowson & Landau 1982; Heusel et al. 2017, arXiv 1706.08500; Unterthiner et al. 2018, arXiv 1812.01717).

**Few clips make it larger.** Two sets drawn from one standard normal distribution, whose true distance is 0, come out
at this share of tr(C), which is the number of features (mean of 10 draws, of 3 for 4096; n clips in each set):

    n                 16    32    64   128   256   512  1024  4096
    400 features    1.81  1.60  1.37  1.09  0.75  0.40  0.20  0.05
    28 features     0.98  0.52  0.26  0.13  0.06  0.03  0.02  0.00

so a distance says little without its n, and distances of different n are not to be compared.
"""

import numpy as np

ENOUGH_CLIPS = 256  # below, a warning whatever the features


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Distance between Gaussians with the means and (unbiased) covariances of two sets.

    Args:
        a: `(n, d)`, a row a clip.
        b: `(m, d)`.

    Returns:
        0 or more. Exact (up to rounding) with fewer rows than columns too: with C = A^T A, the trace of the root is the
        nuclear norm of A B^T, so that no root of a singular matrix is taken.

    Raises:
        ValueError: fewer than two rows, different d, or values that are not finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"two tables with a column a feature are needed, not {a.shape} and {b.shape}")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a covariance needs at least 2 clips in each set, not {len(a)} and {len(b)}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("there are features that are not finite")
    shift = a.mean(axis=0) - b.mean(axis=0)
    root_a, root_b = _root_of_covariance(a), _root_of_covariance(b)
    overlap = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    distance = shift @ shift + (root_a**2).sum() + (root_b**2).sum() - 2 * overlap
    return max(float(distance), 0.0)  # rounding: of equal sets about -1e-13


def _root_of_covariance(features: np.ndarray) -> np.ndarray:
    """R `(min(n, d), d)` with R^T R = covariance."""
    centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r"))


def rank_warning(n: int, d: int) -> str | None:
    """What to bear in mind of a distance between sets of `n` clips (the smaller one) with `d` features, if anything."""
    if n <= d:
        return (
            f"{n} clips give a covariance of rank {max(n - 1, 0)} at most, where {d} features need more than {d}: "
            "the distance is biased upwards, and not comparable with one of another number of clips"
        )
    if n < ENOUGH_CLIPS:
        return (
            f"{n} clips are few (fewer than {ENOUGH_CLIPS}): the distance is biased upwards, "
            "and not comparable with one of another number of clips"
        )
    return None
