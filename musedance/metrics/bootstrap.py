"""How far a mean can be trusted when values come in groups that are not independent."""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.stats import norm, t

LEVEL = 0.95


def mean_interval(
    values: np.ndarray, clusters: Sequence[Hashable] | None = None, seed: int = 0, draws: int = 2000
) -> tuple[float, float] | None:
    """95 % interval of the mean, by a bootstrap that draws whole clusters with replacement.

    Percentiles widened for few clusters as in Hesterberg 2015 (The American Statistician 69:4: "expanded percentile
    interval"), without which 8 clusters cover the truth in 88 % of cases.

    Args:
        values: (n,), finite.
        clusters: the group of each value, such as its track; each value by itself if not given.
        seed: of the draws.
        draws: how many.

    Returns:
        (low, high), or None with fewer than two clusters.

    Raises:
        ValueError: a value is not finite, or the lengths differ.
    """
    values = np.asarray(values, np.float64)
    names = range(len(values)) if clusters is None else clusters
    if values.ndim != 1 or len(names) != len(values) or not np.isfinite(values).all():
        raise ValueError("values must be (n,) and finite, with a cluster for each")
    index = {name: k for k, name in enumerate(dict.fromkeys(names))}
    count = len(index)
    if count < 2:
        return None
    group = [index[name] for name in names]
    sums, sizes = np.bincount(group, values), np.bincount(group)
    chosen = np.random.default_rng(seed).integers(count, size=(draws, count))
    means = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    quantile = t.ppf(0.5 + LEVEL / 2, count - 1) * np.sqrt(count / (count - 1))
    low, high = np.quantile(means, [norm.cdf(-quantile), norm.cdf(quantile)])
    return float(low), float(high)
