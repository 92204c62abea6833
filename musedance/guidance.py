"""Classifier-free guidance over the branches that training has seen."""

from collections.abc import Mapping

from torch import Tensor

ALL, TEXT_REFERENCE, NONE = "all", "text_reference", "none"


def guidance_branches(guidance_scale: float, music_guidance_scale: float | None) -> tuple[str, ...]:
    """Which predictions a step needs: with all conditions, with text and reference only, with none."""
    if music_guidance_scale is not None:
        return (NONE, TEXT_REFERENCE, ALL)
    return (ALL,) if guidance_scale == 1.0 else (NONE, ALL)


def guide(
    e: Mapping[str, Tensor], guidance_scale: float, music_guidance_scale: float | None, guidance_rescale: float = 0.0
) -> Tensor:
    """Combine the branches' predictions.

    With one scale s: e(none) + s (e(all) - e(none)), Ho and Salimans 2022. With a scale of its own for music and beats:
    e(none) + s_t (e(text, reference) - e(none)) + s_m (e(all) - e(text, reference)), after Brooks et al. 2023.

    Args:
        e: predictions of `guidance_branches(...)`, all of one shape.
        guidance_scale: s, or s_t; 1 = no guidance.
        music_guidance_scale: s_m, or `None`.
        guidance_rescale: 0 to 1, how far the result is brought back to e(all)'s deviation (Lin et al. 2024, 3.4).
    """
    if music_guidance_scale is not None:
        text, music = e[TEXT_REFERENCE] - e[NONE], e[ALL] - e[TEXT_REFERENCE]
        guided = e[NONE] + guidance_scale * text + music_guidance_scale * music
    elif NONE in e:
        guided = e[NONE] + guidance_scale * (e[ALL] - e[NONE])
    else:
        return e[ALL]
    if guidance_rescale > 0:
        rescaled = guided * (_deviation(e[ALL]) / _deviation(guided))
        guided = guidance_rescale * rescaled + (1 - guidance_rescale) * guided
    return guided


def _deviation(x: Tensor) -> Tensor:
    return x.std(dim=tuple(range(1, x.ndim)), keepdim=True)
