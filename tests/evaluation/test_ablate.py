"""`musedance ablate`: folders trained with more and more modules, and one with modules knocked out."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file

from musedance.cli import main
from musedance.evaluation.ablation import Row
from musedance.evaluation.ablation_steps import cumulative_steps, knock_out_steps
from musedance.evaluation.differences import Differences
from musedance.report.results import Result, System, VideoRow
from musedance.training.config import Stage2Config
from musedance.training.script import run_script

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--dtype", "float32", "--steps", "1", "--num-frames", "8", "--clips", "2", "--shown", "0")
SMALL_RUN = ("batch_size=2", "optim.lr=0.01", "memory.precision=no", "memory.gradient_checkpointing=false", "steps=2")
SMALL_RUN += ("data.workers=0", "clips.size=null", "clips.fps=null", "clips.num_frames=null", "validation.every=0")


def ablate(*arguments: str | Path) -> int:
    return main(["ablate", *map(str, arguments)])


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def trained(small_model: Path, puppet_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Stage 1, and what `train_stage2.py` makes of it with music, music and motion, and all modules."""
    root = tmp_path_factory.mktemp("trained")
    start = shutil.copytree(small_model, root / "start")
    index = start / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"stage": 1}))
    spec = importlib.util.spec_from_file_location("train_stage2", ROOT / "train_stage2.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    folders = [start]
    for modules in ("music", "music, motion", "music, motion, beat"):
        AcceleratorState._reset_state(reset_partial_state=True)  # accelerate has one for each process
        output = root / modules.replace(", ", "-")
        told = [*SMALL_RUN, f"model={start}", f"data.root={puppet_data}", f"output={output}", f"modules=[{modules}]"]
        assert run_script(script.train, Stage2Config, config="stage2.yaml", description="", arguments=told) == 0
        folders.append(output / "model")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield folders
    AcceleratorState._reset_state(reset_partial_state=True)


def test_trainings_become_the_papers_table(trained: list[Path], puppet_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "report"
    told = ("--data", puppet_data, *QUICK, "--output", output)
    none, music, both, whole = trained
    assert ablate(both, whole, none, music, *told) == 0
    report = report_of(output)
    (table,) = report["tables"]
    assert "table 3" in table["title"]
    assert [row[:3] for row in table["rows"]] == [["", "", ""], ["✓", "", ""], ["✓", "✓", ""], ["✓", "✓", "✓"]]
    systems = {system["name"]: system for system in report["systems"]}
    names = ["none", "music", "music + motion", "music + motion + beat"]
    assert next(iter(systems)) == names[-1] and set(names) < set(systems)
    for name, row in zip(names, table["rows"], strict=True):
        result = systems[name]["results"]["psnr_disco"]
        shown, n = row[3].partition(" ")[0].rstrip(","), row[3].rpartition(", ")[2]
        assert float(shown) == pytest.approx(result["value"], abs=0.01) and n == "n = 2"
    videos = {name: (output / "videos" / name.replace(" + ", "-")).glob("*.mp4") for name in names}
    content = {name: [path.read_bytes() for path in sorted(paths)] for name, paths in videos.items()}
    assert all(len(made) == 2 for made in content.values())
    assert content["music"] != content["music + motion"] != content[names[-1]]
    assert [sentence.partition(":")[0] for sentence in report["summary"][:3]] == [
        "Training music too",
        "Training motion too",
        "Training beat too",
    ]
    models = report["provenance"]["models"]
    assert models["none"]["stage"] == 1 and models[names[-1]]["without"] == []

    files = sorted(output.glob("videos/*/*.mp4"))
    before = {path: path.stat().st_mtime_ns for path in files}
    files[0].unlink()
    assert ablate(*trained, *told) == 0  # what is there is not made again, whatever order the folders come in
    assert {path for path in files if path.stat().st_mtime_ns != before[path]} == {files[0]}
    assert report_of(output)["tables"] == report["tables"]


def test_modules_are_knocked_out_of_one_model_and_so_named(
    trained: list[Path], puppet_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "report"
    assert ablate(trained[2], "--knock-out", "--data", puppet_data, *QUICK, "--output", output) == 0
    report = report_of(output)
    assert [system["name"] for system in report["systems"][:4]] == [
        "music + motion",
        "without motion",
        "without music",
        "without music, motion",
    ]
    (table,) = report["tables"]
    assert "knocked out" in table["title"] and "knocked out" in report["title"]
    assert [row[:3] for row in table["rows"]] == [["✓", "✓", ""], ["✓", "", ""], ["", "✓", ""], ["", "", ""]]
    assert report["summary"][0].startswith("Without motion: ")
    assert report["provenance"]["models"]["without music"]["without"] == ["beat", "music"]


def test_what_cannot_be_compared_is_said_in_one_line_before_anything_is_made(
    trained: list[Path], small_model: Path, puppet_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    none, music, both, whole = trained
    stranger = shutil.copytree(music, tmp_path / "stranger")
    path = stranger / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    save_file({key: tensor + (key == "conv_in.weight") for key, tensor in tensors.items()}, path)
    for folders, said in (
        ((whole,), "compares two or more"),
        ((music, music), "have the same modules, music"),
        ((stranger, both), "do not come from one stage 1 folder"),
        ((small_model, music), "is of stage 0, not trained"),
        ((music, tmp_path / "nothing"), "nothing does not exist"),
        ((music, both, "--knock-out"), "out of one model, not of 2: give one folder"),
        ((none, "--knock-out"), "no trained modules to knock out: give a folder of stage 2"),
    ):
        output = tmp_path / "report"
        assert ablate(*folders, "--data", puppet_data, *QUICK, "--output", output) == 2, folders
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "musedance: error" in line]
        assert said in line
        assert not output.exists()


def rows_of(**scores: list[float]) -> tuple[VideoRow, ...]:
    """A video a track."""
    return tuple(
        VideoRow(str(place), "", "", {}, {name: values[place] for name, values in scores.items()}, (), {}, [])
        for place in range(len(next(iter(scores.values()))))
    )


def system(name: str, hfd: float, **scores: list[float]) -> System:
    return System(name, "", {"hfd": Result("hfd", hfd, None, 8)}, {}, {}, rows_of(**scores), {})


def test_a_step_says_what_is_better_worse_or_not_shown() -> None:
    base = torch.linspace(0, 1, 8).tolist()
    noise = [0.01 * (-1) ** place for place in range(8)]
    systems = {
        "none": system("none", 30.0, beats_hit=base, lpips_disco=base, psnr_disco=base),
        "music": system(
            "music",
            20.0,
            beats_hit=[value + 0.1 + n for value, n in zip(base, noise, strict=True)],
            lpips_disco=[value + 0.1 + n for value, n in zip(base, noise, strict=True)],
            psnr_disco=[value + n for value, n in zip(base, noise, strict=True)],
        ),
    }
    rows = [Row("none", Path("a"), frozenset()), Row("music", Path("b"), frozenset({"music"}))]
    differences = Differences({str(place): str(place) for place in range(8)})
    (said,) = cumulative_steps(rows, systems, differences)
    assert said.startswith("Training music too: HFD from 30.00 to 20.00, n = 8; beats hit +0.100 [")
    verdicts = [part.rpartition(": ")[2].rstrip(".") for part in said.split("; ")[1:]]
    assert verdicts == ["better", "worse", "no difference is shown"]
    few = Differences({str(place): str(place % 5) for place in range(8)})
    assert cumulative_steps(rows, systems, few)[0].count("too few tracks") == 3
    (said,) = knock_out_steps(rows[::-1], systems, differences)
    assert said.startswith("None: HFD from 20.00 to 30.00, n = 8; beats hit \N{MINUS SIGN}0.100 [")
    assert ": worse; LPIPS" in said
    other = [Row("beat", Path("a"), frozenset({"beat"})), Row("music", Path("b"), frozenset({"music"}))]
    (said,) = cumulative_steps(other, {"beat": systems["none"], "music": systems["music"]}, differences)
    assert said.startswith("Training music rather than beat: ")
