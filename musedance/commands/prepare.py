"""`musedance prepare`."""

import argparse

HELP = "make a dataset out of raw videos of dancers"

_STAGE_OPTIONS = (
    "fps", "num_frames", "size", "min_size", "shape", "subject", "detector", "densepose", "captioner", "caption_model",
    "bpm",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="video, folder of videos, or .txt with a path a line"
    )
    parser.add_argument("output", metavar="OUTPUT", help="dataset folder to make, to go on with, or to add to")

    clips = parser.add_argument_group("the clips")
    clips.add_argument("--fps", type=float, default=12.0, help="frames per second (default: 12)")
    clips.add_argument(
        "--frames", dest="num_frames", type=int, default=50, metavar="N", help="of a clip (default: %(default)s)"
    )
    clips.add_argument(
        "--size", type=int, default=640, help="side in pixels; portrait clips have as many (default: %(default)s)"
    )
    clips.add_argument(
        "--min-size", type=int, metavar="SIZE", help="leave out crops with a shorter side (default: half of --size)"
    )
    clips.add_argument(
        "--shape", default="auto", help="square, portrait, or auto: portrait if a square is too narrow (default: auto)"
    )

    stages = parser.add_argument_group("who dances, and how")
    stages.add_argument(
        "--subject",
        default="person",
        metavar="NAME",
        help="what dances, in the detector's words, or any: whatever moves (default: %(default)s)",
    )
    stages.add_argument(
        "--detector", metavar="MODEL", help="object detector, folder or hub id (default: none, motion is looked for)"
    )
    stages.add_argument(
        "--densepose", metavar="FILE", help="TorchScript file, or detectron2's CONFIG:WEIGHTS (default: no masks)"
    )
    stages.add_argument(
        "--captioner",
        metavar="WHERE",
        help="address of an OpenAI-compatible endpoint, its key in OPENAI_API_KEY, or a local model: folder or hub id "
        "(default: no captions)",
    )
    stages.add_argument("--caption-model", metavar="NAME", help="the endpoint's model (default: gpt-4o)")
    stages.add_argument("--bpm", type=float, metavar="N", help="tempo of the music, 30 to 300 (default: estimated)")

    splits = parser.add_argument_group("splits, which share no video and no music")
    splits.add_argument("--validation", type=float, default=0.05, metavar="SHARE", help="(default: %(default)s)")
    splits.add_argument("--test", type=float, default=0.05, metavar="SHARE", help="(default: %(default)s)")
    splits.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")

    run = parser.add_argument_group("the run")
    run.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    run.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster; local starts one here")
    run.add_argument(
        "--max-failures",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="of the videos may fail before it counts as failed (default: %(default)s)",
    )
    run.add_argument(
        "--timeout",
        type=float,
        default=900.0,
        metavar="S",
        help="give a video up after so many seconds without progress (default: 900)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    from musedance.errors import InputError
    from musedance.failures import FAILED, complain
    from musedance.prepare import make_stages, prepare

    if not 0 <= options.max_failures <= 1:
        raise InputError(f"--max-failures is a share from 0 to 1, not {options.max_failures:g}")
    outcome = prepare(
        options.inputs,
        options.output,
        stages=make_stages(**{name: getattr(options, name) for name in _STAGE_OPTIONS}),
        workers=options.workers,
        ray=options.ray,
        seed=options.seed,
        validation=options.validation,
        test=options.test,
        patience=options.timeout,
    )
    for line in outcome.lines:
        complain(line)
    if outcome.num_new == 0:
        complain("nothing to do: all videos had been prepared before")
    failed = f"{outcome.num_failed} of {outcome.num_given} videos failed"
    if outcome.num_failed > options.max_failures * outcome.num_given:
        complain(f"error: {failed}, more than --max-failures {options.max_failures:g} allows")
        return FAILED
    if not outcome.report["clips"]:
        complain("error: not a single clip came of this")
        return FAILED
    print(options.output)
    return 0
