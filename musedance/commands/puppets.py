"""`musedance puppets`."""

import argparse
import re

from musedance.errors import InputError

HELP = "make a dataset of drawn dancers with their music, in which everything is known exactly"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    parser.add_argument("output", metavar="OUTPUT", help="dataset folder to make")
    parser.add_argument("--clips", type=int, required=True, metavar="N", help="how many clips; four come from a source")
    parser.add_argument("--seed", type=int, default=0, help="0 to 2^63 - 1 (default: %(default)s)")
    parser.add_argument(
        "--size", default="128", metavar="WxH", help="side or width x height, pixels, multiples of 8 (default: 128)"
    )
    parser.add_argument("--fps", type=float, default=12.0, metavar="N", help="frames per second (default: 12)")
    parser.add_argument("--frames", type=int, default=50, metavar="N", help="of a clip (default: %(default)s)")
    parser.add_argument(
        "--moves-per-clip", type=int, default=2, metavar="N", help="moves that a clip shows (default: %(default)s)"
    )
    parser.add_argument("--kinds", metavar="A,B", help="who dances, such as person,cat (default: all)")
    parser.add_argument(
        "--backgrounds", metavar="A,B", help="what is behind them, such as backdrop,room (default: all)"
    )
    parser.add_argument("--moves", metavar="A,B", help="what is danced, such as jump,bow (default: all)")
    parser.add_argument("--genres", metavar="A,B", help="what is played, such as waltz,latin (default: all)")
    parser.add_argument("--bpm", metavar="LOW-HIGH", help="tempi, in any genre (default: what is usual in each)")
    parser.add_argument("--portraits", action="store_true", help="add one of each dancer, for reference pictures")
    parser.add_argument("--split", metavar="NAME", help="train, validation or test, for all clips (default: 18:1:1)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    width, height = parse_size(options.size)

    from musedance.puppets.performance import World
    from musedance.puppets.world import write_puppets

    world = World(
        seed=options.seed,
        width=width,
        height=height,
        fps=options.fps,
        num_frames=options.frames,
        moves_per_clip=options.moves_per_clip,
        kinds=_names(options.kinds),
        backgrounds=_names(options.backgrounds),
        moves=_names(options.moves),
        genres=_names(options.genres),
        bpm=None if options.bpm is None else _parse_range(options.bpm),
        portraits=options.portraits,
    )
    print(write_puppets(options.output, world, clips=options.clips, split=options.split, workers=options.workers))
    return 0


def parse_size(size: str) -> tuple[int, int]:
    """`"128"` or `"192x128"` to (width, height) in pixels."""
    match = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", size)
    if match is None:
        raise InputError(f"size has to be like 128 or 192x128 (width x height, pixels), not {size!r}")
    return int(match[1]), int(match[2] or match[1])


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))


def _parse_range(text: str) -> tuple[float, float]:
    """`"80-140"` or `"120"` to (lowest, highest)."""
    number = r"([0-9]{1,4}(?:\.[0-9]{1,4})?)"
    match = re.fullmatch(f"{number}(?:-{number})?", text)
    if match is None:
        raise InputError(f"--bpm has to be like 120 or 80-140, not {text!r}")
    return float(match[1]), float(match[2] or match[1])
