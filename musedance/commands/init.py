"""`musedance init`."""

import argparse

from musedance.commands.weights_options import add_weights_dtype

HELP = "make a model folder with random weights"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    parser.add_argument("folder", metavar="FOLDER", help="folder to make")
    parser.add_argument("--size", default="tiny", help="tiny (128 px) or sd15 (640 px) (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="0 to 2^63 - 1 (default: %(default)s)")
    add_weights_dtype(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    from musedance.weights.init import init_folder

    print(init_folder(options.folder, size=options.size, seed=options.seed, dtype=options.dtype))
    return 0
