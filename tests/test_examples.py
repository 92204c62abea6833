"""The example inputs: made by the script beside them, and fit for a demo."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musedance.conditions.beats import track_beats
from musedance.media.audio import read_audio

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "make_examples.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("make_examples", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("examples")
    module.main(folder)
    return folder


def test_the_script_makes_what_is_committed(made: Path, example_image: Path, example_track: Path) -> None:
    assert {path.name for path in made.iterdir()} == {example_image.name, example_track.name}
    drawn, committed = (np.asarray(Image.open(folder / example_image.name), int) for folder in (made, SCRIPT.parent))
    assert drawn.shape == committed.shape == (640, 640, 3)
    assert np.abs(drawn - committed).mean() < 0.5  # other versions of Pillow may smooth differently
    played, stored = (read_audio(folder / example_track.name).samples for folder in (made, SCRIPT.parent))
    assert played.shape == stored.shape
    assert np.abs(played - stored).mean() < 1e-3


def test_the_track(example_track: Path) -> None:
    track = read_audio(example_track)
    assert track.samples.shape[0] == 2
    assert track.sampling_rate == 44100
    assert abs(track.duration - 8) < 0.05
    assert 0.5 < np.abs(track.samples).max() < 0.99  # loud, not clipped
    assert -26 < 20 * np.log10(np.sqrt((track.samples**2).mean())) < -14
    assert example_track.stat().st_size < 300_000
    beats = track_beats(track.mono(22050), 22050)
    assert np.abs(beats[:16] - 0.5 * np.arange(16)).max() < 0.035


def test_a_kick_on_every_half_second(example_track: Path) -> None:
    """Onsets of what is below 130 Hz and was silent before: to 5 ms."""
    track = read_audio(example_track)
    sound = track.mono(44100)
    for beat in range(1, 16):
        place = round(beat * 0.5 * 44100)
        before, after = sound[place - 900 : place - 20], sound[place : place + 880]
        assert np.abs(np.fft.rfft(after)[1:4]).sum() > 2 * np.abs(np.fft.rfft(before)[1:4]).sum(), beat
