"""A run's numbers as one picture."""

from pathlib import Path

from musedance.files import appearing
from musedance.media.diagram import BLUE, COLOURS, RAW, Curve, draw_panel, draw_panels
from musedance.training.log import BUCKETS, read_rows


def draw_curves(metrics: Path, output: Path) -> None:
    """Draw loss, loss by timestep, learning rate and speed over the steps.

    Args:
        metrics: `metrics.jsonl` of a run. Rows without a number leave a point out.
        output: the PNG; one that is there is replaced.
    """
    rows = read_rows(metrics)

    def curve(name: str) -> Curve:
        return [(float(row["step"] or 0), value) for row in rows if (value := row.get(name)) is not None]

    loss, buckets = curve("loss"), [smooth(curve(name)) for name in BUCKETS]
    timesteps = [name.removeprefix("loss_t/") for name in BUCKETS]
    panels = [
        draw_panel("loss, and its mean over 5% of the rows", [loss, smooth(loss)], [RAW, BLUE]),
        draw_panel("loss by timestep, unweighted, mean over 5% of the rows", buckets, COLOURS, timesteps),
        draw_panel("learning rate", [curve("lr")], [BLUE]),
        draw_panel("samples per second", [curve("samples_per_s")], [BLUE]),
    ]
    with appearing(output) as temporary:
        draw_panels(panels).save(temporary)


def smooth(curve: Curve) -> Curve:
    """Each value's mean with those around it, 5% of the curve together and at least three."""
    values, reach = [value for _, value in curve], max(1, len(curve) // 40)
    near = [values[max(0, index - reach) : index + reach + 1] for index in range(len(values))]
    return [(step, sum(some) / len(some)) for (step, _), some in zip(curve, near, strict=True)]
