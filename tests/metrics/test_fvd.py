"""What reaches I3D in each mode, and what becomes of its logits."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from musedance.errors import InputError
from musedance.metrics.fvd import fvd_features
from musedance.metrics.i3d import I3D


class Corner(nn.Module):
    """In the place of I3D: its "logits" are the input's pixels, mean over time, so that the input can be read off."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Size] = []

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        self.seen.append(video.shape)
        return video.mean(dim=2).flatten(1)


def pixels(frames: np.ndarray, mode: str) -> np.ndarray:
    """`(3, 224, 224)`: the mean over time of what the network sees."""
    return fvd_features(Corner(), frames, mode, "cpu").reshape(3, 224, 224)


def noise(n: int, height: int = 20, width: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


@pytest.fixture
def model() -> I3D:
    """Random weights under which the input matters: PyTorch's own shrink it by 1e4 until the logits."""
    torch.manual_seed(0)
    model = I3D().eval()
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
    return model


@pytest.mark.parametrize("mode", ["standard", "disco"])
def test_values_and_channels(mode):
    frames = np.broadcast_to(np.array([0, 255, 51], np.uint8), (16, 30, 40, 3))
    seen = pixels(frames, mode)
    for channel, value in enumerate([-1.0, 1.0, -0.6]):
        np.testing.assert_allclose(seen[channel], value, atol=1e-5)


@pytest.mark.parametrize("mode", ["standard", "disco"])
def test_frames_of_the_right_size_stay_as_they_are(mode):
    frames = noise(16, 224, 224)
    np.testing.assert_allclose(pixels(frames, mode), frames.mean(0).transpose(2, 0, 1) / 127.5 - 1, atol=1e-5)


@pytest.mark.parametrize("mode", ["standard", "disco"])
@pytest.mark.parametrize("size", [(64, 64), (300, 260), (448, 112)])
def test_resizing_is_pillows_bicubic_filter_in_disco_mode_alone(mode, size):
    """On floating-point values, nothing rounded or cut off; the whole picture squeezed into a square."""
    frame = noise(1, *size)[0]
    channels = [Image.fromarray(frame[..., c].astype(np.float32)) for c in range(3)]
    expected = np.stack([np.asarray(c.resize((224, 224), Image.Resampling.BICUBIC)) for c in channels]) / 127.5 - 1
    gap = np.abs(pixels(np.stack([frame] * 16), mode) - expected).max()
    assert gap < 1e-4 if mode == "disco" else gap > 0.1


def test_standard_resizing_is_bilinear_between_the_four_nearest():
    """Written out: the middle of output k lies at (k + 1/2) * side / 224 - 1/2 of the input."""
    frame = noise(1, 300, 90)[0].astype(np.float64)

    def along(axis_size):
        place = np.clip((np.arange(224) + 0.5) * axis_size / 224 - 0.5, 0, axis_size - 1)
        low = np.floor(place).astype(int)
        return low, np.minimum(low + 1, axis_size - 1), place - low

    (top, bottom, down), (left, right, across) = along(300), along(90)
    rows = frame[top] * (1 - down)[:, None, None] + frame[bottom] * down[:, None, None]
    expected = rows[:, left] * (1 - across)[None, :, None] + rows[:, right] * across[None, :, None]
    seen = pixels(np.stack([frame.astype(np.uint8)] * 9), "standard")
    np.testing.assert_allclose(seen, expected.transpose(2, 0, 1) / 127.5 - 1, atol=1e-4)


def test_standard_takes_the_video_at_once_and_disco_full_segments_of_16():
    frames = noise(40)
    whole, segments = Corner(), Corner()
    fvd_features(whole, frames, "standard", "cpu")
    fvd_features(segments, frames, "disco", "cpu")
    assert whole.seen == [(1, 3, 40, 224, 224)]
    assert segments.seen == [(1, 3, 16, 224, 224)] * 2
    halves = pixels(frames[:16], "disco"), pixels(frames[16:32], "disco")
    np.testing.assert_allclose(pixels(frames, "disco"), (halves[0] + halves[1]) / 2, atol=1e-6)
    assert np.abs(pixels(frames, "standard") - pixels(frames[:32], "standard")).max() > 0.01


def test_the_real_network_and_the_shortest_videos(model):
    frames = noise(9, 224, 224)
    with torch.inference_mode():
        expected = model(torch.from_numpy(frames).permute(3, 0, 1, 2)[None] / 127.5 - 1)[0].numpy()
    features = fvd_features(model, frames, "standard", "cpu")
    assert features.shape == (400,) and features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * expected.std())
    with pytest.raises(InputError, match=r"FVD \(standard\) needs videos of 9 frames or more, this one has 8"):
        fvd_features(model, frames[:8], "standard", "cpu")
    with pytest.raises(InputError, match=r"FVD \(disco\) needs videos of 16 frames or more, this one has 15"):
        fvd_features(model, noise(15), "disco", "cpu")


def test_an_unknown_mode():
    with pytest.raises(ValueError, match="standard, disco"):
        fvd_features(Corner(), noise(16), "Disco", "cpu")
