"""Rows come back as they were written, and no line of text, however odd, does more than be refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musedance.datasets.clip import Clip, Span, is_inside
from musedance.errors import InputError

CLIP = Clip(
    file_name="clips/a.mp4",
    id="a",
    split="train",
    source="film",
    track="song",
    source_start=1.5,
    track_start=2.25,
    beats=(0.5, 1.0, 1.5),
    num_frames=50,
    fps=12.0,
    width=640,
    height=480,
    caption="The dancer claps.",
    timeline=(Span(0.0, 1.0, "claps"), Span(1.0, 4.1667, "stands")),
)
ROW = json.loads(CLIP.to_json())

tenths_of_ms = st.integers(0, 10**8).map(lambda number: number / 10**4)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    num_frames, fps = draw(st.integers(1, 500)), draw(st.floats(1, 240))
    clip_id, ends = draw(ids), draw(st.lists(st.floats(0.01, 1), min_size=1, max_size=4))
    return Clip(
        file_name=f"clips/{clip_id}.mp4",
        id=clip_id,
        split=draw(st.sampled_from(["train", "validation", "test"])),
        source=draw(names),
        track=draw(names),
        source_start=draw(tenths_of_ms),
        track_start=draw(tenths_of_ms),
        beats=tuple(sorted(draw(st.sets(tenths_of_ms)))),
        num_frames=num_frames,
        fps=fps,
        width=draw(st.integers(1, 8192)),
        height=draw(st.integers(1, 8192)),
        caption=draw(st.text(st.characters(exclude_categories=["Cs"]))),
        timeline=tuple(Span(0.0, max(0.0001, round(end * num_frames / fps, 4)), draw(names)) for end in ends),
        densepose=draw(st.sampled_from(["", "densepose/a.mp4"])),
        truth=draw(st.sampled_from(["", "truth/a.safetensors"])),
    )


@given(clips())
def test_rows_come_back_as_they_were_written(clip: Clip) -> None:
    line = clip.to_json()
    assert "\n" not in line
    assert Clip.from_json(line) == clip
    assert Clip.from_json(line.encode().decode()).to_json() == line


@given(st.floats(0.002, 1000), st.floats(0.002, 1000))
def test_whatever_can_be_made_can_be_read_back(beat: float, second: float) -> None:
    """Times are rounded when they are written; nothing may become unreadable by that."""
    try:
        clip = replace(CLIP, beats=(beat, second), timeline=(Span(beat / 1000, second / 1000, "x"),), fps=11.98765)
    except InputError:
        return
    again = Clip.from_json(clip.to_json())
    assert again.beats == pytest.approx(clip.beats, abs=5e-5)
    assert again.fps == clip.fps


def test_keys_are_in_the_documented_order() -> None:
    """`datasets` takes the first for the video."""
    assert list(ROW)[:5] == ["file_name", "id", "split", "source", "track"]
    assert set(ROW) == set(Clip.__dataclass_fields__)


def test_numbers_are_floats_even_where_they_are_whole() -> None:
    """Else one split would have whole numbers where another has fractions, and `datasets` would refuse both."""
    row = replace(CLIP, source_start=1, track_start=0, fps=12, beats=(1, 2), timeline=(Span(0, 2, "claps"),))
    line = json.loads(row.to_json())
    times = [line["source_start"], line["track_start"], line["fps"], *line["beats"]]
    times += [line["timeline"][0]["start"], line["timeline"][0]["end"]]
    assert all(type(time) is float for time in times)


def test_keys_that_are_not_ours_are_left_out_and_optional_ones_may_be_absent() -> None:
    row = {key: value for key, value in ROW.items() if key not in ("densepose", "truth")} | {"mood": "sad"}
    assert Clip.from_json(json.dumps(row)) == CLIP


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_name": "/etc/passwd.mp4"}, "no path inside"),
        ({"file_name": "clips/../../a.mp4"}, "no path inside"),
        ({"file_name": ""}, "no path inside"),
        ({"file_name": "."}, "no path inside"),
        ({"file_name": "C:\\a.mp4"}, "no path inside"),
        ({"file_name": "..\\a.mp4"}, "no path inside"),
        ({"file_name": "file:///a.mp4"}, "no path inside"),
        ({"file_name": "clips/a\0.mp4"}, "no path inside"),
        ({"densepose": "../a.mp4"}, "no path inside"),
        ({"truth": "/a.safetensors"}, "no path inside"),
        ({"file_name": "clips/a.m3u8"}, r"end in \.mp4"),
        ({"densepose": "densepose/a.txt"}, r"end in \.mp4"),
        ({"truth": "truth/a.pt"}, r"end in \.safetensors"),
        ({"id": ""}, "an id has"),
        ({"id": "../a"}, "an id has"),
        ({"id": "a/b"}, "an id has"),
        ({"id": "a" * 101}, "an id has"),
        ({"id": "tänzer"}, "an id has"),
        ({"id": "a\n"}, "an id has"),
        ({"split": "dev"}, "split has to be one of"),
        ({"source": ""}, "have to be named"),
        ({"track": ""}, "have to be named"),
        ({"caption": "\ud800"}, "half a character"),
        ({"source": "\udc00"}, "half a character"),
        ({"fps": 0}, "cannot be"),
        ({"fps": -1}, "not below 0"),
        ({"fps": float("inf")}, "finite"),
        ({"track_start": float("nan")}, "finite"),
        ({"source_start": -0.5}, "not below 0"),
        ({"num_frames": 0}, "cannot be"),
        ({"width": -4}, "cannot be"),
        ({"num_frames": 10**400}, "too large"),
        ({"beats": [10**400]}, "too large"),
        ({"beats": [2.0, 1.0]}, "sorted"),
        ({"beats": [1.0, 1.00001]}, "sorted, each once"),
        ({"beats": [float("nan")]}, "finite"),
        ({"beats": [True]}, "has to be a float"),
        ({"beats": "1.0"}, "has to be a list"),
        ({"timeline": []}, "timeline needs"),
        ({"timeline": [{"start": 0, "end": 9, "text": "x"}]}, "within the clip"),
        ({"timeline": [{"start": 2, "end": 1, "text": "x"}]}, "start < end"),
        ({"timeline": [{"start": 0, "end": 1}]}, "needs start, end and text"),
        ({"timeline": [{"start": 0, "end": 1, "text": None}]}, "has to be a str"),
        ({"timeline": {"start": 0}}, "has to be a list"),
        ({"caption": None}, "caption has to be a str"),
        ({"num_frames": 50.0}, "num_frames has to be a int"),
        ({"num_frames": True}, "num_frames has to be a int"),
        ({"width": "640"}, "width has to be a int"),
        ({"fps": "12"}, "fps has to be a float"),
        ({"densepose": None}, "densepose has to be a str"),
        ({"portrait": 1}, "portrait has to be a bool"),
        ({"portrait": None}, "portrait has to be a bool"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Clip.from_json(json.dumps(ROW | changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", sorted(set(ROW) - {"densepose", "truth", "portrait"}))
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(InputError, match=f"no {key}"):
        Clip.from_json(json.dumps({name: value for name, value in ROW.items() if name != key}))


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "null", '"text"', "{'id': 1}", "[" * 100_000, "1" * 5000, CLIP.to_json()[:-5], "\ufeff{}"]
)
def test_a_broken_line_is_refused(line: str) -> None:
    with pytest.raises(InputError):
        Clip.from_json(line)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["start", "end", "text"]), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(ROW)), json_values, min_size=1, max_size=3))
def test_no_value_does_more_than_be_refused(changes: dict[str, Any]) -> None:
    try:
        clip = Clip.from_json(json.dumps(ROW | changes))
    except InputError:
        return
    assert Clip.from_json(clip.to_json()).id == clip.id


@given(st.text(st.sampled_from("ab./\\:\0~ -"), max_size=12))
def test_a_path_that_is_inside_stays_inside(name: str) -> None:
    if is_inside(name):
        assert Path("/data/set", name).resolve().is_relative_to("/data/set")
