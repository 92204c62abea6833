"""Captions from a vision-language model on this machine."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from musedance.errors import InputError
from musedance.prepare.captioner import INSTRUCTIONS, Caption, frame_note, question, read_answer

MAX_SIDE = 512  # pixels of a frame's longer side before the model's own preparation


@dataclass(frozen=True)
class TransformersCaptioner:
    """A model of `AutoModelForImageTextToText` with a chat template that takes several images.

    Models whose processor insists on torchvision (those with a video processor, such as Qwen-VL and SmolVLM) need it
    installed, or run behind `OpenAICaptioner`.

    Args:
        model: folder or hub id. No code from it is run.
        device: as in `musedance.device.choose_device`.
        max_new_tokens: where the answer is cut off at the latest.
    """

    model: str
    device: str = "auto"
    max_new_tokens: int = 400

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), astuple(self)  # without the model

    def caption(
        self, frames: Sequence[np.ndarray], times: Sequence[float], duration: float, name: str = "the clip"
    ) -> Caption:
        """See `Captioner.caption`. The most likely answer, so that the same frames give the same caption."""
        import torch

        processor, model = self._loaded
        inputs = processor.apply_chat_template(
            _messages(frames, times, duration),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(model.device, dtype=model.dtype)
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=self.max_new_tokens, do_sample=False)
        answer = processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0]
        return read_answer(answer, duration, name)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The processor and the model, on its device."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        from musedance.device import choose_device, choose_dtype
        from musedance.weights.pretrained import load_model, load_part

        device = choose_device(self.device)
        safely = {"trust_remote_code": False}  # not even after a question on the terminal
        try:
            processor = load_part(AutoProcessor, self.model, "the captioner's processor", **safely)
        except InputError as error:
            if "torchvision" not in str(error).lower():
                raise
            raise InputError(
                f"the captioner {self.model} needs torchvision, in the build that belongs to your PyTorch; "
                "or serve the model and give the server's address (docs/annotators.md)"
            ) from error
        if getattr(processor, "chat_template", None) is None:
            raise InputError(f"the captioner {self.model} has no chat template: take an instruction-tuned model")
        model, _ = load_model(
            AutoModelForImageTextToText,
            self.model,
            "the captioner",
            may_be_left_over=".*",
            ignore_mismatched_sizes=True,
            dtype=choose_dtype("auto", device),
            **safely,
        )
        return processor, model.to(device).eval()


def _messages(frames: Sequence[np.ndarray], times: Sequence[float], duration: float) -> list[dict[str, Any]]:
    """One message: instructions, then each frame after its time."""
    from PIL import Image

    parts: list[dict[str, Any]] = [{"type": "text", "text": f"{INSTRUCTIONS}\n\n{question(duration)}"}]
    for frame, time in zip(frames, times, strict=True):
        image = Image.fromarray(frame)
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        parts.append({"type": "text", "text": frame_note(time)})
        parts.append({"type": "image", "image": image})
    return [{"role": "user", "content": parts}]
