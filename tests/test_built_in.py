"""The model that comes with the package: where it lies, what it weighs, and that it dances as when it was made."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from musedance import BUILT_IN, MuseDancePipeline
from musedance.cli import main
from musedance.weights.check import check_folder

MIB = 2**20
STEPS = 8
STORED = {  # what `statistics` gave when the model was made (torch 2.13.0, two x86 cores)
    "far from the picture": 0.0452,
    "brightness": 0.2824,
    "contrast": 0.1678,
    "motion": 0.0229,
}
TOLERANCE = {"far from the picture": 0.25, "brightness": 0.05, "contrast": 0.15, "motion": 0.3}


def generate(folder: Path, image: Path, track: Path) -> np.ndarray:
    """One segment, (24, 128, 128, 3) in [0, 1]."""
    pipeline = MuseDancePipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    prompt = "a person does jumping jacks"
    video = pipeline(
        image,
        track,
        prompt,
        bpm=120,
        num_inference_steps=STEPS,
        guidance_scale=2.5,
        generator=generator,
        output_type="np",
    )
    return video.frames


def statistics(frames: np.ndarray, image: Path) -> dict[str, float]:
    """What holds on any machine, if not the pixels: all in units of the pixels' range."""
    picture = np.asarray(Image.open(image).convert("RGB").resize(frames.shape[2:0:-1]), float) / 255
    return {
        "far from the picture": float(np.abs(frames - picture).mean()),
        "brightness": float(frames.mean()),
        "contrast": float(frames.std(axis=(1, 2)).mean()),
        "motion": float(np.abs(np.diff(frames, axis=0)).mean()),
    }


def agree(found: dict[str, float]) -> dict[str, bool]:
    return {name: abs(found[name] / value - 1) < TOLERANCE[name] for name, value in STORED.items()}


@pytest.fixture(scope="module")
def video(example_image: Path, example_track: Path) -> np.ndarray:
    return generate(BUILT_IN, example_image, example_track)


def test_it_dances_as_it_did_when_it_was_made(video: np.ndarray, example_image: Path) -> None:
    found = statistics(video, example_image)
    assert all(agree(found).values()), found


def test_random_weights_do_not(tiny_folder: Path, example_image: Path, example_track: Path) -> None:
    found = agree(statistics(generate(tiny_folder, example_image, example_track), example_image))
    assert not found["far from the picture"] and not found["motion"]


def test_a_still_does_not(video: np.ndarray, example_image: Path) -> None:
    assert not agree(statistics(np.repeat(video[:1], len(video), 0), example_image))["motion"]


def test_it_is_small_and_in_16_bits() -> None:
    files = [path for path in BUILT_IN.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 56 * MIB
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert {path.parent.name for path in weights} >= {"unet", "reference_net", "vae", "text_encoder", "music_encoder"}
    for path in weights:
        with safe_open(path, "pt") as opened:
            kinds = {opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
        assert kinds <= {"BF16", "I64"}, path
    assert not {path.suffix for path in files} & {".bin", ".pt", ".pth", ".ckpt", ".pkl"}


def test_it_is_whole_trained_and_as_large_as_promised() -> None:
    check_folder(BUILT_IN)
    pipeline = MuseDancePipeline.from_pretrained(BUILT_IN)
    assert pipeline.config.stage == 2
    config = pipeline.unet.config
    assert config.num_frames >= 24 and config.fps == 12 and config.num_motion_frames == 2
    assert config.sample_size * pipeline.vae_scale_factor >= 128


def test_infer_uses_it_where_no_model_is_named(
    tmp_path: Path, example_image: Path, example_track: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = ["--image", str(example_image), "--music", str(example_track), "--prompt", "a person bows"]
    fast = ["--steps", "1", "--guidance", "1", "--duration", "0.5"]
    assert main(["infer", *inputs, *fast, "--output", str(tmp_path / "v.mp4")]) == 0
    record = json.loads((tmp_path / "v.json").read_text())
    assert record["model"]["path"] == str(BUILT_IN) and record["model"]["stage"] == 2
    assert "warning: the model" not in capfd.readouterr().err


def test_found_from_anywhere(tmp_path: Path) -> None:
    code = "import musedance; print((musedance.BUILT_IN / 'model_index.json').is_file())"
    ran = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, text=True, capture_output=True)
    assert ran.stdout.split() == ["True"], ran.stderr
