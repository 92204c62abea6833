"""CLIP's embeddings, with a small random CLIP in the format of openai/clip-vit-base-patch32."""

import json
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionModelWithProjection

from musedance.errors import InputError
from musedance.metrics.clip_embeddings import ClipImages

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZE = 224
# As published with the weights in 2021; sizes are plain numbers there.
PREPROCESSOR = {
    "crop_size": SIZE,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": MEAN,
    "image_std": DEVIATION,
    "resample": 3,
    "size": SIZE,
}


@pytest.fixture(scope="module")
def clip() -> CLIPModel:
    tiny = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = tiny | {"vocab_size": 99, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 1}
    vision = tiny | {"image_size": SIZE, "patch_size": 32, "projection_dim": 24}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24, initializer_factor=10.0))
    return model.eval()


@pytest.fixture(scope="module")
def folder(clip: CLIPModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "a clip"
    clip.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


@pytest.fixture(scope="module")
def images(folder: Path) -> ClipImages:
    return ClipImages.from_pretrained(str(folder), "cpu")


def drawn(height: int, width: int, n: int = 5) -> np.ndarray:
    """Coloured blobs at random places, over a little noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    frames = rng.normal(40, 10, (n, height, width, 3))
    for frame in frames:
        for _ in range(4):
            place, colour = rng.uniform(0, (height, width)), rng.uniform(0, 200, 3)
            distance = (y - place[0]) ** 2 + (x - place[1]) ** 2
            frame += np.exp(-distance / (0.02 * height * width))[..., None] * colour
    return frames.clip(0, 255).astype(np.uint8)


def by_hand(clip: CLIPModel, frame: np.ndarray) -> np.ndarray:
    """CLIP's published steps: the short side to 224 (bicubic), the middle, mean and deviation; the whole CLIP."""
    height, width = frame.shape[:2]
    factor = SIZE / min(height, width)
    resized = Image.fromarray(frame).resize((int(width * factor), int(height * factor)), Image.Resampling.BICUBIC)
    top, left = (resized.height - SIZE) // 2, (resized.width - SIZE) // 2
    square = np.asarray(resized.crop((left, top, left + SIZE, top + SIZE)), np.float64)
    pixels = torch.from_numpy((square / 255 - MEAN) / DEVIATION).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        pooled = clip.vision_model(pixel_values=pixels).pooler_output
        embedding = clip.visual_projection(pooled)[0].numpy()
    return embedding / np.linalg.norm(embedding)


@pytest.mark.parametrize("height, width", [(96, 96), (90, 160), (160, 90), (400, 300)])
def test_pictures_are_prepared_as_published(images: ClipImages, clip: CLIPModel, height: int, width: int) -> None:
    frames = drawn(height, width)
    embeddings = images.embed(frames)
    expected = np.stack([by_hand(clip, frame) for frame in frames])
    assert embeddings.shape == (5, 24) and embeddings.dtype == np.float32
    apart = np.abs(expected - np.roll(expected, 1, axis=0)).max(axis=1).min()
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    assert apart > 1e-2  # what differs between frames is far more


def test_embeddings_have_unit_length_and_batches_change_nothing(images: ClipImages) -> None:
    frames = drawn(64, 48)
    embeddings = images.embed(frames)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    for batch in (1, 2):
        np.testing.assert_allclose(images.embed(frames, batch=batch), embeddings, atol=1e-5)


def test_the_vision_half_alone_will_do_and_float16_is_computed_in_float32(
    images: ClipImages, folder: Path, tmp_path: Path
) -> None:
    half = CLIPVisionModelWithProjection.from_pretrained(folder).half()
    half.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    frames = drawn(64, 64, n=1)
    loaded = ClipImages.from_pretrained(str(tmp_path), "cpu")
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    np.testing.assert_allclose(loaded.embed(frames), images.embed(frames), atol=1e-2)


def test_weights_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    missing = {key: tensor for key, tensor in state.items() if key != "visual_projection.weight"}
    save_file(missing, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"1 missing \(visual_projection.weight\)"):
        ClipImages.from_pretrained(str(tmp_path), "cpu")
    save_file(state | {"vision_model.more": torch.zeros(1)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"1 left over \(vision_model.more\)"):
        ClipImages.from_pretrained(str(tmp_path), "cpu")


def test_what_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    file = tmp_path / "clip.bin"
    file.write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for source in (str(tmp_path / "nowhere" / "at all"), str(file), str(tmp_path / "empty"), "nobody/no-such-clip"):
        with pytest.raises(InputError) as caught:
            ClipImages.from_pretrained(source, "cpu")
        assert "\n" not in str(caught.value) and source in str(caught.value)
