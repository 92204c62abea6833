"""The command line of train_stage1.py and train_stage2.py, and what they say when something goes wrong."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from musedance.errors import InputError
from musedance.failures import FAILED, complain, explain, is_out_of_memory, one_line_warnings
from musedance.training.config import TrainingConfig
from musedance.training.config_file import find_config, load_config

Config = TypeVar("Config", bound=TrainingConfig)


def run_script(
    train: Callable[[Config, str | None], None],
    schema: type[Config],
    *,
    config: str,
    description: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Read the config, train, and answer with an exit code; every error is one line on stderr.

    Args:
        train: called with the config and what to resume from.
        schema: of the config.
        config: name of the file in `configs/` that holds unless `--config` says otherwise.
        description: the script's docstring.
        arguments: instead of the command line's.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"default: configs/{config}")
    parser.add_argument("--resume", metavar="WHERE", help="latest, or the folder of a checkpoint")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="instead of the file's, e.g. optim.lr=1e-5")
    options = parser.parse_intermixed_args(arguments)
    where = f"rank {os.environ['RANK']}: " if int(os.environ.get("WORLD_SIZE", "1")) > 1 else ""
    with one_line_warnings():
        try:
            loaded = load_config(schema, options.config or find_config(config), options.overrides)
        except InputError as error:
            return explain(error, where)
        try:
            _hide_loading_bars()
            train(loaded, options.resume)
        except KeyboardInterrupt:
            complain(f"{where}interrupted: go on from the last checkpoint with --resume latest")
            return 130
        except Exception as error:
            return _explain(error, loaded, where)
    return 0


def _hide_loading_bars() -> None:
    """transformers draws one for every component that it loads, which takes milliseconds."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _explain(error: Exception, config: TrainingConfig, where: str) -> int:
    from musedance.training.health import TrainingStopped
    from musedance.training.memory import advice

    if is_out_of_memory(error):
        complain(f"error: {where}out of memory; {advice(config)}")
        return FAILED
    if isinstance(error, TrainingStopped):
        complain(f"error: {where}{error}")
        return FAILED
    return explain(error, where)
