"""Stage 2 samples: K frames with their music, the M frames before them, and a picture of the same dancer."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from musedance.conditions.beats import beats_to_frames
from musedance.datasets.clip import Clip
from musedance.datasets.samples import ClipSamples
from musedance.datasets.spec import ClipSpec
from musedance.datasets.window_text import window_text


class Window(NamedTuple):
    """`start` is the first of the K frames; `has_motion` says whether the M before it are given."""

    start: int
    has_motion: bool


def draw_window(num_frames: int, spec: ClipSpec, generator: np.random.Generator) -> Window:
    """Draw one of the clip's windows, with motion frames half of the time if the clip is long enough (K + M frames).

    Those without are drawn from all windows, those with from all that have M frames before them.
    """
    starts = spec.window_starts(num_frames)
    later = [start for start in starts if start >= spec.num_motion_frames]
    has_motion = bool(generator.random() < 0.5 and later and spec.num_motion_frames)
    return Window(int(generator.choice(later if has_motion else starts)), has_motion)


def draw_reference(
    clip: Clip, start: int, spec: ClipSpec, others: Sequence[Clip], generator: np.random.Generator
) -> tuple[Clip, int]:
    """Draw the reference frame: half of the time inside the window, half of the time outside.

    Outside means another clip of the same source; where there is none, the same clip before its motion frames or after
    its window; where there is nothing either, inside.

    Args:
        clip: the clip.
        start: where its window starts.
        spec: K and M.
        others: the source's other clips.
        generator: where the numbers come from.

    Returns:
        The clip and its frame.
    """
    outside = [*range(start - spec.num_motion_frames), *range(start + spec.num_frames, clip.num_frames)]
    if generator.random() < 0.5:
        if others:
            other = others[int(generator.integers(len(others)))]
            return other, int(generator.integers(other.num_frames))
        if outside:
            return clip, outside[int(generator.integers(len(outside)))]
    return clip, start + int(generator.integers(spec.num_frames))


def draw_music(start: int, starts: Sequence[int], share: float, generator: np.random.Generator) -> int:
    """Draw the window whose music is given: a share of the samples has that of another one of the clip.

    Music tells the beat too, and a model that has learned to take it from there does not follow other beats. Another
    window's has the same genre and tempo, and does not tell when. Moving the tokens' times instead does not last:
    the model learns to see through it (docs/built-in-model.md).

    Args:
        start: where the sample's own window starts.
        starts: where all of the clip's windows start.
        share: 0 to 1.
        generator: where the numbers come from.

    Returns:
        Where that window starts; `start` where there is no other one.
    """
    others = [other for other in starts if other != start]
    return int(generator.choice(others)) if others and generator.random() < share else start


class Stage2Samples(ClipSamples):
    """Windows of clips; see `ClipSamples`.

    Args:
        music_shift: share of the samples that have the music of another window: see `draw_music`.
    """

    def __init__(self, *args: Any, music_shift: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.music_shift = music_shift
        # Of one canvas, since a cache holds each clip on its own canvas only.
        self._by_source: dict[tuple[str, tuple[int, int]], list[Clip]] = defaultdict(list)
        for clip in self.clips:
            self._by_source[clip.source, self.reader.spec.canvas(clip)].append(clip)

    @property
    def min_frames(self) -> int:
        return self.reader.spec.num_frames

    def read(self, clip: Clip, generator: np.random.Generator) -> dict[str, Any]:
        spec = self.reader.spec
        start, has_motion = draw_window(clip.num_frames, spec, generator)
        source = self._by_source[clip.source, spec.canvas(clip)]
        others = [other for other in source if other.id != clip.id]
        if clip.source in self.portraits:
            other, frame = self.draw_portrait(clip, generator)
        else:
            other, frame = draw_reference(clip, start, spec, others, generator)

        first = start - spec.num_motion_frames if has_motion else start
        numbers = [*range(first, start + spec.num_frames)]
        if other.id == clip.id:
            pictures = self.reader.pictures(clip, [*numbers, frame])
            reference, pictures = pictures[-1], pictures[:-1]
        else:
            pictures = self.reader.pictures(clip, numbers)
            reference = self.reader.pictures(other, [frame])[0]
        target = pictures[start - first :]
        motion = pictures[: start - first] if has_motion else torch.zeros_like(target[: spec.num_motion_frames])
        heard = draw_music(start, spec.window_starts(clip.num_frames), self.music_shift, generator)
        beats = beats_to_frames(np.array(clip.beats), clip.track_start + start / spec.fps, spec.num_frames, spec.fps)
        return {
            "target": target,
            "has_motion": has_motion,
            "motion": motion,
            "reference": reference,
            "text": self.reader.text(clip, window_text(clip, start, spec.num_frames)),
            "music": self.reader.music(clip, heard),
            "beats": torch.from_numpy(beats),
        }
