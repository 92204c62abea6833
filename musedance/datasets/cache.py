"""Features of a whole dataset, computed once: `musedance dataset cache`."""

from pathlib import Path

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm
from transformers import ASTFeatureExtractor
from transformers.utils import logging as transformers_logging

from musedance.datasets.cache_key import CACHE_FILE, CLIPS_FOLDER, SHARED_FILE, CacheInfo, CacheKey
from musedance.datasets.cached_reader import cached_file, features_of, is_cached
from musedance.datasets.clip import Clip
from musedance.datasets.encode import Encoders
from musedance.datasets.failures import MAX_FAILURE_SHARE, FailureLog, UnreadableClip, reading
from musedance.datasets.folder import Dataset
from musedance.datasets.reader import FileReader, read_sound, window_mel
from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.datasets.window_text import clip_texts
from musedance.device import choose_device, choose_dtype
from musedance.errors import InputError
from musedance.files import appearing
from musedance.media.audio import Audio


def build_cache(
    dataset: str | Path,
    model: str | Path,
    output: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    spec: ClipSpec | None = None,
    max_failure_share: float = MAX_FAILURE_SHARE,
) -> Path:
    """Compute the latents of all frames, the music tokens of all windows and the embeddings of all texts.

    One safetensors file a clip, each written whole or not at all: a run that was cut short goes on where it was, and
    one over a finished cache computes only what is new or has changed.

    Args:
        dataset: a folder or shards.
        model: pipeline folder.
        output: the cache's folder; `cache` in the dataset's unless given.
        device: where to compute.
        dtype: in which precision to compute and to store: that of the frozen encoders in training.
        spec: canvas and windows, where they are not to be the model's.
        max_failure_share: the share of clips that may be unreadable.

    Returns:
        The cache's folder.

    Raises:
        InputError: there is something else at `output`, a cache for other weights or another spec among it, or too many
            clips cannot be read.
    """
    source, model = open_dataset(dataset), Path(model)
    spec = spec or ClipSpec.of_model(model)
    cache = source.path / "cache" if output is None else Path(output)
    where = choose_device(device)
    precision = choose_dtype(dtype, where)
    info = _begin(cache, CacheInfo(CacheKey.of_model(model, spec), str(precision).removeprefix("torch.")))
    missing = [clip for clip in source.clips if not is_cached(cache, source, clip, spec)]
    if not missing and info.is_complete:
        return cache

    diffusers_logging.disable_progress_bar()  # there is one of ours
    transformers_logging.disable_progress_bar()
    encoders = Encoders.from_folder(model, spec.fps, where, precision)
    extractor = ASTFeatureExtractor.from_pretrained(model / "feature_extractor")
    clips = _ClipEncoder(source, spec, encoders, extractor)
    _save(cache / SHARED_FILE, clips.shared())
    failures = FailureLog(len(source.clips), max_failure_share)
    for clip in tqdm(missing, unit="clip", desc="caching features", disable=None):
        try:
            features, metadata = clips.encode(clip)
        except UnreadableClip as error:
            failures.add({error.clip_id: error.reason})
            continue
        _save(cached_file(cache, clip), features, metadata)
    info.is_complete, info.failed = True, failures.reasons
    info.write(cache)
    return cache


class _ClipEncoder:
    """Features of one clip at a time."""

    def __init__(
        self, dataset: Dataset, spec: ClipSpec, encoders: Encoders, feature_extractor: ASTFeatureExtractor
    ) -> None:
        self.dataset, self.spec, self.encoders, self.feature_extractor = dataset, spec, encoders, feature_extractor
        self.files = FileReader(dataset, spec)

    def encode(self, clip: Clip) -> tuple[dict[str, Tensor], dict[str, str]]:
        """`latents` of all frames, `music` of all windows, `text` of all texts, and what they were computed from."""
        with reading(clip), self.dataset.open(clip, "video") as file:
            metadata = features_of(clip, file, self.spec)
        features = {
            "latents": self.encoders.latents(self.files.pictures(clip, range(clip.num_frames))),
            "text": self.encoders.text(clip_texts(clip, self.spec)),
        }
        starts = self.spec.window_starts(clip.num_frames)
        if starts:
            sound = read_sound(self.dataset, clip)
            mels = [window_mel(sound, start, self.spec, self.feature_extractor) for start in starts]
            features["music"] = self.encoders.music(torch.stack(mels))
        return features, metadata

    def shared(self) -> dict[str, Tensor]:
        """What does not depend on the clip."""
        rate = self.feature_extractor.sampling_rate
        silence = Audio(np.zeros((1, rate), np.float32), rate)
        mel_frames = len(window_mel(silence, 0, self.spec, self.feature_extractor))
        return {
            "empty_text": self.encoders.text([""])[0],
            "music_positions": self.encoders.music_positions(mel_frames),
        }


def _begin(cache: Path, wanted: CacheInfo) -> CacheInfo:
    """Make the cache's folder, or go on with the one that is there."""
    if not cache.exists() or (cache.is_dir() and not any(cache.iterdir())):
        (cache / CLIPS_FOLDER).mkdir(parents=True)
        wanted.write(cache)
        return wanted
    if not (cache / CACHE_FILE).is_file():
        raise InputError(f"{cache} is there already and no feature cache: name another folder, or remove it first")
    found = CacheInfo.read(cache)
    differences = wanted.key.differences(found.key)
    if found.dtype != wanted.dtype:
        differences.append(f"dtype is {found.dtype} instead of {wanted.dtype}")
    if differences:
        raise InputError(
            f"{cache} is a cache for something else, {', '.join(differences)}: remove it, or name another folder"
        )
    return found


def _save(path: Path, features: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    with appearing(path) as temporary:
        save_file({name: tensor.cpu().contiguous() for name, tensor in features.items()}, temporary, metadata)
