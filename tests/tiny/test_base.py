"""The folder that the two stages start from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import musedance.tiny.base
from musedance.datasets.cache_key import CacheKey
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.pipeline import MuseDancePipeline
from musedance.tiny.base import BaseSettings, load_settings, make_base
from musedance.tiny.music import MusicTraining
from musedance.tiny.text import TextTraining
from musedance.tiny.vae import VaeTraining
from musedance.training.config_file import find_config
from musedance.weights.check import check_folder

from .conftest import tiny_sections

CPU = torch.device("cpu")
QUICK = BaseSettings(
    seed=3,
    vae=VaeTraining(steps=4, batch_size=2, crop=32, frames_per_clip=1),
    text=TextTraining(steps=4, batch_size=4, merges=50),
    music=MusicTraining(steps=4, batch_size=4, tracks=3, track_seconds=3.0, window_seconds=0.5),
)


@pytest.fixture(scope="module", autouse=True)
def small() -> object:
    """Networks and tests of the smallest size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musedance.tiny.base, "load_sections", lambda size: tiny_sections())
        patch.setattr(musedance.tiny.base, "HELD_OUT_TRACKS", 2)
        yield


@pytest.fixture(scope="module")
def made(puppet_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A folder, and what is said of it."""
    folder = tmp_path_factory.mktemp("base") / "base"
    return folder, make_base(folder, puppet_data, QUICK, CPU)


def test_the_shipped_settings_are_the_defaults() -> None:
    """So that neither says something else than the other."""
    assert load_settings(find_config("tiny/base.yaml")) == BaseSettings()


def test_what_is_not_given_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "base.yaml"
    path.write_text("seed: 4\nvae: {steps: 7}\nmusic: {bpm: [90, 100.5]}\n")
    settings = load_settings(path)
    assert settings.seed == 4 and settings.vae == replace(VaeTraining(), steps=7)
    assert settings.music == replace(MusicTraining(), bpm=settings.music.bpm) and list(settings.music.bpm) == [
        90,
        100.5,
    ]
    assert settings.text == TextTraining()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vae: {stpes: 7}\n", "stpes"),
        ("colour: red\n", "colour"),
        ("vae: {steps: many}\n", "many"),
        ("vae: 7\n", "VaeTraining"),
        ("- 7\n", "base"),
        ("seed: [1\n", "flow sequence"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "base.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        load_settings(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_settings_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"base\.yaml"):
        load_settings(tmp_path / "base.yaml")


def test_it_is_a_whole_folder_of_stage_0(made: tuple[Path, dict[str, float]]) -> None:
    folder, _ = made
    check_folder(folder)
    pipeline = MuseDancePipeline.from_pretrained(folder)
    assert pipeline.config.stage == 0 and "seed 3" in pipeline.config.provenance
    assert pipeline.vae.config.latent_channels == pipeline.unet.config.in_channels == 5
    assert pipeline.text_encoder.config.vocab_size == len(pipeline.tokenizer) > 514
    assert pipeline.tokenizer.model_max_length == pipeline.text_encoder.config.max_position_embeddings
    assert pipeline.vae.config.scaling_factor != 1
    assert [path.name for path in folder.parent.iterdir()] == ["base"]


def test_it_makes_videos(made: tuple[Path, dict[str, float]]) -> None:
    pipeline = MuseDancePipeline.from_pretrained(made[0])
    pipeline.set_progress_bar_config(disable=True)
    hum = (0.1 * np.sin(np.arange(16000) * 0.1)).astype(np.float32)
    picture = Image.new("RGB", (32, 32), (200, 60, 20))
    video = pipeline(picture, (hum, 16000), "jumps", num_frames=4, num_inference_steps=1, beats=np.array([0.1]))
    assert len(video.frames) == 4


def test_saved_again_it_fits_the_same_feature_cache(made: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    MuseDancePipeline.from_pretrained(made[0]).save_pretrained(tmp_path / "again")
    spec = ClipSpec.of_model(made[0])
    assert CacheKey.of_model(made[0], spec).differences(CacheKey.of_model(tmp_path / "again", spec)) == []


def test_it_says_how_good_each_is_on_what_it_has_not_seen(made: tuple[Path, dict[str, float]]) -> None:
    scores = made[1]
    phases = {"beat phase explained", "phase of two beats explained"}
    assert set(scores) == {"genres heard", "prompts understood", "vae psnr (dB)"} | phases
    assert 0 <= scores["genres heard"] <= 1 and 0 <= scores["prompts understood"] <= 1
    assert all(-1 < scores[name] < 0.5 for name in phases) and 0 < scores["vae psnr (dB)"] < 20  # after four steps


def test_the_unets_depend_on_the_seed_alone(made: tuple[Path, dict[str, float]], tiny_folder: Path) -> None:
    """As those of `musedance init`: anew for each, whatever was trained before."""
    from musedance.models import MuseDanceUNet
    from musedance.weights.init import seeded

    with seeded(3, torch.float32):
        expected = MuseDanceUNet(**tiny_sections()["unet"]).state_dict()
    found = MuseDancePipeline.from_pretrained(made[0]).unet.state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_is_there_is_found_before_anything_is_trained(
    made: tuple[Path, dict[str, float]], puppet_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object) -> None:
        raise AssertionError("nothing was to be trained")

    monkeypatch.setattr(musedance.tiny.base, "make_music_encoder", never)
    with pytest.raises(InputError, match="exists already"):
        make_base(made[0], puppet_data, QUICK, CPU)
    with pytest.raises(InputError, match="nowhere"):
        make_base(tmp_path / "new", tmp_path / "nowhere", QUICK, CPU)
    assert not list(tmp_path.iterdir())
