"""What `musedance infer` does: a job -> an mp4, the JSON record beside it and, if wanted, a contact sheet."""

import json
import secrets
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from PIL import Image
from transformers.utils import logging as transformers_logging

from musedance.conditions.beats import BPM_RANGE
from musedance.conditions.music import check_segment_length
from musedance.conditions.reference import densepose_pixels
from musedance.device import choose_device, choose_dtype
from musedance.errors import InputError
from musedance.failures import complain
from musedance.files import appearing
from musedance.inference.job import Job
from musedance.inference.output_files import check_outputs
from musedance.inference.preview import Preview
from musedance.inference.record import make_record
from musedance.media.audio import Audio, read_audio
from musedance.media.image import read_image
from musedance.media.video_writer import VideoWriter
from musedance.pipeline import MuseDancePipeline
from musedance.timeline import Timeline, plan_timeline
from musedance.weights.built_in import BUILT_IN
from musedance.weights.check import check_folder
from musedance.weights.fingerprint import fingerprint

BACKENDS = {"sdpa": "native", "xformers": "xformers"}


@dataclass(frozen=True)
class Settings:
    """What all jobs of a run share.

    Attributes:
        model: pipeline folder; the built-in tiny model if not given.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto", "float32", "bfloat16", "float16".
        attention: "sdpa" or "xformers".
        overwrite: replace files that exist.
    """

    model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "sdpa"
    overwrite: bool = False


@dataclass(frozen=True)
class Inputs:
    """A job's files, read, and the frames it asks for."""

    picture: Image.Image
    track: Audio
    timeline: Timeline


class Studio:
    """Checks jobs, then makes their videos with a model that is loaded once, when the first video needs it.

    Raises:
        InputError: the model, device, dtype or attention backend cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = _model_folder(settings.model)
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        _check_attention(settings.attention, self.device)
        self._index = _read_config(self.folder / "model_index.json")
        self._unet = _read_config(self.folder / "unet" / "config.json")
        self._ast = _read_config(self.folder / "music_encoder" / "config.json")["ast_config"]
        self._train_steps = _read_config(self.folder / "scheduler" / "scheduler_config.json")["num_train_timesteps"]

    def check(self, job: Job) -> Inputs:
        """Read a job's files and find whatever is wrong with it, before any model is loaded.

        Raises:
            InputError: the job cannot be done.
        """
        check_outputs(job, self.settings.overwrite)
        if job.steps > self._train_steps:
            raise InputError(f"steps has to lie between 1 and {self._train_steps}, not {job.steps}")
        if job.bpm is not None and not BPM_RANGE[0] <= job.bpm <= BPM_RANGE[1]:
            raise InputError(f"bpm has to lie between {BPM_RANGE[0]:.0f} and {BPM_RANGE[1]:.0f}, not {job.bpm}")
        picture = read_image(job.image)
        if job.densepose is not None:
            densepose_pixels(job.densepose, picture, picture.height, picture.width, "crop")
        track = read_audio(job.music)
        timeline = plan_timeline(
            track.duration,
            segment_frames=self._unet["num_frames"],
            fps=self._unet["fps"] if job.fps is None else job.fps,
            start=job.start,
            duration=job.duration,
        )
        check_segment_length(timeline, self._ast)
        return Inputs(picture, track, timeline)

    def make(self, job: Job, inputs: Inputs) -> Path:
        """Make a checked job's video. All of its files appear at the end, or none.

        Returns:
            The video.

        Raises:
            InputError: the model or the job cannot be used after all.
            OSError: the files cannot be written.
        """
        timeline = inputs.timeline
        seed = secrets.randbelow(2**32) if job.seed is None else job.seed
        job = replace(
            job, seed=seed, fps=timeline.fps, duration=timeline.num_frames / timeline.fps, output=str(job.output_path)
        )
        check_outputs(job, self.settings.overwrite)  # an hour may have passed since the first time
        with ExitStack() as stack:
            files = {path: stack.enter_context(appearing(path)) for path in job.outputs if path != job.output_path}
            preview = Preview(timeline.num_frames) if job.preview_path else None
            generator = torch.Generator("cpu").manual_seed(seed)  # the same noise whatever the device
            video = self._write_video(job, inputs, generator, preview, stack)
            model: dict[str, Any] = {"path": str(self.folder.absolute()), "fingerprint": fingerprint(self.folder)}
            model |= {key: self._index.get(key) for key in ("stage", "provenance")}
            record = make_record(job, video, model, self._computed_with())
            files[job.record_path].write_text(json.dumps(record, indent=2) + "\n")
            if preview is not None and job.preview_path is not None:
                preview.draw(job.start, timeline.fps, job.prompt).save(files[job.preview_path])
        return job.output_path

    def _write_video(
        self, job: Job, inputs: Inputs, generator: torch.Generator, preview: Preview | None, stack: ExitStack
    ) -> dict[str, Any]:
        """Generate and write segment by segment; the writer finishes with `stack`. What the record says of it."""
        height, width = job.canvas or (None, None)
        segments = self.pipeline(
            inputs.picture,
            inputs.track,
            job.prompt,
            job.negative_prompt,
            start=job.start,
            duration=job.duration,
            fps=job.fps,
            height=height,
            width=width,
            fit=job.fit,
            num_inference_steps=job.steps,
            guidance_scale=job.guidance,
            music_guidance_scale=job.music_guidance,
            densepose=job.densepose,
            bpm=job.bpm,
            generator=generator,
            output_type="segments",
        )
        writer: VideoWriter | None = None
        beats: list[int] = []
        for segment in segments:
            assert segment.frames is not None
            if writer is None:
                height, width = segment.frames.shape[1:3]
                sound = segment.audio
                writer = stack.enter_context(
                    VideoWriter(
                        job.output_path,
                        fps=segment.fps,
                        height=height,
                        width=width,
                        audio_rate=sound.sampling_rate,
                        audio_channels=len(sound.samples),
                    )
                )
            writer.write(segment.frames, segment.audio.samples)
            if preview is not None:
                preview.add(segment.frames, segment.beats)
            beats.extend(int(beat) for beat in segment.beats)
        return {
            "width": width,
            "height": height,
            "frames": len(beats),
            "fps": inputs.timeline.fps,
            "beat_frames": [index for index, beat in enumerate(beats) if beat],
        }

    @cached_property
    def pipeline(self) -> MuseDancePipeline:
        """The model, loaded on first use."""
        self._warn_of_stage()  # here, so that a bad job gets its one line and no more
        complain(f"loading {self.folder} on {self.device} in {_name(self.dtype)}")
        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        pipeline = MuseDancePipeline.from_pretrained(self.folder, dtype=self.dtype).to(self.device)
        if BACKENDS[self.settings.attention] != "native":
            pipeline.set_attention_backend(BACKENDS[self.settings.attention])
        pipeline.set_progress_bar_config(disable=None, desc="denoising")  # none where stderr is no terminal
        return pipeline

    def _warn_of_stage(self) -> None:
        stage, provenance = self._index.get("stage"), self._index.get("provenance") or "of unknown origin"
        if stage == 0:
            complain(f"warning: the model in {self.folder} is not trained ({provenance}): expect noise, not a dance")
        elif stage == 1:
            complain(f"warning: the model in {self.folder} is of stage 1: it gives a still, not a dance")

    def _computed_with(self) -> dict[str, str]:
        return {"device": str(self.device), "dtype": _name(self.dtype), "attention": self.settings.attention}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _model_folder(model: str | None) -> Path:
    folder = BUILT_IN if model is None else Path(model)
    check_folder(folder)
    return folder


def _read_config(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _check_attention(attention: str, device: torch.device) -> None:
    if attention not in BACKENDS:
        raise InputError(f"attention has to be {' or '.join(BACKENDS)}, not {attention!r}")
    if attention == "xformers" and device.type != "cuda":
        raise InputError(f"xformers needs a CUDA GPU and this runs on {device}; leave --attention out")
