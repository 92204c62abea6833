"""The example inputs: made by the script beside them, and fit for a demo."""

import importlib.util
from pathlib import Path
from types import ModuleType

import mir_eval
import numpy as np
import pytest
from PIL import Image, ImageSequence

from musedance.conditions.beats import track_beats
from musedance.media.audio import read_audio

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PICTURES = ("dancer.png", "doll.png", "teddy.png")
FILMS = ("dancer.gif", "doll.gif", "teddy.gif")
BPM = {"beat_120bpm.mp3": 120, "hip_hop_88bpm.mp3": 88, "waltz_132bpm.mp3": 132}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    load("make_examples").main(folder)
    return folder


def test_the_script_makes_what_is_committed(made: Path, example_image: Path, example_track: Path) -> None:
    assert {path.name for path in made.iterdir()} == {*PICTURES, *BPM}
    assert example_image.name in PICTURES and example_track.name in BPM
    for name in PICTURES:
        drawn, committed = (np.asarray(Image.open(folder / name), int) for folder in (made, EXAMPLES))
        assert drawn.shape == committed.shape == (640, 640, 3)
        assert np.abs(drawn - committed).mean() < 0.05, name
    for name in BPM:
        played, stored = (read_audio(folder / name).samples for folder in (made, EXAMPLES))
        assert played.shape == stored.shape
        assert np.abs(played - stored).mean() < 1e-3, name


def test_nothing_else_is_there_and_it_is_small() -> None:
    files = [path for path in EXAMPLES.iterdir() if path.suffix not in (".py", "") and path.is_file()]
    assert {path.name for path in files} == {*PICTURES, *FILMS, *BPM}
    assert sum(path.stat().st_size for path in files) < 4_000_000


def test_the_pictures_show_different_dancers() -> None:
    pictures = [np.asarray(Image.open(EXAMPLES / name), float) for name in PICTURES]
    for index, picture in enumerate(pictures):
        assert picture.std() > 20
        assert all(np.abs(picture - other).mean() > 20 for other in pictures[:index])


def test_the_films_are_of_the_pictures_and_move() -> None:
    assert set(load("make_videos").FILMS) == set(FILMS)
    pictures = {name: np.asarray(Image.open(EXAMPLES / name).resize((128, 128)), float) for name in PICTURES}
    for name in FILMS:
        with Image.open(EXAMPLES / name) as film:
            assert (film.n_frames, film.size, film.info["duration"], film.info["loop"]) == (48, (128, 128), 80, 0)
            frames = np.stack([np.asarray(frame.convert("RGB"), float) for frame in ImageSequence.Iterator(film)])
        far = {picture: np.abs(frames - shown).mean() for picture, shown in pictures.items()}
        assert min(far, key=far.__getitem__) == f"{name.removesuffix('.gif')}.png", far
        assert np.abs(np.diff(frames, axis=0)).mean() > 1


@pytest.mark.parametrize("name", BPM)
def test_the_tracks(name: str) -> None:
    track = read_audio(EXAMPLES / name)
    assert track.samples.shape[0] == 2
    assert np.abs(track.samples[0] - track.samples[1]).max() > 0.01  # stereo
    assert track.sampling_rate == 44100
    assert 0.5 < np.abs(track.samples).max() < 0.99  # loud, not clipped
    assert -21 < 20 * np.log10(np.sqrt((track.samples**2).mean())) < -15
    assert (EXAMPLES / name).stat().st_size < 300_000
    found = track_beats(track.mono(22050), 22050)
    first = 0.0 if name.startswith("beat") else 0.25
    beats = np.arange(first, track.duration - 0.1, 60 / BPM[name])
    assert mir_eval.beat.f_measure(beats, found, f_measure_threshold=0.035) > 0.95


def test_the_demo_track_lasts_8_seconds(example_track: Path) -> None:
    track = read_audio(example_track)
    assert abs(track.duration - 8) < 0.05
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


def test_the_picture_of_the_documentation(tmp_path: Path) -> None:
    """Drawn anew it is what `docs/` shows, but for the compression."""
    committed = Image.open(EXAMPLES.parent / "docs" / "puppets.jpg")
    drawn = load("draw_puppets").draw_sheet()
    assert drawn.size == committed.size
    assert np.abs(np.asarray(drawn, float) - np.asarray(committed, float)).mean() < 10
    assert (EXAMPLES.parent / "docs" / "puppets.jpg").stat().st_size < 300_000
