"""Several videos in one go: each comes out as it would alone, whatever else is in the batch."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UniPCMultistepScheduler
from PIL import Image

from musedance.errors import InputError

RATE = 22050
SHARED = {"num_inference_steps": 2, "music_guidance_scale": 2.0, "guidance_rescale": 0.7, "num_frames": 14}


def track(seconds: float, bpm: float, pitch: float) -> tuple[np.ndarray, int]:
    """Short tones on the beat."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (np.sin(2 * np.pi * pitch * time) * np.exp(-30 * (time % (60 / bpm)))).astype(np.float32), RATE


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def alone(arguments: dict, number: int) -> dict:
    """What video `number` of a batch is made from."""
    return {name: value[number] if isinstance(value, list) else value for name, value in arguments.items()}


@pytest.fixture(scope="module")
def three(picture) -> dict:
    """Three videos that differ in everything a list can hold."""
    rng = np.random.default_rng(0)
    noisy = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    masks = [Image.new("RGB", (64, 64), colour) for colour in ((68, 1, 84), (200, 30, 20), (10, 220, 90))]
    return {
        "image": [picture, noisy, picture.rotate(180)],
        "music": [track(2, 120, 300), track(1.6, 100, 1200), track(3, 140, 5000)],
        "prompt": ["she waves", "a robot jumps up and down", "x"],
        "negative_prompt": ["", "blurred", "still"],
        "densepose": masks,
        "start": [0.0, 0.4, 1.5],
        "bpm": [None, 100.0, 70],
        "beats": [None, np.array([0.5, 1.1]), None],
    }


@pytest.fixture
def pipe(pipe):
    """With a stronger mask encoder, so that one DensePose picture taken for another shows."""
    with torch.no_grad():
        for parameter in pipe.mask_encoder.parameters():
            parameter.mul_(3 if parameter.ndim == 4 else 1)
    return pipe


@pytest.fixture
def compare(pipe):
    """Make a batch and each of its videos alone: the same latents, pictures, sound and beats."""

    def compare(batch: dict) -> None:
        count = len(batch["image"])
        together = list(pipe(**batch, generator=generators(count), output_type="segments"))
        for number in range(count):
            generator = generators(count)[number]
            single = list(pipe(**alone(batch, number), generator=generator, output_type="segments"))
            for videos, expected in zip(together, single, strict=True):
                torch.testing.assert_close(videos[number].latents, expected.latents, atol=1e-4, rtol=0)
                assert np.abs(videos[number].frames.astype(int) - expected.frames).max() <= 1
                assert np.array_equal(videos[number].beats, expected.beats)
                assert np.array_equal(videos[number].audio.samples, expected.audio.samples)

    return compare


def test_three_videos_are_as_each_would_be_alone(compare, three):
    """Over three segments, the last one in part, so that motion frames count; with all branches of guidance."""
    compare(three | SHARED)


def test_each_condition_reaches_its_own_video_and_no_other(pipe, three):
    batch = three | {"num_frames": 12, "num_inference_steps": 1, "output_type": "latent"}
    before = pipe(**batch, generator=generators(3))
    others = {"music": track(3, 90, 700), "prompt": "he jumps", "negative_prompt": "", "start": 1.0, "bpm": 140}
    others["beats"] = np.array([1.6, 1.9])
    for name, other in (others | {"densepose": three["densepose"][0]}).items():
        after = pipe(**(batch | {name: [*three[name][:2], other]}), generator=generators(3))
        assert all(torch.equal(before[number].frames, after[number].frames) for number in (0, 1)), name
        assert not torch.allclose(before[2].frames, after[2].frames, atol=1e-4), name


def test_what_is_no_list_holds_for_all(compare, three, clicks):
    compare(
        SHARED
        | {"image": three["image"], "music": clicks, "prompt": "she waves", "start": [0.3, 0.0, 1.1], "num_frames": 8}
    )


def test_one_densepose_picture_for_all(compare, three, clicks):
    shared = {"music": clicks, "prompt": "she waves", "densepose": three["densepose"][1], "num_frames": 1}
    compare(SHARED | shared | {"image": three["image"][:2]})


def test_a_list_of_no_densepose_pictures_is_none(pipe, three):
    batch = three | {"num_frames": 3, "num_inference_steps": 1, "output_type": "latent"}
    without, listed = (
        pipe(**(batch | {"densepose": given}), generator=generators(3)) for given in (None, [None, None, None])
    )
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(without, listed, strict=True))


def test_noise_that_is_added_on_the_way_is_each_videos_own(compare, pipe, three):
    compare(three | SHARED | {"eta": 1.0, "num_frames": 3})
    for scheduler in (DDPMScheduler, UniPCMultistepScheduler):
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
        compare(three | SHARED | {"num_frames": 3})


def test_a_list_of_one_is_the_single_call_to_the_bit(make, picture, clicks):
    lists = {"image": [picture], "music": [clicks], "prompt": ["she waves"]}
    for kind in ("np", "latent"):
        (only,) = make(**lists, num_frames=14, generator=generators(1), output_type=kind)
        single = make(num_frames=14, output_type=kind)
        assert np.array_equal(only.frames, single.frames)
        assert np.array_equal(only.beats, single.beats)


def test_pictures_without_a_size_come_to_one_canvas(compare, clicks):
    portraits = [Image.new("RGB", size, colour) for size, colour in (((300, 533), "green"), ((600, 1066), "red"))]
    compare(SHARED | {"image": portraits, "music": clicks, "prompt": "she waves", "num_frames": 1})


def test_pictures_of_any_shapes_with_a_size(compare, three, clicks):
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 120, 3), np.uint8))
    shapes = {"image": [wide, three["image"][1]], "height": 64, "width": 48, "fit": "letterbox"}
    compare(SHARED | shapes | {"music": clicks, "prompt": "she waves", "num_frames": 1})


def test_a_stage_1_batch_is_one_still_each(compare, pipe, three):
    pipe.register_to_config(stage=1)
    with pytest.warns(UserWarning, match="still"):
        compare(three | SHARED | {"num_frames": 8})
    with pytest.warns(UserWarning, match="still"):
        videos = pipe(**three, **SHARED, generator=generators(3), output_type="np")
    for video in videos:
        assert video.frames.shape == (14, 64, 64, 3)
        assert (video.frames == video.frames[0]).all()
    assert not np.allclose(videos[0].frames, videos[1].frames, atol=0.02)


def test_one_generator_for_all_gives_each_its_own_noise(pipe, picture, clicks):
    given = {"music": clicks, "prompt": "she waves", "num_inference_steps": 1, "output_type": "latent"}
    first, again = (pipe([picture, picture], **given, generator=torch.Generator().manual_seed(0)) for _ in range(2))
    assert not torch.allclose(first[0].frames, first[1].frames, atol=1e-2)
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(first, again, strict=True))


def test_the_unet_runs_as_often_as_for_one_video(pipe, three):
    sizes, counts = [], {"reference_net": 0, "text_encoder": 0}
    pipe.unet.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    for name in counts:
        getattr(pipe, name).register_forward_hook(lambda *_, name=name: counts.update({name: counts[name] + 1}))
    shared = three | SHARED | {"negative_prompt": "still"}
    pipe(**shared, generator=generators(3), output_type="latent")
    assert sizes == [3] * (3 * 2 * 3 + 2 * 2)  # segments, steps, branches; motion frames of two segments, for two
    assert counts == {"reference_net": 1, "text_encoder": 5}  # three prompts, one negative, the empty one


def test_segments_come_as_lists(pipe, three):
    batch = three | {"num_frames": 14, "num_inference_steps": 1, "guidance_scale": 1.0}
    whole = pipe(**batch, generator=generators(3), output_type="np")
    sizes = []
    pipe.unet.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    stream = pipe(**batch, generator=generators(3), output_type="segments")
    assert not sizes
    segments = list(stream)
    assert [[segment.index for segment in each] for each in segments] == [[0] * 3, [1] * 3, [2] * 3]
    assert [len(each[0].frames) for each in segments] == [6, 6, 2]
    for number, video in enumerate(whole):
        frames = np.concatenate([each[number].frames for each in segments])
        assert np.array_equal(frames, (video.frames * 255).round().astype(np.uint8))
        assert np.array_equal(np.concatenate([each[number].beats for each in segments]), video.beats)


def test_every_output_type_and_tuples(pipe, three):
    batch = three | {"num_frames": 3, "num_inference_steps": 1}
    arrays = pipe(**batch, generator=generators(3), output_type="np")
    pictures = pipe(**batch, generator=generators(3))
    tuples = pipe(**batch, generator=generators(3), output_type="pt", return_dict=False)
    assert isinstance(tuples, list) and [len(video) for video in tuples] == [4, 4, 4]
    for array, shown, (tensor, fps, audio, beats) in zip(arrays, pictures, tuples, strict=True):
        assert np.array_equal(tensor.permute(0, 2, 3, 1).numpy(), array.frames)
        assert np.array_equal(np.stack(shown.frames), (array.frames * 255).round().astype(np.uint8))
        assert (fps, len(beats), audio.duration) == (12, 3, pytest.approx(0.25, abs=1e-3))


def test_callbacks_get_all_videos_at_once(pipe, three):
    steps = []

    def erase_second(pipeline, step, timestep, tensors):
        steps.append((step, tuple(tensors["latents"].shape)))
        keep = torch.tensor([1.0, 0.0, 1.0])[:, None, None, None, None]
        return {"latents": tensors["latents"] * keep}

    videos = pipe(**three, **SHARED, generator=generators(3), output_type="latent", callback_on_step_end=erase_second)
    assert steps == [(step, (3, 5, 6, 8, 8)) for step in range(6)]
    assert [bool(video.frames.any()) for video in videos] == [True, False, True]


@pytest.mark.parametrize(("last_step", "frames"), [(1, 6), (0, None)])
def test_an_interrupt_ends_all_videos_with_the_last_whole_segment(pipe, three, last_step, frames):
    def stop(pipeline, step, timestep, tensors):
        pipeline._interrupt = step > last_step or last_step == 0
        return tensors

    def call():
        return pipe(**three, **SHARED, generator=generators(3), output_type="np", callback_on_step_end=stop)

    if frames is None:
        with pytest.raises(RuntimeError, match="before the first segment"):
            call()
    else:
        assert [len(video.frames) for video in call()] == [frames] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": []}, "image is an empty list"),
        ({"music": []}, "music is a list of 0 and image one of 3"),
        ({"music": [track(2, 120, 300)] * 2}, "music is a list of 2 and image one of 3"),
        ({"prompt": ["a", "b"]}, "prompt is a list of 2"),
        ({"negative_prompt": ["a"] * 4}, "negative_prompt is a list of 4"),
        ({"start": [0.0]}, "start is a list of 1"),
        ({"bpm": [100.0]}, "bpm is a list of 1"),
        ({"beats": [np.zeros(1)] * 2}, "beats is a list of 2 and image one of 3"),
        ({"beats": [None, np.zeros((2, 1)), None]}, "video 2 of 3: beats are given as an array of seconds"),
        ({"beats": [None, None, np.array([0.5, np.nan])]}, "video 3 of 3: beats are given as an array of seconds"),
        ({"densepose": [Image.new("RGB", (64, 64))]}, "densepose is a list of 1"),
        ({"generator": generators(2)}, "generator is a list of 2"),
        ({"image": Image.new("RGB", (64, 64))}, "music is a list: give a list of pictures too"),
        ({"densepose": [None, Image.new("RGB", (64, 64)), None]}, "video 1 of 3 has no DensePose picture"),
        ({"densepose": [Image.new("RGB", (64, 64)), Image.new("RGB", (64, 32)), None]}, "video 3 of 3 has no DenseP"),
        ({"densepose": [Image.new("RGB", (64, 64))] * 2 + [Image.new("RGB", (64, 32))]}, "video 3 of 3: .*one shape"),
        ({"num_frames": 20}, r"video 2 of 3: .* there are only 1\.20 s"),
        ({"num_frames": None, "start": [0.0, 0.4, 2.8]}, "video 3 of 3: its music is enough for 2 frames, another's"),
        ({"start": [0.0, 0.4, 3.0]}, "video 3 of 3: start has to lie within the music"),
        ({"music": ["missing.wav"] * 3}, "video 1 of 3: there is no audio file missing.wav"),
        ({"image": [Image.new("RGB", (64, 64)), "missing.png", Image.new("RGB", (64, 64))]}, "video 2 of 3: there is"),
        ({"image": [Image.new("RGB", size) for size in ((64, 64), (64, 64), (32, 64))]}, "video 3 of 3: its picture"),
        ({"prompt": ["a", "b", 3]}, "video 3 of 3: a prompt has to be text"),
    ],
)
def test_lists_that_do_not_fit_are_named_before_anything_is_computed(pipe, three, changes, message):
    seen = []
    pipe.unet.register_forward_pre_hook(lambda *_: seen.append(1))
    without = {"densepose": None} if "image" in changes else {}
    with pytest.raises(InputError, match=message):
        pipe(**(three | SHARED | without | changes))
    assert not seen


def test_a_video_alone_is_not_numbered(make):
    with pytest.raises(InputError, match=r"^there is no audio file"):
        make(music="missing.wav")
