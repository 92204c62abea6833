"""LPIPS: the formula in numpy, weights as they are published, properties, and torchmetrics' own where it can run."""

import functools
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from musedance.errors import InputError
from musedance.metrics.image_quality import Mode
from musedance.metrics.lpips import MINIMUM, Lpips, Network, _heads_file
from musedance.metrics.weight_files import WEIGHT_FILES
from tests.metrics.conftest import Dance, blurred, noisy

NETWORKS: tuple[Network, ...] = ("alex", "vgg")
MODES: tuple[Mode, ...] = ("standard", "disco")

# Layers of torchvision's published files: number, channels out, channels in, side of the kernel.
ALEXNET = [(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)]
VGG_NUMBERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG_CHANNELS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG = [(number, VGG_CHANNELS[k + 1], VGG_CHANNELS[k], 3) for k, number in enumerate(VGG_NUMBERS)]
CLASSIFIERS = {
    "alex": {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)},
    "vgg": {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)},
}


@functools.cache
def published(network: Network) -> dict[str, Tensor]:
    """Random weights under the published names, in the published shapes."""
    generator = torch.Generator().manual_seed(5)
    state = {}
    for number, out, inside, side in ALEXNET if network == "alex" else VGG:
        deviation = (2 / (inside * side * side)) ** 0.5
        state[f"features.{number}.weight"] = deviation * torch.randn(out, inside, side, side, generator=generator)
        state[f"features.{number}.bias"] = 0.1 * torch.randn(out, generator=generator)
    for number, (out, inside) in CLASSIFIERS[network].items():
        # One number each, since half a gigabyte of zeros would be written.
        state[f"classifier.{number}.weight"] = torch.zeros(1).expand(out, inside)
        state[f"classifier.{number}.bias"] = torch.zeros(1).expand(out)
    return state


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[Network, Path]:
    folder = tmp_path_factory.mktemp("lpips")
    files: dict[Network, Path] = {network: folder / WEIGHT_FILES[f"lpips_{network}"].file_name for network in NETWORKS}
    for network, file in files.items():
        torch.save(published(network), file)
    return files


@pytest.fixture(scope="module")
def models(backbones: dict[Network, Path]) -> dict[Network, Lpips]:
    return {network: Lpips.from_files(network, file) for network, file in backbones.items()}


@pytest.fixture(scope="module")
def frames(dances: list[Dance]) -> np.ndarray:
    return dances[2].frames[::24, 8:44, 12:52]  # 2 frames of 40 x 36


def convolved(pictures: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """A convolution layer and ReLU, `(c, h, w)`."""
    padded = np.pad(pictures, ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    return np.maximum(np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None], 0)


def pooled(pictures: np.ndarray, side: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (side, side), axis=(1, 2))
    return windows[:, ::2, ::2].max((3, 4))


def features_by_hand(network: Network, picture: np.ndarray, state: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What is compared: AlexNet's five ReLUs, or VGG's last ReLU before each pooling."""
    found, x, pooling = [], picture, False
    layers = ALEXNET if network == "alex" else VGG
    following = [number for number, *_ in layers[1:]] + [layers[-1][0] + 3]
    for (number, _, _, side), next_number in zip(layers, following, strict=True):
        if pooling:
            x = pooled(x, 3 if network == "alex" else 2)
        stride, padding = (4, 2) if side == 11 else (1, side // 2)
        x = convolved(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], stride, padding)
        pooling = next_number == number + 3  # after the convolution, its ReLU and the pooling
        if network == "alex" or pooling:
            found.append(x)
    return found


def by_hand(network: Network, one: np.ndarray, other: np.ndarray, low: float, high: float) -> float:
    """Equation 1 of Zhang et al. 2018, for two frames whose 0..255 is brought to low..high."""
    state = {key: value.double().numpy() for key, value in published(network).items() if "features" in key}
    heads = torch.load(_heads_file(network), weights_only=True, map_location="cpu")
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    maps = []
    for frame in (one, other):
        values = (frame / 255 * (high - low) + low - shift) / scale
        maps.append(features_by_hand(network, np.moveaxis(values, 2, 0), state))
    total = 0.0
    for level, pair in enumerate(zip(*maps, strict=True)):
        unit = [feature / np.linalg.norm(feature, axis=0) for feature in pair]
        weight = heads[f"lin{level}.model.1.weight"].double().numpy().ravel()
        total += np.einsum("c,chw->hw", weight, (unit[0] - unit[1]) ** 2).mean()
    return total


@pytest.mark.parametrize(("network", "mode"), [("alex", "standard"), ("alex", "disco"), ("vgg", "disco")])
def test_the_formula_by_hand(network, mode, models, frames):
    true = frames[:1]
    generated = noisy(true, 20)
    expected = by_hand(network, generated[0], true[0], 0 if mode == "disco" else -1, 1)
    assert models[network].distances(generated, true, mode) == pytest.approx([expected], rel=1e-4)
    assert expected > 0.001


def random_videos(seed: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    one, other = generator.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    return one, other


@pytest.mark.parametrize("network", NETWORKS)
def test_torchmetrics_gives_the_same(network, backbones, models, monkeypatch):
    """From the same files: torchvision looks for them in the cache of torch.hub."""
    try:
        import torchvision  # noqa: F401
    except Exception as reason:  # where it does not fit torch, it is a RuntimeError
        pytest.skip(f"torchvision cannot be imported: {reason}")
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity

    cache = backbones[network].parent / "hub" / "checkpoints"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / backbones[network].name).symlink_to(backbones[network])
    monkeypatch.setenv("TORCH_HOME", str(cache.parents[1]))
    generated, true = random_videos(0, 3, 64, 80)
    for mode in MODES:
        tensors = [torch.from_numpy(video).permute(0, 3, 1, 2) / 255 for video in (generated, true)]
        theirs = learned_perceptual_image_patch_similarity(
            *tensors, net_type=network, normalize=mode == "standard", reduction=None
        )
        ours = models[network].distances(generated, true, mode)
        assert ours == pytest.approx(theirs.flatten().tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("network", "digest"),
    [
        ("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
        ("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    ],
)
def test_the_heads_are_version_0_1(network, digest, models):
    """The files of the authors' package, weights/v0.1, none of whose numbers is negative."""
    assert hashlib.sha256(_heads_file(network).read_bytes()).hexdigest() == digest
    for head in models[network].heads:
        assert head.min() >= 0 and head.max() > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_a_distance(network, mode, models, frames):
    model, worse = models[network], noisy(frames, 20)
    assert (model.distances(frames, frames, mode) == 0).all()
    there, back = model.distances(worse, frames, mode), model.distances(frames, worse, mode)
    assert there.shape == (2,) and (there > 0).all() and there == pytest.approx(back, rel=1e-5)


@pytest.mark.parametrize(("network", "mode"), [("alex", "standard"), ("vgg", "disco")])
def test_it_grows_with_blur_and_noise(network, mode, models, frames):
    true = frames[:1]
    for worse in (
        [blurred(true, sigma) for sigma in (0.5, 1.0, 2.0)],
        [noisy(true, deviation) for deviation in (5, 15, 45)],
    ):
        video = np.concatenate([true, *worse])
        distances = models[network].distances(video, np.broadcast_to(true, video.shape), mode)
        assert (np.diff(distances) > 0).all()


def test_modes_feed_other_values(models, frames):
    """A frame in [0, 1] is one of half the contrast in [-1, 1], on the bright side."""
    bright = ((frames.astype(int) + 255) / 2).round().astype(np.uint8)
    pair = noisy(frames, 20), frames
    brighter = noisy(frames, 20) // 2 + 127, bright
    model = models["alex"]
    assert model.distances(*pair, "disco") == pytest.approx(model.distances(*brighter, "standard"), rel=0.1)
    assert model.distances(*pair, "standard") != pytest.approx(model.distances(*pair, "disco"), rel=0.1)


def test_frames_are_measured_one_by_one(models):
    pair = random_videos(1, 5, 40, 48)
    alone = [models["alex"].distances(one[None], other[None], "standard")[0] for one, other in zip(*pair, strict=True)]
    assert models["alex"].distances(*pair, "standard") == pytest.approx(alone, rel=1e-5)
    assert len(set(alone)) == 5


@pytest.mark.parametrize("network", NETWORKS)
def test_small_frames(network, models):
    least = MINIMUM[network]
    distance = models[network].distances(*random_videos(2, 1, least, least), "standard")
    assert np.isfinite(distance).all() and (distance > 0).all()
    with pytest.raises(InputError, match=f"needs frames of {least} pixels and more, not {least - 1} x 64"):
        models[network].distances(*random_videos(2, 1, 64, least - 1), "standard")


def test_videos_that_do_not_match(models, frames):
    with pytest.raises(InputError, match="2 frames of 40 x 36 and 1 frames of 40 x 36"):
        models["alex"].distances(frames, frames[:1], "standard")


def test_features_alone_are_enough(models, frames, tmp_path):
    state = {key: value for key, value in published("alex").items() if key.startswith("features.")}
    torch.save(state, tmp_path / "features.pth", _use_new_zipfile_serialization=False)  # as the file of VGG is
    model = Lpips.from_files("alex", tmp_path / "features.pth")
    pair = noisy(frames, 20), frames
    assert (model.distances(*pair, "disco") == models["alex"].distances(*pair, "disco")).all()


def test_it_is_not_trained(models):
    model = models["alex"]
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"features.3.weight": None}, "1 missing .features.3.weight"),
        ({"features.12.weight": torch.zeros(1)}, "1 left over .features.12.weight"),
        ({"classifier.0.weight": torch.zeros(1)}, "1 left over .classifier.0.weight"),  # VGG has one there
        ({"features.0.weight": torch.zeros(64, 3, 3, 3)}, "1 of another shape .features.0.weight"),
    ],
)
def test_weights_that_do_not_fit(change, told, tmp_path):
    state = {key: value for key, value in (published("alex") | change).items() if value is not None}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=told):
        Lpips.from_files("alex", tmp_path / "weights.pth")


def test_the_other_networks_file(backbones):
    with pytest.raises(InputError, match="these weights do not fit"):
        Lpips.from_files("alex", backbones["vgg"])


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"<html>not found</html>")
    for name in ("weights.pth", "missing.pth"):
        with pytest.raises(InputError, match=name):
            Lpips.from_files("alex", tmp_path / name)


def test_torchmetrics_is_missing(backbones, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(InputError, match=r"musedance\[metrics\]"):
        Lpips.from_files("alex", backbones["alex"])
