"""What a model is asked to make."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.evaluation.cases import PICTURES, SOUNDS, DatasetCases, PictureCases, files_in, sibling
from musedance.evaluation.footage import DatasetVideos
from musedance.media.video_writer import VideoWriter

RATE = 8000


@pytest.fixture
def videos(puppet_data: Path, small_model: Path) -> DatasetVideos:
    dataset = open_dataset(puppet_data)
    return DatasetVideos(dataset, dataset.split("train"), ClipSpec.of_model(small_model), 10)


def test_a_case_has_the_words_of_its_first_frames(videos: DatasetVideos) -> None:
    cases = DatasetCases(videos)
    assert list(cases.cases) == videos.ids and cases.fps == 12
    for name, case in cases.cases.items():
        clip, facts = videos.clips[name], videos.facts(name)
        spans = [span.text for span in clip.timeline if span.start < 9.5 / 12]  # frames 0 to 9
        assert len(spans) < len(clip.timeline)
        assert case.facts.prompt == ", then ".join(spans) != facts.prompt
        assert (case.facts.track, case.facts.beats, case.facts.groups) == (facts.track, facts.beats, facts.groups)
        assert case.num_frames == 10 and case.canvas == (32, 32)


def test_the_inputs_are_the_first_frame_the_music_and_the_tracks_tempo(videos: DatasetVideos) -> None:
    cases = DatasetCases(videos)
    for name in videos.ids[::4]:
        inputs, true = cases.inputs(name), videos.read(name)
        assert np.array_equal(np.asarray(inputs.picture), true.frames[0])
        assert np.array_equal(cases.reference(name), true.frames[0])
        assert np.array_equal(inputs.sound.samples, true.sound.samples)
        assert inputs.bpm == pytest.approx(60 / np.diff(videos.clips[name].beats).mean(), rel=0.01)


def test_without_beats_the_tempo_is_not_known(videos: DatasetVideos) -> None:
    silent = replace(videos.clips[videos.ids[0]], beats=())
    cases = DatasetCases(DatasetVideos(videos.dataset, [silent], videos.spec, 10))
    assert cases.inputs(silent.id).bpm is None and cases.cases[silent.id].facts.beats is None


def test_the_picture_may_come_from_another_clip_of_the_source(videos: DatasetVideos) -> None:
    cases = DatasetCases(videos, from_other_clip=True)
    siblings = [name for name in videos.ids if videos.clips[name].source == videos.clips[videos.ids[0]].source]
    first = {name: videos.read(name).frames[0] for name in siblings}
    for name, following in zip(siblings, siblings[1:] + siblings[:1], strict=True):
        assert np.array_equal(cases.reference(name), first[following])
        assert not np.array_equal(cases.reference(name), first[name])
        assert np.array_equal(cases.inputs(name).sound.samples, videos.sound(name).samples)  # its own music


def test_the_picture_is_the_portrait_where_there_is_one(videos: DatasetVideos) -> None:
    clips = [videos.clips[name] for name in videos.ids]
    portrait = replace(clips[2], portrait=True)
    others = [clip for clip in clips if clip.source == portrait.source and clip.id != portrait.id]
    assert others
    for clip in others:
        assert sibling([*others, portrait], clip) is portrait


def test_the_only_clip_of_a_source_has_no_other(puppet_data: Path, small_model: Path, tmp_path: Path) -> None:
    data = shutil.copytree(puppet_data, tmp_path / "data")
    rows = data / "test" / "metadata.jsonl"
    rows.write_text(rows.read_text().splitlines()[0] + "\n")
    dataset = open_dataset(data)
    cases = DatasetCases(
        DatasetVideos(dataset, dataset.split("test"), ClipSpec.of_model(small_model)), from_other_clip=True
    )
    with pytest.raises(InputError, match="is the only one of its source"):
        cases.inputs(next(iter(cases.cases)))


def test_the_other_clips_picture_is_on_this_ones_canvas(puppet_data: Path, tmp_path: Path, small_model: Path) -> None:
    """Clips of one source may be cropped to different shapes."""
    data = shutil.copytree(puppet_data, tmp_path / "data")
    clips = open_dataset(data).split("test")
    path = data / "test" / clips[1].file_name
    frames = np.zeros((50, 40, 80, 3), np.uint8)
    with VideoWriter(path, fps=12, height=40, width=80, audio_rate=RATE, audio_channels=1) as writer:
        writer.write(frames, np.zeros((1, RATE * 50 // 12), np.float32))
    rows = [clip if clip.id != clips[1].id else replace(clip, width=80, height=40, truth="") for clip in clips]
    (data / "test" / "metadata.jsonl").write_text("".join(clip.to_json() + "\n" for clip in rows))
    dataset = open_dataset(data)
    cases = DatasetCases(DatasetVideos(dataset, dataset.split("test"), ClipSpec.of_model(small_model)), True)
    canvases = {case.canvas for case in cases.cases.values()}
    assert len(canvases) == 2
    for name, case in cases.cases.items():
        assert cases.reference(name).shape == (*case.canvas, 3)


def write_sound(path: Path, seconds: float, first: float = 0.0) -> Path:
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (np.linspace(first, 0.5, round(seconds * RATE))[None] * 32767).astype(np.int16)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def write_picture(path: Path, width: int, height: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (200, 30, 30)).save(path)
    return path


def pictures_with(pictures: list[Path], tracks: list[Path], seconds: float = 1.0, fps: float = 12) -> PictureCases:
    return PictureCases(pictures, tracks, "dances", seconds=seconds, fps=fps, pixels=32 * 32, multiple=8)


def test_every_picture_with_every_track(tmp_path: Path) -> None:
    pictures = [
        write_picture(tmp_path / "cats" / "tom.png", 90, 90),
        write_picture(tmp_path / "men" / "al.jpg", 40, 80),
    ]
    tracks = [write_sound(tmp_path / "waltz" / "one.wav", 3), write_sound(tmp_path / "house" / "two.wav", 2)]
    cases = pictures_with(pictures, tracks, seconds=1.5)
    ids = [f"{picture}_{track}" for picture in ("cats-tom", "men-al") for track in ("waltz-one", "house-two")]
    assert sorted(cases.cases) == sorted(ids)
    facts = cases.cases["men-al_house-two"].facts
    assert facts.groups == {"kind": "men", "genre": "house"} and facts.prompt == "dances" and facts.beats is None
    tracks_of = {name: case.facts.track for name, case in cases.cases.items()}
    assert tracks_of["men-al_house-two"] == tracks_of["cats-tom_house-two"] != tracks_of["men-al_waltz-one"]
    assert {case.num_frames for case in cases.cases.values()} == {18}
    height, width = cases.cases["men-al_house-two"].canvas
    assert cases.cases["cats-tom_house-two"].canvas == (32, 32) and height > width and height % 8 == width % 8 == 0
    inputs = cases.inputs("men-al_house-two")
    assert inputs.picture.size == (width, height) and inputs.sound.duration == 1.5 and inputs.bpm is None
    assert cases.reference("men-al_house-two").shape == (height, width, 3)


def test_the_music_is_the_tracks_beginning(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "cats" / "tom.png", 32, 32)
    cases = pictures_with([picture], [write_sound(tmp_path / "waltz" / "one.wav", 3, first=-0.5)])
    samples = cases.inputs("cats-tom_waltz-one").sound.samples[0]
    assert samples[0] == pytest.approx(-0.5, abs=1e-3) and samples[-1] == pytest.approx(-0.5 + 1 / 3, abs=1e-3)


def test_a_track_that_is_too_short_is_refused_at_once(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "tom.png", 32, 32)
    track = write_sound(tmp_path / "one.wav", 1.96)
    assert pictures_with([picture], [track], 1.96).cases  # 23.52 frames are 24, and half a frame is put up with
    with pytest.raises(InputError, match=r"one\.wav has 2\.0 s of music, and 2\.2 s are wanted"):
        pictures_with([picture], [track], 2.2)
    with pytest.raises(InputError, match="have no frame at 12 frames per second"):
        pictures_with([picture], [track], 0.01)


def test_names_that_clash_are_refused(tmp_path: Path) -> None:
    pictures = [write_picture(tmp_path / part / "cats" / "tom.png", 32, 32) for part in ("one", "two")]
    track = write_sound(tmp_path / "one.wav", 2)
    with pytest.raises(InputError, match="two videos would be called cats-tom_"):
        pictures_with(pictures, [track])


def test_files_that_cannot_be_read_are_refused_at_once(tmp_path: Path) -> None:
    picture, track = write_picture(tmp_path / "tom.png", 32, 32), write_sound(tmp_path / "one.wav", 2)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    with pytest.raises(InputError, match="broken"):
        pictures_with([broken], [track])
    with pytest.raises(InputError, match="broken"):
        pictures_with([picture], [broken])


def test_files_are_found_in_folders(tmp_path: Path) -> None:
    found = [write_picture(tmp_path / part, 8, 8) for part in ("b/one.png", "a/two.JPG", "three.webp")]
    (tmp_path / "notes.txt").write_text("")
    assert files_in([tmp_path], PICTURES) == sorted(found)
    assert files_in([found[0], tmp_path / "a"], PICTURES) == [found[0], found[1]]
    assert files_in([str(tmp_path / "notes.txt")], PICTURES) == [tmp_path / "notes.txt"]  # named: what it is, is seen
    with pytest.raises(InputError, match="there is no file or folder"):
        files_in([tmp_path / "nowhere"], PICTURES)
    with pytest.raises(InputError, match=r"there is nothing in .* that ends in .*\.wav"):
        files_in([tmp_path], SOUNDS)
