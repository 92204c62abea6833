"""`musedance evaluate`."""

import argparse

from musedance.commands.evaluation_options import (
    add_metric_options,
    add_model_options,
    add_sampling_options,
    add_test_options,
    sampling_of,
    scoring_of,
    settings_of,
    test_set_of,
)
from musedance.commands.puppets import parse_size
from musedance.errors import InputError

HELP = "generate a test set with a model and score it, or score videos that any system made"
OF_MODEL, OF_VIDEOS = ("data", "clips", "num_frames", "reference_from"), ("reference", "size", "segment_frames", "name")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    parser.add_argument("--output", metavar="FOLDER", required=True, help="report to write; one begun is finished")
    model = add_model_options(parser)
    add_test_options(model)
    add_sampling_options(parser)
    videos = parser.add_argument_group("to score videos instead")
    videos.add_argument("--videos", metavar="FOLDER", help="videos to score")
    videos.add_argument(
        "--reference", metavar="FOLDER", help="true videos of the same names, or a dataset whose clips have these ids"
    )
    videos.add_argument("--size", metavar="WxH", help="bring all videos to this size, cropped around the centre")
    videos.add_argument("--segment-frames", type=int, metavar="K", help="frames after which a new segment begins")
    videos.add_argument("--name", help="what to call these videos (default: the folder's name)")
    add_metric_options(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    of_videos = options.videos is not None
    if of_videos == (options.data is not None):
        raise InputError("give either --data, and a --model to test on it, or --videos with --reference")
    given = [name for name in (OF_MODEL if of_videos else OF_VIDEOS) if getattr(options, name) is not None]
    given += ["model"] if of_videos and options.model is not None else []
    if given:
        raise InputError(f"--{given[0].replace('_', '-')} does not go with {'--videos' if of_videos else '--data'}")
    if of_videos and options.reference is None:
        raise InputError("--videos needs --reference: true videos of the same names, or a dataset")
    size = None if options.size is None else parse_size(options.size)[::-1]

    from musedance.evaluation.evaluate import evaluate_model, evaluate_videos

    scoring = scoring_of(options)
    if of_videos:
        page = evaluate_videos(
            options.videos,
            options.reference,
            options.output,
            scoring,
            split=options.split,
            size=size,
            name=options.name,
        )
    else:
        page = evaluate_model(settings_of(options), test_set_of(options), options.output, sampling_of(options), scoring)
    print(page)
    return 0
