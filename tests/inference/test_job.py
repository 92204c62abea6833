"""What a job may be: any JSON gives a valid job or an InputError, and a job's own options give the same job."""

import inspect
import json
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musedance.errors import InputError
from musedance.inference.job import MAX_SEED, MAX_SIDE, SIZE_MULTIPLE, Job, parse_line

GIVEN = {"image": "a/dancer.png", "music": "b/song.final.mp3", "prompt": "x"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([field.name for field in fields(Job)]), JSON))
def test_any_json_gives_a_job_or_an_input_error(options) -> None:
    try:
        job = parse_line(json.dumps(options), GIVEN)
    except InputError as error:
        assert str(error)
        return
    assert parse_line(json.dumps(asdict(job)), {}) == job


@given(st.text())
def test_any_line_gives_a_job_or_an_input_error(line) -> None:
    with pytest.raises(InputError):
        parse_line(line, {})


@pytest.mark.parametrize("line", ["[1]", "3", "null", '{"prompt": ', "[" * 100_000, '{"steps": ' + "9" * 5000 + "}"])
def test_what_is_no_object_is_refused(line: str) -> None:
    with pytest.raises(InputError, match="not a JSON object"):
        parse_line(line, GIVEN)


def test_a_line_wins_over_defaults_and_null_means_not_given() -> None:
    job = parse_line('{"prompt": "y", "bpm": null, "steps": null}', {**GIVEN, "bpm": 90.0, "steps": 4, "seed": 5})
    assert (job.prompt, job.bpm, job.steps, job.seed) == ("y", None, 25, 5)


def test_unknown_and_missing_options_are_named() -> None:
    with pytest.raises(InputError, match="unknown option 'promt'; possible: image, music, prompt"):
        Job.from_options({**GIVEN, "promt": "x"})
    with pytest.raises(InputError, match="unknown option 'model'"):
        Job.from_options({**GIVEN, "model": "x"})
    with pytest.raises(InputError, match="image and prompt not given"):
        Job.from_options({"music": "x"})


@given(st.integers(1, MAX_SIDE // 8), st.integers(1, MAX_SIDE // 8))
def test_sizes_are_width_by_height(width: int, height: int) -> None:
    assert Job(**GIVEN, size=f"{8 * width}x{8 * height}").canvas == (8 * height, 8 * width)
    assert Job.from_options({**GIVEN, "size": 8 * width}).canvas == (8 * width, 8 * width)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": True},
        {"steps": 2.0},
        {"seed": "1"},
        {"seed": MAX_SEED + 1},
        {"duration": "4"},
        {"duration": 10**400},
        {"guidance": False},
        {"preview": 1},
        {"prompt": 3},
        {"prompt": "\ud800"},
        {"image": "a\0b"},
        {"size": 512.0},
        {"size": True},
        {"size": "٥١٢"},
        {"output": "video"},
    ],
    ids=str,
)
def test_wrong_types_and_values(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong)) if "output" not in wrong else "mp4"):
        Job.from_options({**GIVEN, **wrong})


def test_output_names() -> None:
    job = Job(**GIVEN, preview=True)
    assert [str(path) for path in job.outputs] == [f"dancer_song.final.{kind}" for kind in ("mp4", "json", "png")]
    job = Job(**GIVEN, output="c/v.MP4")
    assert [str(path) for path in job.outputs] == ["c/v.MP4", "c/v.json"]


def test_what_the_pipeline_knows_too_is_the_same_here() -> None:
    from musedance import pipeline

    parameters = inspect.signature(pipeline.MuseDancePipeline.__call__).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    job = Job(**GIVEN)
    names = {"steps": "num_inference_steps", "guidance": "guidance_scale", "music_guidance": "music_guidance_scale"}
    for name in ("negative_prompt", "start", "duration", "fps", "fit", "densepose", "bpm", *names):
        assert getattr(job, name) == defaults[names.get(name, name)], name
    assert MAX_SIDE == pipeline.MAX_SIDE
    assert SIZE_MULTIPLE == 8
