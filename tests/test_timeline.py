"""Frames and segments of a video: every frame in exactly one segment, none beyond the music."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musedance.errors import InputError
from musedance.timeline import plan_timeline


@given(
    music=st.floats(0.2, 900),
    place=st.floats(0, 0.9),
    share=st.floats(0.01, 1.0),
    fps=st.sampled_from([8, 12, 24, 30000 / 1001]),
    segment=st.integers(1, 60),
)
def test_segments_tile_the_video(music, place, share, fps, segment):
    start = music * place
    duration = (music - start) * share
    try:
        timeline = plan_timeline(music, segment_frames=segment, fps=fps, start=start, duration=duration)
    except InputError:
        assert round(duration * fps) < 1 or (music - start) * fps < 1
        return
    kept = [timeline.kept_frames(i) for i in range(timeline.num_segments)]
    assert sum(kept) == timeline.num_frames == round(duration * fps)
    assert all(count == segment for count in kept[:-1])
    assert 1 <= kept[-1] <= segment
    assert timeline.seconds(timeline.num_frames) <= music + 0.5 / fps + 1e-6
    assert timeline.seconds(0) == start
    assert timeline.segment_seconds == pytest.approx(segment / fps)


@given(music=st.floats(0.1, 60), segment=st.integers(1, 60))
def test_without_a_length_one_segment_or_what_there_is(music, segment):
    timeline = plan_timeline(music, segment_frames=segment, fps=12)
    assert timeline.num_segments == 1
    assert timeline.num_frames == min(segment, int(music * 12 + 0.5))


def test_half_a_frame_more_than_the_music_is_enough_more_is_not():
    assert plan_timeline(9.96, segment_frames=48, fps=12, duration=10).num_frames == 120
    with pytest.raises(InputError, match=r"only 9\.95 s of music"):
        plan_timeline(9.95, segment_frames=48, fps=12, duration=10)
