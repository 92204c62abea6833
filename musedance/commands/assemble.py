"""`musedance assemble`."""

import argparse

from musedance.commands.weights_options import add_weights_dtype

HELP = "make a model folder from Stable Diffusion 1.5, AnimateDiff and AST"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    sources = parser.add_argument_group("sources (folders, Hugging Face hub ids, or files)")
    sources.add_argument(
        "--sd", required=True, metavar="SOURCE", help="Stable Diffusion 1.5: folder, hub id, .safetensors or .ckpt"
    )
    sources.add_argument(
        "--motion", required=True, metavar="SOURCE", help="AnimateDiff: MotionAdapter folder, hub id, or original file"
    )
    sources.add_argument(
        "--ast", required=True, metavar="SOURCE", help="Audio Spectrogram Transformer: folder or hub id"
    )
    sources.add_argument(
        "--tokenizer",
        default=argparse.SUPPRESS,
        metavar="SOURCE",
        help="CLIP's tokenizer, for a single-file --sd (default: openai/clip-vit-large-patch14)",
    )
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder to make")
    parser.add_argument("--num-frames", type=int, default=48, help="frames of a segment (default: %(default)s)")
    parser.add_argument(
        "--motion-frames", type=int, default=2, help="frames the next segment sees of the last (default: %(default)s)"
    )
    parser.add_argument("--fps", type=int, default=12, help="frames per second (default: %(default)s)")
    parser.add_argument("--size", type=int, default=640, help="side in pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the new modules' weights (default: %(default)s)")
    add_weights_dtype(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    from musedance.weights.assemble import assemble

    arguments = {name: value for name, value in vars(options).items() if name not in ("command", "traceback")}
    print(assemble(**arguments))
    return 0
