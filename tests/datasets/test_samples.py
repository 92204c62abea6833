"""What is drawn of a clip and what comes of it, looked at in the pictures and the sound themselves."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import ASTFeatureExtractor

from musedance.conditions.densepose import read_densepose_labels
from musedance.conditions.music import mel_spectrogram, segment_waveforms
from musedance.datasets.chance import Purpose, SampleKey, sample_generator
from musedance.datasets.clip import Clip, Span
from musedance.datasets.folder import DatasetFolder, write_dataset
from musedance.datasets.loader import make_loader
from musedance.datasets.reader import FileReader
from musedance.datasets.spec import ClipSpec
from musedance.datasets.stage1 import Stage1Samples, draw_pair
from musedance.datasets.stage2 import Stage2Samples, draw_music, draw_reference, draw_window
from musedance.datasets.window_text import clip_texts, window_text
from musedance.errors import InputError
from musedance.media.audio import read_audio
from musedance.timeline import plan_timeline

SPEC = ClipSpec(pixels=64 * 64, multiple=8, fps=12, num_frames=24, num_motion_frames=2, grid=6)
CLIP = Clip("clips/a.mp4", "a", "train", "s", "t", 0.0, 0.0, (), 50, 12.0, 64, 64, "", (Span(0, 1, ""),))
ReadIndex = Callable[[np.ndarray], tuple[int, int]]


@pytest.fixture(scope="module")
def stage1(dataset_folder: Path) -> Stage1Samples:
    return Stage1Samples(FileReader(DatasetFolder(dataset_folder), SPEC))


@pytest.fixture(scope="module")
def stage2(dataset_folder: Path, tiny_folder: Path) -> Stage2Samples:
    extractor = ASTFeatureExtractor.from_pretrained(tiny_folder / "feature_extractor")
    return Stage2Samples(FileReader(DatasetFolder(dataset_folder), SPEC, extractor))


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(window=st.integers(2, 30), spare=st.integers(0, 200), seed=st.integers(0, 1000))
def test_pairs_lie_in_the_papers_open_intervals(window: int, spare: int, seed: int) -> None:
    num_frames = 2 * window + 2 + spare
    i, j = draw_pair(num_frames, window, generator(seed))
    assert window < i < num_frames - window
    assert i - window < j < i + window and j != i
    assert 0 <= j < num_frames


@pytest.mark.parametrize(("num_frames", "window"), [(50, 12), (26, 12), (6, 2)])
def test_every_pair_of_the_intervals_is_reached(num_frames: int, window: int) -> None:
    numbers = generator(0)
    drawn = {draw_pair(num_frames, window, numbers) for _ in range(20_000)}
    possible = range(window + 1, num_frames - window)
    assert drawn == {(i, j) for i in possible for j in range(i - window + 1, i + window) if j != i}


@pytest.mark.parametrize(("num_frames", "window"), [(25, 12), (24, 12), (1, 12), (50, 1), (50, 0)])
def test_a_clip_without_any_pair_is_refused(num_frames: int, window: int) -> None:
    with pytest.raises(InputError, match="hold no pair"):
        draw_pair(num_frames, window, generator(0))


def test_stage_1_reads_the_two_frames_and_the_mask_of_the_reference(
    stage1: Stage1Samples, read_index: ReadIndex
) -> None:
    for epoch in range(12):
        key = SampleKey(epoch % 6, epoch)
        content = stage1[key].content
        drawn = draw_pair(50, 12, sample_generator(0, Purpose.CONTENT, key))
        seen = [read_index(content[name].numpy()) for name in ("reference", "target")]
        assert seen == [(key.clip, frame) for frame in drawn]
        clip = stage1.clips[key.clip]
        assert content["has_densepose"] == bool(clip.densepose)
        labels = read_densepose_labels(content["densepose"].numpy())
        if clip.densepose:  # it begins where the block of that frame does
            assert np.flatnonzero(labels.any(axis=0)).tolist() == list(range(drawn[0], min(64, drawn[0] + 14)))


@pytest.fixture(scope="module")
def with_portrait(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """The dataset with clip 1 as the portrait of the source alpha, whose other clips are 0 and 2."""
    folder = shutil.copytree(dataset_folder, tmp_path_factory.mktemp("portrait") / "data")
    clips = [replace(clip, portrait=clip.id == "clip-01") for clip in DatasetFolder(folder).clips]
    write_dataset(folder, {}, clips)
    return DatasetFolder(folder)


def test_stage_1_takes_references_from_the_portrait(with_portrait: DatasetFolder, read_index: ReadIndex) -> None:
    samples = Stage1Samples(FileReader(with_portrait, SPEC))
    assert [clip.id for clip in samples.clips] == ["clip-00", "clip-02", "clip-03", "clip-04", "clip-05"]
    shown = set()
    for epoch in range(20):
        key = SampleKey(epoch % 5, epoch)
        content = samples[key].content
        number, frame = read_index(content["reference"].numpy())
        own = int(samples.clips[key.clip].id[-2:])
        assert read_index(content["target"].numpy())[0] == own
        assert number == (1 if own < 3 else own)
        if own < 3:
            labels = read_densepose_labels(content["densepose"].numpy())
            assert content["has_densepose"]
            assert np.flatnonzero(labels.any(axis=0)).tolist() == list(range(frame, min(64, frame + 14)))
            shown.add(frame)
    assert len(shown) > 4  # any frame of it


def test_stage_2_takes_references_from_the_portrait(
    with_portrait: DatasetFolder, tiny_folder: Path, read_index: ReadIndex
) -> None:
    extractor = ASTFeatureExtractor.from_pretrained(tiny_folder / "feature_extractor")
    samples = Stage2Samples(FileReader(with_portrait, SPEC, extractor))
    for epoch in range(12):
        content = samples[SampleKey(epoch % 5, epoch)].content
        own = int(samples.clips[epoch % 5].id[-2:])
        source = {0: {1}, 2: {1}, 3: {3, 4}, 4: {3, 4}, 5: {5}}[own]
        assert read_index(content["reference"].numpy())[0] in source
        assert {read_index(frame)[0] for frame in content["target"].numpy()} == {own}


def test_a_portrait_has_the_shape_of_the_clips(with_portrait: DatasetFolder) -> None:
    with_portrait.clips[1] = replace(with_portrait.clips[1], width=128)
    try:
        with pytest.raises(InputError, match="portrait clip-01 has another shape than clip clip-00"):
            Stage1Samples(FileReader(with_portrait, SPEC))
    finally:
        del with_portrait.clips  # read again


def test_a_sample_depends_on_its_key_alone(stage2: Stage2Samples) -> None:
    keys = [SampleKey(clip, epoch, repeat) for clip in (0, 3) for epoch in (0, 1) for repeat in (0, 1)]
    first = [stage2[key] for key in keys]
    np.random.seed(1)
    torch.manual_seed(1)
    again = [stage2[key] for key in reversed(keys)][::-1]
    for a, b in zip(first, again, strict=True):
        assert a.content.keys() == b.content.keys()
        for name, value in a.content.items():
            assert torch.equal(value, b.content[name]) if isinstance(value, torch.Tensor) else value == b.content[name]
    starts = {str(sample.content["beats"].tolist()) + str(sample.content["has_motion"]) for sample in first}
    assert len(starts) > 2  # other epochs and repeats see other parts


def test_stage_2_windows_are_consecutive_with_the_frames_before_them(
    stage2: Stage2Samples, read_index: ReadIndex
) -> None:
    seen_motion = set()
    for epoch in range(16):
        key = SampleKey(epoch % 6, epoch)
        content = stage2[key].content
        window = draw_window(50, SPEC, sample_generator(0, Purpose.CONTENT, key))
        frames = [read_index(frame) for frame in content["target"].numpy()]
        assert frames == [(key.clip, window.start + k) for k in range(24)]
        assert content["has_motion"] == window.has_motion
        seen_motion.add(window.has_motion)
        if window.has_motion:
            before = [read_index(frame) for frame in content["motion"].numpy()]
            assert before == [(key.clip, window.start - 2), (key.clip, window.start - 1)]
        else:
            assert content["motion"].shape[0] == 2 and not content["motion"].any()
    assert seen_motion == {True, False}


def test_beats_and_sound_are_those_of_the_window(stage2: Stage2Samples) -> None:
    """The clicks of the track are heard on the frames that the beats say."""
    for epoch in range(6):
        key = SampleKey(epoch, epoch)
        clip, content = stage2.clips[key.clip], stage2[key].content
        start = draw_window(50, SPEC, sample_generator(0, Purpose.CONTENT, key)).start
        expected = [round((beat - clip.track_start) * 12 + 1e-9) - start for beat in clip.beats]
        expected = [frame for frame in expected if 0 <= frame < 24]
        assert torch.nonzero(content["beats"]).flatten().tolist() == expected
        mel = content["music"].numpy()
        assert mel.shape == (198, 64)
        energy = mel[:, 40:].mean(axis=1)  # the clicks are noise, the tone below them is not up here
        onsets = np.flatnonzero((energy[1:] > energy.max() - 0.5) & (energy[:-1] < energy.max() - 0.5)) / 100 * 12
        assert len(onsets) >= 2
        for beat in (b for b in ((b - clip.track_start) * 12 - start for b in clip.beats) if 0.5 < b < 23):
            assert np.abs(onsets - beat).min() < 0.5


def test_beats_count_from_the_tracks_beginning(dataset_copy: Path, tiny_folder: Path) -> None:
    rewrite(dataset_copy, lambda clip: replace(clip, track_start=30.1, beats=(0.2, 30.0, 30.2, 31.0, 33.6)))
    extractor = ASTFeatureExtractor.from_pretrained(tiny_folder / "feature_extractor")
    samples = Stage2Samples(FileReader(DatasetFolder(dataset_copy), SPEC, extractor))
    for epoch in range(4):
        key = SampleKey(1, epoch)
        start = draw_window(50, SPEC, sample_generator(0, Purpose.CONTENT, key)).start
        expected = [frame - start for frame in (1, 11, 42) if 0 <= frame - start < 24]  # 0.1, 0.9 and 3.5 s
        assert torch.nonzero(samples[key].content["beats"]).flatten().tolist() == expected


def test_music_is_what_the_pipeline_hears(stage2: Stage2Samples, tiny_folder: Path, dataset_folder: Path) -> None:
    key = SampleKey(2, 0)
    start = draw_window(50, SPEC, sample_generator(0, Purpose.CONTENT, key)).start
    track = read_audio(dataset_folder / "train" / "clips" / "clip-02.mp4")
    timeline = plan_timeline(track.duration, segment_frames=24, fps=12, start=start / 12)
    extractor = ASTFeatureExtractor.from_pretrained(tiny_folder / "feature_extractor")
    heard = mel_spectrogram(extractor, segment_waveforms(track, timeline, extractor.sampling_rate)[0])
    assert torch.equal(stage2[key].content["music"], heard[0])


def test_a_share_of_the_music_is_that_of_another_window(dataset_folder: Path, tiny_folder: Path) -> None:
    extractor = ASTFeatureExtractor.from_pretrained(tiny_folder / "feature_extractor")
    reader = FileReader(DatasetFolder(dataset_folder), SPEC, extractor)
    own, other = Stage2Samples(reader), Stage2Samples(reader, music_shift=1.0)
    for key in (SampleKey(2, 0), SampleKey(3, 1), SampleKey(4, 2)):
        clip, steady, moved = own.clips[key.clip], own[key].content, other[key].content
        for name in ("target", "reference", "motion", "beats"):  # the same draws but for the music
            assert torch.equal(steady[name], moved[name]), name
        start = draw_window(50, SPEC, sample_generator(0, Purpose.CONTENT, key)).start
        elsewhere = [reader.music(clip, at) for at in SPEC.window_starts(50) if at != start]
        assert sum(torch.equal(moved["music"], one) for one in elsewhere) == 1
        assert not torch.equal(moved["music"], steady["music"])


def test_as_much_music_is_moved_as_was_asked_for() -> None:
    starts, numbers = [0, 2, 8, 14], generator(0)
    drawn = np.array([draw_music(8, starts, 0.4, numbers) for _ in range(3000)])
    assert abs((drawn != 8).mean() - 0.4) < 4 * np.sqrt(0.24 / 3000)
    counts = np.array([(drawn == other).sum() for other in (0, 2, 14)])
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 13.8  # passed once in a thousand
    assert {draw_music(8, starts, 0.0, numbers) for _ in range(50)} == {8}
    assert draw_music(0, [0], 1.0, numbers) == 0  # there is no other window


@pytest.mark.parametrize(("num_frames", "starts"), [(50, [0, 2, 8, 14, 20, 26]), (26, [0, 2]), (24, [0]), (23, [])])
def test_windows_start_on_a_grid(num_frames: int, starts: list[int]) -> None:
    assert SPEC.window_starts(num_frames) == starts


def test_half_of_the_windows_have_no_motion_frames_and_all_starts_occur() -> None:
    numbers = generator(0)
    drawn = Counter(draw_window(50, SPEC, numbers) for _ in range(4000))
    assert {start for start, has_motion in drawn if not has_motion} == {0, 2, 8, 14, 20, 26}
    assert {start for start, has_motion in drawn if has_motion} == {2, 8, 14, 20, 26}
    with_motion = sum(count for (_, has_motion), count in drawn.items() if has_motion)
    assert abs(with_motion - 2000) < 4 * 32  # four standard deviations
    assert {draw_window(24, SPEC, numbers) for _ in range(50)} == {(0, False)}
    still = replace(SPEC, num_motion_frames=0)
    assert not any(draw_window(50, still, numbers).has_motion for _ in range(50))


def test_half_of_the_references_are_from_outside_the_window() -> None:
    numbers, other = generator(0), replace(CLIP, id="b", num_frames=30)
    drawn = [draw_reference(CLIP, 8, SPEC, [other], numbers) for _ in range(4000)]
    inside = [frame for clip, frame in drawn if clip.id == "a"]
    assert set(inside) == set(range(8, 32))
    assert {frame for clip, frame in drawn if clip.id == "b"} == set(range(30))
    assert abs(len(inside) - 2000) < 4 * 32

    alone = [draw_reference(CLIP, 8, SPEC, [], numbers)[1] for _ in range(4000)]
    assert set(alone) == set(range(50)) - {6, 7}  # the motion frames would give away more than a picture does
    assert abs(sum(8 <= frame < 32 for frame in alone) - 2000) < 4 * 32

    short = replace(CLIP, num_frames=26)
    assert {draw_reference(short, 2, SPEC, [], numbers)[1] for _ in range(500)} == set(range(2, 26))


def test_references_come_from_the_same_source(stage2: Stage2Samples, read_index: ReadIndex) -> None:
    sources: dict[str, set[int]] = {key: set() for key in ("alpha", "gamma")}
    for epoch in range(20):
        for clip in (1, 5):
            number, _ = read_index(stage2[SampleKey(clip, epoch)].content["reference"].numpy())
            sources[stage2.clips[clip].source].add(number)
    assert sources == {"alpha": {0, 1, 2}, "gamma": {5}}


def test_texts_are_told_for_the_frames_that_are_seen() -> None:
    spans = (Span(0, 1, "waves"), Span(1, 2, "jumps."), Span(2, 3, "jumps."), Span(3, 4, "bows"))
    clip = replace(CLIP, caption="a dance", num_frames=48, timeline=spans)
    assert window_text(clip, 0, 48) == "a dance"
    assert window_text(clip, 0, 12) == "waves"
    assert window_text(clip, 0, 13) == "waves, then jumps"
    assert window_text(clip, 12, 24) == "jumps."
    assert window_text(clip, 11, 37) == "a dance"  # every span is seen
    assert window_text(clip, 24, 24) == "jumps, then bows"
    assert window_text(replace(clip, timeline=spans[:1]), 30, 4) == "a dance"
    assert clip_texts(clip, SPEC) == sorted(
        {"waves", "jumps.", "bows", *(window_text(clip, s, 24) for s in (0, 2, 8, 14, 20))}
    )


def test_clips_that_are_too_short_are_left_out_and_named(dataset_copy: Path) -> None:
    rewrite(
        dataset_copy,
        lambda clip: replace(clip, num_frames=20, timeline=(Span(0, 1, "x"),)) if clip.id == "clip-03" else clip,
    )
    with pytest.warns(UserWarning, match=r"1 clips are shorter than 26 frames and left out: clip-03 \(20\)"):
        samples = Stage1Samples(FileReader(DatasetFolder(dataset_copy), SPEC))
    assert sorted(index for bucket in samples.buckets.values() for index in bucket) == [0, 1, 2, 4, 5]
    with pytest.raises(InputError, match=r"no clip has the 102 frames.*clip-00 \(50\)"):
        Stage1Samples(FileReader(DatasetFolder(dataset_copy), SPEC), window=50)


def test_what_does_not_fit_the_model_is_refused(dataset_folder: Path, dataset_copy: Path, tiny_folder: Path) -> None:
    with pytest.raises(InputError, match=r"clip-00 has 12 frames per second, the model 8"):
        Stage1Samples(FileReader(DatasetFolder(dataset_folder), replace(SPEC, fps=8)))
    with pytest.raises(InputError, match="no clips in its split 'test'"):
        make_loader(dataset_folder, tiny_folder, stage=1, batch_size=1, split="test")
    with pytest.raises(InputError, match="stage 1 and stage 2, not 3"):
        make_loader(dataset_folder, tiny_folder, stage=3, batch_size=1)
    with pytest.raises(InputError, match="no model folder"):
        make_loader(dataset_folder, dataset_folder, stage=1, batch_size=1)


def test_the_models_own_spec_is_read_from_its_configs(tiny_folder: Path) -> None:
    spec = ClipSpec(pixels=128 * 128, multiple=16, fps=12, num_frames=24, num_motion_frames=2, grid=6)
    assert ClipSpec.of_model(tiny_folder) == spec
    assert ClipSpec.of_model(tiny_folder, multiple=64, grid=1) == replace(spec, multiple=64, grid=1)
    for wrong in ({"multiple": 12}, {"multiple": 0}, {"grid": 0}):
        with pytest.raises(InputError):
            ClipSpec.of_model(tiny_folder, **wrong)


def rewrite(folder: Path, change: Callable[[Clip], Clip]) -> None:
    clips = DatasetFolder(folder).clips
    write_dataset(folder, {"name": "changed"}, [change(clip) for clip in clips])
