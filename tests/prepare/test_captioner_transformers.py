"""Captions from a tiny LLaVA with random weights, whose every token is a word about dancing."""

import importlib.util
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from musedance.errors import InputError
from musedance.prepare.captioner import CaptionError
from musedance.prepare.captioner_transformers import TransformersCaptioner

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
WORDS = ["dancer", "steps", "turns", "left", "right", "jumps", "waves", "bows", "spins", "kicks", "claps"]
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}dancer{% endif %}"
)
TIMES = (0.0, 1.0, 2.0)
DURATION = 2.5


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vocabulary = Tokenizer(models.WordLevel({word: i for i, word in enumerate(SPECIAL + WORDS)}, unk_token="<unk>"))
    vocabulary.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    vocabulary.add_special_tokens(SPECIAL)
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=vocabulary, extra_special_tokens={"image_token": "<image>"}, **names
    )
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=1.0,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_id=4, image_seq_length=4)
    )
    with torch.no_grad():
        model.lm_head.weight[: len(SPECIAL)] = 0  # rarely said
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    folder = tmp_path_factory.mktemp("captioners") / "a llava"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def frames() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (3, 60, 90, 3)).astype(np.uint8))


def test_a_local_model_gives_a_caption_from_what_it_sees(llava: Path, frames: list[np.ndarray]) -> None:
    captioner = TransformersCaptioner(str(llava), device="cpu", max_new_tokens=12)
    caption = captioner.caption(frames, TIMES, DURATION)
    assert set(caption.text.split()) <= set(WORDS)  # only the answer: nothing of the instructions, no special token
    assert [(span.start, span.end) for span in caption.timeline] == [(0.0, DURATION)]
    assert captioner.caption(frames, TIMES, DURATION) == caption
    other = captioner.caption([frame[::-1] // 2 for frame in frames], TIMES, DURATION)
    assert other.text != caption.text


def test_every_frame_counts(llava: Path, frames: list[np.ndarray]) -> None:
    captioner = TransformersCaptioner(str(llava), device="cpu", max_new_tokens=12)
    captions = {captioner.caption(frames[:count], TIMES[:count], DURATION).text for count in (1, 2, 3)}
    captions.add(captioner.caption([*frames[:2], 255 - frames[2]], TIMES, DURATION).text)
    assert len(captions) > 2


def test_a_captioner_can_be_pickled_after_use(llava: Path, frames: list[np.ndarray]) -> None:
    captioner = TransformersCaptioner(str(llava), device="cpu", max_new_tokens=5)
    expected = captioner.caption(frames, TIMES, DURATION)
    copied = pickle.dumps(captioner)
    assert len(copied) < 1000  # the model stays behind
    assert pickle.loads(copied).caption(frames, TIMES, DURATION) == expected


def test_a_model_that_says_nothing_is_an_error_that_names_the_clip(
    llava: Path, frames: list[np.ndarray], tmp_path: Path
) -> None:
    for file in llava.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = LlavaForConditionalGeneration.from_pretrained(llava)
    model.lm_head.weight.data.zero_()  # <pad>, always
    model.save_pretrained(tmp_path)
    with pytest.raises(CaptionError, match="dance_007: the model gave an empty answer"):
        TransformersCaptioner(str(tmp_path), device="cpu", max_new_tokens=5).caption(
            frames, TIMES, DURATION, "dance_007"
        )


def test_models_that_cannot_be_used_are_input_errors(llava: Path, frames: list[np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        TransformersCaptioner(str(tmp_path / "missing")).caption(frames, TIMES, DURATION)
    for file in llava.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        TransformersCaptioner(str(tmp_path), device="cpu").caption(frames, TIMES, DURATION)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_model_whose_processor_needs_torchvision_says_so(
    llava: Path, frames: list[np.ndarray], tmp_path: Path
) -> None:
    for file in llava.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for name in ("processor_config.json", "tokenizer_config.json"):
        config = json.loads((tmp_path / name).read_text()) | {"processor_class": "Qwen2_5_VLProcessor"}
        (tmp_path / name).write_text(json.dumps(config))
    (tmp_path / "video_preprocessor_config.json").write_text('{"video_processor_type": "Qwen2VLVideoProcessor"}')
    with pytest.raises(InputError, match="needs torchvision, in the build"):
        TransformersCaptioner(str(tmp_path), device="cpu").caption(frames, TIMES, DURATION)


def test_code_in_a_model_folder_is_not_run(llava: Path, frames: list[np.ndarray], tmp_path: Path) -> None:
    for file in llava.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "unheard_of", "auto_map": {"AutoConfig": "code.Config", "AutoProcessor": "code.Processor"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'run')!r}).touch()")
    with pytest.raises(InputError):
        TransformersCaptioner(str(tmp_path), device="cpu").caption(frames, TIMES, DURATION)
    assert not (tmp_path / "run").exists()
