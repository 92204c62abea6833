"""The rows of a run: closed forms, the same digits after a resume, real TensorBoard files, two real processes."""

import gc
import io
import json
import math
import os
import random
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

import musedance.training.log
from musedance.errors import InputError
from musedance.training.config import LogConfig
from musedance.training.log import METRICS, TrainingLog, read_rows
from musedance.training.objective import Losses

SPEED = {"samples_per_s", "step_s", "data_wait_share", "peak_memory_gib"}  # of the machine, not of the run


def losses(weighted: float, per_sample: list[float] | None = None, timesteps: list[int] | None = None) -> Losses:
    errors = [weighted] if per_sample is None else per_sample
    return Losses(
        torch.tensor(weighted, requires_grad=True),
        torch.tensor(errors, dtype=torch.float32),
        torch.tensor([500] * len(errors) if timesteps is None else timesteps),
    )


def make_log(folder: Path, step: int = 0, steps: int = 100, accelerator: Accelerator | None = None) -> TrainingLog:
    return TrainingLog(accelerator or Accelerator(cpu=True), folder, LogConfig(every=5), step=step, steps=steps)


def add(log: TrainingLog, step: int, norm: float | None = 1.0, wait: float = 0.0, skipped: bool = False) -> None:
    log.add_step(step, grad_norm=norm, lr=1e-4 / step, data_wait=wait, skipped=skipped)


def strict(path: Path) -> list[dict[str, float | None]]:
    """The rows, for a reader that knows JSON only: no NaN, no Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_a_row(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    log.add_pass(losses(0.5, [1.0, 2.0], [0, 199]))
    log.add_pass(losses(0.25, [4.0, 8.0], [200, 999]))
    add(log, 1, norm=3.0)
    log.add_pass(losses(0.75, [6.0], [399]))
    add(log, 2, norm=None, skipped=True)
    log.add_pass(losses(0.5, [16.0], [998]))
    add(log, 3, norm=5.0)
    row = log.write(3)
    got = {name: value for name, value in row.items() if name not in SPEED}
    assert got == {
        "step": 3,
        "loss": 0.5,
        "loss_t/000-199": 1.5,
        "loss_t/200-399": 5.0,
        "loss_t/800-999": 12.0,
        "grad_norm": 4.0,
        "grad_norm_max": 5.0,
        "lr": 1e-4 / 3,
        "skipped": 1,
    }
    assert strict(tmp_path / METRICS) == [row]
    assert 0.01 < row["peak_memory_gib"] < 1000  # torch alone takes more than 10 MiB

    log.add_pass(losses(7.0))
    add(log, 4)
    assert log.write(4)["loss"] == 7.0  # nothing is left of the row before


def test_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that goes when told: what happens in between, as a validation does, is not training time."""
    now = [100.0]
    monkeypatch.setattr(musedance.training.log.time, "perf_counter", lambda: now[0])
    log = make_log(tmp_path)
    for step in (1, 2):
        now[0] += 4.0
        log.add_pass(losses(1.0, [1.0, 1.0, 1.0]))
        add(log, step, wait=1.0)
        with log.paused():
            now[0] += 1000.0
    row = log.write(2)
    assert (row["step_s"], row["samples_per_s"], row["data_wait_share"]) == (4.0, 6 / 8, 2 / 8)


def test_a_row_is_due(tmp_path: Path) -> None:
    log = make_log(tmp_path, steps=12)
    assert [step for step in range(1, 13) if log.due(step)] == [5, 10, 12]


def test_nothing_since_the_last_row(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    assert log.write(0) == {} and strict(tmp_path / METRICS) == []
    add(log, 1, norm=None, skipped=True)
    row = log.write(1)
    assert not any(name.startswith(("loss", "grad")) for name in row) and row["skipped"] == 1
    assert log.write(1) == {} and len(strict(tmp_path / METRICS)) == 1


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    log.add_pass(losses(math.nan, [math.inf, 1.0], [100, 300]))
    add(log, 1, norm=math.inf)
    row = log.write(1)
    assert math.isnan(row["loss"]) and row["grad_norm"] == math.inf
    (written,) = strict(tmp_path / METRICS)
    assert [written[name] for name in ("loss", "loss_t/000-199", "loss_t/200-399", "grad_norm")] == [
        None,
        None,
        1,
        None,
    ]


def test_a_pass_waits_for_nothing(tmp_path: Path) -> None:
    """Tensors without content: to look at one raises, as it would wait on a GPU."""
    log = make_log(tmp_path)
    empty = torch.empty(2, device="meta")
    with pytest.raises(RuntimeError):
        empty.sum().item()
    log.add_pass(Losses(empty.sum(), empty, empty.long()))
    add(log, 1)


def test_a_pass_keeps_no_graph(tmp_path: Path) -> None:
    class Mark:
        pass

    class Identity(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, mark):
            ctx.mark = mark
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient, None

    mark = Mark()
    alive, log = weakref.ref(mark), make_log(tmp_path)
    log.add_pass(Losses(Identity.apply(torch.ones((), requires_grad=True), mark), torch.ones(1), torch.zeros(1).long()))
    del mark
    gc.collect()
    assert alive() is None


# Going on with a run


def train(log: TrainingLog, start: int, end: int) -> None:
    """The same losses at the same step, whatever happened before; two passes a step."""
    for step in range(start + 1, end + 1):
        chance = random.Random(step)
        for _ in range(2):
            errors = [chance.lognormvariate(0, 2) for _ in range(3)]
            log.add_pass(losses(chance.random(), errors, [chance.randrange(1000) for _ in range(3)]))
        add(log, step, norm=chance.random(), skipped=chance.random() < 0.2)
        if log.due(step):
            log.write(step)


def numbers(path: Path) -> list[dict[str, float | None]]:
    return [{name: value for name, value in row.items() if name not in SPEED} for row in strict(path)]


@pytest.mark.parametrize("saved", range(1, 17))
def test_a_resumed_run_reads_as_an_unbroken_one(tmp_path: Path, saved: int) -> None:
    """Digit for digit, wherever the checkpoint was, though the run went on for some steps and died while writing."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    train(make_log(whole, steps=17), 0, 17)

    log = make_log(broken, steps=17)
    train(log, 0, saved)
    state = json.dumps(log.state_dict())
    train(log, saved, min(saved + 6, 17))
    with (broken / METRICS).open("a") as file:
        file.write('{"step": 12, "lo')
    resumed = make_log(broken, step=saved, steps=17)
    assert [row["step"] for row in strict(broken / METRICS)] == [step for step in (5, 10, 15) if step <= saved]
    resumed.load_state_dict(json.loads(state))
    train(resumed, saved, 17)
    assert numbers(broken / METRICS) == numbers(whole / METRICS)
    assert [row["step"] for row in numbers(whole / METRICS)] == [5, 10, 15, 17]


def test_time_does_not_count_from_before_a_resume(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    train(log, 0, 4)
    resumed = make_log(tmp_path, step=4)
    resumed.load_state_dict(log.state_dict())
    assert resumed.write(4) == {}
    resumed.add_pass(losses(1.0))
    add(resumed, 5)
    row = resumed.write(5)
    assert row["samples_per_s"] * row["step_s"] == pytest.approx(1)  # one step here, of one sample


def test_a_state_of_two_ranks_on_one(tmp_path: Path) -> None:
    ranks = []
    for value, timestep in ((1.0, 0), (3.0, 0), (5.0, 999)):
        log = make_log(tmp_path)
        log.add_pass(losses(value, [value], [timestep]))
        add(log, 1, norm=2.0, skipped=True)
        ranks += log.state_dict()["ranks"]
    log = make_log(tmp_path, step=1)
    log.load_state_dict({"ranks": ranks})
    log.add_pass(losses(7.0, [7.0], [999]))
    add(log, 2, norm=4.0)
    row = log.write(2)
    assert (row["loss"], row["loss_t/000-199"], row["loss_t/800-999"]) == (4.0, 2.0, 6.0)
    assert (row["grad_norm"], row["skipped"]) == (3.0, 1)


def test_a_new_run_starts_a_new_file(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 5, "loss": 1.0}\n')
    make_log(tmp_path)
    assert (tmp_path / METRICS).read_text() == ""
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]


def test_a_spoilt_file_is_named(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 5}\n{"st\n{"step": 10}\n')
    with pytest.raises(InputError, match=r"line 2 of .*metrics\.jsonl is no row") as caught:
        make_log(tmp_path, step=10)
    assert "\n" not in str(caught.value)
    assert len((tmp_path / METRICS).read_text().splitlines()) == 3


def test_a_cut_last_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 5}\n{"st')
    assert read_rows(tmp_path / METRICS) == [{"step": 5}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    (tmp_path / METRICS).unlink()
    (tmp_path / METRICS).symlink_to("/dev/full")
    add(log, 1)
    with pytest.raises(InputError, match=r"cannot write .*metrics\.jsonl: No space left"):
        log.write(1)


# What a user sees


def test_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    log = make_log(tmp_path, step=40, steps=100)
    log.add_pass(losses(0.125))
    add(log, 41)
    log.write(41)
    log.close()
    shown = sys.stderr.getvalue()
    assert "41/100" in shown and "loss=0.125" in shown and "samples/s=" in shown and "musedance:" not in shown


def test_without_a_terminal_there_is_a_line_now_and_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(musedance.training.log.time, "perf_counter", lambda: now[0])
    log = make_log(tmp_path, steps=100)
    for step in range(1, 21):
        now[0] += 7.0
        log.add_pass(losses(0.125, [1.0, 1.0]))
        add(log, step)
        log.write(step)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "musedance: step 1 of 100: loss 0.125, lr 0.0001, samples/s 0.286, 11:33 left"
    assert [line.split()[2] for line in lines] == ["1", "10", "19"]


# Two processes

RANKS = """
import json, sys
from pathlib import Path
import torch
from accelerate import Accelerator
from musedance.training.config import LogConfig
from musedance.training.health import gather_ids
from musedance.training.log import TrainingLog
from musedance.training.objective import Losses

folder, accelerator = Path(sys.argv[1]), Accelerator(cpu=True)
rank = accelerator.process_index

def train(log, steps):
    for step in steps:
        losses = [[1.0, 2.0], [3.0, 6.0]][rank]
        timesteps = [[0, 500], [100, 999]][rank]
        log.add_pass(Losses(torch.tensor(rank + 0.5), torch.tensor(losses), torch.tensor(timesteps)))
        log.add_step(step, grad_norm=2.0, lr=0.1, data_wait=0.0, skipped=False)

log = TrainingLog(accelerator, folder, LogConfig(), step=0, steps=4)
train(log, [1, 2])
row = log.write(2)
train(log, [3])
state = json.loads(json.dumps(log.state_dict()))
log = TrainingLog(accelerator, folder, LogConfig(), step=3, steps=4)
log.load_state_dict(state)
train(log, [4])
result = {"row": row, "state": state, "resumed": log.write(4)}
result["ids"] = gather_ids(accelerator, [["a"], ["b", "c"]][rank])
(folder / f"rank-{rank}.json").write_text(json.dumps(result))
accelerator.end_training()
"""


def test_two_ranks(tmp_path: Path) -> None:
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    expected = {"loss": 1.0, "loss_t/000-199": 2.0, "loss_t/400-599": 2.0, "loss_t/800-999": 6.0, "grad_norm": 2.0}
    for row in first["row"], first["resumed"]:
        assert {name: row[name] for name in expected} == expected
        assert "loss_t/200-399" not in row
    speed = first["row"]["samples_per_s"] * first["row"]["step_s"]
    assert speed == pytest.approx(4)  # a step is two samples on each of two ranks
    assert [rank["passes"] for rank in first["state"]["ranks"]] == [1, 1]
    assert strict(tmp_path / METRICS) == [first["row"], first["resumed"]]  # written once
    assert first["ids"] == ["a (rank 0)", "b (rank 1)", "c (rank 1)"]
