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


def share_finding(claim: str, name: str, right: np.ndarray, **more: float | None) -> Finding:
    """A share of independent trials with its exact interval (Clopper and Pearson 1934)."""
    result = binomtest(int(right.sum()), len(right))
    interval = result.proportion_ci(0.95)
    return Finding(claim, name, float(right.mean()), (float(interval.low), float(interval.high)), len(right), **more)
