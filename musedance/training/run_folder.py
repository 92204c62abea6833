"""The folder of a run: new, or gone on with."""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from accelerate import Accelerator

import musedance
from musedance.errors import InputError
from musedance.training.checkpoint import CONFIG, STATE, latest_checkpoint, read_state
from musedance.training.config import TrainingConfig
from musedance.training.config_file import check_resumable, config_yaml, load_config

LATEST = "latest"
CHECKPOINTS, MODEL = "checkpoints", "model"  # in the folder of a run
PACKAGES = ("torch", "diffusers", "transformers", "accelerate")


def find_checkpoint(config: TrainingConfig, resume: str | None) -> Path | None:
    """What the run goes on from; nothing is written.

    Args:
        config: the run's.
        resume: `None` = a new run; "latest" = the newest checkpoint in the run's folder, from the start if there is
            none yet, so that a job that is started again and again can always say it; or a checkpoint.

    Returns:
        The checkpoint, or `None`.

    Raises:
        InputError: the folder is in use, there is no such checkpoint, or it is of a run with another config.
    """
    folder = Path(config.output)
    used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if resume is None:
        if used:
            raise InputError(f"{folder} exists already: go on with --resume latest, or choose another output")
        return None
    if used and not (folder / CONFIG).is_file():
        raise InputError(f"{folder} is not the folder of a run: choose another output")
    checkpoint = latest_checkpoint(folder / CHECKPOINTS) if resume == LATEST else Path(resume)
    if checkpoint is None:
        return None
    if not (checkpoint / STATE).is_file():
        example = folder / CHECKPOINTS / "step-00001000"
        raise InputError(f"{checkpoint} is no checkpoint: --resume takes latest or a folder such as {example}")
    newest = latest_checkpoint(folder / CHECKPOINTS)
    if newest is not None and read_state(newest).step > read_state(checkpoint).step:
        raise InputError(
            f"{newest} is newer than {checkpoint}, and would be taken for this run's own: "
            "choose another output to branch off, or remove what is newer"
        )
    check_resumable(load_config(type(config), checkpoint / CONFIG, []), config)
    return checkpoint


def write_run(config: TrainingConfig, accelerator: Accelerator) -> None:
    """The full config as `config.yaml`, the versions of the code and its packages as `run.json`; every rank calls this.

    Raises:
        InputError: they cannot be written.
    """
    folder = Path(config.output)
    accelerator.wait_for_everyone()  # all ranks have looked for a checkpoint before anything is there
    if accelerator.is_main_process:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CONFIG).write_text(config_yaml(config), encoding="utf-8")
            (folder / "run.json").write_text(json.dumps(describe_code(accelerator), indent=1), encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error}") from error
    accelerator.wait_for_everyone()


def describe_code(accelerator: Accelerator) -> dict[str, str | int]:
    """Versions of everything that decides the numbers, and on how many processes they are computed."""
    return {
        "musedance": musedance.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "device": accelerator.device.type,
        "processes": accelerator.num_processes,
        "parallelism": str(accelerator.distributed_type.value),
    }


def _commit() -> str:
    """The checkout's commit, with "+" if files were changed; empty for an installed package."""
    here = Path(musedance.__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    tracked = described.returncode == 0 and (here.parent / ".git").exists()  # not of a project that we are installed in
    return described.stdout.strip() if tracked else ""
