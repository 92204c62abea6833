"""Making videos with a small model: batches, noise, failures, and what is there already."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from musedance.errors import InputError
from musedance.evaluation.cases import Case, Cases, Inputs
from musedance.evaluation.footage import Facts
from musedance.evaluation.generate import SamplingOptions, make_videos
from musedance.evaluation.processes import Processes
from musedance.media.audio import Audio
from musedance.media.video import VideoReader
from musedance.pipeline import MuseDancePipeline

FPS, RATE = 12, 16000
QUICK = SamplingOptions(steps=1, guidance=1.0)


class DrawnCases(Cases):
    """Cases by id: (frames, canvas); all of one picture and one hum, so that only noise can make them differ."""

    def __init__(self, wanted: Mapping[str, tuple[int, tuple[int, int]]], broken: Mapping[str, str] | None = None):
        self.fps, self.broken, self.beats = float(FPS), broken or {}, {}
        self.cases = {name: Case(name, Facts(prompt="hops"), *about) for name, about in wanted.items()}

    def inputs(self, name: str) -> Inputs:
        if name in self.broken:
            raise InputError(self.broken[name])
        height, width = self.cases[name].canvas
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        hum = 0.1 * np.sin(np.arange(round(self.cases[name].num_frames / FPS * RATE)) * 0.1)
        sound = Audio(hum.astype(np.float32)[None], RATE)
        return Inputs(Image.fromarray(picture), sound, 120.0, self.beats.get(name))


@dataclass
class Watched:
    """A pipeline, and how it was called."""

    pipeline: MuseDancePipeline
    calls: list[dict[str, Any]] = field(default_factory=list)
    refuse: Callable[[dict[str, Any]], bool] = lambda call: False

    def set_progress_bar_config(self, **options: Any) -> None:
        self.pipeline.set_progress_bar_config(**options)

    def __call__(self, pictures: list[Image.Image], sounds: list[Audio], prompts: list[str], **options: Any) -> Any:
        call = {"pictures": pictures, "sounds": sounds, "prompts": prompts, **options}
        self.calls.append(call)
        if self.refuse(call):
            raise InputError("this one cannot be made")
        return self.pipeline(pictures, sounds, prompts, **options)


@pytest.fixture(scope="module")
def pipeline(small_model: Path) -> MuseDancePipeline:
    return MuseDancePipeline.from_pretrained(small_model)


@pytest.fixture
def watched(pipeline: MuseDancePipeline) -> Watched:
    return Watched(pipeline)


def make(watched: Watched, cases: Cases, folder: Path, sampling: SamplingOptions = QUICK) -> dict[str, str]:
    return make_videos(lambda: watched, cases, folder, sampling, Processes())  # type: ignore[arg-type,return-value]


def frames_of(path: Path) -> np.ndarray:
    with VideoReader(path) as video:
        return np.stack(list(video.stream(video.info.fps)))


SQUARE, TALL = (32, 32), (40, 24)


def test_batches_hold_videos_of_one_size_and_length(watched: Watched, tmp_path: Path) -> None:
    wanted = {"a": (4, SQUARE), "b": (4, TALL), "c": (6, SQUARE), "d": (4, SQUARE), "e": (4, SQUARE)}
    assert make(watched, DrawnCases(wanted), tmp_path, SamplingOptions(1, 1.0, batch_size=2)) == {}
    shapes = [(len(call["pictures"]), call["num_frames"], call["height"], call["width"]) for call in watched.calls]
    assert sorted(shapes) == [(1, 4, 32, 32), (1, 4, 40, 24), (1, 6, 32, 32), (2, 4, 32, 32)]
    for name, (n, canvas) in wanted.items():
        with VideoReader(tmp_path / f"{name}.mp4") as video:
            assert (video.info.num_frames, video.info.height, video.info.width) == (n, *canvas)
            assert video.info.fps == FPS and video.info.has_audio
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.mp4" for name in wanted]


def test_the_pipeline_is_told_what_the_case_says(watched: Watched, tmp_path: Path) -> None:
    sampling = SamplingOptions(steps=2, guidance=2.5, music_guidance=1.5)
    make(watched, DrawnCases({"a": (4, SQUARE)}), tmp_path, sampling)
    (call,) = watched.calls
    assert call["prompts"] == ["hops"] and call["fps"] == FPS and call["bpm"] == [120.0]
    assert (call["num_inference_steps"], call["guidance_scale"], call["music_guidance_scale"]) == (2, 2.5, 1.5)


def test_one_that_cannot_be_read_fails_alone(watched: Watched, tmp_path: Path) -> None:
    cases = DrawnCases(dict.fromkeys("abc", (4, SQUARE)), broken={"b": "its picture is gone"})
    failed = make(watched, cases, tmp_path, SamplingOptions(1, 1.0, batch_size=3))
    assert failed == {"b": "its picture is gone"}
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c"]


def test_of_a_batch_that_the_model_refuses_only_those_fail_that_are_at_fault(watched: Watched, tmp_path: Path) -> None:
    cases = DrawnCases(dict.fromkeys("abc", (4, SQUARE)))
    cases.cases["b"] = Case("b", Facts(prompt="flies"), 4, SQUARE)
    watched.refuse = lambda call: "flies" in call["prompts"]
    failed = make(watched, cases, tmp_path, SamplingOptions(1, 1.0, batch_size=3))
    assert failed == {"b": "this one cannot be made"}
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c"]


def test_nothing_of_a_video_that_fails_is_left(watched: Watched, tmp_path: Path) -> None:
    watched.refuse = lambda call: True
    assert set(make(watched, DrawnCases({"a": (4, SQUARE)}), tmp_path)) == {"a"}
    assert not list(tmp_path.iterdir())


def test_a_video_that_is_there_is_left_alone(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"somebody's")
    cases = DrawnCases(dict.fromkeys("ab", (4, SQUARE)))
    make(watched, cases, tmp_path)
    assert (tmp_path / "a.mp4").read_bytes() == b"somebody's" and len(watched.calls) == 1

    def never() -> MuseDancePipeline:
        raise AssertionError("nothing is missing")

    assert make_videos(never, cases, tmp_path, QUICK, Processes()) == {}


def test_noise_depends_on_seed_and_name_and_on_nothing_else(watched: Watched, tmp_path: Path) -> None:
    few, more = DrawnCases({"b": (4, SQUARE)}), DrawnCases(dict.fromkeys("ab", (4, SQUARE)))
    make(watched, few, tmp_path / "alone")
    make(watched, more, tmp_path / "together")
    make(watched, few, tmp_path / "other seed", SamplingOptions(1, 1.0, seed=1))
    alone = frames_of(tmp_path / "alone" / "b.mp4")
    assert np.array_equal(alone, frames_of(tmp_path / "together" / "b.mp4"))
    for other in ("together/a.mp4", "other seed/b.mp4"):
        assert not np.array_equal(alone, frames_of(tmp_path / other))
    make(watched, more, tmp_path / "batch", SamplingOptions(1, 1.0, batch_size=2))
    assert np.abs(alone.astype(int) - frames_of(tmp_path / "batch" / "b.mp4")).mean() < 1  # rounding


def test_videos_of_one_noise_name_have_the_same_noise(watched: Watched, tmp_path: Path) -> None:
    """Also as the video that has this name itself."""
    cases = DrawnCases(dict.fromkeys("abcd", (4, SQUARE)))
    for name in "bc":
        cases.cases[name] = replace(cases.cases[name], noise="a")
    make(watched, cases, tmp_path)
    first, second, third, other = (frames_of(tmp_path / f"{name}.mp4") for name in "abcd")
    assert np.array_equal(first, second) and np.array_equal(first, third)
    assert not np.array_equal(first, other)


def test_beats_that_are_known_reach_the_pipeline(watched: Watched, tmp_path: Path) -> None:
    """Each its own video; `None` where they are to be tracked."""
    cases = DrawnCases(dict.fromkeys("abc", (4, SQUARE)))
    cases.beats = {"a": np.array([0.0, 0.25]), "c": np.zeros(0)}
    told: list[list[int]] = []
    watched.pipeline.unet.register_forward_pre_hook(
        lambda module, args, kwargs: told.extend(kwargs["beats"].tolist()), with_kwargs=True
    )
    assert make(watched, cases, tmp_path, SamplingOptions(1, 1.0, batch_size=3)) == {}
    (call,) = watched.calls
    assert [None if given is None else given.tolist() for given in call["beats"]] == [[0.0, 0.25], None, []]
    assert told[0] == [1, 0, 0, 1] and told[2] == [0, 0, 0, 0]


def test_what_decides_how_videos_come_out() -> None:
    told = SamplingOptions(steps=3, guidance=2.0, seed=4, batch_size=8).described()
    assert told == {"steps": 3, "guidance": 2.0, "music_guidance": None, "seed": 4}
    assert str(SamplingOptions(3, 2.0, 1.5, 4)) == "3 steps, guidance 2, music guidance 1.5, seed 4"
    for options in ({"steps": 0}, {"batch_size": 0}):
        with pytest.raises(InputError, match="have to be 1 or more"):
            SamplingOptions(**options)
