"""Length: whether a video of several segments drifts away from its picture, and jumps where they meet."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from musedance.files import appearing
from musedance.media.diagram import BLUE, ORANGE, draw_panel, draw_panels
from musedance.metrics.consistency import colour_distances, drift, identity_distances, per_second, seam_jump
from musedance.proof.finding import Finding, mean_finding


def length_findings(
    made: Mapping[str, np.ndarray],
    pictures: Mapping[str, np.ndarray],
    true: Mapping[str, np.ndarray],
    sources: Mapping[str, str],
    fps: float,
    segment_frames: int,
) -> list[Finding]:
    """Drift a second, and the change across seams beside that elsewhere.

    Args:
        made: videos `(n, H, W, 3)` uint8 by clip.
        pictures: their references.
        true: the true videos.
        sources: of which intervals are resampled, by clip.
        fps: frames per second.
        segment_frames: K.
    """
    names, findings = list(made), []
    clusters = [sources[name] for name in names]
    for what, distance in (("identity distance", identity_distances), ("colour distance (Delta E)", colour_distances)):
        slopes, truth = (
            np.array([drift(distance(videos[name], pictures[name]), fps) for name in names]) for videos in (made, true)
        )
        findings.append(mean_finding("length", f"{what}, growth a second", slopes, clusters, truth=float(truth.mean())))
    jumps, truth = (
        np.array([seam_jump(videos[name], segment_frames) for name in names], np.float64) for videos in (made, true)
    )
    name = "change across seams beside that elsewhere"
    return [*findings, mean_finding("length", name, jumps, clusters, truth=float(np.nanmean(truth)))]


def length_curves(
    made: Mapping[str, np.ndarray], pictures: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray], fps: float
) -> dict[str, list[float]]:
    """Means over videos, second by second, of the distance to the reference.

    Returns:
        `identity` and `colour`, and of the true videos `identity/true` and `colour/true`.
    """
    return {
        f"{kind}{of}": np.mean([per_second(distance(videos[n], pictures[n]), fps)[1] for n in made], 0)
        .round(4)
        .tolist()
        for kind, distance in (("identity", identity_distances), ("colour", colour_distances))
        for of, videos in (("", made), ("/true", true))
    }


def draw_length(curves: Mapping[str, Sequence[float]], output: Path) -> None:
    """Draw what `length_curves` gives over the seconds, as a PNG; one that is there is replaced."""
    titles = {"identity": "identity distance to the picture", "colour": "colour distance to it (Delta E)"}
    panels = []
    for kind, title in titles.items():
        both = [[(second + 0.5, value) for second, value in enumerate(curves[kind + of])] for of in ("", "/true")]
        panels.append(draw_panel(f"{title}, by second", both, [BLUE, ORANGE], ["generated", "true"]))
    with appearing(output) as temporary:
        draw_panels(panels).save(temporary)
