"""The command line: `musedance infer`, `init` and `assemble`.

Nothing heavy is imported before a command runs, so that `musedance --help` answers at once.

Exit codes: 0 done, 2 bad input (one line on stderr says what), 1 anything else.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, NoReturn

from musedance import __version__
from musedance.errors import InputError
from musedance.failures import FAILED, complain, explain, one_line_warnings
from musedance.inference.job import Job

DEFAULTS = {field.name: field.default for field in fields(Job)}


class _Parser(argparse.ArgumentParser):
    """Reports a wrong option as everything else that is wrong with what the user gave: in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line if not given.

    Returns:
        The exit code.
    """
    try:
        options = build_parser().parse_args(arguments)
        if options.traceback:
            os.environ["MUSEDANCE_TRACEBACK"] = "1"
        with one_line_warnings(), _end_signals_interrupt():
            return options.command(options)
    except KeyboardInterrupt as error:
        complain(str(error) or "interrupted, nothing written")
        return FAILED
    except Exception as error:
        return explain(error)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; a parsed `command` is the function to call with the options."""
    parser = _Parser(
        prog="musedance",
        description="One picture, one track and one sentence become a dancing video with sound.",
        epilog="exit codes: 0 done, 2 bad input, 1 anything else",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"musedance {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(command=command)
        sub.add_argument("--traceback", action="store_true", help="show where an error comes from")
        return sub

    _add_infer_options(add("infer", _infer, "make a dancing video"))
    _add_init_options(add("init", _init, "make a model folder with random weights"))
    _add_assemble_options(
        add("assemble", _assemble, "make a model folder from Stable Diffusion 1.5, AnimateDiff and AST")
    )
    return parser


def _add_infer_options(parser: argparse.ArgumentParser) -> None:
    # Options of a job are absent unless given, so that a --jobs file and Job know what to fill in.
    job = parser.add_argument_group("the video (also the keys of a --jobs line, with underscores)")

    def add(option: str, text: str, **kwargs: Any) -> None:
        default = DEFAULTS[option.removeprefix("--").replace("-", "_")]
        shown = (
            f" (default: {default})" if isinstance(default, str | int | float) and default not in ("", False) else ""
        )
        job.add_argument(option, help=text + shown, default=argparse.SUPPRESS, **kwargs)

    add("--image", "picture of who or what dances", metavar="FILE")
    add("--music", "sound file, or a video with sound", metavar="FILE")
    add("--prompt", "how it moves", metavar="TEXT")
    add("--negative-prompt", "what to keep away from (default: nothing)", metavar="TEXT")
    add("--output", "video to write (default: IMAGE_MUSIC.mp4 in the current folder)", metavar="FILE.mp4")
    add("--duration", "length in seconds (default: one segment of the model)", type=float, metavar="S")
    add("--start", "where in the music the video begins, in seconds", type=float, metavar="S")
    add("--fps", "frames per second, 1 to 120 (default: the model's)", type=float, metavar="N")
    add(
        "--size",
        "side or width x height in pixels, multiples of 8 up to 2048 (default: the picture's own shape, "
        "with as many pixels as the model was made for)",
        metavar="WxH",
    )
    add(
        "--fit",
        "a picture of another shape than --size: letterbox shows it whole, crop fills the canvas",
        metavar="HOW",
    )
    add("--steps", "denoising steps per segment, 1 to 1000", type=int, metavar="N")
    add("--guidance", "how closely to follow picture, text and music; 1 is off", type=float, metavar="X")
    add("--music-guidance", "a scale of its own for the music (default: as --guidance)", type=float, metavar="X")
    add("--seed", "0 to 2^63 - 1 (default: a new one each time, noted in the .json)", type=int, metavar="N")
    add("--densepose", "DensePose mask of the picture (default: none)", metavar="FILE")
    add("--bpm", "tempo of the music, 30 to 300 beats a minute (default: estimated)", type=float, metavar="N")
    add("--preview", "also write a contact sheet, .png, with the beats marked", action="store_true")

    run = parser.add_argument_group("the run")
    run.add_argument("--model", metavar="FOLDER", help="model folder (default: the built-in tiny one)")
    run.add_argument("--jobs", metavar="FILE", help="make many videos: a JSON object with the options above a line")
    run.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    run.add_argument(
        "--dtype",
        default="auto",
        help="auto, float32, bfloat16 or float16 (default: %(default)s, bfloat16 where the hardware has it)",
    )
    run.add_argument("--attention", default="sdpa", help="sdpa or xformers (CUDA only) (default: %(default)s)")
    run.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _add_init_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="folder to make")
    parser.add_argument("--size", default="tiny", help="tiny (128 px) or sd15 (640 px) (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="0 to 2^63 - 1 (default: %(default)s)")
    _add_weights_dtype(parser)


def _add_assemble_options(parser: argparse.ArgumentParser) -> None:
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
    _add_weights_dtype(parser)


def _add_weights_dtype(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (default: %(default)s)")


def _infer(options: argparse.Namespace) -> int:
    given = {name: value for name, value in vars(options).items() if name in DEFAULTS}
    run = {name: getattr(options, name) for name in ("model", "device", "dtype", "attention", "overwrite")}
    if options.jobs is not None:
        from musedance.inference.job_file import run_jobs
        from musedance.inference.studio import Settings

        return run_jobs(options.jobs, given, Settings(**run))

    job = Job.from_options(given)  # before the imports, which take seconds
    from musedance.inference.studio import Settings, Studio

    studio = Studio(Settings(**run))
    print(studio.make(job, studio.check(job)))
    return 0


def _init(options: argparse.Namespace) -> int:
    from musedance.weights.init import init_folder

    print(init_folder(options.folder, size=options.size, seed=options.seed, dtype=options.dtype))
    return 0


def _assemble(options: argparse.Namespace) -> int:
    from musedance.weights.assemble import assemble

    arguments = {name: value for name, value in vars(options).items() if name not in ("command", "traceback")}
    print(assemble(**arguments))
    return 0


@contextmanager
def _end_signals_interrupt() -> Iterator[None]:
    """Within, being told to end (SIGTERM, a closed terminal) is an interrupt too, so that files are tidied up."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()  # only that may set handlers
    found = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    mine = [number for number in found if in_main and signal.getsignal(number) == signal.SIG_DFL]  # nohup ignores them
    for number in mine:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
