"""Joints from small ViTPoses, one of which finds red, green and blue spots, and from files."""

from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch
from transformers import (
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    VitPoseImageProcessorPil,
)

from musedance.errors import InputError
from musedance.metrics.pose import PoseModel, read_keypoints
from musedance.puppets.clip_files import write_clip
from musedance.puppets.performance import World, perform

JOINTS = 17
HEIGHT, WIDTH, PATCH = 128, 96, 8  # of what the model sees; a patch is a cell of the grid before its head
Place = tuple[float, float]


def save_vitpose(folder: Path, seed: int = 0, **settings: int | float | bool) -> VitPoseForPoseEstimation:
    """A random ViTPose in the published format."""
    torch.manual_seed(seed)
    simple = bool(settings.pop("use_simple_decoder", True))
    backbone = VitPoseBackboneConfig(
        **{"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "initializer_range": 0.3} | settings,
        image_size=[HEIGHT, WIDTH],
        patch_size=[PATCH, PATCH],
        out_indices=[1],
    )
    names = {index: f"joint {index}" for index in range(JOINTS)}
    config = VitPoseConfig(backbone_config=backbone, id2label=names, initializer_range=0.3, use_simple_decoder=simple)
    model = VitPoseForPoseEstimation(config).eval()
    model.save_pretrained(folder)
    VitPoseImageProcessorPil(size={"height": HEIGHT, "width": WIDTH}).save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> PoseModel:
    """Heat maps 0, 1 and 2 are the picture's red, green and blue; the others are 0."""
    folder = tmp_path_factory.mktemp("pose") / "spots"
    # With so large an epsilon the last norm only divides, by 1000; the layer itself adds nothing.
    model = save_vitpose(folder, layer_norm_eps=1e6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.backbone.layernorm.weight.fill_(1000)
        # Of each patch, black = 0 and white = 1: the mean of its middle, which two pixels of padding have moved.
        colours = model.backbone.embeddings.patch_embeddings.projection
        for channel, (mean, deviation) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
            colours.weight[channel, channel, PATCH // 2 :, PATCH // 2 :] = deviation / (PATCH // 2) ** 2
            colours.bias[channel] = mean
            model.head.conv.weight[channel, channel, 1, 1] = 1
    model.save_pretrained(folder)
    return PoseModel.from_pretrained(str(folder), "cpu")


def with_spots(height: int, width: int, *places: Place, radius: float = 0.1) -> np.ndarray:
    """A black picture with a red, a green and a blue spot, at places in shares of width and height."""
    frame = np.zeros((height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width]
    for channel, (right, down) in enumerate(places):
        distance = (x - right * width) ** 2 + (y - down * height) ** 2
        frame[..., channel] = (255 * np.exp(-distance / (2 * (radius * max(height, width)) ** 2))).astype(np.uint8)
    return frame


def half_a_patch(height: int, width: int) -> float:
    """In pixels of a frame that is seen whole: it is widened to what the model sees, and then by a quarter."""
    return 0.5 * PATCH * 1.25 * max(height / HEIGHT, width / WIDTH)


@pytest.mark.parametrize("height, width", [(128, 96), (90, 160), (192, 108), (480, 480)])
def test_joints_are_where_they_are_seen(spots: PoseModel, height: int, width: int) -> None:
    places = [(0.1, 0.15), (0.9, 0.4), (0.45, 0.9)]
    frames = np.stack([with_spots(height, width, *places), with_spots(height, width, *places[::-1])])
    joints, visible = spots.joints(frames)
    assert joints.shape == (2, JOINTS, 2) and joints.dtype == np.float64
    assert visible.shape == (2, JOINTS) and visible.dtype == bool
    expected = np.array(places) * (width, height)
    off = np.linalg.norm([joints[0, :3] - expected, joints[1, :3] - expected[::-1]], axis=-1)
    assert off.max() < half_a_patch(height, width)


def test_a_joint_moves_as_far_as_what_it_follows(spots: PoseModel) -> None:
    across = np.linspace(0.3, 0.7, 9)
    frames = np.stack([with_spots(120, 160, (right, 0.5), (0.45, 0.3), (0.55, 0.7)) for right in across])
    joints, _ = spots.joints(frames)
    close = half_a_patch(120, 160)  # an eighth of the way
    np.testing.assert_allclose(joints[:, 0, 0] - joints[0, 0, 0], (across - across[0]) * 160, atol=close)
    assert np.ptp(joints[:, 0, 1]) < close and np.ptp(joints[:, 1:3], axis=0).max() < close


def test_what_is_too_faint_is_not_visible(spots: PoseModel) -> None:
    frame = with_spots(120, 90, (0.3, 0.3), (0.5, 0.5), (0.7, 0.7))
    _, visible = spots.joints(np.stack([frame, (frame * [1, 0.1, 1]).astype(np.uint8), np.zeros_like(frame)]))
    assert visible[:, :3].tolist() == [[True] * 3, [True, False, True], [False] * 3]
    assert not visible[:, 3:].any()


def test_a_box_says_who_is_meant(spots: PoseModel) -> None:
    dim, bright = with_spots(100, 300, (0.5, 0.4), radius=0.05), with_spots(100, 300, (0.8, 0.6), radius=0.05)
    frame = dim // 2 + bright
    boxes = np.array([[110, 10, 190, 90], [200, 20, 280, 90]], np.float32)
    joints, visible = spots.joints(np.stack([frame] * 2), boxes)
    np.testing.assert_allclose(joints[:, 0], [(150, 40), (240, 60)], atol=5)
    assert visible[:, 0].all()


@pytest.mark.parametrize(
    "settings", [{}, {"use_simple_decoder": False}, {"num_experts": 3, "part_features": 8}], ids=str
)
def test_batches_equal_singles(settings: dict[str, int], tmp_path: Path) -> None:
    save_vitpose(tmp_path, **settings)
    model = PoseModel.from_pretrained(str(tmp_path), "cpu")
    frames = np.random.default_rng(0).integers(0, 256, (5, 80, 120, 3)).astype(np.uint8)
    boxes = np.array([[0, 0, 120, 80], [10, 5, 60, 70], [30, 0, 90, 80], [0, 40, 50, 80], [5, 5, 100, 60]])
    together, seen = model.joints(frames, boxes, batch=2)
    alone = [model.joints(frames[k : k + 1], boxes[k : k + 1]) for k in range(5)]
    np.testing.assert_allclose(together, np.concatenate([joints for joints, _ in alone]), atol=1e-2)
    np.testing.assert_array_equal(seen, np.concatenate([visible for _, visible in alone]))
    assert np.ptp(together, axis=0).max() > 10  # they are different people


def test_models_that_cannot_be_used_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    model = save_vitpose(tmp_path / "half")
    state = {key: tensor for key, tensor in model.state_dict().items() if key != "head.conv.bias"}
    save_torch(state, tmp_path / "half" / "model.safetensors", {"format": "pt"})
    (tmp_path / "empty").mkdir()
    for source, message in (
        (str(tmp_path / "half"), r"1 missing \(head.conv.bias\)"),
        (str(tmp_path / "empty"), "cannot read"),
        (str(tmp_path / "no where"), "there is no such file or folder"),
        ("nobody/no-such-pose", "network"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            PoseModel.from_pretrained(source, "cpu")
        assert "\n" not in str(caught.value) and source in str(caught.value)


def test_the_truth_of_a_drawn_clip_is_read(tmp_path: Path) -> None:
    performance = perform(World(seed=1, width=64, height=64, num_frames=6), 0)
    for folder in ("clips", "densepose", "truth"):
        (tmp_path / folder).mkdir()
    clip = write_clip(tmp_path, "test", "source", performance, 0)
    assert clip.truth is not None
    joints, visible = read_keypoints(tmp_path / clip.truth)
    start = performance.starts[0] / performance.world.fps
    drawn = performance.scene.draw(performance.choreography.pose(start + 5 / performance.world.fps))
    assert joints.shape == (6, *drawn.joints.shape) and joints.dtype == np.float64
    np.testing.assert_allclose(joints[5], drawn.joints, atol=1e-4)
    np.testing.assert_array_equal(visible[5], drawn.visible)


def test_joints_are_visible_unless_said_otherwise(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(0, 64, (4, 3, 2)).astype(np.float16)
    save_file({"joints": joints}, tmp_path / "keypoints.safetensors")
    read, visible = read_keypoints(tmp_path / "keypoints.safetensors")
    np.testing.assert_array_equal(read, joints)
    assert visible.shape == (4, 3) and visible.dtype == bool and visible.all()


GOOD = np.zeros((4, 3, 2), np.float32)


@pytest.mark.parametrize(
    "tensors, message",
    [
        ({"keypoints": GOOD}, "has no `joints`, only keypoints"),
        ({"joints": GOOD[..., :1]}, r"floats, not \(4, 3, 1\) float32"),
        ({"joints": GOOD[0]}, r"floats, not \(3, 2\) float32"),
        ({"joints": GOOD[:0]}, r"floats, not \(0, 3, 2\) float32"),
        ({"joints": GOOD.astype(np.int32)}, r"floats, not \(4, 3, 2\) int32"),
        ({"joints": GOOD + np.nan}, "not finite"),
        ({"joints": GOOD, "visible": np.ones((3, 4), bool)}, r"must be \(4, 3\) bool, not \(3, 4\) bool"),
        ({"joints": GOOD, "visible": np.ones((4, 3), np.float32)}, r"must be \(4, 3\) bool, not \(4, 3\) float32"),
    ],
)
def test_files_of_something_else_are_refused(tensors: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    path = tmp_path / "keypoints.safetensors"
    save_file(tensors, path)
    with pytest.raises(InputError, match=message) as caught:
        read_keypoints(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    damaged, exotic = tmp_path / "damaged.safetensors", tmp_path / "bfloat16.safetensors"
    damaged.write_bytes(b"joints")
    save_torch({"joints": torch.zeros(4, 3, 2, dtype=torch.bfloat16)}, exotic)
    for path, message in (
        (tmp_path / "nowhere", "there is no file"),
        (damaged, "cannot read"),
        (exotic, "cannot read"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_keypoints(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
