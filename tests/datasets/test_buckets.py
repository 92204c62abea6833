"""Clips of different shapes: what canvas they get, how they are fitted, who shares a batch."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musedance.conditions.densepose import PART_COLOURS, draw_densepose, read_densepose_labels
from musedance.datasets.chance import SampleKey
from musedance.datasets.clip import Clip, Span
from musedance.datasets.folder import DatasetFolder, write_dataset
from musedance.datasets.loader import make_loader
from musedance.datasets.reader import FileReader
from musedance.datasets.spec import ClipSpec
from musedance.datasets.stage1 import Stage1Samples
from musedance.media.lossless import write_lossless
from musedance.media.video_writer import VideoWriter

SPEC = ClipSpec(pixels=64 * 64, multiple=8, fps=12, num_frames=24, num_motion_frames=2)
SHAPES = [(64, 64), (96, 64), (64, 96), (128, 130), (98, 66)]  # width, height; five clips of each, but one of the last
CANVASES = {(64, 64): {0, 3}, (56, 80): {1, 4}, (80, 56): {2}}  # (height, width) and whose canvas it is


@pytest.fixture(scope="module")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips with a white box that moves down, and the box as their DensePose."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "train" / "clips").mkdir(parents=True)
    (folder / "train" / "densepose").mkdir()
    clips = []
    for shape, (width, height) in enumerate(SHAPES):
        for copy in range(1 if shape == 4 else 3):
            name = f"shape{shape}-{copy}"
            boxes = np.zeros((28, height, width), np.uint8)
            for frame in range(28):
                boxes[frame, frame : frame + height // 3, width // 3 : width * 2 // 3] = 1 + copy
            file = folder / "train" / "clips" / f"{name}.mp4"
            with VideoWriter(file, fps=12, height=height, width=width, audio_rate=16000, audio_channels=1) as writer:
                frames = np.repeat((boxes > 0).astype(np.uint8)[..., None] * 255, 3, axis=-1)
                writer.write(frames, np.zeros((1, 37333), np.float32))
            write_lossless(folder / "train" / "densepose" / f"{name}.mp4", draw_densepose(boxes), 12)
            clips.append(
                Clip(
                    f"clips/{name}.mp4", name, "train", name, name, 0.0, 0.0, (), 28, 12.0, width, height, "",
                    (Span(0, 28 / 12, "falls"),), f"densepose/{name}.mp4",
                )
            )  # fmt: skip
    write_dataset(folder, {"name": "shapes"}, clips)
    return folder


@given(
    width=st.integers(100, 4000),
    height=st.integers(100, 4000),
    side=st.sampled_from([128, 320, 512, 640]),
    multiple=st.sampled_from([8, 16, 32]),
)
def test_canvases_have_about_the_models_pixels(width: int, height: int, side: int, multiple: int) -> None:
    clip = Clip("clips/a.mp4", "a", "train", "s", "t", 0.0, 0.0, (), 50, 12.0, width, height, "", (Span(0, 1, ""),))
    spec = ClipSpec(side * side, multiple, 12, 48, 2)
    canvas = spec.canvas(clip)
    assert all(length % multiple == 0 for length in canvas)
    short = min(canvas)
    assert abs(canvas[0] * canvas[1] / side**2 - 1) < 2 * multiple / short  # as near as rounding allows
    shape = min(max(width / height, 1 / 3), 3)
    assert abs(canvas[1] / canvas[0] / shape - 1) < 2 * multiple / short


def test_clips_are_sorted_into_buckets_by_canvas(shapes_folder: Path) -> None:
    samples = Stage1Samples(FileReader(DatasetFolder(shapes_folder), SPEC), window=4)
    found = {canvas: {int(samples.clips[i].id[5]) for i in bucket} for canvas, bucket in samples.buckets.items()}
    assert found == CANVASES
    assert sum(len(bucket) for bucket in samples.buckets.values()) == len(samples) == 13
    coarse = Stage1Samples(FileReader(DatasetFolder(shapes_folder), ClipSpec(64 * 64, 64, 12, 24, 2)), window=4)
    assert coarse.buckets.keys() == {(64, 64)}


def test_batches_hold_one_canvas_each(shapes_folder: Path, tiny_folder: Path) -> None:
    loader = make_loader(shapes_folder, tiny_folder, stage=1, batch_size=2, spec=SPEC, window=4)
    seen = []
    for batch in islice(loader, loader.sampler.batches_per_epoch):
        canvas = tuple(batch["frames"].shape[1:3])
        assert {int(clip[5]) for clip in batch["ids"]} <= CANVASES[canvas]
        assert batch["reference_frames"].shape == batch["densepose"].shape == (len(batch["ids"]), *canvas, 3)
        seen += batch["ids"]
    assert len(seen) == len(set(seen)) == 13


@pytest.mark.parametrize("clip", [0, 3, 6, 9, 12])
def test_pictures_and_masks_are_cropped_alike(shapes_folder: Path, clip: int) -> None:
    samples = Stage1Samples(FileReader(DatasetFolder(shapes_folder), SPEC), window=4)
    content = samples[SampleKey(clip, 0)].content
    picture, mask = content["reference"].numpy(), content["densepose"].numpy()
    box, labels = picture[..., 0] > 127, read_densepose_labels(mask)
    assert set(map(tuple, mask.reshape(-1, 3).tolist())) <= set(map(tuple, PART_COLOURS.tolist()))  # nothing blended
    assert (box & (labels > 0)).sum() / (box | (labels > 0)).sum() > 0.85
    assert set(np.unique(labels)) == {0, 1}
    columns = np.flatnonzero(box.any(axis=0))
    assert abs((columns[0] + columns[-1] + 1) / 2 - box.shape[1] / 2) < 1.5  # cut off on both sides alike
    height = np.flatnonzero(box.any(axis=1)).size
    original = SHAPES[int(samples.clips[clip].id[5])]
    scale = max(box.shape[0] / original[1], box.shape[1] / original[0])
    assert abs(columns.size / (original[0] * 2 // 3 - original[0] // 3) - scale) < 0.1
    assert abs(height / (original[1] // 3) - scale) < 0.1  # not distorted
