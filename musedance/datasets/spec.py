"""What a model wants its clips to be; read from the configs of its folder, without its weights."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from musedance.datasets.clip import Clip
from musedance.errors import InputError
from musedance.latents import packing, scale_factor
from musedance.media.image import canvas_size

GRID = 6  # frames, half a second: a finer grid gives more windows and a larger cache


@dataclass(frozen=True)
class ClipSpec:
    """Size, rate and windows of training clips.

    Attributes:
        pixels: of a canvas, height times width, about.
        multiple: of which both sides of a canvas are multiples, pixels. A larger one gives fewer canvas sizes.
        fps: frames per second.
        num_frames: K, frames of a stage 2 window.
        num_motion_frames: M, frames before it that the motion modules see.
        grid: windows start this many frames apart.
    """

    pixels: int
    multiple: int
    fps: float
    num_frames: int
    num_motion_frames: int
    grid: int = GRID

    @classmethod
    def of_model(cls, model: str | Path, multiple: int | None = None, grid: int = GRID) -> "ClipSpec":
        """What the model in a pipeline folder was made for.

        Args:
            model: the folder.
            multiple: see above; unless given, the pixels along one position of the UNet's latents (8 in SD 1.5).
            grid: see above.

        Raises:
            InputError: it is no pipeline folder, or `multiple` or `grid` cannot be.
        """
        unet, vae = (_read_config(Path(model), component) for component in ("unet", "vae"))
        scale = scale_factor(len(vae["block_out_channels"]), _packing(unet, vae))
        multiple = scale if multiple is None else multiple
        if multiple < 1 or multiple % scale:
            raise InputError(
                f"canvases need sides that are multiples of {scale} or of a multiple of it, not {multiple}"
            )
        if grid < 1:
            raise InputError(f"windows start at least one frame apart, not {grid}")
        size = unet["sample_size"]
        height, width = (size, size) if isinstance(size, int) else size
        return cls(
            pixels=height * width * scale**2,
            multiple=multiple,
            fps=unet["fps"],
            num_frames=unet["num_frames"],
            num_motion_frames=unet["num_motion_frames"],
            grid=grid,
        )

    def changed(
        self, *, size: int | None = None, fps: float | None = None, num_frames: int | None = None
    ) -> "ClipSpec":
        """The same with other values, where they are given.

        Args:
            size: side of a square with as many pixels as a canvas, a multiple of `multiple`.
            fps: frames per second, 1 or more.
            num_frames: K, at least M.

        Raises:
            InputError: a value cannot be.
        """
        spec = self
        if size is not None:
            if size < 1 or size % self.multiple:
                raise InputError(f"size has to be a multiple of {self.multiple}, not {size}")
            spec = replace(spec, pixels=size**2)
        if fps is not None:
            if fps < 1:
                raise InputError(f"fps has to be at least 1, not {fps}")
            spec = replace(spec, fps=fps)
        if num_frames is not None:
            least = max(1, self.num_motion_frames)
            if num_frames < least:
                raise InputError(
                    f"num_frames has to be at least {least}, since the last {self.num_motion_frames} frames of a "
                    f"segment are the next one's motion frames; not {num_frames}"
                )
            spec = replace(spec, num_frames=num_frames)
        return spec

    def canvas(self, clip: Clip) -> tuple[int, int]:
        """(height, width) to which a clip's pictures are brought: its bucket."""
        return canvas_size((clip.width, clip.height), self.pixels, self.multiple)

    def window_starts(self, num_frames: int) -> list[int]:
        """The frames at which a window of a clip may start, sorted; none if the clip is shorter than K.

        They are 0, M, M + grid, M + 2 grid, ...: so few that music can be encoded ahead of training for each, and
        M is among them because it is the first that has motion frames before it.
        """
        last = num_frames - self.num_frames
        starts = {0, *range(self.num_motion_frames, last + 1, self.grid)}
        return sorted(start for start in starts if start <= last)


def packing_of(model: Path) -> int:
    """`musedance.latents.packing` of the model in a pipeline folder.

    Raises:
        InputError: it is no pipeline folder, or VAE and UNet do not belong together.
    """
    unet, vae = (_read_config(model, component) for component in ("unet", "vae"))
    return _packing(unet, vae)


def _packing(unet: dict[str, Any], vae: dict[str, Any]) -> int:
    return packing(unet["in_channels"], vae["latent_channels"])


def _read_config(model: Path, component: str) -> dict[str, Any]:
    try:
        return json.loads((model / component / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{model} is no model folder: its {component}/config.json cannot be read") from error
