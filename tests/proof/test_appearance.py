"""Appearance: what is counted as background, whom a video looks like, and whether its reference helped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

import musedance.datasets.stage2
import musedance.proof.appearance
from musedance.datasets.encode import Encoders
from musedance.datasets.reader import FileReader
from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.datasets.stage2 import Stage2Samples, Window
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos
from musedance.latents import packing
from musedance.pipeline import MuseDancePipeline
from musedance.proof.appearance import background_psnr, reference_findings, retrieval_finding
from musedance.proof.plans import reference_of
from musedance.puppets.performance import perform

from .conftest import FRAMES, world


def dancers(videos: DatasetVideos, name: str, reference: str) -> np.ndarray:
    """(H, W) bool, drawn anew: where the dancer is in some frame of a clip, or in the first one of another."""
    covered = np.zeros((64, 64), bool)
    for clip, frames in ((videos.clips[name], range(FRAMES)), (videos.clips[reference], range(1))):
        performance = perform(world(21), int(clip.source.split("-")[1]))
        for frame in frames:
            pose = performance.choreography.pose(clip.track_start + frame / clip.fps)
            covered |= performance.scene.draw(pose).parts > 0
    return covered


@pytest.mark.parametrize("index", [0, 9])
def test_the_background_is_where_no_dancer_is(videos: DatasetVideos, index: int) -> None:
    """Whatever is where one of both dancers is does not count; an error elsewhere counts in full."""
    name = videos.ids[index]
    reference = reference_of(videos, videos.clips[name])
    true = videos.pictures(videos.clips[name], list(range(FRAMES)))
    assert background_psnr(videos, name, true, reference) == 100
    covered = dancers(videos, name, reference)
    assert 0.02 < covered.mean() < 0.7
    painted = true.copy()
    painted[:, covered] = 255 - painted[:, covered]
    assert background_psnr(videos, name, painted, reference) == 100

    far = ~binary_dilation(covered, iterations=5)
    off = np.where(true < 128, true + 10, true - 10).astype(np.uint8)
    elsewhere = true.copy()
    elsewhere[:, far] = off[:, far]
    assert background_psnr(videos, name, off, reference) == pytest.approx(20 * np.log10(25.5), abs=1e-6)
    share = far.sum() / (~binary_dilation(covered, iterations=3)).sum()
    expected = 20 * np.log10(25.5) - 10 * np.log10(share)
    assert background_psnr(videos, name, elsewhere, reference) == pytest.approx(expected, abs=0.02)


def test_without_masks_there_is_no_background(videos: DatasetVideos) -> None:
    name = videos.ids[0]
    videos.clips[name] = replace(videos.clips[name], densepose="")
    with pytest.raises(InputError, match="no DensePose video"):
        background_psnr(videos, name, np.zeros((FRAMES, 64, 64, 3), np.uint8), videos.ids[1])


def test_an_error_in_one_frame_counts(videos: DatasetVideos) -> None:
    name = videos.ids[3]
    true = videos.pictures(videos.clips[name], list(range(FRAMES)))
    once = true.copy()
    once[7] = np.where(true[7] < 128, true[7] + 20, true[7] - 20)
    found = background_psnr(videos, name, once, name)
    assert found == pytest.approx(20 * np.log10(255 / 20) + 10 * np.log10(FRAMES), abs=1e-6)


def test_true_videos_are_most_like_their_own_character(videos: DatasetVideos) -> None:
    made = {name: videos.read(name).frames for name in videos.ids[::3]}
    found = retrieval_finding(videos, made, made, least=0.3)
    assert found.value == found.truth == 1 and found.n == 8 and found.holds
    assert found.chance == pytest.approx(1 / 6) and "of 6 pictures" in found.name  # there are six characters


def test_videos_of_somebody_else_are_not(videos: DatasetVideos) -> None:
    names = videos.ids[::4]  # one of each source
    made = {name: videos.read(other).frames for name, other in zip(names, names[1:] + names[:1], strict=True)}
    found = retrieval_finding(videos, made, {name: videos.read(name).frames for name in names}, least=0.3)
    assert found.value == 0 and found.truth == 1 and found.holds is False


@pytest.fixture(scope="module")
def pipeline(small_model: Path) -> MuseDancePipeline:
    """With random networks in which everything has an effect."""
    pipeline = MuseDancePipeline.from_pretrained(small_model)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in (*pipeline.unet.parameters(), *pipeline.reference_net.parameters()):
            if not parameter.any():
                parameter.normal_(std=0.2, generator=generator)
    return pipeline


@pytest.fixture
def fitted(exam_data: Path, small_model: Path) -> DatasetVideos:
    """The clips on the model's canvas."""
    dataset = open_dataset(exam_data)
    return DatasetVideos(dataset, dataset.split("test"), ClipSpec.of_model(small_model))


def test_a_reference_is_compared_with_anothers_and_with_none(
    pipeline: MuseDancePipeline, fitted: DatasetVideos
) -> None:
    found = reference_findings(pipeline, fitted, pairs=10, batch=4)
    assert [finding.name.split(" minus")[0] for finding in found] == [
        *["error with another character's reference"] * 3,
        *["error with no reference"] * 3,
    ]
    assert [finding.name.split("t = ")[1] for finding in found] == ["200", "500", "800"] * 2
    assert all(finding.n == 10 and finding.least == 0 and finding.claim == "appearance" for finding in found)
    assert all(finding.value != 0 for finding in found)
    assert found == reference_findings(pipeline, fitted, pairs=10, batch=4)


def test_noise_and_words_are_the_same_for_all(
    pipeline: MuseDancePipeline, fitted: DatasetVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were all pictures the same, another's reference would be as good, to the bit; and none would not be."""
    grey = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8))
    monkeypatch.setattr(musedance.proof.appearance, "_picture", lambda videos, name, frame: grey)
    another, none = np.split(np.array([f.value for f in reference_findings(pipeline, fitted, pairs=6, batch=3)]), 2)
    assert (another == 0).all() and (none != 0).all()


def test_who_predicts_the_truth_only_with_its_reference_is_found_out(
    pipeline: MuseDancePipeline, fitted: DatasetVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A UNet that is far off without a reference: its error is more by the square of that."""
    forward = type(pipeline.unet).forward

    def worse(self, sample, timestep, reference=None, **kwargs):
        made = forward(self, sample, timestep, reference=reference, **kwargs)
        made.sample = torch.zeros_like(sample) if reference is not None else torch.full_like(sample, 100.0)
        return made

    monkeypatch.setattr(type(pipeline.unet), "forward", worse)
    another, none = np.split(np.array([f.value for f in reference_findings(pipeline, fitted, pairs=6)]), 2)
    assert (another == 0).all()
    np.testing.assert_allclose(none, 100**2, rtol=0.05)


def test_pairs_are_of_one_character_and_of_two(fitted: DatasetVideos) -> None:
    pairs = musedance.proof.appearance._pairs(fitted, 60, FRAMES - 4)
    assert len(pairs) == 60 and len({pair.clip for pair in pairs}) == 24
    assert {pair.start for pair in pairs} == {0, 1, 2, 3, 4}
    for clip, _, (right, first), (wrong, other) in pairs:
        source = fitted.clips[clip].source
        assert right != clip and fitted.clips[right].source == source != fitted.clips[wrong].source
        assert all(0 <= frame < FRAMES for frame in (first, other))
    with pytest.raises(InputError, match=f"has {FRAMES} frames, fewer than a segment's {FRAMES + 1}"):
        musedance.proof.appearance._pairs(fitted, 1, FRAMES + 1)


def test_segments_are_what_training_sees(
    pipeline: MuseDancePipeline, fitted: DatasetVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames, words, music and beats of a window are those of a training sample of the same window."""
    pairs = musedance.proof.appearance._pairs(fitted, 3, fitted.spec.num_frames)
    encoders = Encoders(
        pipeline.vae, pipeline.text_encoder, pipeline.tokenizer, pipeline.music_encoder, fitted.spec.fps,
        packing(pipeline.unet.config.in_channels, pipeline.vae.config.latent_channels),
    )  # fmt: skip
    latents, conditions = musedance.proof.appearance._segments(pipeline, encoders, fitted, pairs)
    samples = Stage2Samples(FileReader(fitted.dataset, fitted.spec, pipeline.feature_extractor), "test")
    for place, pair in enumerate(pairs):
        monkeypatch.setattr(musedance.datasets.stage2, "draw_window", lambda *_, at=pair.start: Window(at, False))
        sample = samples.read(fitted.clips[pair.clip], np.random.default_rng(0))
        torch.testing.assert_close(latents[place].transpose(0, 1), encoders.latents(sample["target"]))
        torch.testing.assert_close(conditions["encoder_hidden_states"][place], encoders.text([sample["text"]])[0])
        torch.testing.assert_close(conditions["music"][place], encoders.music(sample["music"][None])[0])
        assert torch.equal(conditions["beats"][place], sample["beats"])
    found = {}
    for left_out in ("", "music", "beats"):
        told = {key: value for key, value in conditions.items() if key != left_out}
        found[left_out] = musedance.proof.appearance._errors(pipeline, latents, told, 500, seed=0)
    assert found[""] != found["music"] and found[""] != found["beats"]
