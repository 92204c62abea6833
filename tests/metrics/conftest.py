"""Drawn dancers with everything known about them, and what can go wrong with a video: the degradations."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from musedance.puppets.performance import Performance, World, perform


@dataclass(frozen=True)
class Dance:
    """A drawn clip: frames `(n, H, W, 3)` uint8, joints `(n, J, 2)` in pixels (x, y), visible `(n, J)`, music beats in
    seconds from the first frame, its sound `(samples,)` mono in [-1, 1] and the rest."""

    frames: np.ndarray
    joints: np.ndarray
    visible: np.ndarray
    beats: np.ndarray
    sound: np.ndarray
    sampling_rate: int
    fps: float
    track: str


def draw_dance(performance: Performance, name: str, fps: float | None = None, seconds: float = 4.0) -> Dance:
    """The first clip of a source, at any frame rate."""
    fps = performance.world.fps if fps is None else fps
    start = performance.starts[0] / performance.world.fps
    drawn = [
        performance.scene.draw(performance.choreography.pose(float(time)))
        for time in start + np.arange(round(seconds * fps)) / fps
    ]
    rate = performance.track.sampling_rate
    beats = performance.track.beats - start
    return Dance(
        frames=np.stack([frame.picture for frame in drawn]),
        joints=np.stack([frame.joints for frame in drawn]).astype(np.float64),
        visible=np.stack([frame.visible for frame in drawn]),
        beats=beats[(beats >= 0) & (beats < seconds)],
        sound=performance.track.samples[round(start * rate) : round((start + seconds) * rate)],
        sampling_rate=rate,
        fps=fps,
        track=name,
    )


@pytest.fixture(scope="session")
def dances() -> list[Dance]:
    """Eight clips of eight sources, 64 x 64, 12 fps, 4 s; not to be changed."""
    world = World(seed=3, width=64, height=64)
    return [draw_dance(perform(world, index), f"track{index}") for index in range(8)]


def blurred(frames: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of each frame, sigma in pixels."""
    return gaussian_filter(frames.astype(np.float32), (0, sigma, sigma, 0)).round().astype(np.uint8)


def noisy(frames: np.ndarray, deviation: float, seed: int = 0) -> np.ndarray:
    """Independent noise of all values, deviation in grey levels of 255."""
    noise = np.random.default_rng(seed).normal(0, deviation, frames.shape)
    return np.clip(frames + noise, 0, 255).round().astype(np.uint8)


def shuffled(frames: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same frames in random order."""
    return frames[np.random.default_rng(seed).permutation(len(frames))]


def tinted(frames: np.ndarray, most: float) -> np.ndarray:
    """A colour cast that grows evenly over the video: red up and blue down by `most` grey levels at its end."""
    cast = np.linspace(0, most, len(frames))[:, None, None, None] * np.array([1.0, 0.0, -1.0])
    return np.clip(frames + cast, 0, 255).round().astype(np.uint8)
