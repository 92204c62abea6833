"""What the pipeline gives back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from musedance.media.audio import Audio
from musedance.media.video_writer import VideoWriter

OutputType = Literal["pil", "np", "pt", "latent", "segments"]
OUTPUT_TYPES = get_args(OutputType)


@dataclass
class MuseDanceSegment:
    """One segment of a video, as it comes.

    Attributes:
        frames: `(n, H, W, 3)` uint8; `None` with `output_type="latent"`.
        latents: `(channels, n, h, w)` float32.
        audio: the n frames' sound, at the track's own rate.
        beats: `(n,)` of 0 and 1.
        index: which segment this is.
        num_segments: how many there are.
        fps: frames per second.
    """

    frames: np.ndarray | None
    latents: Tensor
    audio: Audio
    beats: np.ndarray
    index: int
    num_segments: int
    fps: float


@dataclass
class MuseDancePipelineOutput(BaseOutput):
    """A whole video.

    Attributes:
        frames: list of PIL images, `(F, H, W, 3)` float32 array in [0, 1], `(F, 3, H, W)` float32 tensor in [0, 1], or
            latents `(channels, F, h, w)`, as `output_type` says.
        fps: frames per second.
        audio: the frames' sound, at the track's own rate.
        beats: `(F,)` of 0 and 1.
    """

    frames: Any
    fps: float
    audio: Audio
    beats: np.ndarray

    def save(self, path: str | Path) -> None:
        """Write an mp4 with its sound; for the output types "pil" and "np".

        Raises:
            InputError: the path cannot be written to.
        """
        frames = np.stack([np.asarray(frame) for frame in self.frames])
        if frames.dtype != np.uint8:
            frames = (frames * 255).round().astype(np.uint8)
        height, width = frames.shape[1:3]
        sound = self.audio
        with VideoWriter(
            path,
            fps=self.fps,
            height=height,
            width=width,
            audio_rate=sound.sampling_rate,
            audio_channels=len(sound.samples),
        ) as writer:
            writer.write(frames, sound.samples)


def join_segments(segments: list[MuseDanceSegment], output_type: OutputType) -> MuseDancePipelineOutput:
    """A whole video of its segments, in order.

    Raises:
        RuntimeError: there is none, since a callback interrupted the first one.
    """
    if not segments:
        raise RuntimeError("interrupted before the first segment was complete")
    frames: Any = [frame for segment in segments if segment.frames is not None for frame in segment.frames]
    if output_type == "latent":
        frames = torch.cat([segment.latents for segment in segments], dim=1)
    elif output_type == "pil":
        frames = [Image.fromarray(frame) for frame in frames]
    else:
        frames = np.stack(frames).astype(np.float32) / 255
        frames = frames if output_type == "np" else torch.from_numpy(frames).permute(0, 3, 1, 2)
    sound = np.concatenate([segment.audio.samples for segment in segments], axis=1)
    return MuseDancePipelineOutput(
        frames=frames,
        fps=segments[0].fps,
        audio=Audio(sound, segments[0].audio.sampling_rate),
        beats=np.concatenate([segment.beats for segment in segments]),
    )
