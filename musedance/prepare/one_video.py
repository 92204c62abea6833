"""From one source video to its clips: the stages in order."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from musedance.conditions.densepose import draw_densepose
from musedance.datasets.clip import Clip, Span
from musedance.errors import InputError
from musedance.media.audio import Audio
from musedance.media.lossless import write_lossless
from musedance.media.video import VideoReader
from musedance.media.video_writer import VideoWriter
from musedance.prepare.captioner import CaptionError
from musedance.prepare.cropping import Crop
from musedance.prepare.cutting import Shot
from musedance.prepare.dancer import Dancer
from musedance.prepare.records import CLIPS, MASKS, Record, WorkFolder
from musedance.prepare.rejection import Hopeless, Rejected
from musedance.prepare.sources import Source
from musedance.prepare.stages import Stages
from musedance.prepare.workers import Alive

CAPTION_EVERY = 10  # frames, as in the paper


def cut_video(source: Source, stages: Stages, work: WorkFolder, alive: Alive) -> tuple[Record, np.ndarray | None]:
    """Probe a video, find its dancers, and write its clips.

    Returns:
        Its record and its music's fingerprint; the latter is None if there are no clips.
    """
    record = Record(source.id, source.name, source.digest)
    try:
        stages.probe.probe(source.path)
        with _WatchedReader(source.path, alive) as video:
            shots = stages.cuts.shots(video)
            alive()
            record.shots = len(shots)
            planned = [plan for shot in shots for plan in _plan_shot(video, shot, stages, record, alive)]
            if not planned:
                return record, None
            track = stages.soundtrack.read(source.path)
            alive()
            for start, crop, boxes in planned:
                try:
                    music = track.cut(start, start + stages.duration)
                except Rejected as rejected:
                    _drop(record, start, start + stages.duration, rejected)
                    continue
                clip = _row(record, start, crop, track.beats, stages)
                _write_clip(work.path / clip.file_name, video, start, crop, music, stages)
                record.clips.append(clip)
                record.boxes[clip.id] = crop.place(boxes)
                alive()
    except Rejected as rejected:
        record.status, record.reason, record.detail = "skipped", rejected.reason, rejected.detail
    except InputError as error:  # of the file, since it is all that is read here
        detail = str(error).replace(str(source.path), source.name)
        record.status, record.reason, record.detail = "failed", "cannot be read", detail
    if record.status != "done":
        record.clips, record.boxes = [], {}
    return record, track.landmarks if record.clips else None


def annotate_video(record: Record, stages: Stages, work: WorkFolder, alive: Alive) -> Record:
    """Draw the masks of a video's clips and caption them.

    A clip that the captioner has no words for stays without; the record's drops say so.

    Raises:
        Hopeless: no caption can be expected for any clip (a wrong key, no such model), or a model cannot be loaded.
    """
    if stages.densepose is None and stages.captioner is None:
        return record
    try:
        clips = [_annotated(clip, stages, work, record, alive) for clip in record.clips]
    except InputError as error:
        raise Hopeless(str(error)) from error
    return replace(record, clips=clips, boxes={})


class _WatchedReader(VideoReader):
    """Gives a sign of life with every frame that it streams, so that long work is told from work that hangs."""

    def __init__(self, path: Path, alive: Alive) -> None:
        super().__init__(path)
        self._alive = alive

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[np.ndarray]:
        return self._watched(super().stream(*args, **kwargs))

    def _watched(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for frame in frames:
            self._alive()
            yield frame


def _plan_shot(
    video: VideoReader, shot: Shot, stages: Stages, record: Record, alive: Alive
) -> list[tuple[float, Crop, np.ndarray]]:
    """When the clips of a shot start, what to crop them to, and where the dancer is on each of their frames."""
    count = int((shot.end - shot.start) / stages.duration + 1e-6)
    if count == 0:
        _drop(record, shot.start, shot.end, Rejected("shot too short"))
        return []
    try:
        dancer = stages.dancer.find(video, shot)
    except Rejected as rejected:
        _drop(record, shot.start, shot.end, rejected)
        return []
    finally:
        alive()
    planned = []
    for start in shot.start + np.arange(count) * stages.duration:
        try:
            planned.append((float(start), *_plan_clip(video, float(start), dancer, stages)))
        except Rejected as rejected:
            _drop(record, start, start + stages.duration, rejected)
    return planned


def _plan_clip(video: VideoReader, start: float, dancer: Dancer, stages: Stages) -> tuple[Crop, np.ndarray]:
    boxes = dancer.at(start + np.arange(stages.num_frames) / stages.fps)
    return stages.crop.crop(video.info.width, video.info.height, boxes), boxes


def _row(record: Record, start: float, crop: Crop, beats: np.ndarray, stages: Stages) -> Clip:
    name = f"{record.source}-{len(record.clips):04d}"
    return Clip(
        file_name=f"{CLIPS}/{name}.mp4",
        id=name,
        split="train",
        source=record.source,
        track=record.source,
        source_start=start,
        track_start=start,
        beats=tuple(np.unique(np.round(beats, 4)).tolist()),
        num_frames=stages.num_frames,
        fps=stages.fps,
        width=crop.out_width,
        height=crop.out_height,
        caption="",
        timeline=(Span(0.0, stages.duration, ""),),
    )


def _write_clip(path: Path, video: VideoReader, start: float, crop: Crop, music: Audio, stages: Stages) -> None:
    silence = np.zeros((1, 0), np.float32)
    with VideoWriter(
        path,
        fps=stages.fps,
        height=crop.out_height,
        width=crop.out_width,
        audio_rate=music.sampling_rate,
        audio_channels=len(music.samples),
    ) as writer:
        count = 0
        for frame in video.stream(stages.fps, start, start + stages.duration):
            writer.write(crop.apply(frame)[None], silence)
            count += 1
        if count != stages.num_frames:
            raise RuntimeError(f"{count} frames from {start} s on instead of {stages.num_frames}")
        writer.write(np.zeros((0, crop.out_height, crop.out_width, 3), np.uint8), music.samples)


def _annotated(clip: Clip, stages: Stages, work: WorkFolder, record: Record, alive: Alive) -> Clip:
    with VideoReader(work.path / clip.file_name) as video:
        frames = np.stack(list(video.stream(stages.fps)))
    if stages.densepose is not None:
        labels = stages.densepose.annotate(frames, np.asarray(record.boxes[clip.id]))
        clip = replace(clip, densepose=f"{MASKS}/{clip.id}.mp4")
        write_lossless(work.path / clip.densepose, draw_densepose(labels), stages.fps)
        alive()
    if stages.captioner is not None:
        clip = _captioned(clip, frames, stages, record)
        alive()
    return clip


def _captioned(clip: Clip, frames: np.ndarray, stages: Stages, record: Record) -> Clip:
    assert stages.captioner is not None
    shown = range(0, len(frames), CAPTION_EVERY)
    times = [index / stages.fps for index in shown]
    try:
        caption = stages.captioner.caption([frames[index] for index in shown], times, clip.duration, clip.id)
    except CaptionError as error:
        _drop(record, clip.source_start, clip.source_start + clip.duration, Rejected("no caption", str(error)))
        return clip
    return replace(clip, caption=caption.text, timeline=caption.timeline)


def _drop(record: Record, start: float, end: float, rejected: Rejected) -> None:
    times = {"start": round(float(start), 3), "end": round(float(end), 3)}
    record.drops.append({**times, "reason": rejected.reason, "detail": rejected.detail})
