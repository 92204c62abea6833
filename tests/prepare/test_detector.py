"""Detection with tiny models of real architectures, whose heads are set so that what they find is known."""

import importlib.util
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessorPil,
    ResNetConfig,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessorPil,
    RTDetrResNetConfig,
    YolosConfig,
    YolosForObjectDetection,
    YolosImageProcessorPil,
)

from musedance.errors import InputError
from musedance.prepare.detector import Detections, TransformersDetector

HEIGHT, WIDTH = 48, 80
NAMES = {0: "person", 1: "cat", 2: "kite"}
NAMED = {"id2label": NAMES, "label2id": {name: index for index, name in NAMES.items()}}
CENTRE = (0.3, 0.5, 0.4, 0.6)  # x, y, width, height in shares of the frame
BOX = (0.1 * WIDTH, 0.2 * HEIGHT, 0.5 * WIDTH, 0.8 * HEIGHT)


@pytest.fixture(scope="module", autouse=True)
def fixed_seed() -> None:
    torch.manual_seed(0)


def always_find(model: torch.nn.Module, classes: torch.nn.Linear) -> None:
    """Every query finds `CENTRE`; a person, a cat and a kite score 4, 2 and 1, nothing scores 0."""
    boxes = model.bbox_predictor.layers[-1]
    with torch.no_grad():
        for layer, bias in ((boxes, torch.tensor(CENTRE).logit()), (classes, torch.tensor([4.0, 2.0, 1.0, 0.0]))):
            layer.weight.zero_()
            layer.bias.copy_(bias)


@pytest.fixture(scope="module")
def yolos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = YolosConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[64, 96],
        num_detection_tokens=3,
        **NAMED,
    )
    model = YolosForObjectDetection(config)
    always_find(model, model.class_labels_classifier.layers[-1])
    folder = tmp_path_factory.mktemp("detectors") / "a yolos"
    model.save_pretrained(folder)
    YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, layer_type="basic", out_features=["stage4"]
    )
    sizes = {f"{part}_{name}": 32 for part in ("encoder", "decoder") for name in ("ffn_dim",)}
    layers = {f"{part}_{name}": 1 for part in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=32,
        num_queries=3,
        **sizes,
        **layers,
        **NAMED,
    )
    model = DetrForObjectDetection(config)
    always_find(model, model.class_labels_classifier)
    folder = tmp_path_factory.mktemp("detectors") / "detr"
    model.save_pretrained(folder)
    DetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rt_detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing is set here: what it finds is random."""
    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1] * 4,
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_in_channels=[8, 8, 8],
        encoder_hidden_dim=32,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        d_model=32,
        num_queries=20,
        initializer_range=0.5,
        **NAMED,
    )
    folder = tmp_path_factory.mktemp("detectors") / "rt_detr"
    RTDetrForObjectDetection(config).save_pretrained(folder)
    RTDetrImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, HEIGHT, WIDTH, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["yolos", "detr"])
def test_boxes_are_corners_in_pixels_of_the_frame(
    kind: str, frames: np.ndarray, request: pytest.FixtureRequest
) -> None:
    found = TransformersDetector(str(request.getfixturevalue(kind)), device="cpu").detect(frames)
    assert len(found) == 5
    person = torch.tensor([4.0, 2.0, 1.0, 0.0]).softmax(0)[0].item()
    for detections in found:
        assert detections.labels == ("person",) * 3
        np.testing.assert_allclose(detections.boxes, [BOX] * 3, atol=1e-3)
        np.testing.assert_allclose(detections.scores, person, atol=1e-4)


def test_uncertain_detections_are_left_out(yolos: Path, frames: np.ndarray) -> None:
    (found, *_) = TransformersDetector(str(yolos), device="cpu", min_score=0.9).detect(frames)
    assert found.boxes.shape == (0, 4) and found.scores.shape == (0,) and found.labels == ()


@pytest.mark.parametrize("kind", ["yolos", "rt_detr"])
def test_frames_do_not_see_each_other(kind: str, frames: np.ndarray, request: pytest.FixtureRequest) -> None:
    folder = str(request.getfixturevalue(kind))
    detectors = [TransformersDetector(folder, device="cpu", min_score=0.0, batch_size=size) for size in (1, 2, 8)]
    alone, *others = [detector.detect(frames) for detector in detectors]
    for together in others:
        for expected, found in zip(alone, together, strict=True):
            np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
            np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
            assert found.labels == expected.labels


def test_detections_come_by_score_and_inside_the_frame(rt_detr: Path, frames: np.ndarray) -> None:
    found = TransformersDetector(str(rt_detr), device="cpu", min_score=0.0).detect(frames)
    assert any(len(set(detections.labels)) > 1 for detections in found)
    for detections in found:
        assert len(detections.boxes) == len(detections.scores) == len(detections.labels) == 20
        assert (np.diff(detections.scores) <= 0).all()
        x0, y0, x1, y1 = detections.boxes.T
        assert (x0 >= 0).all() and (x0 <= x1).all() and (x1 <= WIDTH).all()
        assert (y0 >= 0).all() and (y0 <= y1).all() and (y1 <= HEIGHT).all()


def test_one_label_can_be_picked() -> None:
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), ("cat", "person", "cat"))
    assert found.of(None).labels == found.labels
    cats = found.of("cat")
    assert cats.labels == ("cat", "cat") and cats.scores.tolist() == pytest.approx([0.9, 0.7])
    np.testing.assert_array_equal(cats.boxes, boxes[[0, 2]])
    assert found.of("kite").boxes.shape == (0, 4)


def test_no_frames_give_no_detections(yolos: Path) -> None:
    assert TransformersDetector(str(yolos), device="cpu").detect(np.zeros((0, HEIGHT, WIDTH, 3), np.uint8)) == []


def test_a_detector_can_be_pickled_after_use(yolos: Path, frames: np.ndarray) -> None:
    detector = TransformersDetector(str(yolos), device="cpu", batch_size=3)
    expected = detector.detect(frames)
    copied = pickle.dumps(detector)
    assert len(copied) < 1000  # the model stays behind
    loaded = pickle.loads(copied)
    assert loaded == detector
    np.testing.assert_array_equal(loaded.detect(frames)[0].boxes, expected[0].boxes)


def test_a_model_that_is_not_there_or_not_whole_is_an_input_error(yolos: Path, tmp_path: Path) -> None:
    nothing = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    with pytest.raises(InputError, match="no such file or folder"):
        TransformersDetector(str(tmp_path / "missing"), device="cpu").detect(nothing)
    with pytest.raises(InputError, match="image processor"):
        TransformersDetector(str(tmp_path), device="cpu").detect(nothing)
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((yolos / name).read_bytes())
    state = load_file(yolos / "model.safetensors")
    state.pop("bbox_predictor.layers.0.weight")
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"1 missing \(bbox_predictor.layers.0.weight\)"):
        TransformersDetector(str(tmp_path), device="cpu").detect(nothing)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_model_whose_pictures_need_torchvision_says_so(yolos: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_bytes((yolos / name).read_bytes())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "Sam2ImageProcessor"}))
    with pytest.raises(InputError, match="torchvision") as raised:
        TransformersDetector(str(tmp_path), device="cpu").detect(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_an_input_error(yolos: Path, frames: np.ndarray) -> None:
    with pytest.raises(InputError, match="no device cuda"):
        TransformersDetector(str(yolos), device="cuda").detect(frames)
