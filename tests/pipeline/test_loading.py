"""The three ways to load a folder, and what a folder says of itself."""

import json
import subprocess
import sys

import av
import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from musedance import MuseDancePipeline, MuseDanceUNet
from musedance.errors import InputError


def test_from_pretrained_gives_the_same_video(make, pipe, picture, clicks, tmp_path):
    pipe.save_pretrained(tmp_path)
    again = MuseDancePipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    seed = torch.Generator().manual_seed(0)
    frames = again(picture, clicks, "she waves", num_inference_steps=2, generator=seed, output_type="np").frames
    assert np.array_equal(frames, make().frames)
    assert again.config.stage == 2


def test_a_folder_does_not_say_where_on_a_machine_its_parts_were_loaded_from(pipe, saved_pipeline, tmp_path):
    """Loaded and saved, it is the same folder; byte for byte but for the tokenizer's own notes."""
    pipe.save_pretrained(tmp_path)
    files = [path.relative_to(saved_pipeline) for path in saved_pipeline.rglob("*") if path.is_file()]
    assert len(files) > 15
    for file in files:
        content = (tmp_path / file).read_bytes()
        assert str(saved_pipeline).encode() not in content, file
        assert file.parts[0] == "tokenizer" or content == (saved_pipeline / file).read_bytes(), file


def test_as_a_custom_pipeline_in_a_program_that_never_named_musedance(saved_pipeline):
    code = (
        "import sys; from diffusers import DiffusionPipeline\n"
        "p = DiffusionPipeline.from_pretrained(sys.argv[1], custom_pipeline=sys.argv[1], trust_remote_code=True)\n"
        "print(type(p).__name__, type(p.unet).__name__, p.config.stage)"
    )
    run = [sys.executable, "-W", "ignore", "-c", code, str(saved_pipeline)]
    result = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout.split() == ["MuseDancePipeline", "MuseDanceUNet", "2"]


def test_components_swapped_one_by_one(make, pipe, saved_pipeline):
    unet = MuseDanceUNet.from_pretrained(saved_pipeline, subfolder="unet")
    scheduler = DPMSolverMultistepScheduler.from_pretrained(saved_pipeline, subfolder="scheduler")
    with torch.no_grad():
        unet.conv_out.bias += 1
    plain = make().frames
    swapped = MuseDancePipeline.from_pretrained(saved_pipeline, unet=unet, scheduler=scheduler)
    assert swapped.unet is unet
    assert swapped.scheduler is scheduler
    for name, part in swapped.components.items():
        setattr(pipe, name, part)
    assert not np.allclose(make().frames, plain, atol=1e-3)


def test_parts_that_do_not_belong_together_are_refused(make, pipe):
    pipe.unet = MuseDanceUNet.from_config({**pipe.unet.config, "in_channels": 4, "out_channels": 4})
    with pytest.raises(InputError, match="5 latent channels, the UNet 4"):
        make()


def test_the_index_names_the_package_not_module_paths(saved_pipeline):
    """diffusers decides this by a private table; when that changes, moving a file would break every saved folder."""
    index = json.loads((saved_pipeline / "model_index.json").read_text())
    assert index["_class_name"] == "MuseDancePipeline"
    ours = {
        name: value for name, value in index.items() if isinstance(value, list) and value[0].startswith("musedance")
    }
    assert set(ours) == {"unet", "reference_net", "mask_encoder", "music_encoder"}
    assert {value[0] for value in ours.values()} == {"musedance"}
    import musedance

    assert all(getattr(musedance, value[1]).__name__ == value[1] for value in ours.values())


def test_a_folder_holds_no_pickles(saved_pipeline):
    assert {path.suffix for path in saved_pipeline.rglob("*") if path.is_file()} <= {
        ".json",
        ".safetensors",
        ".txt",
        ".py",
    }


def test_saving_a_video_with_its_sound(make, tmp_path):
    output = make(num_frames=14)
    output.save(tmp_path / "video.mp4")
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 14
        ends = [
            float(stream.duration * stream.time_base)
            for stream in (container.streams.video[0], container.streams.audio[0])
        ]
    assert abs(ends[0] - ends[1]) <= 1 / 12
