"""Appearance: whether the reference is used, kept, and told from others."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation
from torch import Tensor

from musedance.conditions.beats import beats_to_frames
from musedance.conditions.densepose import PART_COLOURS
from musedance.datasets.clip import Clip
from musedance.datasets.encode import Encoders
from musedance.datasets.reader import FileReader, read_pictures
from musedance.datasets.window_text import window_text
from musedance.errors import InputError
from musedance.evaluation.footage import DatasetVideos
from musedance.latents import packing
from musedance.metrics.consistency import identity_distances
from musedance.models import MuseDanceNetworks
from musedance.pipeline import MuseDancePipeline
from musedance.proof.finding import Finding, mean_finding, share_finding
from musedance.proof.plans import reference_of

TIMESTEPS = (200, 500, 800)
WRONG = {"another's": "another character's reference", "none": "no reference"}
MARGIN = 3  # pixels around a mask that count as the dancer: outlines, shadows
AMONG = 16  # pictures, of which one is the reference


class _Pair(NamedTuple):
    """A segment and the pictures it is predicted with: ids of clips, and frames."""

    clip: str
    start: int
    right: tuple[str, int]
    wrong: tuple[str, int]


@torch.no_grad()
def reference_findings(pipeline: MuseDancePipeline, videos: DatasetVideos, pairs: int, batch: int = 8) -> list[Finding]:
    """The error of predicting a held-out segment with its reference, with another character's, and with none.

    All modules take part, as in sampling, without motion frames, as in first segments; noise, text, music and beats are
    the same for the three.
    """
    encoders = Encoders(
        pipeline.vae,
        pipeline.text_encoder,
        pipeline.tokenizer,
        pipeline.music_encoder,
        pipeline.unet.config.fps,
        packing(pipeline.unet.config.in_channels, pipeline.vae.config.latent_channels),
    )
    networks = MuseDanceNetworks(pipeline.unet, pipeline.reference_net, pipeline.mask_encoder)
    chosen = _pairs(videos, pairs, pipeline.unet.config.num_frames)
    empty = encoders.text([""]).to(pipeline.unet.dtype)
    errors: dict[tuple[str, int], list[float]] = {}
    for first in range(0, len(chosen), batch):
        rows = chosen[first : first + batch]
        target, conditions = _segments(pipeline, encoders, videos, rows)
        for kind in ("right", *WRONG):
            features = None
            if kind != "none":
                shown = [row.right if kind == "right" else row.wrong for row in rows]
                latents = torch.cat([encoders.latents(_picture(videos, *one)) for one in shown])
                shared = empty.expand(len(rows), -1, -1)
                features = networks.encode_reference(latents.to(pipeline.unet.dtype), shared)
            for timestep in TIMESTEPS:
                found = _errors(pipeline, target, {"reference": features, **conditions}, timestep, seed=first)
                errors.setdefault((kind, timestep), []).extend(found)
    tracks = [videos.clips[pair.clip].source for pair in chosen]
    findings = []
    for other in WRONG:
        for timestep in TIMESTEPS:
            gain = np.array(errors[other, timestep]) - np.array(errors["right", timestep])
            name = f"error with {WRONG[other]} minus with the right one, t = {timestep}"
            findings.append(mean_finding("appearance", name, gain, tracks, least=0.0))
    return findings


def _pairs(videos: DatasetVideos, count: int, num_frames: int) -> list[_Pair]:
    """Segments of `num_frames`; a picture of the same and one of another character, portraits where there are any."""
    rng, clips = np.random.default_rng(0), list(videos.clips.values())
    pairs = []
    for number in range(count):
        clip = clips[number % len(clips)]
        if clip.num_frames < num_frames:
            raise InputError(f"clip {clip.id} has {clip.num_frames} frames, fewer than a segment's {num_frames}")
        others = [other for other in clips if other.source != clip.source]
        wrong = others[int(rng.integers(len(others)))]
        start = int(rng.integers(clip.num_frames - num_frames + 1))
        names = (reference_of(videos, clip), reference_of(videos, wrong))
        right, other = ((name, int(rng.integers(videos.dataset.by_id[name].num_frames))) for name in names)
        pairs.append(_Pair(clip.id, start, right, other))
    return pairs


def _picture(videos: DatasetVideos, name: str, frame: int) -> Tensor:
    return torch.from_numpy(videos.pictures(videos.dataset.by_id[name], [frame]))


def _segments(
    pipeline: MuseDancePipeline, encoders: Encoders, videos: DatasetVideos, rows: Sequence[_Pair]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Clean latents `(n, channels, K, h, w)`, and text, music and beats as the UNet takes them."""
    if videos.spec is None:
        raise ValueError("videos have to be as the model makes them")
    num_frames, fps = videos.spec.num_frames, videos.spec.fps
    reader = FileReader(videos.dataset, videos.spec, pipeline.feature_extractor)
    latents, mels, beats, texts = [], [], [], []
    for row in rows:
        clip = videos.clips[row.clip]
        frames = reader.pictures(clip, range(row.start, row.start + num_frames))
        latents.append(encoders.latents(frames).transpose(0, 1))
        mels.append(reader.music(clip, row.start))
        first = clip.track_start + row.start / fps
        beats.append(torch.from_numpy(beats_to_frames(np.array(clip.beats), first, num_frames, fps)))
        texts.append(window_text(clip, row.start, num_frames))
    dtype = pipeline.unet.dtype
    conditions = {
        "encoder_hidden_states": encoders.text(texts).to(dtype),
        "music": encoders.music(torch.stack(mels)).to(dtype),
        "music_positions": encoders.music_positions(len(mels[0])),
        "beats": torch.stack(beats).to(pipeline.device),
    }
    return torch.stack(latents), conditions


def _errors(
    pipeline: MuseDancePipeline, target: Tensor, conditions: Mapping[str, Any], timestep: int, seed: int
) -> list[float]:
    """Mean squared error of each prediction at one timestep."""
    scheduler = pipeline.scheduler
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(seed)).to(target.device)
    steps = torch.full((len(target),), timestep, device=target.device)
    noisy = scheduler.add_noise(target.float(), noise, steps)
    made = pipeline.unet(noisy.to(pipeline.unet.dtype), steps, **conditions).sample.float()
    is_noise = scheduler.config.prediction_type == "epsilon"
    wanted = noise if is_noise else scheduler.get_velocity(target.float(), noise, steps)
    return (made - wanted).square().flatten(1).mean(1).tolist()


def background_psnr(videos: DatasetVideos, name: str, made: np.ndarray, reference: str) -> float:
    """PSNR in dB between a made and a true video where neither the true dancer nor the reference's is in any frame."""
    clip, length = videos.clips[name], len(made)
    canvas = (made.shape[1], made.shape[2])
    numbers = list(range(length))
    covered = _covered(videos, videos.dataset.by_id[reference], [0], canvas) | _covered(videos, clip, numbers, canvas)
    free = ~binary_dilation(covered, iterations=MARGIN)
    true = videos.pictures(clip, numbers, canvas)
    error = np.mean((made[:, free].astype(np.float64) - true[:, free]) ** 2) / 255**2
    return float(-10 * np.log10(max(error, 1e-10)))


def _covered(videos: DatasetVideos, clip: Clip, frames: list[int], canvas: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: where the dancer is in some frame."""
    if not clip.densepose:
        raise InputError(f"clip {clip.id} has no DensePose video: where its dancer is cannot be known")
    drawn = read_pictures(videos.dataset, clip, "densepose", frames, canvas, Image.Resampling.NEAREST).numpy()
    return (drawn != PART_COLOURS[0]).any(-1).any(0)


def retrieval_finding(
    videos: DatasetVideos, made: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray], least: float
) -> Finding:
    """How often, of `AMONG` characters' pictures, the video is most like its own reference (median over frames).

    Args:
        videos: where the pictures come from.
        made: videos `(n, H, W, 3)` uint8 by clip.
        true: the true ones.
        least: see `Finding`.
    """
    sources = {clip.source: reference_of(videos, clip) for clip in videos.clips.values()}

    @cache
    def picture(name: str) -> np.ndarray:
        return videos.pictures(videos.dataset.by_id[name], [0])[0]

    among = min(AMONG, len(sources))
    rng = np.random.default_rng(0)
    right: dict[str, list[bool]] = {"made": [], "true": []}
    for name in made:
        clip = videos.clips[name]
        others = [other for source, other in sorted(sources.items()) if source != clip.source]
        foils = [others[int(i)] for i in rng.permutation(len(others))[: AMONG - 1]]
        pictures = [picture(other) for other in (reference_of(videos, clip), *foils)]
        for whose, frames in (("made", made[name]), ("true", true[name])):
            distances = [float(np.median(identity_distances(frames[::4], shown))) for shown in pictures]
            right[whose].append(int(np.argmin(distances)) == 0)
    what, truth = f"nearest of {among} pictures is its own reference", float(np.mean(right["true"]))
    clusters, found = [videos.clips[name].source for name in made], np.array(right["made"])
    return share_finding("appearance", what, found, clusters, least=least, truth=truth, chance=1 / among)
