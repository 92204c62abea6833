"""Pictures, music, text and masks of a clip, from its files."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import ASTFeatureExtractor

from musedance.conditions.music import mel_spectrogram, segment_waveforms
from musedance.datasets.clip import Clip
from musedance.datasets.failures import reading
from musedance.datasets.folder import Dataset, Part
from musedance.datasets.spec import ClipSpec
from musedance.media.audio import Audio, read_audio
from musedance.media.image import fit_image
from musedance.media.video import Backend, VideoReader
from musedance.timeline import Timeline


class SharedFeatures(NamedTuple):
    """What is the same for all clips of a feature cache.

    Attributes:
        empty_text: the empty prompt's embedding, `(tokens, dim)`.
        music_positions: when each music token is, `(tokens,)` in frames from the window's start.
    """

    empty_text: Tensor
    music_positions: Tensor


class Reader(Protocol):
    """Where samples come from: the clips' files, or a feature cache. All methods raise `UnreadableClip`."""

    dataset: Dataset
    spec: ClipSpec
    shared: SharedFeatures | None  # None: it reads files

    def pictures(self, clip: Clip, numbers: Sequence[int]) -> Tensor:
        """Some frames, `(n, ...)`: uint8 RGB `(n, H, W, 3)`, or latents `(n, channels, h, w)`."""

    def music(self, clip: Clip, start: int) -> Tensor:
        """The music of the K frames from `start` on: log-mel `(mel_frames, mel_bins)`, or `(tokens, dim)`."""

    def text(self, clip: Clip, text: str) -> str | Tensor:
        """The text, or its embedding `(tokens, dim)`."""

    def densepose(self, clip: Clip, number: int) -> Tensor | None:
        """A frame's DensePose picture, uint8 RGB `(H, W, 3)`; `None` if the clip has none."""


class FileReader:
    """Reads a dataset's own files: frames on their canvas, mel spectrograms, plain text.

    Args:
        dataset: from `open_dataset`.
        spec: canvas, frame rate and window.
        feature_extractor: AST's; stage 1 needs none.
        backend: what decodes the clips' frames; decord reads plain folders, no shards.
    """

    def __init__(
        self,
        dataset: Dataset,
        spec: ClipSpec,
        feature_extractor: ASTFeatureExtractor | None = None,
        backend: Backend = "pyav",
    ) -> None:
        self.dataset, self.spec, self.backend = dataset, spec, backend
        self.shared = None
        self._feature_extractor = feature_extractor

    def pictures(self, clip: Clip, numbers: Sequence[int]) -> Tensor:
        canvas, resample = self.spec.canvas(clip), Image.Resampling.LANCZOS
        return read_pictures(self.dataset, clip, "video", numbers, canvas, resample, self.backend)

    def music(self, clip: Clip, start: int) -> Tensor:
        return window_mel(read_sound(self.dataset, clip), start, self.spec, self._feature_extractor)

    def text(self, clip: Clip, text: str) -> str:
        return text

    def densepose(self, clip: Clip, number: int) -> Tensor | None:
        return read_densepose(self.dataset, clip, number, self.spec.canvas(clip))


def read_densepose(dataset: Dataset, clip: Clip, number: int, canvas: tuple[int, int]) -> Tensor | None:
    """A frame's DensePose picture on the canvas, uint8 `(H, W, 3)`, no colours blended; `None` if there is none."""
    if not clip.densepose:
        return None
    return read_pictures(dataset, clip, "densepose", [number], canvas, Image.Resampling.NEAREST)[0]


def read_pictures(
    dataset: Dataset,
    clip: Clip,
    part: Part,
    numbers: Sequence[int],
    canvas: tuple[int, int],
    resample: Image.Resampling,
    backend: Backend = "pyav",
) -> Tensor:
    """Frames of one of a clip's videos, cropped around the centre to the canvas's shape: uint8 `(n, H, W, 3)`."""
    times = (np.asarray(numbers) + 0.5) / clip.fps  # the middle of each frame
    with reading(clip), dataset.open(clip, part) as file, VideoReader(_source(file, backend), backend) as video:
        frames = video.frames_at(times)
    if frames.shape[1:3] != canvas:
        frames = np.stack([_fit(frame, canvas, resample) for frame in frames])
    return torch.from_numpy(frames)


def read_sound(dataset: Dataset, clip: Clip) -> Audio:
    """The clip's own sound, whole."""
    with reading(clip), dataset.open(clip, "video") as file:
        return read_audio(file)


def window_mel(sound: Audio, start: int, spec: ClipSpec, feature_extractor: ASTFeatureExtractor | None) -> Tensor:
    """The spectrogram of the K frames from `start` on as the pipeline computes it, `(mel_frames, mel_bins)` float32."""
    if feature_extractor is None:
        raise ValueError("music needs a feature extractor")
    window = Timeline(start / spec.fps, spec.num_frames, spec.fps, segment_frames=spec.num_frames)
    waveform = segment_waveforms(sound, window, feature_extractor.sampling_rate)[0]
    return mel_spectrogram(feature_extractor, waveform)[0]


def _source(file: BinaryIO, backend: Backend) -> BinaryIO | Path:
    """What to open: decord wants a path, which a clip in a shard does not have."""
    return Path(file.name) if backend == "decord" and isinstance(file, io.BufferedReader) else file


def _fit(frame: np.ndarray, canvas: tuple[int, int], resample: Image.Resampling) -> np.ndarray:
    return np.asarray(fit_image(Image.fromarray(frame), *canvas, "crop", resample=resample))
