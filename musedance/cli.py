"""The command line: `musedance COMMAND`, of which each has its file in `musedance/commands/`.

Nothing heavy is imported before a command runs, so that `musedance --help` answers at once.

Exit codes: 0 done, 2 bad input (one line on stderr says what), 1 anything else.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

from musedance import __version__
from musedance.errors import InputError
from musedance.failures import FAILED, complain, explain, one_line_warnings

COMMANDS = ("infer", "init", "assemble", "puppets", "prepare", "dataset", "evaluate", "ablate", "stress", "tiny")


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
            code: int = options.command(options)
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # who reads our output has seen enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
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

    for name in COMMANDS:
        command = import_module(f"musedance.commands.{name}")
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        sub.set_defaults(command=command.run)
        sub.add_argument("--traceback", action="store_true", help="show where an error comes from")
        command.add_options(sub)
    return parser


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
