"""Whether a dataset is fit for what it is to teach, told before anything is trained."""

import statistics
import warnings
from collections.abc import Sequence

from musedance.datasets.clip import Clip
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError

ENLARGED = 2.0  # times as many pixels as the clips have: from here on it is worth a warning


def check_clips(clips: Sequence[Clip], spec: ClipSpec, stage: int) -> None:
    """Check what a loader does not, since each clip alone could be used.

    Args:
        clips: of the training split.
        spec: what the model wants.
        stage: 1 or 2.

    Raises:
        InputError: stage 2, and no clip has K + M frames: no sample would have motion frames.
    """
    needed = spec.num_frames + spec.num_motion_frames
    longest = max(clip.num_frames for clip in clips)
    if stage == 2 and longest < needed:
        raise InputError(
            f"the longest clip has {longest} frames, but K + M = {spec.num_frames} + {spec.num_motion_frames} are "
            "needed to learn how a segment goes on from the one before: prepare longer clips, or set clips.num_frames"
        )
    pixels = statistics.median(clip.width * clip.height for clip in clips)
    if spec.pixels >= ENLARGED * pixels:
        warnings.warn(
            f"clips of about {round(pixels**0.5)} x {round(pixels**0.5)} pixels are enlarged to "
            f"{round(spec.pixels**0.5)} x {round(spec.pixels**0.5)}: what is not in them is not learned; "
            "prepare larger ones, or set clips.size",
            stacklevel=2,
        )
