"""Options that `init` and `assemble` share."""

import argparse


def add_weights_dtype(parser: argparse.ArgumentParser) -> None:
    """`--dtype`, of the weights in the folder."""
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (default: %(default)s)")
