"""DensePose through detectron2: what can be tested without it, and with it where somebody has built it."""

import importlib.util
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from musedance.errors import InputError
from musedance.prepare.densepose import load_annotator
from musedance.prepare.densepose_detectron2 import _load_weights, label_person

INSTALLED = all(importlib.util.find_spec(name) is not None for name in ("detectron2", "densepose"))


class People:
    """The part of detectron2's `Instances` that is used: `pred_boxes.tensor` and picking one person by its index."""

    def __init__(self, boxes: list[list[float]]) -> None:
        self.pred_boxes = SimpleNamespace(tensor=torch.tensor(boxes).reshape(-1, 4))

    def __getitem__(self, index: int) -> "People":
        return People([self.pred_boxes.tensor[index].tolist()])


def extract(people: People) -> tuple[list[Any], torch.Tensor]:
    """As `DensePoseResultExtractor`: one result for each person, and boxes as x, y, width, height."""
    boxes = people.pred_boxes.tensor.clone()
    boxes[:, 2:] -= boxes[:, :2]
    results = []
    for _, _, width, height in boxes.long().tolist():
        labels = torch.arange(height)[:, None] + torch.zeros(width, dtype=torch.int64)  # the row's number
        results.append(SimpleNamespace(labels=labels, uv=torch.zeros(2, height, width)))
    return results, boxes


def test_the_chosen_persons_labels_are_written_at_their_box() -> None:
    people = People([[2.7, 3.2, 8.9, 9.4], [10.0, 0.0, 40.0, 20.0]])
    labels = np.zeros((30, 50), np.uint8)
    label_person(people, np.array([2, 3, 9, 10]), extract, labels)
    expected = np.zeros((30, 50), np.uint8)
    expected[3:9, 2:8] = np.arange(6)[:, None]
    np.testing.assert_array_equal(labels, expected)
    label_person(people, None, extract, labels)  # the largest
    expected[0:20, 10:40] = np.arange(20)[:, None]
    np.testing.assert_array_equal(labels, expected)


def test_nobody_leaves_the_picture_as_it_is() -> None:
    labels = np.zeros((30, 50), np.uint8)
    label_person(People([]), None, extract, labels)
    label_person(People([[1.0, 1, 9, 9]]), np.array([20, 20, 30, 30]), extract, labels)
    assert not labels.any()


@pytest.mark.parametrize("protocol", [2, 5])
def test_weights_of_the_model_zoo_are_read(tmp_path: Path, protocol: int) -> None:
    model = torch.nn.Linear(3, 2)
    state = OrderedDict((name, tensor.numpy() + 1) for name, tensor in model.state_dict().items())
    expected = {name: torch.tensor(array) for name, array in state.items()}
    content = {"model": state, "__author__": "Detectron2 Model Zoo"}
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    _load_weights(model, tmp_path / "model.pkl")
    assert all(torch.equal(model.state_dict()[name], expected[name]) for name in expected)
    torch.save({"model": torch.nn.Linear(3, 2).state_dict(), "iteration": 3}, tmp_path / "model.pth")
    _load_weights(model, tmp_path / "model.pth")
    assert not any(torch.equal(model.state_dict()[name], expected[name]) for name in expected)


class Code:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["model.pkl", "model.pth"])
def test_code_in_a_weights_file_is_never_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"model": {"weight": Code(tmp_path / "run")}}))
    with pytest.raises(InputError, match="cannot use the weights"):
        _load_weights(torch.nn.Linear(3, 2), tmp_path / name)
    assert not (tmp_path / "run").exists()
    pickle.loads((tmp_path / name).read_bytes())
    assert (tmp_path / "run").exists()  # it would have


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"weight": np.zeros((2, 3), np.float32)}}, "do not fit the config: 1 missing, first bias"),
        ({"model": {"weight": np.zeros((9, 9)), "bias": np.zeros(2)}}, "cannot use the weights"),
        ([1, 2], "cannot use the weights"),
        ({"model": {"weight": "text"}}, "cannot use the weights"),
    ],
)
def test_weights_that_do_not_fit_are_an_input_error_of_one_line(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=message) as raised:
        _load_weights(torch.nn.Linear(3, 2), tmp_path / "model.pkl")
    assert "\n" not in str(raised.value)


def test_missing_files_and_packages_are_named(tmp_path: Path) -> None:
    weights, config = tmp_path / "model.pkl", tmp_path / "model.yaml"
    with pytest.raises(InputError, match=r"no DensePose file .*model\.yaml"):
        load_annotator(weights, config)
    config.write_text("MODEL: {}")
    with pytest.raises(InputError, match=r"no DensePose file .*model\.pkl"):
        load_annotator(weights, config)
    weights.write_bytes(b"")
    if not INSTALLED:
        with pytest.raises(InputError, match=r"not on PyPI.*docs/annotators\.md"):
            load_annotator(weights, config)


CONFIG = """
MODEL:
  META_ARCHITECTURE: GeneralizedRCNN
  BACKBONE: {NAME: build_resnet_fpn_backbone}
  RESNETS: {DEPTH: 18, RES2_OUT_CHANNELS: 64, OUT_FEATURES: [res2, res3, res4, res5]}
  FPN: {IN_FEATURES: [res2, res3, res4, res5], OUT_CHANNELS: 32}
  ANCHOR_GENERATOR: {SIZES: [[32], [64], [128], [256], [512]], ASPECT_RATIOS: [[0.5, 1.0, 2.0]]}
  RPN: {IN_FEATURES: [p2, p3, p4, p5, p6], POST_NMS_TOPK_TEST: 20}
  DENSEPOSE_ON: true
  ROI_HEADS: {NAME: DensePoseROIHeads, IN_FEATURES: [p2, p3, p4, p5], NUM_CLASSES: 1}
  ROI_BOX_HEAD: {NAME: FastRCNNConvFCHead, NUM_FC: 1, FC_DIM: 64, POOLER_RESOLUTION: 7}
  ROI_DENSEPOSE_HEAD:
    NAME: DensePoseV1ConvXHead
    POOLER_TYPE: ROIAlign
    NUM_COARSE_SEGM_CHANNELS: 2
    NUM_STACKED_CONVS: 2
    CONV_HEAD_DIM: 32
    DECODER_NUM_CLASSES: 32
    DECODER_CONV_DIMS: 32
DATASETS: {TEST: []}
INPUT: {MIN_SIZE_TEST: 128}
"""


@pytest.mark.skipif(not INSTALLED, reason="detectron2 and DensePose are not installed")
def test_a_real_model_labels_the_person_it_finds(tmp_path: Path) -> None:
    from densepose import add_densepose_config
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    torch.manual_seed(0)
    (tmp_path / "model.yaml").write_text(CONFIG)
    config = get_cfg()
    add_densepose_config(config)
    config.merge_from_file(str(tmp_path / "model.yaml"))
    config.MODEL.DEVICE = "cpu"
    state = {name: tensor.numpy() for name, tensor in build_model(config).state_dict().items()}
    state["roi_heads.box_predictor.cls_score.bias"] = np.array([3.0, -3.0], np.float32)  # everything is a person
    for name in ("ann_index_lowres", "index_uv_lowres"):  # coarse and fine segmentation: the last one leads
        weight, bias = (f"roi_heads.densepose_predictor.{name}.{part}" for part in ("weight", "bias"))
        state[weight] *= 0
        state[bias] = np.arange(len(state[bias]), dtype=np.float32)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"model": state, "__author__": "a test"}))
    annotator = load_annotator(tmp_path / "model.pkl", tmp_path / "model.yaml", device="cpu")
    frames = np.random.default_rng(0).integers(0, 255, (2, 96, 128, 3)).astype(np.uint8)
    box = np.array([20, 10, 100, 90])
    labels = annotator.annotate(frames, box)
    assert labels.shape == (2, 96, 128) and labels.dtype == np.uint8
    assert set(labels.ravel().tolist()) == {0, 24}
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(annotator)).annotate(frames, box), labels)
