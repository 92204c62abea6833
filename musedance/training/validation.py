"""Validation during training: held-out clips through the real pipeline."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from diffusers import DDIMScheduler
from PIL import Image
from torch.distributed.fsdp import FSDPModule
from transformers import ASTFeatureExtractor
from transformers.utils import logging as transformers_logging

from musedance.datasets.chance import video_noise_seed
from musedance.datasets.encode import Encoders
from musedance.datasets.failures import UnreadableClip
from musedance.datasets.shards import open_dataset
from musedance.datasets.spec import ClipSpec
from musedance.errors import InputError
from musedance.files import appearing
from musedance.media.video import Backend
from musedance.models import MuseDanceNetworks
from musedance.outputs import MuseDancePipelineOutput
from musedance.pipeline import MuseDancePipeline
from musedance.training.config import TrainingConfig
from musedance.training.validation_clips import SPLIT, Example, HeldOutClips
from musedance.training.validation_scores import image_scores, require_scikit_image
from musedance.training.validation_sheet import draw_panel, join_panels

# Said by the pipeline, of what is known here: stage 1 gives stills, and some music has no beats.
_KNOWN_WARNINGS = "a stage 1 model has not learned to move|no beats were found in the music"


@dataclass(frozen=True)
class ValidationResult:
    """What a validation gave, the same on all ranks.

    Attributes:
        step: the optimiser step.
        scores: `psnr` (dB) and `ssim`, means over the samples; empty if none could be read.
        num_samples: n, how many samples that is.
        files: the samples' files, mp4 in stage 2 and PNG in stage 1.
        sheet: the contact sheet, a PNG; `None` without samples.
    """

    step: int
    scores: dict[str, float]
    num_samples: int
    files: list[Path]
    sheet: Path | None


@dataclass(frozen=True)
class _Sample:
    """What one rank tells the others of a sample."""

    number: int
    name: str
    scores: dict[str, float]
    file: Path
    panel: Image.Image


class Validator:
    """Generates fixed held-out clips and holds them against the true ones.

    Construct it before training: what is wrong is found then. With `validation.every=0` there is no validation, nor
    without a clip in the validation split that is long enough, of which it warns.

    Args:
        config: `model`, `seed`, `data` and `validation` are read.
        stage: 1 or 2.
        scheduler: of the training; sampling keeps its noise schedule.
        spec: what the clips are brought to.
        folder: of the run's validations. Each gives a contact sheet `step-00001000.png`, scores in `step-00001000.json`
            and a file a sample in `step-00001000/`.

    Attributes:
        enabled: whether there is anything to validate on.

    Raises:
        InputError: a key of `validation`, or the dataset, cannot be used, or scikit-image is not installed.
    """

    def __init__(
        self, config: TrainingConfig, *, stage: int, scheduler: DDIMScheduler, spec: ClipSpec, folder: str | Path
    ) -> None:
        self.config, self.stage, self.scheduler, self.spec = config, stage, scheduler, spec
        self.folder = Path(folder)
        self._held_out: HeldOutClips | None = None
        asked, most = config.validation, scheduler.config.num_train_timesteps
        if asked.every < 0 or asked.samples < 1 or not 1 <= asked.steps <= most:
            raise InputError(
                "validation needs every >= 0, samples >= 1 and steps from 1 to "
                f"{most}, not {asked.every}, {asked.samples} and {asked.steps}"
            )
        if asked.every == 0:
            return
        require_scikit_image()
        data, backend = config.data, cast(Backend, config.data.video_backend)
        held_out = HeldOutClips(open_dataset(data.root), spec, stage=stage, count=asked.samples, backend=backend)
        if not held_out.clips:
            length = held_out.numbers[-1] + 1
            warnings.warn(
                f"there is no validation: {data.root} has no clip of {length} frames or more in its split {SPLIT!r}",
                stacklevel=2,
            )
            return
        self._held_out = held_out

    @property
    def enabled(self) -> bool:
        return self._held_out is not None

    def due(self, step: int) -> bool:
        """Whether to validate after this optimiser step."""
        return self.enabled and step % self.config.validation.every == 0

    def run(self, accelerator: Accelerator, networks: MuseDanceNetworks, step: int) -> ValidationResult:
        """Validate. All ranks call it together and share the samples; each makes as many passes as the others.

        Networks, gradients and torch's random numbers are left as they were. With FSDP2 a training step has to come
        first, since that decides what the root of the shards is, and the mask encoder, which only clips with DensePose
        run, has to belong to the root.

        Args:
            accelerator: of the run.
            networks: not wrapped, on the accelerator's device, with the weights to be validated.
            step: of the optimiser.
        """
        if self._held_out is None:
            raise RuntimeError("there is nothing to validate on: see `enabled`")
        folder = self.folder / f"step-{step:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        with _sampling(networks), _random_state_kept(accelerator.device):
            own = self._own_samples(accelerator, self._pipeline(accelerator, networks), self._held_out, folder)
        samples: list[_Sample] = sorted(gather_object(own), key=lambda sample: sample.number)
        if not samples:
            return ValidationResult(step, {}, 0, [], None)
        scores = {name: float(np.mean([sample.scores[name] for sample in samples])) for name in samples[0].scores}
        sheet = folder.with_suffix(".png")
        if accelerator.is_main_process:
            _write_scores(folder.with_suffix(".json"), scores, samples)
            title = f"step {step}, stage {self.stage}    n = {len(samples)}"
            with appearing(sheet) as temporary:
                join_panels(title, scores, [sample.panel for sample in samples]).save(temporary)
        return ValidationResult(step, scores, len(samples), [sample.file for sample in samples], sheet)

    def _pipeline(self, accelerator: Accelerator, networks: MuseDanceNetworks) -> MuseDancePipeline:
        """The networks with the frozen rest, loaded each time: cheap beside sampling, and no memory held between."""
        transformers_logging.disable_progress_bar()  # there is one of ours
        model = Path(self.config.model)
        frozen = Encoders.from_folder(model, self.spec.fps, accelerator.device, torch.float32)
        return MuseDancePipeline(
            vae=frozen.vae,
            text_encoder=frozen.text_encoder,
            tokenizer=frozen.tokenizer,
            unet=networks.unet,
            reference_net=networks.reference_net,
            mask_encoder=networks.mask_encoder,
            music_encoder=frozen.music_encoder,
            feature_extractor=ASTFeatureExtractor.from_pretrained(model / "feature_extractor"),
            scheduler=DDIMScheduler.from_config(self.scheduler.config),
            stage=self.stage,
        )

    def _own_samples(
        self, accelerator: Accelerator, pipeline: MuseDancePipeline, held_out: HeldOutClips, folder: Path
    ) -> list[_Sample]:
        """This rank's share, samples rank, rank + world, ...; as many passes through the networks as on other ranks.

        Under FSDP2 a rank that made fewer would leave the others waiting for its shards. So a clip that cannot be read,
        or that lies past the last one, has a stand-in, whose result is dropped.
        """
        samples, count, world = [], len(held_out.clips), accelerator.num_processes
        for first in range(0, count, world):
            number = first + accelerator.process_index
            clip = held_out.clips[min(number, count - 1)]
            example = None
            if number < count:
                try:
                    example = held_out.read(clip)
                except UnreadableClip as error:
                    warnings.warn(f"not validated: {error}", stacklevel=2)
            pipeline.set_progress_bar_config(
                disable=not accelerator.is_main_process, leave=False, desc=f"validation, {number + 1} of {count}"
            )
            with accelerator.autocast():
                output = self._generate(pipeline, example or held_out.stand_in(clip), clip.id)
            if example is not None:
                samples.append(self._finish(number, clip.id, example, output, folder))
        return samples

    def _generate(self, pipeline: MuseDancePipeline, example: Example, name: str) -> MuseDancePipelineOutput:
        height, width = example.frames.shape[1:3]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _KNOWN_WARNINGS)
            output = pipeline(
                example.reference,
                example.sound,
                example.prompt,
                num_frames=len(example.frames),
                fps=self.spec.fps,
                height=height,
                width=width,
                num_inference_steps=self.config.validation.steps,
                guidance_scale=self.config.validation.guidance_scale,
                densepose=example.densepose,
                bpm=example.bpm,
                generator=torch.Generator().manual_seed(video_noise_seed(self.config.seed, name)),
            )
        assert isinstance(output, MuseDancePipelineOutput)
        return output

    def _finish(
        self, number: int, name: str, example: Example, output: MuseDancePipelineOutput, folder: Path
    ) -> _Sample:
        """Write a sample's file, score it and draw it."""
        frames = np.stack([np.asarray(frame) for frame in output.frames])
        scores = image_scores(frames, example.frames)
        panel = draw_panel(name, example.prompt, scores, example.reference, example.frames, frames, example.times)
        if self.stage == 1:
            file = folder / f"{name}.png"
            with appearing(file) as temporary:
                beside = np.concatenate([np.asarray(example.reference), example.frames[0], frames[0]], axis=1)
                Image.fromarray(beside).save(temporary)
        else:
            file = folder / f"{name}.mp4"
            output.save(file)
        return _Sample(number, name, scores, file, panel)


def log_validation(accelerator: Accelerator, result: ValidationResult, step: int) -> None:
    """Send the scores to all trackers, and the contact sheet to those that show pictures. All ranks may call it."""
    if result.sheet is None or not accelerator.is_main_process:
        return
    with Image.open(result.sheet) as sheet:
        picture = np.asarray(sheet.convert("RGB"))
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard":
            tracker.log_images({"validation": picture[None]}, step=step, dataformats="NHWC")
        elif tracker.name in ("wandb", "swanlab"):
            tracker.log_images({"validation": [picture]}, step=step)
    # After the picture: TensorBoard's tracker flushes with numbers only.
    accelerator.log({f"validation/{name}": score for name, score in result.scores.items()}, step=step)


@contextmanager
def _sampling(networks: MuseDanceNetworks) -> Iterator[None]:
    """In evaluation mode and, under FSDP2, with the root's shards gathered, since its forward is not called."""
    training = {module: module.training for module in networks.modules()}
    networks.eval()
    if isinstance(networks, FSDPModule):
        networks.unshard()
    try:
        yield
    finally:
        if isinstance(networks, FSDPModule):
            networks.reshard()
        for module, was_training in training.items():
            module.training = was_training


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """Whatever loading and sampling may draw, training goes on as if it had not been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _write_scores(path: Path, scores: Mapping[str, float], samples: list[_Sample]) -> None:
    content = {"n": len(samples), **scores, "samples": {sample.name: sample.scores for sample in samples}}
    with appearing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
