"""PSNR and SSIM: closed forms, scikit-image, the formula written out, and what they must respond to."""

import math
import sys
from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import convolve2d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from musedance.errors import InputError
from musedance.metrics.image_quality import Mode, psnr, ssim
from musedance.metrics.lpips import batches
from tests.metrics.conftest import Dance, blurred, noisy, shuffled

MODES: tuple[Mode, ...] = ("standard", "disco")


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def shifted_levels(*differences: int) -> tuple[np.ndarray, np.ndarray]:
    """Two videos of plain grey, whose frames differ by so many levels."""
    true = np.full((len(differences), 16, 24, 3), 100, np.uint8)
    return (true + np.array(differences)[:, None, None, None]).astype(np.uint8), true


@pytest.mark.parametrize("mode", MODES)
def test_psnr_of_known_differences(mode):
    """Up to 15 levels nothing wraps, and DisCo's old code is right; the sign does not matter."""
    expected = [20 * math.log10(255 / difference) for difference in (1, 5, 15, 7)]
    assert psnr(*shifted_levels(1, 5, 15, -7), mode) == pytest.approx(expected)


def test_psnr_of_identical_frames():
    pair = shifted_levels(0, 5)
    assert psnr(*pair, "standard")[0] == math.inf
    assert psnr(*pair, "disco")[0] == 100


def test_psnr_disco_wraps_as_discos_code_did():
    squared = 20**2 - 256
    assert psnr(*shifted_levels(16, 20, -20), "disco") == pytest.approx(
        [100, 10 * math.log10(255**2 / squared), 10 * math.log10(255**2 / squared)]
    )
    # The squares modulo 256 of evenly spread differences have a mean of 105.5.
    wrapped = psnr(noise(0, 2, 200, 200), noise(1, 2, 200, 200), "disco")
    assert wrapped == pytest.approx(10 * math.log10(255**2 / 105.5), abs=0.05)
    true = psnr(noise(0, 2, 200, 200), noise(1, 2, 200, 200), "standard")
    assert true == pytest.approx(10 * math.log10(255**2 / ((256**2 - 1) / 6)), abs=0.05)


def test_psnr_is_scikit_images():
    pair = noise(2, 3, 20, 30), noise(3, 3, 20, 30)
    assert psnr(*pair, "standard") == pytest.approx(
        [peak_signal_noise_ratio(*both) for both in zip(*pair, strict=True)]
    )


def moments(one: np.ndarray, other: np.ndarray, window: np.ndarray) -> list[np.ndarray]:
    """Means, variances and covariance under a window that sums to 1, wherever it lies inside."""
    mean = [convolve2d(picture, window, "valid") for picture in (one, other)]
    square = [convolve2d(a * b, window, "valid") for a, b in ((one, one), (other, other), (one, other))]
    return [*mean, square[0] - mean[0] ** 2, square[1] - mean[1] ** 2, square[2] - mean[0] * mean[1]]


def similarity(one: np.ndarray, other: np.ndarray, window: np.ndarray, unbiased: bool = False) -> float:
    """Equation 13 of Wang et al. 2004, mean over all windows."""
    mean1, mean2, var1, var2, cov = moments(one.astype(float), other.astype(float), window)
    correction = window.size / (window.size - 1) if unbiased else 1.0
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1)
    structure = (2 * correction * cov + c2) / (correction * (var1 + var2) + c2)
    return float((luminance * structure).mean())


def gaussian() -> np.ndarray:
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    return np.outer(line, line) / line.sum() ** 2


@pytest.fixture(scope="module")
def pair(dances: list[Dance]) -> tuple[np.ndarray, np.ndarray]:
    """A dance with noise and blur that grows, against itself; not square."""
    true = dances[0].frames[:4, :48]
    return np.concatenate([noisy(blurred(true[k : k + 1], k), 10 * k, seed=k) for k in range(4)]), true


def test_ssim_standard_is_the_formula(pair):
    expected = [
        np.mean([similarity(one[..., channel], other[..., channel], gaussian()) for channel in range(3)])
        for one, other in zip(*pair, strict=True)
    ]
    assert ssim(*pair, "standard") == pytest.approx(expected, abs=1e-4)


def test_ssim_standard_is_scikit_images(pair):
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [
        structural_similarity(*both, data_range=255, channel_axis=-1, **wang) for both in zip(*pair, strict=True)
    ]
    assert ssim(*pair, "standard") == pytest.approx(expected, abs=1e-4)


def test_ssim_disco_is_the_formula_on_grey(pair):
    """Rec. 601 luma, rounded; 7 x 7 windows of equal weights, unbiased."""
    grey = [(video @ np.array([0.299, 0.587, 0.114])).round() for video in pair]
    expected = [
        similarity(one, other, np.full((7, 7), 1 / 49), unbiased=True) for one, other in zip(*grey, strict=True)
    ]
    assert ssim(*pair, "disco") == pytest.approx(expected, abs=1e-4)


def test_ssim_disco_does_not_see_what_grey_does_not():
    """Red and green of the same luma are one grey."""
    red, green = np.zeros((2, 1, 16, 16, 3), np.uint8)
    red[..., 0], green[..., 1] = 157, 80  # 47 both
    assert ssim(red, green, "disco") == pytest.approx(1)
    assert ssim(red, green, "standard") < 0.5


@pytest.mark.parametrize("mode", MODES)
def test_ssim_bounds(mode, pair):
    _, true = pair
    assert ssim(true, true, mode) == pytest.approx(1, abs=1e-6)
    assert (ssim(255 - true, true, mode) < 0.5).all()
    assert ssim(*pair, mode) == pytest.approx(ssim(*pair[::-1], mode), abs=1e-6)


@pytest.mark.parametrize("score", [psnr, ssim])
@pytest.mark.parametrize("mode", MODES)
def test_scores_fall_as_frames_get_worse(score, mode, dances):
    frames = dances[1].frames[:6]
    most = 3 if score is psnr and mode == "disco" else 30  # noise past 16 levels wraps
    for worse in (
        [blurred(frames, sigma) for sigma in (0.5, 1.0, 2.0)],
        [noisy(frames, deviation) for deviation in (most / 3, most / 2, most)],
    ):
        scores = [score(video, frames, mode) for video in (frames, *worse)]
        for better, lower in pairwise(scores):
            assert (lower < better).all()
    dance = dances[1].frames
    in_order, out_of_order = score(dance, dance, mode), score(shuffled(dance), dance, mode)
    assert (out_of_order <= in_order).all() and (out_of_order < in_order).mean() > 0.5


def test_frames_are_scored_one_by_one(pair):
    """Alone, in a batch and in many batches: the same."""
    for mode in MODES:
        for score in (psnr, ssim):
            alone = [score(one[None], other[None], mode)[0] for one, other in zip(*pair, strict=True)]
            assert score(*pair, mode) == pytest.approx(alone, rel=1e-5)


def test_batches_are_small():
    generated, true = noise(0, 5, 64, 96), noise(1, 5, 64, 96)
    for pixels, sizes in ((2 * 64 * 96 + 1, [2, 2, 1]), (1, [1] * 5), (10**9, [5])):
        found = list(batches(generated, true, pixels))
        assert [len(one) for one, _ in found] == sizes
        for video, place in ((generated, 0), (true, 1)):
            back = np.concatenate([np.moveaxis(batch[place].numpy() * 255, 1, 3) for batch in found])
            assert (back.round() == video).all() and back.max() <= 255


def test_views_can_be_scored(pair):
    """Flipped, strided and read-only arrays."""
    flipped = [video[::-1, :, ::-1] for video in pair]
    for video in flipped:
        video.flags.writeable = False
    for mode in MODES:
        assert ssim(*flipped, mode) == pytest.approx(ssim(*pair, mode)[::-1], abs=1e-5)
        assert psnr(*flipped, mode) == pytest.approx(psnr(*pair, mode)[::-1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("score", [psnr, ssim])
def test_videos_that_cannot_be_compared(score, mode):
    video = noise(0, 3, 32, 48)
    with pytest.raises(InputError, match="3 frames of 48 x 32 and 2 frames of 48 x 32"):
        score(video, video[:2], mode)
    with pytest.raises(InputError, match="48 x 32 and 3 frames of 32 x 48"):
        score(video, video.swapaxes(1, 2), mode)
    with pytest.raises(InputError, match="without frames"):
        score(video[:0], video[:0], mode)
    with pytest.raises(TypeError, match="float64"):
        score(video / 255, video, mode)


@pytest.mark.parametrize(("mode", "least"), [("standard", 11), ("disco", 7)])
def test_frames_smaller_than_the_window(mode, least):
    fits, too_small = noise(0, 1, least, 40), noise(0, 1, 40, least - 1)
    assert ssim(fits, fits, mode) == pytest.approx(1)
    with pytest.raises(InputError, match=f"needs frames of {least} pixels and more, not {least - 1} x 40"):
        ssim(too_small, too_small, mode)


@pytest.mark.parametrize(
    ("mode", "module"),
    [("standard", "skimage.metrics"), ("disco", "cv2"), ("disco", "skimage.metrics")],
)
def test_a_missing_library_is_named(mode, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)  # an import of it fails
    video = noise(0, 1, 16, 16)
    with pytest.raises(InputError, match=r"musedance\[metrics\]"):
        ssim(video, video, mode)
