"""The recogniser: learns motions, not colours; and learns the same again."""

import numpy as np
import pytest
import torch
from torch import Tensor

from musedance.proof.recogniser import SIDE, Recogniser, _varied, recognise, small, train_recogniser, views

K = 8


def squares(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Clips of a square that swings up and down (0) or from side to side (1), in any colours and at any place."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((count, K, 3, SIDE, SIDE), np.uint8)
    labels = np.arange(count) % 2
    for clip, label in zip(frames, labels, strict=True):
        ground = rng.integers(0, 256, 3)
        clip[:] = ground[None, :, None, None]
        place, phase = rng.integers(10, 22), rng.uniform(0, 2 * np.pi)
        for k in range(K):
            aside = 16 + round(6 * np.sin(phase + 2 * np.pi * k / K))
            row, column = (place, aside) if label else (aside, place)
            clip[k, :, row - 4 : row + 4, column - 4 : column + 4] = ((ground + 128) % 256)[:, None, None]
    return torch.from_numpy(frames), torch.from_numpy(labels)


def test_it_learns_motions_whatever_their_colours() -> None:
    recogniser = train_recogniser(*squares(64, seed=0), steps=80, batch_size=16)
    frames, labels = squares(40, seed=1)
    assert not recogniser.training
    assert (recognise(recogniser, frames) == labels.numpy()).mean() > 0.85
    turned = recognise(recogniser, frames.transpose(3, 4).contiguous())  # up and down becomes side to side
    assert (turned == 1 - labels.numpy()).mean() > 0.85


def test_the_seed_alone_decides_and_the_global_state_is_left_alone() -> None:
    data = squares(8, seed=0)
    weights = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        recogniser = train_recogniser(*data, steps=2, batch_size=4, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        weights.append(torch.cat([value.flatten().float() for value in recogniser.state_dict().values()]))
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_many_clips_are_told_one_by_one() -> None:
    """Whatever else there is, beyond one batch too."""
    frames, labels = squares(70, seed=2)
    recogniser = train_recogniser(frames[:8], labels[:8], steps=2, batch_size=4)
    together = recognise(recogniser, frames)
    assert together.shape == (70,)
    assert [int(recognise(recogniser, frames[k : k + 1])[0]) for k in (0, 33, 69)] == together[[0, 33, 69]].tolist()


def test_a_still_shows_no_motion() -> None:
    still = torch.rand(2, 1, 3, SIDE, SIDE).repeat(1, K, 1, 1, 1)
    seen = views(still)
    assert seen.shape == (2, 3, K, SIDE, SIDE)
    assert not seen[:, :2].any()
    assert seen[:, 2].mean() == pytest.approx(0, abs=1e-5)


def test_views_are_of_difference_and_change() -> None:
    """One pixel that is white in one frame only: it is aside then, and changes twice."""
    frames = torch.zeros(1, 5, 3, SIDE, SIDE)
    frames[0, 2, :, 4, 7] = 1
    aside, moved, _ = views(frames)[0]
    assert [place.tolist() for place in aside.nonzero()] == [[2, 4, 7]]
    assert [place.tolist() for place in moved.nonzero()] == [[2, 4, 7], [3, 4, 7]]


def test_varied_clips_stay_pictures() -> None:
    frames = squares(6, seed=3)[0].float() / 255
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        varied = _varied(frames, generator)
        assert varied.shape == frames.shape and varied.min() >= 0 and varied.max() <= 1
        assert not torch.equal(varied, frames)


def test_pictures_become_small_by_averaging() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), np.uint8)
    means = frames.reshape(3, 32, 4, 32, 4, 3).mean((2, 4))
    assert np.array_equal(small(frames).permute(0, 2, 3, 1).numpy(), np.rint(means).astype(np.uint8))
    assert small(frames[:, :96]).shape == (3, 3, SIDE, SIDE)


def test_each_class_has_a_logit() -> None:
    assert Recogniser(5)(torch.rand(2, K, 3, SIDE, SIDE)).shape == (2, 5)
