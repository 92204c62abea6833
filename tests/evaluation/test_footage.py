"""Videos to be scored: of a folder or a dataset, brought to one size, with what is known about them."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import musedance.evaluation.footage
from musedance.datasets.clip import Clip
from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos, Facts, FolderVideos
from musedance.media.audio import read_audio
from musedance.media.video import VideoReader
from musedance.media.video_writer import VideoWriter

RATE = 16000


def write_video(path: Path, n: int = 6, height: int = 32, width: int = 48, fps: float = 12.0) -> Path:
    """Frames of one colour each, and a hum."""
    frames = np.zeros((n, height, width, 3), np.uint8)
    frames[:, :, : width // 3] = 200  # what a crop around the centre takes away
    frames[..., 1] = np.linspace(40, 200, n).astype(np.uint8)[:, None, None]
    hum = 0.1 * np.sin(np.arange(round(n / fps * RATE)) * 0.2).astype(np.float32)[None]
    with VideoWriter(path, fps=fps, height=height, width=width, audio_rate=RATE, audio_channels=1) as writer:
        writer.write(frames, hum)
    return path


def clips_of(folder: Path, split: str) -> list[Clip]:
    return open_dataset(folder).split(split)


@pytest.fixture
def own_data(puppet_data: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(puppet_data, tmp_path / "data")


def test_a_folders_videos_go_by_their_stems(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MP4", "c.d.mp4"):
        write_video(tmp_path / "made.mp4").rename(tmp_path / name)
    (tmp_path / ".hidden.mp4").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "deeper").mkdir()
    videos = FolderVideos(tmp_path)
    assert videos.ids == ["a", "b", "c.d"]
    assert videos.file("a") == str(tmp_path / "a.MP4")
    assert FolderVideos(tmp_path, names=("b", "absent")).ids == ["b"]


def test_folders_without_a_choice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        FolderVideos(tmp_path / "nowhere")
    (tmp_path / ".one.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="there are no videos in"):
        FolderVideos(tmp_path)
    (tmp_path / "one.mp4").write_bytes(b"")
    (tmp_path / "one.webm").write_bytes(b"")
    with pytest.raises(InputError, match=r"one\.webm and one\.mp4 have one name"):
        FolderVideos(tmp_path)
    assert FolderVideos(write_video(tmp_path / "two.mp4").parent, names=["two"]).ids == ["two"]


def test_a_video_is_read_frame_for_frame_with_its_sound(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", n=9, height=32, width=48, fps=12)
    footage = FolderVideos(tmp_path).read("a")
    assert footage.frames.shape == (9, 32, 48, 3) and footage.frames.dtype == np.uint8
    assert footage.fps == 12 and footage.height == 32 and footage.joints is None
    assert footage.sound is not None and footage.sound.duration == pytest.approx(9 / 12, abs=0.01)
    green = footage.frames[..., 1].mean(axis=(1, 2))
    assert np.allclose(green, np.linspace(40, 200, 9), atol=8)


def test_a_size_crops_around_the_centre(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", height=32, width=96)
    frames = FolderVideos(tmp_path, size=(16, 16)).read("a").frames
    assert frames.shape == (6, 16, 16, 3)
    assert frames[..., 0].max() < 60  # the bright third at the left is outside; squeezed it would be there


def test_what_cannot_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write_video(tmp_path / "whole.mp4", n=30).read_bytes()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "folder.mp4").mkdir()
    videos = FolderVideos(tmp_path)
    for name in ("empty", "half", "text", "folder"):
        with pytest.raises((InputError, OSError), match=name):
            videos.read(name)
    monkeypatch.setattr(musedance.evaluation.footage, "MAX_BYTES", 30 * 32 * 48 * 3)
    assert len(videos.read("whole").frames) == 30
    monkeypatch.setattr(musedance.evaluation.footage, "MAX_BYTES", 30 * 32 * 48 * 3 - 1)
    with pytest.raises(InputError, match=r"too long to be scored at once \(2 s\)"):
        videos.read("whole")


def test_keypoints_beside_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", n=6)
    joints = np.random.default_rng(0).uniform(0, 32, (6, 3, 2))
    save_file({"joints": joints}, tmp_path / "a.safetensors")
    footage = FolderVideos(tmp_path, size=(16, 16)).read("a")
    assert np.array_equal(footage.joints, joints) and footage.visible.all()
    assert footage.height == 32  # joints are in the file's pixels
    save_file({"joints": joints[:4]}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"a\.safetensors has keypoints of 4 frames, the video has 6"):
        FolderVideos(tmp_path).read("a")


def test_facts_are_those_that_are_known(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4")
    known = {"a": Facts(prompt="jumps", track="tune", beats=(0.5,)), "elsewhere": Facts()}
    videos = FolderVideos(tmp_path, known)
    assert videos.ids == ["a", "b"] and videos.facts("a") == known["a"]
    assert videos.facts("b") == Facts(track="b")  # its own music, as far as anybody knows


def test_the_key_of_a_video_changes_with_its_files_and_size(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    keys = [FolderVideos(tmp_path).key("a")]
    assert FolderVideos(tmp_path).key("a") == keys[0]
    keys.append(FolderVideos(tmp_path, size=(16, 16)).key("a"))
    os.utime(path, ns=(1, 1))
    keys.append(FolderVideos(tmp_path).key("a"))
    save_file({"joints": np.zeros((6, 1, 2))}, tmp_path / "a.safetensors")
    keys.append(FolderVideos(tmp_path).key("a"))
    os.utime(tmp_path / "a.safetensors", ns=(1, 1))
    keys.append(FolderVideos(tmp_path).key("a"))
    assert len(set(keys)) == 5


def test_clips_are_read_as_they_are_or_as_a_model_makes_them(puppet_data: Path, small_model: Path) -> None:
    dataset, clips = open_dataset(puppet_data), clips_of(puppet_data, "test")
    name = clips[1].id
    whole = DatasetVideos(dataset, clips).read(name)
    assert whole.frames.shape == (50, 64, 64, 3) and whole.joints.shape[:2] == whole.visible.shape == (50, 17)
    assert whole.height == 64 and whole.sound.duration == pytest.approx(50 / 12, abs=1e-3)
    videos = DatasetVideos(dataset, clips, ClipSpec.of_model(small_model), num_frames=10)
    part = videos.read(name)
    assert part.frames.shape == (10, 32, 32, 3) and videos.canvas(clips[1]) == (32, 32)
    assert part.height == 64 and np.array_equal(part.joints, whole.joints[:10])
    coarse = whole.frames[:10].reshape(10, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    off = np.abs(part.frames[:, None].astype(float) - coarse).mean(axis=(2, 3, 4))
    assert (np.diag(off) <= off.min(axis=1) + 0.2).all() and off[0, 9] > off[0, 0] + 1  # the same first frames
    assert np.array_equal(part.sound.samples, whole.sound.samples[:, : part.sound.samples.shape[1]])
    assert part.sound.duration == pytest.approx(10 / 12, abs=1e-3)
    sized = DatasetVideos(dataset, clips, size=(16, 32)).read(name)
    assert sized.frames.shape == (50, 16, 32, 3)


def test_a_clip_shorter_than_asked_is_whole(puppet_data: Path) -> None:
    videos = DatasetVideos(open_dataset(puppet_data), clips_of(puppet_data, "test"), num_frames=500)
    assert {videos.length(name) for name in videos.ids} == {50}


def test_clips_of_another_frame_rate_are_refused(puppet_data: Path, small_model: Path) -> None:
    spec = replace(ClipSpec.of_model(small_model), fps=10)
    with pytest.raises(InputError, match="has 12 frames per second, the model 10: prepare the dataset"):
        DatasetVideos(open_dataset(puppet_data), clips_of(puppet_data, "test"), spec)


def test_beats_count_from_the_clips_first_frame(puppet_data: Path) -> None:
    """At its own beats a drawn dancer's music is louder than between them, in every clip."""
    clips = clips_of(puppet_data, "train")
    videos = DatasetVideos(open_dataset(puppet_data), clips)
    for clip in clips:
        facts = videos.facts(clip.id)
        assert facts.beats is not None and len(facts.beats) == len(clip.beats)
        assert np.allclose(np.array(facts.beats) + clip.track_start, clip.beats)
        sound = videos.sound(clip.id).mono(RATE)
        inside = [beat for beat in facts.beats if 0.1 < beat < clip.duration - 0.5]
        half = (clip.beats[1] - clip.beats[0]) / 2

        def attack(time: float, sound: np.ndarray = sound) -> float:
            at = round(time * RATE)
            return float((sound[at : at + 480] ** 2).sum() - (sound[at - 480 : at] ** 2).sum())

        on, between = np.mean([attack(beat) for beat in inside]), np.mean([attack(beat + half) for beat in inside])
        assert len(inside) >= 3 and on > 0 and on > between


def test_facts_come_from_the_row_and_the_truth_file(puppet_data: Path) -> None:
    dataset, clips = open_dataset(puppet_data), clips_of(puppet_data, "train")
    videos = DatasetVideos(dataset, clips)
    for clip in clips:
        with dataset.open(clip, "truth") as file:
            content = file.read()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        told = json.loads(header["__metadata__"]["truth"])
        facts = videos.facts(clip.id)
        assert facts.groups == {"genre": told["genre"], "kind": told["kind"]}
        assert facts.track == clip.track and facts.prompt == clip.caption
    plain = replace(clips[0], truth="", beats=())
    known = DatasetVideos(dataset, [plain])
    assert known.facts(plain.id) == Facts(clips[0].caption, {}, clips[0].track, None)
    assert known.read(plain.id).joints is None


def damaged(path: Path, how: str) -> None:
    if how == "cut off":
        path.write_bytes(path.read_bytes()[:200])
    elif how == "missing":
        path.unlink()
    elif how == "no joints":
        save_file({"visible": load_file(path)["visible"]}, path)
    else:
        save_file({name: tensor[:7] for name, tensor in load_file(path).items()}, path)


@pytest.mark.parametrize("how", ["cut off", "missing", "no joints", "too short"])
def test_a_damaged_truth_file_costs_its_own_clip(own_data: Path, how: str) -> None:
    dataset, clips = open_dataset(own_data), clips_of(own_data, "test")
    damaged(own_data / "test" / clips[0].truth, how)
    videos = DatasetVideos(dataset, clips)
    with pytest.raises(InputError, match=f"clip {clips[0].id}"):
        videos.read(clips[0].id)
    facts = videos.facts(clips[0].id)  # what the row says is known all the same
    assert facts.track == clips[0].track and facts.beats is not None
    assert videos.facts(clips[1].id).groups and videos.read(clips[1].id).joints is not None


def test_a_clip_whose_video_is_damaged_is_named(own_data: Path) -> None:
    clips = clips_of(own_data, "test")
    (own_data / "test" / clips[0].file_name).write_bytes(b"nothing")
    videos = DatasetVideos(open_dataset(own_data), clips)
    with pytest.raises(InputError, match=f"clip {clips[0].id}"):
        videos.read(clips[0].id)


def test_the_key_of_a_clip_changes_with_row_files_and_settings(own_data: Path, small_model: Path) -> None:
    dataset, clip = open_dataset(own_data), clips_of(own_data, "test")[0]
    spec = ClipSpec.of_model(small_model)

    def key(clip: Clip = clip, **settings: object) -> str:
        return DatasetVideos(dataset, [clip], **settings).key(clip.id)  # type: ignore[arg-type]

    keys = [key(), key(spec=spec), key(num_frames=10), key(size=(16, 16))]
    keys.append(key(replace(clip, beats=clip.beats[1:])))
    assert key() == keys[0] == DatasetVideos(open_dataset(own_data), [clip]).key(clip.id)
    for file in (clip.file_name, clip.truth):
        os.utime(own_data / "test" / file, ns=(1, 1))
        keys.append(key())
    assert len(set(keys)) == 7


def test_a_dataset_in_shards_gives_the_same(puppet_data: Path, tmp_path: Path) -> None:
    from musedance.cli import main

    assert main(["dataset", "shard", str(puppet_data), str(tmp_path / "shards")]) == 0
    clips = clips_of(puppet_data, "test")
    plain = DatasetVideos(open_dataset(puppet_data), clips)
    sharded = DatasetVideos(open_dataset(tmp_path / "shards"), clips_of(tmp_path / "shards", "test"))
    name = clips[0].id
    assert sharded.ids == plain.ids and sharded.facts(name) == plain.facts(name)
    assert np.array_equal(sharded.read(name).frames, plain.read(name).frames)
    assert np.array_equal(sharded.read(name).joints, plain.read(name).joints)


def test_the_true_files_are_where_the_report_says(puppet_data: Path) -> None:
    videos = DatasetVideos(open_dataset(puppet_data), clips_of(puppet_data, "test"))
    path = videos.file(videos.ids[0])
    with VideoReader(path) as video:
        assert video.info.num_frames == 50
    assert read_audio(path).duration > 4
