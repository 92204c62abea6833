"""Guidance, sizes, callbacks, dtypes, offloading: what steers one segment."""

import numpy as np
import pytest
import torch
from accelerate import cpu_offload_with_hook
from diffusers.callbacks import PipelineCallback
from PIL import Image

from musedance.errors import InputError
from musedance.guidance import ALL, NONE, TEXT_REFERENCE, guide


def test_guidance_in_closed_form():
    e = {NONE: torch.tensor([1.0, 0.0]), TEXT_REFERENCE: torch.tensor([2.0, 1.0]), ALL: torch.tensor([4.0, 1.0])}
    assert guide({NONE: e[NONE], ALL: e[ALL]}, 3.0, None).tolist() == [1 + 3 * 3, 0 + 3 * 1]
    assert guide(e, 3.0, 2.0).tolist() == [1 + 3 * 1 + 2 * 2, 0 + 3 * 1 + 2 * 0]
    assert guide({ALL: e[ALL]}, 1.0, None) is e[ALL]
    same = guide(e, 2.5, 2.5), guide({NONE: e[NONE], ALL: e[ALL]}, 2.5, None)
    assert torch.equal(*same)


def test_rescaled_guidance_has_the_deviation_of_the_conditional_prediction():
    torch.manual_seed(0)
    e = {NONE: torch.randn(2, 3, 4), ALL: torch.randn(2, 3, 4)}
    guided = guide(e, 7.0, None, guidance_rescale=1.0)
    torch.testing.assert_close(guided.std(dim=(1, 2)), e[ALL].std(dim=(1, 2)))


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ({"guidance_scale": 1.0}, ["all"]),
        ({"guidance_scale": 3.5}, ["none", "all"]),
        ({"guidance_scale": 3.5, "music_guidance_scale": 2.0}, ["none", "text reference", "all"]),
    ],
)
def test_only_branches_that_training_has_seen(make, pipe, scales, expected):
    """None at all, text and reference, or all; one call each, one video at a time."""
    seen = []

    def record(module, args, kwargs):
        told = {name for name in ("reference", "music", "beats") if kwargs.get(name) is not None}
        names = {frozenset(): "none", frozenset(["reference"]): "text reference"}
        seen.append(names.get(frozenset(told), "all" if len(told) == 3 else f"?{told}"))
        assert len(args[0]) == 1

    pipe.unet.register_forward_pre_hook(record, with_kwargs=True)
    make(num_frames=6, num_inference_steps=1, **scales)
    assert seen == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "he jumps"},
        {"negative_prompt": "still"},
        {"guidance_scale": 7.0},
        {"music_guidance_scale": 1.0},
        {"guidance_rescale": 0.7},
        {"eta": 1.0},
        {"start": 0.3},
        {"fps": 10},
        {"image": Image.new("RGB", (64, 64), "red")},
        {"densepose": Image.new("RGB", (64, 64), (68, 1, 84))},
        {"generator": torch.Generator().manual_seed(1)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_everything_that_can_be_asked_shows(make, changes):
    plain = make(output_type="latent").frames
    assert torch.equal(plain, make(output_type="latent").frames)
    assert not torch.allclose(make(output_type="latent", **changes).frames, plain, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 48), (40, 120), (24, 8)])
def test_sizes_and_shapes(make, size):
    assert make(height=size[0], width=size[1], num_frames=2).frames.shape == (2, *size, 3)


def test_without_a_size_a_portrait_stays_a_portrait(make, pipe):
    portrait = Image.new("RGB", (300, 533), "green")
    height, width = pipe.default_size(portrait)
    assert make(image=portrait, num_frames=1).frames.shape == (1, height, width, 3)
    assert height % 8 == width % 8 == 0
    assert abs(height / width - 533 / 300) < 0.25
    assert 0.7 < height * width / 64**2 < 1.3


def test_letterbox_and_crop_differ_for_another_shape(make):
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 120, 3), np.uint8))
    box, crop = (
        make(image=wide, height=64, width=64, fit=fit, output_type="latent").frames for fit in ("letterbox", "crop")
    )
    assert not torch.allclose(box, crop, atol=1e-3)


def test_a_densepose_picture_of_another_shape_is_refused(make):
    with pytest.raises(InputError, match="not of one shape"):
        make(densepose=Image.new("RGB", (64, 32)))


def test_output_types_say_the_same(make):
    arrays = make(num_frames=3).frames
    pictures = make(num_frames=3, output_type="pil").frames
    tensors = make(num_frames=3, output_type="pt").frames
    assert np.array_equal(np.stack([np.asarray(p) for p in pictures]), (arrays * 255).round().astype(np.uint8))
    assert np.array_equal(tensors.permute(0, 2, 3, 1).numpy(), arrays)
    frames, fps, audio, beats = make(num_frames=3, return_dict=False)
    assert (len(frames), fps, len(beats)) == (3, 12, 3)
    assert audio.duration == pytest.approx(0.25, abs=1e-3)


def test_callbacks_see_every_step_and_can_change_it(make, pipe):
    steps = []

    def erase(pipeline, step, timestep, tensors):
        steps.append((step, int(timestep)))
        return {"latents": torch.zeros_like(tensors["latents"])}

    frames = make(num_frames=12, output_type="latent", callback_on_step_end=erase).frames
    assert steps == [(0, 999), (1, 499), (2, 999), (3, 499)]
    assert pipe.num_timesteps == 4
    assert not frames.any()


def test_a_callback_object_and_an_interrupt(make, pipe):
    class StopInSecondSegment(PipelineCallback):
        tensor_inputs = ("latents",)

        def callback_fn(self, pipeline, step_index, timestep, callback_kwargs):
            pipeline._interrupt = step_index == 2
            return callback_kwargs

    output = make(num_frames=12, callback_on_step_end=StopInSecondSegment(cutoff_step_ratio=None, cutoff_step_index=0))
    assert len(output.frames) == 6
    assert pipe.interrupt


def test_bf16_gives_about_the_same_from_the_same_noise(make, pipe):
    exact = make(output_type="latent").frames
    pipe.to(torch.bfloat16)
    rounded = make(output_type="latent").frames
    assert rounded.dtype == torch.float32
    assert (rounded - exact).pow(2).mean() < 0.05 * exact.pow(2).mean()


def test_vae_slicing_and_tiling(make, pipe):
    plain = make(num_frames=2, height=128, width=128).frames
    pipe.vae.enable_slicing()
    assert np.array_equal(make(num_frames=2, height=128, width=128).frames, plain)
    pipe.vae.tile_sample_min_size, pipe.vae.tile_latent_min_size = 64, 8
    pipe.vae.enable_tiling()
    tiled = make(num_frames=2, height=128, width=128).frames
    assert tiled.shape == plain.shape
    assert not np.array_equal(tiled, plain)


def test_the_attention_backend(make, pipe):
    plain = make().frames
    pipe.set_attention_backend("native")
    assert np.array_equal(make().frames, plain)
    with pytest.raises(InputError, match="must be one of"):
        pipe.set_attention_backend("magic")


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a CUDA GPU")
def test_xformers_without_a_gpu_is_refused_and_the_reference_stays(make, pipe):
    plain = make().frames
    for ask in (lambda: pipe.set_attention_backend("xformers"), pipe.enable_xformers_memory_efficient_attention):
        with pytest.raises(InputError, match="xformers attention needs"):
            ask()
    with pytest.raises(ValueError, match="slicing"):
        pipe.enable_attention_slicing()
    assert np.array_equal(make().frames, plain)


def test_offloading_whole_models_in_the_documented_order(make, pipe):
    """What enable_model_cpu_offload() installs on a GPU, with the CPU as the device it runs on."""
    plain = make(num_frames=12).frames
    names = pipe.model_cpu_offload_seq.split("->")
    assert set(names) == {name for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    hook = None
    for name in names:
        _, hook = cpu_offload_with_hook(getattr(pipe, name), torch.device("cpu"), prev_module_hook=hook)
    assert np.array_equal(make(num_frames=12).frames, plain)


def test_group_offloading(make, pipe):
    plain = make(num_frames=12).frames
    cpu = torch.device("cpu")
    pipe.enable_group_offload(onload_device=cpu, offload_device=cpu, offload_type="leaf_level")
    assert np.array_equal(make(num_frames=12).frames, plain)


def test_ablated_models_generate(make, pipe):
    from musedance import MuseDanceUNet

    off = dict.fromkeys(("use_music_modules", "use_beat_modules", "use_motion_modules"), False)
    pipe.unet = MuseDanceUNet.from_config({**pipe.unet.config, **off}).eval()
    assert make(num_frames=12).frames.shape[0] == 12
