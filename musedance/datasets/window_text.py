"""What to say of a part of a clip."""

from musedance.datasets.clip import Clip
from musedance.datasets.spec import ClipSpec


def window_text(clip: Clip, start: int, num_frames: int) -> str:
    """The text for `num_frames` frames from frame `start` on.

    A clip with a timeline of several spans tells those that are on at one of these frames, "..., then ...", unless
    that is all of them; then, and in any other clip, it is the clip's caption.
    """
    times = [frame / clip.fps for frame in range(start, start + num_frames)]
    seen = [span for span in clip.timeline if any(span.start <= time < span.end for time in times)]
    if not seen or len(seen) == len(clip.timeline):
        return clip.caption
    texts = [span.text.strip() for span in seen]
    changes = [text for i, text in enumerate(texts) if i == 0 or text != texts[i - 1]]
    return ", then ".join(text.rstrip(".") for text in changes) if len(changes) > 1 else changes[0]


def clip_texts(clip: Clip, spec: ClipSpec) -> list[str]:
    """All texts that training can ask for, sorted: of single frames (stage 1) and of windows (stage 2)."""
    windows = [(frame, 1) for frame in range(clip.num_frames)]
    windows += [(start, spec.num_frames) for start in spec.window_starts(clip.num_frames)]
    return sorted({window_text(clip, start, length) for start, length in windows})
