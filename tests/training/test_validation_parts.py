"""The parts of validation: which clips, what the pipeline is given of them, the scores, the contact sheet."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from musedance.datasets.folder import write_dataset
from musedance.datasets.reader import FileReader
from musedance.datasets.shard_writer import write_shards
from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.media.video import VideoReader
from musedance.training.validation_clips import HeldOutClips
from musedance.training.validation_scores import image_scores
from musedance.training.validation_sheet import draw_panel, join_panels


def test_clips_are_fixed_and_spread_over_the_split(small_model, puppet_data):
    dataset, spec = open_dataset(puppet_data), ClipSpec.of_model(small_model)
    split = [clip.id for clip in dataset.split("validation")]
    assert len(split) == 4
    for count, expected in ((1, [0]), (2, [0, 2]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])):
        found = HeldOutClips(dataset, spec, stage=2, count=count).clips
        assert [clip.id for clip in found] == [split[place] for place in expected]


@pytest.mark.parametrize("stage", [1, 2])
def test_what_the_pipeline_is_given(stage, small_model, puppet_data):
    dataset, spec = open_dataset(puppet_data), ClipSpec.of_model(small_model)
    held_out = HeldOutClips(dataset, spec, stage=stage, count=1)
    clip = held_out.clips[0]
    example = held_out.read(clip)
    with VideoReader(dataset.locate(clip)) as video:
        frames = video.frames_at([(number + 0.5) / 12 for number in range(7)])
    small = [np.asarray(Image.fromarray(frame).resize((32, 32), Image.Resampling.LANCZOS)) for frame in frames]
    assert (np.asarray(example.reference) == small[0]).all()
    assert (example.frames == np.stack(small[6:] if stage == 1 else small[:4])).all()
    assert example.times == pytest.approx([0.5] if stage == 1 else [0, 1 / 12, 2 / 12, 3 / 12])
    assert example.prompt.split(",")[0] in clip.caption and example.prompt
    assert (example.densepose is not None) == (stage == 1)
    regular = replace(clip, beats=(0.1, 0.6, 1.1, 2.1, 2.6, 3.1))  # 120 BPM, and one beat that was missed
    assert held_out.read(regular).bpm == pytest.approx(120)
    assert held_out.read(replace(clip, beats=(0.1,))).bpm is None
    assert held_out.read(replace(clip, beats=(0.1, 9.0))).bpm is None  # too slow for a tempo


def test_shards_give_the_same(small_model, puppet_data, tmp_path):
    write_shards(open_dataset(puppet_data), tmp_path / "shards")
    spec, read = ClipSpec.of_model(small_model), []
    for data in (puppet_data, tmp_path / "shards"):
        held_out = HeldOutClips(open_dataset(data), spec, stage=2, count=2)
        read.append([held_out.read(clip) for clip in held_out.clips])
    for plain, sharded in zip(*read, strict=True):
        assert (plain.frames == sharded.frames).all() and (plain.sound.samples == sharded.sound.samples).all()
        assert (plain.prompt, plain.bpm, plain.times) == (sharded.prompt, sharded.bpm, sharded.times)


@pytest.mark.parametrize("stage", [1, 2])
def test_the_pipeline_is_given_the_portrait_where_there_is_one(stage, small_model, puppet_data, tmp_path):
    data = shutil.copytree(puppet_data, tmp_path / "data")
    dataset = open_dataset(data)
    portrait = dataset.split("validation")[3]
    write_dataset(data, dataset.info, [replace(clip, portrait=clip.id == portrait.id) for clip in dataset.clips])
    dataset, spec = open_dataset(data), ClipSpec.of_model(small_model)
    held_out = HeldOutClips(dataset, spec, stage=stage, count=9)
    assert portrait.id not in {clip.id for clip in held_out.clips} and len(held_out.clips) == 3
    shown = FileReader(dataset, spec).pictures(portrait, [0]).numpy()[0]
    for clip in held_out.clips:
        assert clip.source == portrait.source
        example = held_out.read(clip)
        assert (np.asarray(example.reference) == shown).all()
        assert not (example.frames[0] == shown).all()


def test_scores_of_known_differences():
    true = np.full((3, 16, 24, 3), 100, np.uint8)
    generated = true + np.array([5, 10, 0], np.uint8)[:, None, None, None]
    scores = image_scores(generated, true)
    psnr = [20 * math.log10(255 / difference) for difference in (5, 10)]
    assert scores["psnr"] == pytest.approx(np.mean([*psnr, 100.0]), abs=1e-4)  # identical frames count 100 dB
    constants = [(100 / 255, (100 + difference) / 255) for difference in (5, 10, 0)]
    ssim = [(2 * a * b + 1e-4) / (a * a + b * b + 1e-4) for a, b in constants]  # of flat pictures, C1 = 0.01 ** 2
    assert scores["ssim"] == pytest.approx(np.mean(ssim), abs=1e-4)


@pytest.mark.parametrize(("frames", "rows", "columns"), [(1, 1, 3), (2, 2, 3), (8, 2, 9), (48, 2, 9)])
def test_the_sheet_shows_reference_true_and_generated_frames(frames, rows, columns):
    """Each colour where it belongs: blue for the reference, from dark to light green and red for the frames."""
    light = np.linspace(60, 255, frames).astype(np.uint8)
    true, generated = np.zeros((2, frames, 40, 64, 3), np.uint8)
    true[..., 1], generated[..., 0] = light[:, None, None], light[:, None, None]
    prompt = "x" * 500 + " " + "spins on the beat, " * 40
    scores = {"psnr": 20.0, "ssim": 0.5}
    panel = draw_panel("clip", prompt, scores, Image.new("RGB", (64, 40), (0, 0, 255)), true, generated, [0.0] * frames)
    sheet = np.asarray(join_panels("step 5", scores, [panel, panel, panel])).astype(int)
    pictures = {}
    for name, channel in (("reference", 2), ("true", 1), ("generated", 0)):
        others = [other for other in range(3) if other != channel]
        mask = (sheet[..., channel] >= 60) & (sheet[..., others] < 5).all(-1)
        lines, places = np.nonzero(mask)
        pictures[name] = mask.sum() / 3, lines.min(), places.min(), sheet[mask][:, channel]
    shown = min(frames, 8)
    assert pictures["reference"][0] == 192 * 120
    assert pictures["true"][0] == pictures["generated"][0] == shown * 192 * 120
    assert pictures["reference"][1] == pictures["true"][1]  # side by side
    assert (pictures["generated"][1] > pictures["true"][1]) == (rows == 2)
    assert pictures["reference"][2] < pictures["true"][2]
    levels = np.unique(pictures["true"][3])
    assert len(levels) == shown and {levels.min(), levels.max()} == {light.min(), light.max()}
    assert panel.width == columns * 200 - 8
