"""One number of the card."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from musedance.metrics.bootstrap import mean_interval


@dataclass(frozen=True)
class Finding:
    """A measured value and what it has to be.

    Attributes:
        claim: what it is about: "appearance", "beat", ...
        name: what was measured.
        value: of the model.
        interval: 95 %, where there is one.
        n: how many videos, pairs, ...
        least: the value, or the interval's lower end where there is one, has to be at least so high; `None` = reported.
        truth: the same of the true videos, where that means something.
        chance: what guessing would give.
    """

    claim: str
    name: str
    value: float
    interval: tuple[float, float] | None
    n: int
    least: float | None = None
    truth: float | None = None
    chance: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether it is as high as it has to be; `None` if nothing is asked."""
        if self.least is None:
            return None
        return bool((self.value if self.interval is None else self.interval[0]) > self.least)


def mean_finding(
    claim: str, name: str, values: np.ndarray, clusters: Sequence[Hashable], **more: float | None
) -> Finding:
    """A mean with an interval over resampled clusters; values that are NaN are left out."""
    kept = np.isfinite(values)
    names = [cluster for cluster, keep in zip(clusters, kept, strict=True) if keep]
    interval = mean_interval(values[kept], names)
    return Finding(claim, name, float(values[kept].mean()), interval, int(kept.sum()), **more)


def share_finding(
    claim: str, name: str, right: np.ndarray, clusters: Sequence[Hashable], **more: float | None
) -> Finding:
    """A share of trials.

    Its interval reaches as far as that of independent trials (Clopper and Pearson 1934: exact, also where all are
    right), and as that over resampled clusters, which trials of one source or track are.
    """
    exact = binomtest(int(right.sum()), len(right)).proportion_ci(0.95)
    low, high = mean_interval(right.astype(np.float64), clusters) or (0.0, 1.0)
    interval = min(float(exact.low), low), max(float(exact.high), high)
    return Finding(claim, name, float(right.mean()), interval, len(right), **more)
