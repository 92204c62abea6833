"""What users get wrong, and what goes wrong: one line that says what to do, and nothing left behind."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from musedance.training.config import Stage2Config
from musedance.training.script import run_script

ROOT = Path(__file__).resolve().parents[2]


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def refused(call_training, tmp_path, capsys, small_model, puppet_data):
    """Runs a stage and returns its one line of complaint; there must be no output folder."""

    def refused(stage: int, *arguments: str) -> str:
        output = tmp_path / "out" / "run"
        given = [f"model={small_model}", f"data.root={puppet_data}", f"output={output}", "steps=1", *arguments]
        capsys.readouterr()
        assert call_training(stage, *given) == 2
        assert not output.parent.exists()
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("musedance: error: ")]
        return line

    return refused


def test_data_that_cannot_be_used(refused, tmp_path, small_model):
    (tmp_path / "empty").mkdir()
    assert "nowhere" in refused(1, f"data.root={tmp_path / 'nowhere'}")
    assert "empty" in refused(1, f"data.root={tmp_path / 'empty'}")
    assert "fps" in refused(1, "clips.fps=24")
    assert "60 frames" in refused(2, f"model={stage_1_folder(tmp_path, small_model)}", "clips.num_frames=60")


def test_clips_too_short_for_motion_frames(refused, tmp_path, puppet_data, small_model):
    """All have K frames, none K + M: there would be no motion frames at all."""
    model = stage_1_folder(tmp_path, small_model)
    line = refused(2, f"model={model}", "clips.num_frames=50")
    assert "K + M = 50 + 2" in line


def test_stage_2_needs_a_stage_1_result(refused, tmp_path, small_model):
    line = refused(2)
    assert "stage 1" in line and str(small_model) in line
    assert "model_index.json" in refused(2, f"model={tmp_path}")


def test_folders_that_are_in_use(call_training, tmp_path, small_model, puppet_data, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    given = [f"model={small_model}", f"data.root={puppet_data}", f"output={tmp_path}", "steps=1"]
    assert call_training(1, *given) == 2
    assert "--resume latest" in capsys.readouterr().err
    assert call_training(1, *given, "--resume", "latest") == 2
    assert "not the folder of a run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_checkpoint_that_is_none(refused, tmp_path):
    assert "is no checkpoint" in refused(1, "--resume", str(tmp_path / "step-00000007"))


def test_a_start_that_has_changed(call_training, tmp_path, small_model, puppet_data, capsys):
    """The weights that are not trained are read from there."""
    model = shutil.copytree(small_model, tmp_path / "model")
    given = [f"model={model}", f"data.root={puppet_data}", f"output={tmp_path / 'run'}", "validation.every=0"]
    assert call_training(1, *given, "steps=1") == 0
    edit(model / "unet" / "config.json", num_motion_frames=3)
    capsys.readouterr()
    assert call_training(1, *given, "steps=2", "--resume", "latest") == 2
    assert "is not the folder" in capsys.readouterr().err


def test_a_loss_beyond_help(call_training, tmp_path, small_model, puppet_data, capsys):
    """A learning rate that throws the weights away: the clips are named, steps are skipped, the run stops."""
    given = [f"model={small_model}", f"data.root={puppet_data}", f"output={tmp_path / 'run'}", "validation.every=0"]
    assert call_training(1, *given, "steps=50", "optim.lr=1e30", "health.max_skipped=3") == 1
    errors = capsys.readouterr().err
    warned = re.findall(r"musedance: .*(?:nan|inf).*puppet-\d+-\d", errors)
    assert len(warned) >= 3 and "loss is nan on rank 0" in errors
    assert "optim.lr" in errors.splitlines()[-1]
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) < 50 and not (tmp_path / "run" / "model").exists()


def test_out_of_memory_names_what_helps(tmp_path, capsys):
    def train(config: Stage2Config, resume: str | None) -> None:
        torch.empty(2**46)

    given = [f"{key}={tmp_path}" for key in ("model", "output", "data.root")]
    described = {"config": "stage2.yaml", "description": ""}
    assert run_script(train, Stage2Config, arguments=[*given, "batch_size=2"], **described) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "out of memory" in line and "batch_size=1" in line


@pytest.mark.parametrize("stage", [1, 2])
def test_a_config_error_comes_before_anything_is_loaded(stage):
    """The script answers without importing torch."""
    code = "import sys, runpy; sys.argv = sys.argv[1:]\ntry:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    code += "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules)"
    script = str(ROOT / f"train_stage{stage}.py")
    ran = subprocess.run([sys.executable, "-c", code, script, "optim.lr=fast"], text=True, capture_output=True)
    assert ran.stdout.strip() == "2 False"
    assert "optim.lr" in ran.stderr and ran.stderr.count("\n") == 1


def stage_1_folder(tmp_path: Path, model: Path) -> Path:
    folder = shutil.copytree(model, tmp_path / "stage1")
    edit(folder / "model_index.json", stage=1)
    return folder
