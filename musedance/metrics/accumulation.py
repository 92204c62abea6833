"""How errors add up over a long video."""

from collections.abc import Sequence

import numpy as np


def growth_exponent(times: Sequence[float], values: Sequence[float]) -> float | None:
    """p of value(t) - value(first) ~ (t - first)^p, by least squares on logarithms.

    What theory expects: 0.5 where each segment adds an error of its own, independent of the others (a random walk); 1
    where each pushes the same way; more where errors feed on themselves; near 0 where it jumps once and then stays.

    Args:
        times: rising, seconds.
        values: at these times, a distance to the reference.

    Returns:
        `None` with fewer than three later times, or where the values do not stay above the first one: nothing grows.
    """
    elapsed = np.asarray(times, np.float64)[1:] - times[0] if len(times) else np.zeros(0)
    excess = np.asarray(values, np.float64)[1:] - values[0] if len(values) else np.zeros(0)
    if len(elapsed) < 3 or not (excess > 0).all():
        return None
    return float(np.polyfit(np.log(elapsed), np.log(excess), 1)[0])
