"""What models answer, and what is made of it."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musedance.datasets.clip import Clip, Span
from musedance.prepare.captioner import INSTRUCTIONS, CaptionError, read_answer

TEXT = "The dancer steps left and claps."
WHOLE = (Span(0.0, 4.0, TEXT),)


def answer(timeline: Any = None, caption: Any = TEXT) -> str:
    return json.dumps({"caption": caption, "timeline": timeline})


def test_json_is_read_with_its_timeline() -> None:
    spans = [{"start": 0, "end": 1.5, "text": "steps left"}, {"start": 1.5, "end": 4.0, "text": " claps\n twice "}]
    caption = read_answer(answer(spans), 4.0, "clip")
    assert caption.text == TEXT
    assert caption.timeline == (Span(0.0, 1.5, "steps left"), Span(1.5, 4.0, "claps twice"))


@pytest.mark.parametrize("wrapped", ["```json\n{}\n```", "Here it is:\n{}\nAnything else?", "  {}  "])
def test_json_may_stand_between_other_words(wrapped: str) -> None:
    assert read_answer(wrapped.replace("{}", answer()), 4.0, "clip").text == TEXT


def test_plain_text_is_a_caption_for_the_whole_clip() -> None:
    caption = read_answer(f"\n{TEXT}\n", 4.0, "clip")
    assert caption.text == TEXT and caption.timeline == WHOLE


@pytest.mark.parametrize(
    "timeline",
    [
        None,
        [],
        "0 s: steps",
        [{"start": 0.0, "text": "no end"}],
        [{"start": "soon", "end": "later", "text": "no numbers"}],
        [{"start": 1.0, "end": 2.0, "text": " "}],
        [{"start": 1.0, "end": 2.0, "text": None}],
        [{"start": 2.0, "end": 1.0, "text": "backwards"}],
        [{"start": 4.0, "end": 9.0, "text": "after the clip"}],
        [{"start": float("nan"), "end": 2.0, "text": "no number"}],
        [[0, 1, "a list"], 7, None],
    ],
)
def test_without_a_usable_timeline_the_caption_holds_for_the_whole_clip(timeline: Any) -> None:
    assert read_answer(answer(timeline), 4.0, "clip").timeline == WHOLE


def test_a_timeline_is_cut_to_the_clip_and_sorted() -> None:
    spans = [
        {"start": 3.0, "end": 5.0, "text": "late"},
        {"start": 4.5, "end": 5.0, "text": "never"},
        {"start": "-1", "end": "0.5", "text": "early"},
    ]
    assert read_answer(answer(spans), 4.0, "clip").timeline == (Span(0.0, 0.5, "early"), Span(3.0, 4.0, "late"))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        (answer(caption=" "), "empty"),
        (answer(caption=None), "no caption"),
        (answer(caption=["a", "b"]), "no caption"),
        ('{"text": "wrong key"}', "no caption"),
        ('{"caption": "cut o', "broken JSON"),
        ('{"caption": "cut off", "timeline": [{"start"', "broken JSON"),
        ("}{", "broken JSON"),
        ('{"a":' * 5000 + "}" * 5000, "broken JSON"),
        ("I'm sorry, but I can't help with that.", "refused"),
        ("I\u2019m unable to describe this person.", "refused"),
        ("I cannot identify people.", "refused"),
        (answer(caption="Sorry, I can't do that."), "refused"),
    ],
)
def test_what_is_no_caption_is_an_error_of_one_line_that_names_the_clip(said: str, reason: str) -> None:
    with pytest.raises(CaptionError, match=f"^dance_007: .*{reason}") as raised:
        read_answer(said, 4.0, "dance_007")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "text", ["I can see the dancer sway.", "In sorrow, the dancer bows.", "Icy steps, then a spin."]
)
def test_captions_that_only_sound_like_a_refusal_pass(text: str) -> None:
    assert read_answer(text, 4.0, "clip").text == text


times = st.one_of(st.floats(), st.integers(-3, 9), st.none(), st.text(max_size=3))
entries = st.fixed_dictionaries({"start": times, "end": times, "text": st.one_of(st.text(max_size=9), st.none())})


@given(st.lists(entries, max_size=4), st.integers(1, 200))
@example([{"start": 0.0, "end": 1e-153, "text": "0"}], 18)
def test_whatever_the_timeline_the_clip_accepts_it(timeline: list[dict[str, Any]], frames: int) -> None:
    duration = frames / 12
    caption = read_answer(answer(timeline), duration, "clip")
    clip = Clip(
        "clips/a.mp4", "a", "train", "s", "t", 0.0, 0.0, (), frames, 12.0, 64, 64, caption.text, caption.timeline
    )
    assert clip.timeline
    assert all(math.isfinite(span.start) and span.text == " ".join(span.text.split()) for span in clip.timeline)


def test_models_are_told_to_describe_motion_and_to_ignore_appearance() -> None:
    assert "only the motion" in INSTRUCTIONS and "Ignore appearance and background" in INSTRUCTIONS
    example = INSTRUCTIONS[INSTRUCTIONS.index("{") : INSTRUCTIONS.rindex("}") + 1]
    assert set(json.loads(example)) == {"caption", "timeline"}  # what is asked for is what is read
