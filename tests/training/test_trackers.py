"""Trackers: TensorBoard for real, the others by name."""

import time
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import ProjectConfiguration
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import musedance.training.trackers
from musedance.errors import InputError
from musedance.training.config import LogConfig, Stage2Config
from musedance.training.log import METRICS, TrainingLog, read_rows
from musedance.training.objective import Losses
from musedance.training.trackers import check_trackers, init_trackers


def train(log: TrainingLog, steps: Iterable[int], loss: float) -> None:
    for step in steps:
        log.add_pass(Losses(torch.tensor(loss), torch.tensor([loss]), torch.tensor([500])))
        log.add_step(step, grad_norm=1.0, lr=1e-4, data_wait=0.0, skipped=False)
        if log.due(step):
            log.write(step)


def tracked(folder: Path, step: int) -> tuple[Accelerator, TrainingLog]:
    project = ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / "tensorboard"))
    accelerator = Accelerator(cpu=True, log_with=["tensorboard"], project_config=project)
    config = Stage2Config(model="M", output=str(folder))
    config.data.root = "D"
    init_trackers(accelerator, config, step=step)
    return accelerator, TrainingLog(accelerator, folder, LogConfig(every=5), step=step, steps=100)


def test_tensorboard_shows_a_resumed_run_as_one_curve(tmp_path: Path) -> None:
    accelerator, log = tracked(tmp_path, 0)
    train(log, range(1, 18), loss=0.5)  # rows at 5, 10 and 15
    for tracker in accelerator.trackers:
        tracker.finish()
    time.sleep(1.1)  # event files are read by name: the second, then a counter, in which 10 comes before 9
    accelerator, log = tracked(tmp_path, 10)
    train(log, range(11, 21), loss=1000.0)
    for tracker in accelerator.trackers:
        tracker.finish()

    events = EventAccumulator(str(tmp_path / "tensorboard" / "musedance")).Reload()
    curve = {event.step: event.value for event in events.Scalars("loss")}
    assert len(events.Scalars("loss")) == len(curve) == 4  # not a step twice
    assert curve.keys() == {5, 10, 15, 20} and curve[15] == 1000.0 and max(curve[5], curve[10]) < 1
    rows = read_rows(tmp_path / METRICS)
    assert curve == {row["step"]: pytest.approx(row["loss"], rel=1e-6) for row in rows}
    assert set(events.Tags()["scalars"]) == {name for row in rows for name in row if name != "step"}


def test_trackers_know_the_config(tmp_path: Path) -> None:
    tracked(tmp_path, 0)
    tracked(tmp_path, 3)
    (written,) = (tmp_path / "tensorboard").rglob("hparams.yml")  # once for a run
    text = written.read_text()
    assert "optim.lr: 1.0e-05" in text and "data.cache: 'null'" in text and "optim.betas: '[0.9, 0.999]'" in text


def test_trackers_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    check_trackers([])
    check_trackers(["tensorboard"])
    with pytest.raises(InputError, match=r"no tracker is named tensorbord; there are .*tensorboard, .*wandb"):
        check_trackers(["tensorboard", "tensorbord"])
    missing = next(name for name in LOGGER_TYPE_TO_CLASS if name not in get_available_trackers())
    with pytest.raises(InputError, match=f"{missing} is not installed: pip install {missing}, or set log.trackers="):
        check_trackers([missing])
    monkeypatch.setattr(musedance.training.trackers, "get_available_trackers", list)
    with pytest.raises(InputError, match=r'tensorboard is not installed: pip install "musedance\[train\]"'):
        check_trackers(["tensorboard"])
