"""Reads clips from a feature cache instead of from their files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from musedance.datasets.cache_key import CLIPS_FOLDER, SHARED_FILE, CacheInfo, CacheKey, file_identity
from musedance.datasets.clip import Clip
from musedance.datasets.failures import UnreadableClip
from musedance.datasets.folder import Dataset
from musedance.datasets.reader import SharedFeatures, read_densepose
from musedance.datasets.spec import ClipSpec
from musedance.datasets.window_text import clip_texts
from musedance.errors import InputError


class CachedReader:
    """Latents, AST tokens and text embeddings that `musedance dataset cache` computed; DensePose from its files.

    Clips that could not be read when the cache was made cannot be read from it either.

    Args:
        dataset: from `open_dataset`.
        cache: the cache's folder.
        model: pipeline folder.
        spec: canvas, frame rate and windows.

    Raises:
        InputError: the cache was made for other weights, another canvas, other windows or other files, or is not
            complete; the message says what differs and what to do.
    """

    def __init__(self, dataset: Dataset, cache: str | Path, model: str | Path, spec: ClipSpec) -> None:
        self.dataset, self.spec, self.path = dataset, spec, Path(cache)
        info = CacheInfo.read(self.path)
        again = f"musedance dataset cache {dataset.path} --model {model} --output {self.path}"
        differences = CacheKey.of_model(model, spec).differences(info.key)
        if differences:
            raise InputError(
                f"the cache {self.path} is stale, {', '.join(differences)}: remove it and run {again}, "
                f"or train with what it was made for"
            )
        if not info.is_complete:
            raise InputError(f"the cache {self.path} is not complete: run {again}, which goes on with it")
        self._failed = info.failed
        stale = [
            clip.id
            for clip in dataset.clips
            if clip.id not in info.failed and not is_cached(self.path, dataset, clip, spec)
        ]
        if stale:
            named = ", ".join(stale[:5] + ["..."] * (len(stale) > 5))
            raise InputError(
                f"the cache {self.path} is stale for {len(stale)} clips, which are new or have changed: "
                f"{named}; run {again}, which computes these again"
            )
        self.shared = SharedFeatures(**load_file(self.path / SHARED_FILE))

    def pictures(self, clip: Clip, numbers: Sequence[int]) -> Tensor:
        with self._open(clip) as file:
            latents = file.get_slice("latents")
            return torch.cat([latents[first:end] for first, end in _runs(numbers)])

    def music(self, clip: Clip, start: int) -> Tensor:
        with self._open(clip) as file:
            return file.get_slice("music")[self.spec.window_starts(clip.num_frames).index(start)]

    def text(self, clip: Clip, text: str) -> Tensor:
        with self._open(clip) as file:
            return file.get_slice("text")[json.loads(file.metadata()["texts"]).index(text)]

    def densepose(self, clip: Clip, number: int) -> Tensor | None:
        return read_densepose(self.dataset, clip, number, self.spec.canvas(clip))

    def _open(self, clip: Clip) -> Any:
        if clip.id in self._failed:
            raise UnreadableClip(clip.id, self._failed[clip.id])
        try:
            return safe_open(cached_file(self.path, clip), "pt")
        except (OSError, SafetensorError) as error:
            raise UnreadableClip(clip.id, f"its features cannot be read: {error}") from error


def cached_file(cache: Path, clip: Clip) -> Path:
    """Where a clip's features are."""
    return cache / CLIPS_FOLDER / f"{clip.id}.safetensors"


def is_cached(cache: Path, dataset: Dataset, clip: Clip, spec: ClipSpec) -> bool:
    """Whether there are features of the clip's present file and texts."""
    try:
        with safe_open(cached_file(cache, clip), "pt") as file, dataset.open(clip, "video") as video:
            return file.metadata() == features_of(clip, video, spec)
    except (OSError, SafetensorError, InputError):
        return False


def features_of(clip: Clip, video: BinaryIO, spec: ClipSpec) -> dict[str, str]:
    """What a clip's features were computed from, beside the cache's key: kept in their file."""
    return {"video": file_identity(video), "texts": json.dumps(clip_texts(clip, spec))}


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """3, 4, 5, 9 -> (3, 6), (9, 10): each is read at once."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs
