"""The learning rate's course in the short trainings of VAE and encoders."""

import math


def rise_and_fall(step: int, steps: int) -> float:
    """The share of the learning rate: a line up in the first twentieth, then half a cosine down to 0."""
    rising = max(steps // 20, 1)
    if step < rising:
        return (step + 1) / rising
    return 0.5 + 0.5 * math.cos(math.pi * (step - rising) / max(steps - rising, 1))
