"""`musedance stress`."""

import argparse

from musedance.commands.evaluation_options import (
    add_metric_options,
    add_model_options,
    add_sampling_options,
    sampling_of,
    scoring_of,
    settings_of,
)
from musedance.errors import InputError

HELP = "test a model where it may fail: unusual subjects, long videos, many genres"
QUESTIONS = {
    "subjects": ("subjects of many kinds, music of many genres: do they stay themselves, and do they dance?", 4.0),
    "length": ("long videos: what drifts, and what is seen of the seams?", 12.0),
    "genres": ("genres, with the beat modules and without: what do they add?", 4.0),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    questions = parser.add_subparsers(title="questions", required=True, metavar="QUESTION", dest="question")
    for name, (text, seconds) in QUESTIONS.items():
        question = questions.add_parser(name, help=text, description=text, allow_abbrev=False)
        question.add_argument(
            "--output", metavar="FOLDER", required=True, help="report to write; one begun is finished"
        )
        question.add_argument(
            "--seconds", type=float, default=seconds, metavar="S", help="length of the videos (default: %(default)g)"
        )
        model = add_model_options(question)
        if name == "genres":
            model.add_argument(
                "--without",
                metavar="FOLDER",
                help="a model trained without beat modules (default: the same model with them knocked out)",
            )
        _add_material(question)
        add_sampling_options(question)
        add_metric_options(question)


def _add_material(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the videos are made of")
    group.add_argument(
        "--images", nargs="+", default=(), metavar="PATH", help="pictures or folders; a folder's name is the kind"
    )
    group.add_argument(
        "--music", nargs="+", default=(), metavar="PATH", help="tracks or folders; a folder's name is the genre"
    )
    group.add_argument("--prompt", default="", metavar="TEXT", help="how all of them move")
    group.add_argument("--data", metavar="DATASET", help="the clips of a dataset instead")
    group.add_argument("--split", default="test", help="of the dataset (default: %(default)s)")
    group.add_argument("--clips", type=int, metavar="N", help="only so many, spread over the sources (default: all)")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    if (options.data is None) == (not options.images):
        raise InputError("give either --images, --music and --prompt, or --data")
    from pathlib import Path

    from musedance.evaluation.settings import TestSet
    from musedance.evaluation.stress import Material, Stress, stress_genres, stress_length, stress_subjects

    test = None if options.data is None else TestSet(options.data, options.split, options.clips)
    stress = Stress(
        settings_of(options),
        Material(tuple(options.images), tuple(options.music), options.prompt, test),
        options.seconds,
        sampling_of(options),
        scoring_of(options),
        Path(options.output),
    )
    if options.question == "genres":
        page = stress_genres(stress, options.without)
    else:
        page = {"subjects": stress_subjects, "length": stress_length}[options.question](stress)
    print(page)
    return 0
