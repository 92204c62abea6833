"""`musedance ablate`."""

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

HELP = "score trained folders as the paper's ablation, or one folder with its modules knocked out"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    parser.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="trained model folders; a stage 1 folder has no modules"
    )
    parser.add_argument("--output", metavar="FOLDER", required=True, help="report to write; one begun is finished")
    parser.add_argument(
        "--knock-out", action="store_true", help="one folder, its modules left out one by one when videos are made"
    )
    group = add_model_options(parser, with_model=False)
    add_test_options(group, required=True)
    add_sampling_options(parser)
    add_metric_options(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    from musedance.evaluation.ablate import ablate

    page = ablate(
        options.folders,
        settings_of(options),
        test_set_of(options),
        options.output,
        sampling_of(options),
        scoring_of(options),
        knock_out=options.knock_out,
    )
    print(page)
    return 0
