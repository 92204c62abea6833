"""A decoded frame as an upright RGB array: its colours, its shape, its transparency."""

from fractions import Fraction

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from musedance.errors import InputError

MAX_SIDE = 16384  # pixels, twice 8K
HDR = {16: "PQ", 18: "HLG"}  # transfer functions by their numbers in ITU-T H.273
UNSPECIFIED = 2  # of a matrix, in H.273
HD_HEIGHT = 720  # pixels; untagged video of this size or more is BT.709
TO_SDR = "zscale=t=linear:npl=100,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709:r=tv,format=yuv420p"
# Libav's default is 30 times faster, and off by 3.4 levels on average instead of 0.5.
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class FrameShape:
    """What all frames of one video have in common, taken from its first frame.

    `width` and `height` are those of the upright picture with square pixels: as players do, the width is stretched
    by the sample aspect ratio before the picture is turned by its display matrix.

    InputError for HDR, for more than 16384 pixels a side, for a matrix that does not turn by a multiple of 90 degrees.
    """

    def __init__(self, first: VideoFrame, sample_aspect_ratio: Fraction | None, name: str) -> None:
        self._name = name
        if first.color_trc in HDR:
            kind = HDR[first.color_trc]
            raise InputError(f"{name} is HDR ({kind}): convert it with ffmpeg -i INPUT -vf {TO_SDR} OUTPUT")
        self._stored = (first.width, first.height)
        stretched = max(1, round(first.width * (sample_aspect_ratio or 1)))
        if max(stretched, first.height) > MAX_SIDE:
            size = f"{stretched} x {first.height}"
            raise InputError(f"{name} is too large ({size}): at most {MAX_SIDE} pixels a side")
        self._flat = (stretched, first.height)
        self._is_transposed, self._flips = _turns(first, name)
        self.width, self.height = self._flat[::-1] if self._is_transposed else self._flat
        self._reformatter = VideoReformatter()

    def rgb(self, frame: VideoFrame, max_side: int | None) -> np.ndarray:
        """(H, W, 3) uint8, the longer side at most `max_side`; larger pictures are reduced, never enlarged.

        Transparency lies over white. Colours are converted by the stream's matrix and range tags; untagged video is
        BT.709 from a height of 720 on, BT.601 below, limited range. InputError if the size changes within the video.
        """
        if (frame.width, frame.height) != self._stored:
            sizes = f"{self._stored[0]} x {self._stored[1]} to {frame.width} x {frame.height}"
            raise InputError(f"{self._name} changes its size from {sizes}: re-encode it with one size")
        width, height = self._flat
        scale = min(1.0, max_side / max(width, height)) if max_side else 1.0
        is_transparent = has_alpha(frame)
        is_untagged = frame.colorspace == UNSPECIFIED and not frame.format.is_rgb
        try:
            picture = self._reformatter.reformat(
                frame,
                width=max(1, round(width * scale)),
                height=max(1, round(height * scale)),
                format="rgba" if is_transparent else "rgb24",
                src_colorspace=Colorspace.ITU709 if is_untagged and frame.height >= HD_HEIGHT else None,
                interpolation=EXACT,
                threads=1,
            ).to_ndarray()
        except av.FFmpegError as error:
            raise InputError(
                f"{self._name} has colours of a kind that cannot be converted (matrix {frame.colorspace} of H.273)"
            ) from error
        if is_transparent:
            opacity = picture[..., 3:].astype(np.uint16)
            picture = ((picture[..., :3] * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)
        if self._is_transposed:
            picture = picture.swapaxes(0, 1)
        return np.ascontiguousarray(np.flip(picture, self._flips))


def has_alpha(frame: VideoFrame) -> bool:
    """Whether a frame may be transparent; palettes may hold transparent colours."""
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


def _turns(frame: VideoFrame, name: str) -> tuple[bool, tuple[int, ...]]:
    """How to turn a picture as its display matrix says: whether to swap the axes first, and which to flip then.

    The matrix maps (x, y) to (a x + c y, b x + d y), stored as a, b, u, c, d, v, ... (ISO/IEC 14496-12, 6.2.2).
    """
    if Type.DISPLAYMATRIX not in frame.side_data:
        return False, ()
    matrix = bytes(frame.side_data[Type.DISPLAYMATRIX])  # type: ignore[typeddict-item]
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if a and d and not b and not c:
        return False, tuple(axis for axis, scale in ((0, d), (1, a)) if scale < 0)
    if b and c and not a and not d:
        return True, tuple(axis for axis, scale in ((0, b), (1, c)) if scale < 0)
    raise InputError(f"{name} is turned by an angle that is not a multiple of 90 degrees: re-encode it upright")
