"""The real scripts, on small models and drawn clips: what they write, and that they go on where they were."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from musedance import MuseDancePipeline
from musedance.media.video import probe

TEMPORAL = ("music_modules", "beat_modules", "motion_modules", "music_projection", "beat_embedding")
SPATIAL_FILES = ("reference_net", "mask_encoder", "unet")


def weights(folder: Path, component: str) -> dict:
    return load_file(folder / component / "diffusion_pytorch_model.safetensors")


def is_temporal(name: str) -> bool:
    return any(part in name for part in TEMPORAL)


@pytest.fixture(scope="module")
def two_stages(tmp_path_factory, small_model, puppet_data, run_training):
    """Stage 1 for four steps and stage 2 for four from its result, as separate processes."""
    folder = tmp_path_factory.mktemp("runs")
    few = ["steps=4", "checkpoint.every=2", "validation.every=2", "validation.samples=1", "validation.steps=1"]
    for stage, model in ((1, small_model), (2, folder / "run1" / "model")):
        ran = run_training(
            stage, f"model={model}", f"output={folder / f'run{stage}'}", f"data.root={puppet_data}", *few
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.strip() == str(folder / f"run{stage}" / "model")
    return folder


@pytest.mark.parametrize("stage", [1, 2])
def test_a_run_leaves_everything_that_it_should(two_stages, stage):
    run = two_stages / f"run{stage}"
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == ["step-00000002", "step-00000004"]
    assert [row["step"] for row in rows(run)] == [1, 2, 3, 4]
    assert list((run / "tensorboard").rglob("events.out.tfevents.*"))
    steps = [f"step-{step:08d}{ending}" for step in (2, 4) for ending in ("", ".json", ".png")]
    assert sorted(path.name for path in (run / "validation").iterdir()) == steps
    assert json.loads((run / "run.json").read_text())["torch"]
    assert "lr: 0.001" in (run / "config.yaml").read_text()
    assert (run / "curves.png").is_file()
    pipeline = MuseDancePipeline.from_pretrained(run / "model")
    assert pipeline.config.stage == stage
    assert f"stage {stage}, 4 steps" in pipeline.config.provenance


def test_stage_1_trains_what_is_spatial_and_nothing_else(two_stages, small_model):
    for component in SPATIAL_FILES:
        before, after = weights(small_model, component), weights(two_stages / "run1" / "model", component)
        assert before.keys() == after.keys()
        for name in before:
            moved = not before[name].equal(after[name])
            # A gradient that is zero (the mask encoder's inner layers behind its zero last one) moves nothing.
            assert moved <= (not is_temporal(name)), name
            if component == "unet" and not is_temporal(name):
                assert moved, name


def test_stage_2_moves_not_one_spatial_weight(two_stages):
    first, second = two_stages / "run1" / "model", two_stages / "run2" / "model"
    moved = set()
    for component in SPATIAL_FILES:
        before, after = weights(first, component), weights(second, component)
        assert before.keys() == after.keys()
        moved |= {name for name in before if not before[name].equal(after[name])}
        for name in before:
            if not is_temporal(name):
                assert before[name].equal(after[name]), name
    for part in TEMPORAL:
        assert any(part in name for name in moved), part


def test_the_noise_schedule_is_that_of_training(two_stages):
    for stage in (1, 2):
        model = two_stages / f"run{stage}" / "model"
        schedule = json.loads((model / "model_index.json").read_text())["noise_schedule"]
        scheduler = json.loads((model / "scheduler" / "scheduler_config.json").read_text())
        assert schedule["prediction_type"] == scheduler["prediction_type"] == "v_prediction"
        assert schedule["rescale_betas_zero_snr"] is scheduler["rescale_betas_zero_snr"] is True


def test_the_result_dances(two_stages, example_image, example_track, tmp_path, monkeypatch):
    from musedance.cli import main

    video = tmp_path / "dance.mp4"
    arguments = ["--image", example_image, "--music", example_track, "--prompt", "waves", "--output", video]
    arguments += ["--model", two_stages / "run2" / "model", "--duration", "1", "--steps", "1", "--seed", "0"]
    assert main(["infer", *map(str, arguments)]) == 0
    info = probe(video)
    assert (info.width, info.height, info.has_audio) == (32, 32, True)


def test_more_steps_go_on_from_the_last_checkpoint(two_stages, small_model, puppet_data, call_training, tmp_path):
    """And equal a run that was never broken."""
    common = [f"model={small_model}", f"data.root={puppet_data}", "validation.every=0", "checkpoint.every=2"]
    common += ["optim.schedule=constant_with_warmup", "optim.warmup_steps=2"]  # a schedule that began anew would show
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    assert call_training(1, f"output={broken}", "steps=3", *common) == 0
    assert call_training(1, f"output={broken}", "steps=5", "--resume", "latest", *common) == 0
    assert call_training(1, f"output={whole}", "steps=5", *common) == 0
    assert losses(broken) == losses(whole)
    for component in SPATIAL_FILES:
        resumed, unbroken = weights(broken / "model", component), weights(whole / "model", component)
        assert all(resumed[name].equal(unbroken[name]) for name in unbroken)


def test_an_older_checkpoint_needs_a_folder_of_its_own(
    two_stages, small_model, puppet_data, call_training, tmp_path, capsys
):
    """The newer ones would be taken for those of the branch. With its own number of steps it is only exported."""
    run = two_stages / "run1"
    given = [f"model={small_model}", f"data.root={puppet_data}", "validation.every=0", "steps=2"]
    given += ["--resume", str(run / "checkpoints" / "step-00000002")]
    before = (run / "metrics.jsonl").read_bytes()
    assert call_training(1, *given, f"output={run}") == 2
    assert "step-00000004 is newer" in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before
    assert call_training(1, *given, f"output={tmp_path / 'branch'}") == 0
    pipeline = MuseDancePipeline.from_pretrained(tmp_path / "branch" / "model")
    assert "stage 1, 2 steps" in pipeline.config.provenance


def test_old_checkpoints_go(small_model, puppet_data, call_training, tmp_path):
    options = ["checkpoint.every=1", "checkpoint.total_limit=2", "validation.every=0", "steps=4"]
    assert (
        call_training(1, f"model={small_model}", f"data.root={puppet_data}", f"output={tmp_path / 'run'}", *options)
        == 0
    )
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-00000003", "step-00000004"]


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[tuple]:
    return [(row["step"], row["loss"]) for row in rows(run)]
