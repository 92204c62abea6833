"""Music -> what the music and beat modules read, for all segments of a video."""

import copy
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import ASTFeatureExtractor

from musedance.conditions.beats import beats_to_frames, track_beats
from musedance.errors import InputError
from musedance.media.audio import Audio
from musedance.timeline import Timeline

BEAT_RATE = 22050  # Hz; librosa's beat tracker fails on slow and on fast music at AST's 16 kHz
_WINDOW, _HOP = 400, 160  # samples; AST's filter banks are defined at 16 kHz


def check_segment_length(timeline: Timeline, ast_config: Mapping[str, Any]) -> None:
    """Check that AST can hear a segment at once: its mel frames come every 10 ms and are 25 ms long.

    Raises:
        InputError: saying which frame rates are possible.
    """
    shortest, longest = ast_config["patch_size"] / 100 + 0.015, ast_config["max_length"] / 100
    if not shortest <= timeline.segment_seconds <= longest:
        frames = timeline.segment_frames
        limits = f"between {math.ceil(frames / longest)} and {math.floor(frames / shortest)}"
        raise InputError(f"fps has to lie {limits} for this model's segments of {frames} frames, not {timeline.fps}")


def mel_spectrogram(feature_extractor: ASTFeatureExtractor, waveform: np.ndarray) -> Tensor:
    """Log-mel filter banks of a clip, at the clip's own length instead of AST's padded 10.24 s.

    Args:
        feature_extractor: AST's; its `sampling_rate` is the waveform's.
        waveform: `(n,)`, mono, float32 in [-1, 1].

    Returns:
        `(1, 1 + (n - 400) // 160, mel_bins)`, float32, normalised.
    """
    at_clip_length = copy.copy(feature_extractor)
    at_clip_length.max_length = 1 + (len(waveform) - _WINDOW) // _HOP
    features = at_clip_length(waveform, sampling_rate=feature_extractor.sampling_rate, return_tensors="pt")
    return features["input_values"].to(torch.float32)


def segment_waveforms(track: Audio, timeline: Timeline, sampling_rate: int) -> np.ndarray:
    """The music of each whole segment, with silence where the track has ended.

    Returns:
        `(segments, samples)`, mono float32 at `sampling_rate`.
    """
    end = timeline.seconds(timeline.num_segments * timeline.segment_frames)
    waveform = track.cut(timeline.start, end).mono(sampling_rate)
    length = round(timeline.segment_seconds * sampling_rate)
    firsts = [round(i * timeline.segment_seconds * sampling_rate) for i in range(timeline.num_segments)]
    padded = np.pad(waveform, (0, max(0, firsts[-1] + length - len(waveform))))  # resampling may lose a sample
    return np.stack([padded[first : first + length] for first in firsts])


def segment_beats(
    track: Audio, timeline: Timeline, bpm: float | None = None, times: np.ndarray | None = None
) -> np.ndarray:
    """b_binary of section 3.3 for each whole segment, from beats tracked on the whole track unless their times (s) in
    it are given.

    Warns when the track has none.

    Returns:
        `(segments, K)` of 0 and 1.

    Raises:
        InputError: `times` are no list of numbers.
    """
    if times is not None and (np.ndim(times) != 1 or not np.isfinite(times).all()):
        raise InputError("beats are given as an array of seconds, one number a beat")
    if times is None:
        times = track_beats(track.mono(BEAT_RATE), BEAT_RATE, bpm)
        if len(times) == 0:
            warnings.warn("no beats were found in the music (is it silent?), so there are none to follow", stacklevel=2)
    frames = timeline.num_segments * timeline.segment_frames
    return beats_to_frames(times, timeline.start, frames, timeline.fps).reshape(timeline.num_segments, -1)
