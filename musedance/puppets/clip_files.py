"""The files of one clip of the built-in world, and its row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from musedance.conditions.densepose import draw_densepose
from musedance.datasets.clip import Clip, Span
from musedance.files import appearing
from musedance.media.audio import Audio
from musedance.media.lossless import write_lossless
from musedance.media.video_writer import VideoWriter
from musedance.puppets.performance import Performance
from musedance.puppets.pose import AT_EASE, Pose
from musedance.puppets.scene import JOINTS

AUDIO_RATE = 16000  # Hz; what the music encoder hears
FOLDERS = ("clips", "densepose", "truth")
PORTRAIT_FRAMES, STANDS = 2, "stands still"


def write_clip(folder: Path, split: str, source: str, performance: Performance, number: int) -> Clip:
    """Draw clip `number` of a source and write its video, its part maps and its ground truth into a split's folder.

    Returns:
        Its row.
    """
    world = performance.world
    start = performance.starts[number] / world.fps
    end = start + world.clip_seconds
    poses = [performance.choreography.pose(start + frame / world.fps) for frame in range(world.num_frames)]
    told = {
        "caption": performance.choreography.caption(start, end),
        "timeline": tuple(
            Span(float(span["start"]), float(span["end"]), str(span["text"]))
            for span in performance.choreography.timeline(start, end)
        ),
    }
    return _write(folder, f"{source}-{number}", performance, start, poses, split=split, source=source, **told)


def write_portrait(folder: Path, split: str, source: str, performance: Performance) -> Clip:
    """The same for `PORTRAIT_FRAMES` frames in which the dancer stands at ease."""
    end = PORTRAIT_FRAMES / performance.world.fps
    told = {"caption": STANDS, "timeline": (Span(0.0, end, STANDS),), "portrait": True}
    poses = [AT_EASE] * PORTRAIT_FRAMES
    return _write(folder, f"{source}-portrait", performance, 0.0, poses, split=split, source=source, **told)


def _write(
    folder: Path, name: str, performance: Performance, start: float, poses: Sequence[Pose], **known: Any
) -> Clip:
    """The files of the frames from `start` (s of the source), and the row, of which some is known already."""
    world, end = performance.world, start + len(poses) / performance.world.fps
    drawn = [performance.scene.draw(pose) for pose in poses]
    music = Audio(performance.track.samples[None], performance.track.sampling_rate)
    music = Audio(music.mono(AUDIO_RATE)[None], AUDIO_RATE).cut(start, end)
    clip = Clip(
        file_name=f"clips/{name}.mp4",
        id=name,
        track=known["source"],
        source_start=start,
        track_start=start,
        beats=tuple(float(beat) for beat in performance.track.beats),
        num_frames=len(poses),
        fps=world.fps,
        width=world.width,
        height=world.height,
        densepose=f"densepose/{name}.mp4",
        truth=f"truth/{name}.safetensors",
        **known,
    )
    with VideoWriter(
        folder / clip.file_name,
        fps=world.fps,
        height=world.height,
        width=world.width,
        audio_rate=AUDIO_RATE,
        audio_channels=1,
        preset="veryfast",
    ) as writer:
        writer.write(np.stack([frame.picture for frame in drawn]), music.samples)
    write_lossless(folder / clip.densepose, draw_densepose(np.stack([frame.parts for frame in drawn])), world.fps)
    tensors = {
        "joints": np.stack([frame.joints for frame in drawn]).astype(np.float32),
        "visible": np.stack([frame.visible for frame in drawn]).astype(bool),
    }
    with appearing(folder / clip.truth) as temporary:
        save_file(tensors, temporary, _metadata(performance, start, end))
    return clip


def _metadata(performance: Performance, start: float, end: float) -> dict[str, str]:
    """What a safetensors header can hold. One entry, since several come in another order every time."""
    track = performance.track
    heard = (track.beats >= start) & (track.beats < end)
    downbeats = track.downbeats[(track.downbeats >= start) & (track.downbeats < end)]
    spans = [span for span in performance.choreography.spans if span.start < end and span.end > start]
    facts = {
        "kind": performance.scene.character.kind,
        "genre": track.genre,
        "bpm": track.bpm,
        "joints": list(JOINTS),
        "moves": [
            {"move": span.move, "start": _from(start, max(span.start, start)), "end": _from(start, min(span.end, end))}
            for span in spans
        ],
        "beats": [_from(start, beat) for beat in track.beats[heard]],
        "downbeats": [_from(start, beat) for beat in downbeats],
        "energy": track.energy[heard].tolist(),
        "breaks": [
            [_from(start, max(first, start)), _from(start, min(last, end))]
            for first, last in track.breaks
            if first < end and last > start
        ],
    }
    return {"truth": json.dumps(facts)}


def _from(start: float, time: float) -> float:
    """Seconds from the clip's first frame, to a hundredth of a millisecond."""
    return round(float(time) - start, 5)
