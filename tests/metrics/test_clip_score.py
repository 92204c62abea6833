"""CS and similarity of embeddings whose angles are known."""

import numpy as np
import pytest

from musedance.errors import InputError
from musedance.metrics.clip_score import clip_score, clip_similarity


def at_angles(degrees: list[float], width: int = 512) -> np.ndarray:
    """Unit vectors at these angles from the first axis, each in a plane of its own."""
    angles = np.radians(degrees)
    vectors = np.zeros((len(angles), width), np.float32)
    vectors[:, 0] = np.cos(angles)
    vectors[np.arange(len(angles)), 1 + np.arange(len(angles))] = np.sin(angles)
    return vectors


def test_cs_is_the_mean_of_the_frames_cosines() -> None:
    music = at_angles([0])[0]
    assert clip_score(at_angles([0, 60, 90]), music) == pytest.approx((1 + 0.5 + 0) / 3)
    assert clip_score(at_angles([180]), music) == pytest.approx(-1)


def test_length_does_not_matter() -> None:
    frames, music = at_angles([20, 70]), at_angles([0])[0]
    lengths = np.array([[3], [0.01]], np.float32)
    assert clip_score(frames * lengths, music * 100) == pytest.approx(clip_score(frames, music))


def test_similarity_is_one_value_a_frame() -> None:
    found = clip_similarity(at_angles([0, 60, 120]), at_angles([0])[0])
    np.testing.assert_allclose(found, [1, 0.5, -0.5], atol=1e-6)


def test_embeddings_of_another_clip_are_named() -> None:
    with pytest.raises(InputError, match=r"768 wide, the music's 512") as caught:
        clip_score(at_angles([0], width=768), at_angles([0])[0])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"512 wide, the reference's 768"):
        clip_similarity(at_angles([0]), at_angles([0], width=768)[0])
