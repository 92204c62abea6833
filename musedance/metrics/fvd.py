"""What FVD compares of a video: its I3D logits. `musedance.metrics.frechet` takes the distance between two sets.

`standard`: the video at once, one vector of logits averaged over time, frames squeezed to 224 x 224 (bilinear, no
antialiasing). So does the definition (Unterthiner et al. 2018, arXiv 1812.01717; google-research's code),
whose example has 15 frames, and so do StyleGAN-V (its FVD16 and FVD128 feed 16 and 128 frames at once), VideoGPT and
common_metrics_on_video_quality: none cuts a video into segments. Videos of different length have different features,
so compare only equal lengths and frame rates.

`disco`: logits of consecutive segments of 16 frames, averaged per video; frames are resized with PIL's bicubic filter,
as DisCo does (arXiv 2307.00040; its `tool/metrics`). A rest of fewer than 16 frames is left out, as DisCo's script
leaves out windows that are not full. One difference remains: that script takes *every* window of 16 frames, stride 1,
for a video of its own and averages none, so that its n counts windows.
"""

from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from musedance.errors import InputError
from musedance.metrics.i3d import I3D, LEAST_FRAMES, SIDE

Mode = Literal["standard", "disco"]
SEGMENT = 16  # frames


@torch.inference_mode()
def fvd_features(model: I3D, frames: np.ndarray, mode: Mode, device: torch.device | str) -> np.ndarray:
    """Logits of one video.

    Args:
        model: in `eval` mode, on `device`.
        frames: `(n, H, W, 3)` uint8 RGB. 9 or more in mode "standard", since I3D halves time three times and pools two;
            150 take 0.8 GiB. 16 or more in "disco".
        mode: "standard" or "disco", see above.
        device: where to compute.

    Returns:
        `(400,)` float32.

    Raises:
        InputError: the video is too short.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode has to be one of {', '.join(get_args(Mode))}, not {mode!r}")
    least = SEGMENT if mode == "disco" else LEAST_FRAMES
    if len(frames) < least:
        raise InputError(f"FVD ({mode}) needs videos of {least} frames or more, this one has {len(frames)}")
    if mode == "standard":
        logits = model(_video(frames, mode, device))
    else:
        starts = range(0, len(frames) - SEGMENT + 1, SEGMENT)
        logits = torch.cat([model(_video(frames[start : start + SEGMENT], mode, device)) for start in starts])
    return logits.mean(dim=0).cpu().numpy()


def _video(frames: np.ndarray, mode: Mode, device: torch.device | str) -> Tensor:
    """`(1, 3, n, 224, 224)` in [-1, 1]; bicubic filtering overshoots a little, as DisCo leaves it."""
    return torch.stack([_resized(frame, mode, device) for frame in frames], dim=1)[None]


def _resized(frame: np.ndarray, mode: Mode, device: torch.device | str) -> Tensor:
    picture = torch.tensor(frame, device=device).permute(2, 0, 1)[None].float() / 127.5 - 1
    filtering, antialias = ("bicubic", True) if mode == "disco" else ("bilinear", False)
    return F.interpolate(picture, (SIDE, SIDE), mode=filtering, antialias=antialias, align_corners=False)[0]
