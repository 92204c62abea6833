"""`musedance tiny`."""

import argparse
from pathlib import Path

HELP = "train what the built-in model needs beside the two stages"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP", dest="step")
    base = steps.add_parser("base", help="VAE and encoders, in a folder that train_stage1.py starts from")
    base.add_argument("output", metavar="OUTPUT", help="pipeline folder to make")
    base.add_argument("--data", required=True, metavar="FOLDER", help="dataset made with `musedance puppets`")
    base.add_argument("--config", metavar="FILE", help="settings (default: configs/tiny/base.yaml)")
    base.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Run the step with parsed options; its exit code."""
    from musedance.device import choose_device
    from musedance.tiny.base import load_settings, make_base
    from musedance.training.config_file import find_config

    path = Path(options.config) if options.config else find_config("tiny/base.yaml")
    scores = make_base(options.output, options.data, load_settings(path), choose_device(options.device))
    for name, score in scores.items():
        print(f"{name}: {score:.3f}")
    return 0
