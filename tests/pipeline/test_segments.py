"""Videos of any length from segments of K frames."""

import gc
import weakref

import numpy as np
import pytest
import torch

from musedance.errors import InputError


@pytest.fixture
def calls(pipe):
    """What the UNet was asked, in order."""
    seen = []

    def record(module, args, kwargs):
        seen.append({"sample": args[0], **kwargs})

    pipe.unet.register_forward_pre_hook(record, with_kwargs=True)
    return seen


@pytest.mark.parametrize("frames", [1, 5, 6, 7, 14, 18])
def test_the_last_partial_segment_is_generated_whole_and_trimmed(make, calls, frames):
    """Never cut off, never generated short: training has seen K frames only."""
    output = make(num_frames=frames)
    assert output.frames.shape == (frames, 64, 64, 3)
    assert output.beats.shape == (frames,)
    assert abs(output.audio.samples.shape[1] - frames / 12 * 22050) <= 1
    denoised = [call["sample"].shape[2] for call in calls if not call.get("return_motion_features")]
    assert denoised == [6] * (2 * 2 * -(-frames // 6))


def test_a_longer_video_begins_like_a_shorter_one(make):
    assert np.array_equal(make(num_frames=14).frames[:5], make(num_frames=5).frames)


def test_the_last_latents_of_a_segment_are_the_next_ones_motion_frames(make, calls, pipe):
    """As they were sampled, once a segment, with text and reference; never re-encoded."""
    encoded = []
    encode = pipe.vae.encode
    pipe.vae.encode = lambda *args, **kwargs: encoded.append(1) or encode(*args, **kwargs)
    latents = make(num_frames=18, output_type="latent").frames
    assert len(encoded) == 1
    motion_passes = [call for call in calls if call.get("return_motion_features")]
    assert len(motion_passes) == 2
    for segment, call in enumerate(motion_passes):
        assert torch.equal(call["sample"], latents[None, :, segment * 6 + 4 : segment * 6 + 6])
        assert call["reference"] is not None
    steps = [call for call in calls if not call.get("return_motion_features")]
    told = [call.get("motion", {}).keys() == set(pipe.unet.motion_feature_names) for call in steps]
    assert told == [False] * 4 + [False, True] * 4  # not in the branch without conditions: guidance strengthens them


def test_motion_frames_show_in_the_result(make, pipe):
    whole = make(num_frames=12).frames
    for name, module in pipe.unet.named_modules():
        if name.endswith("motion_modules.0.transformer_blocks.0.attn1.to_v"):
            torch.nn.init.zeros_(module.weight)
    assert not np.allclose(make(num_frames=12).frames[6:], whole[6:], atol=1e-3)


def test_each_encoder_runs_as_often_as_it_must(make, pipe):
    counts = {}
    for name in ("reference_net", "music_encoder", "text_encoder"):
        getattr(pipe, name).register_forward_hook(lambda *_, name=name: counts.update({name: counts.get(name, 0) + 1}))
    make(num_frames=18)
    assert counts == {"reference_net": 1, "music_encoder": 3, "text_encoder": 3}  # prompt, negative, empty


def test_memory_does_not_grow_with_the_length(pipe, picture, clicks):
    """Nothing of a segment is kept once the next one has come."""
    kept = []
    for segment in pipe(picture, clicks, "she waves", num_frames=36, num_inference_steps=1, output_type="segments"):
        kept.append([weakref.ref(segment.frames), weakref.ref(segment.latents)])
        del segment
    gc.collect()
    assert len(kept) == 6
    assert not any(reference() is not None for references in kept[:-1] for reference in references)


def test_segments_come_one_by_one(pipe, picture, clicks, calls):
    stream = pipe(
        picture, clicks, "she waves", num_frames=14, num_inference_steps=1, guidance_scale=1.0, output_type="segments"
    )
    assert not calls
    first = next(stream)
    assert len(calls) == 1
    assert (first.index, first.num_segments, len(first.frames), first.fps) == (0, 3, 6, 12)
    assert [len(segment.frames) for segment in stream] == [6, 2]


def test_no_gradients_and_float32_latents(pipe, picture, clicks):
    pipe.to(torch.bfloat16)
    segment = next(pipe(picture, clicks, "she waves", num_frames=3, num_inference_steps=1, output_type="segments"))
    assert segment.latents.dtype == torch.float32
    assert not segment.latents.requires_grad
    assert torch.is_grad_enabled()


def test_sound_and_beats_are_those_of_the_chosen_place(make, clicks):
    samples, rate = clicks
    output = make(start=0.7, num_frames=14)
    first = round(0.7 * rate)
    assert np.array_equal(output.audio.samples, samples[:, first : first + output.audio.samples.shape[1]])
    found = np.flatnonzero(output.beats) / 12 + 0.7
    assert len(found) >= 2
    assert all(min(abs(found - 0.5 * beat)) <= 1 / 24 + 0.03 for beat in (2, 3))


def test_beats_that_are_given_are_followed_and_none_are_tracked(make, calls, monkeypatch):
    """Seconds of the music, whatever is heard in it, on the right frames of each segment."""

    def never(*args):
        raise AssertionError("beats were given")

    monkeypatch.setattr("musedance.conditions.music.track_beats", never)
    times = np.array([0.1, 0.7, 0.7 + 4 / 12, 0.7 + 6.4 / 12, 2.5])
    output = make(start=0.7, num_frames=10, beats=times, num_inference_steps=1)
    assert np.flatnonzero(output.beats).tolist() == [0, 4, 6]
    told = [call["beats"][0].tolist() for call in calls if call.get("beats") is not None]
    assert told == [[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0]]


def test_given_beats_steer_the_frames(make):
    """As the same beats do that are tracked, and not as others."""
    with_tracked = make(num_frames=6)
    times = np.flatnonzero(with_tracked.beats) / 12
    assert len(times)
    assert np.array_equal(make(num_frames=6, beats=times).frames, with_tracked.frames)
    assert not np.allclose(make(num_frames=6, beats=times + 2 / 12).frames, with_tracked.frames, atol=1e-3)


def test_music_may_be_an_array_or_audio(make, clicks):
    from musedance.media.audio import read_audio

    assert np.array_equal(make(num_frames=3, music=read_audio(clicks)).frames, make(num_frames=3).frames)


def test_silence_works_with_a_warning(make):
    with pytest.warns(UserWarning, match="no beats"):
        output = make(music=(np.zeros(22050, np.float32), 22050))
    assert output.frames.shape[0] == 6
    assert not output.beats.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": 4.0}, "only 3.00 s of music"),
        ({"duration": 1.0, "num_frames": 3}, "not both"),
        ({"duration": 0.01}, "less than one frame"),
        ({"duration": float("nan")}, "above 0"),
        ({"duration": -1}, "above 0"),
        ({"start": 3.0}, "within the music"),
        ({"start": 2.95}, "less than one frame"),
        ({"num_frames": 0}, "at least 1"),
        ({"fps": 0}, "above 0"),
        ({"fps": 50}, "between 1 and 34 for this model's segments of 6 frames"),
        ({"height": 60, "width": 64}, "multiple of 8"),
        ({"height": 0, "width": 64}, "multiple of 8"),
        ({"height": 4096, "width": 64}, "to 2048"),
        ({"height": 64}, "or neither"),
        ({"num_inference_steps": 0}, "1 to 1000"),
        ({"guidance_rescale": 2}, "between 0 and 1"),
        ({"output_type": "gif"}, "output_type"),
        ({"prompt": 3}, "has to be text"),
        ({"callback_on_step_end_tensor_inputs": ["noise"]}, "a callback can get"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_computed(make, calls, changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)
    assert not calls


def test_without_a_length_one_segment_or_as_much_as_there_is_music(make, clicks):
    samples, rate = clicks
    assert len(make().frames) == 6
    assert len(make(music=(samples[:, : round(0.3 * rate)], rate)).frames) == 4


def test_a_stage_1_model_gives_a_still_and_says_so(make, pipe, calls):
    pipe.register_to_config(stage=1)
    with pytest.warns(UserWarning, match="still"):
        output = make(num_frames=14)
    assert output.frames.shape == (14, 64, 64, 3)
    assert (output.frames == output.frames[0]).all()
    assert [call["sample"].ndim for call in calls] == [4] * 4
    assert output.audio.duration == pytest.approx(14 / 12, abs=1e-3)
    with pytest.warns(UserWarning, match="still"):
        assert make(num_frames=14, output_type="latent").frames.shape == (5, 14, 8, 8)
