"""MuseDancePipeline: a picture, music and text -> a video in which the picture dances."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, ModelMixin
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.pipelines import pipeline_loading_utils
from diffusers.schedulers import KarrasDiffusionSchedulers
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor
from tqdm import tqdm
from transformers import ASTFeatureExtractor, CLIPTextModel, CLIPTokenizer

from musedance.conditions.music import check_segment_length, mel_spectrogram, segment_beats, segment_waveforms
from musedance.conditions.reference import Fit, ImageInput, densepose_pixels, picture_pixels
from musedance.conditions.text import encode_prompt
from musedance.errors import InputError
from musedance.guidance import ALL, NONE, guidance_branches, guide
from musedance.media.audio import Audio, read_audio
from musedance.media.image import MAX_ASPECT, canvas_size, read_image
from musedance.models import MaskEncoder, MuseDanceNetworks, MuseDanceUNet, MusicEncoder, ReferenceNet
from musedance.noise_schedule import check_scheduler, noise_schedule_of
from musedance.outputs import OUTPUT_TYPES, MuseDancePipelineOutput, MuseDanceSegment, OutputType, join_segments
from musedance.timeline import Timeline, plan_timeline

# model_index.json then says ["musedance", "MuseDanceUNet"] rather than a module's path, so that moving a file does not
# break every saved folder. The table is private to diffusers; a test guards it.
pipeline_loading_utils.LOADABLE_CLASSES.setdefault("musedance", {})

MAX_SIDE = 2048  # pixels
MusicInput = str | Path | tuple[np.ndarray, int] | Audio


@dataclass(frozen=True)
class _Video:
    """What is computed once per video: text `(1, tokens, dim)`, the reference's features, the music and the beats."""

    text: Tensor
    negative_text: Tensor
    reference: dict[str, Tensor]
    waveforms: np.ndarray  # (segments, samples), mono at the music encoder's rate
    beats: np.ndarray  # (segments, K)
    track: Audio
    timeline: Timeline


@dataclass(frozen=True)
class _Sampling:
    """How to sample; the names are `__call__`'s."""

    num_inference_steps: int
    guidance_scale: float
    music_guidance_scale: float | None
    guidance_rescale: float
    eta: float
    generator: torch.Generator | None
    callback: Callable[..., dict[str, Any]] | None
    callback_inputs: Sequence[str]


class MuseDancePipeline(DiffusionPipeline):
    """Image animation driven by music and text (arXiv 2501.18801).

    Args:
        vae: encodes and decodes frames.
        text_encoder: CLIP.
        tokenizer: CLIP's.
        unet: denoises K frames at a time.
        reference_net: reads the picture.
        mask_encoder: reads the picture's DensePose mask.
        music_encoder: AST.
        feature_extractor: AST's; its sampling rate is the model's.
        scheduler: DDIM by default; any other that keeps the model's noise schedule may be set.
        stage: 0 = not trained as MuseDance, 1 = stage 1 (gives stills), 2 = trained.
        provenance: one line on where the weights come from.
        noise_schedule: what the model was trained on; the scheduler's own if not given.
    """

    model_cpu_offload_seq = "text_encoder->music_encoder->mask_encoder->reference_net->unet->vae"
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: MuseDanceUNet,
        reference_net: ReferenceNet,
        mask_encoder: MaskEncoder,
        music_encoder: MusicEncoder,
        feature_extractor: ASTFeatureExtractor,
        scheduler: KarrasDiffusionSchedulers,
        stage: int = 0,
        provenance: str = "",
        noise_schedule: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            reference_net=reference_net,
            mask_encoder=mask_encoder,
            music_encoder=music_encoder,
            feature_extractor=feature_extractor,
            scheduler=scheduler,
        )
        noise_schedule = noise_schedule or noise_schedule_of(scheduler)
        self.register_to_config(stage=stage, provenance=provenance, noise_schedule=noise_schedule)
        self.vae_scale_factor = 2 ** (len(vae.config.block_out_channels) - 1)

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Write a pipeline folder that also loads with `DiffusionPipeline.from_pretrained(custom_pipeline=...)`."""
        for part in (self, *self.components.values()):
            if isinstance(part, ModelMixin | DiffusionPipeline):
                part.register_to_config(_name_or_path="")  # else the place it was loaded from would be saved with it
        super().save_pretrained(save_directory, *args, **kwargs)
        code = 'from musedance import MuseDancePipeline\n\n__all__ = ["MuseDancePipeline"]\n'
        (Path(save_directory) / "pipeline.py").write_text(code)

    def set_attention_backend(self, backend: str) -> None:
        """Choose diffusers' attention backend for both UNets: `"native"` (the default), `"xformers"`, ...

        Raises:
            InputError: the backend's package or hardware is missing.
        """
        try:
            for model in (self.unet, self.reference_net):
                model.set_attention_backend(backend)
        except (RuntimeError, ImportError, ValueError) as error:
            raise InputError(str(error)) from error

    def set_use_memory_efficient_attention_xformers(self, valid: bool, attention_op: Callable | None = None) -> None:
        """What `enable_xformers_memory_efficient_attention()` calls: goes through the backend switch.

        diffusers' own would replace processors deep inside the UNets, and the reference would be lost.
        """
        self.set_attention_backend("xformers" if valid else "native")

    @property
    def num_timesteps(self) -> int:
        """Denoising steps of the whole video, over all segments."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """A callback that sets `_interrupt = True` ends the video with the last whole segment."""
        return self._interrupt

    def default_size(self, image: ImageInput) -> tuple[int, int]:
        """(height, width) in the picture's own shape, with as many pixels as the model was made for."""
        sample_size = self.unet.config.sample_size
        height, width = (sample_size, sample_size) if isinstance(sample_size, int) else sample_size
        return canvas_size(read_image(image).size, height * width * self.vae_scale_factor**2, self.vae_scale_factor)

    @torch.no_grad()
    def __call__(
        self,
        image: ImageInput,
        music: MusicInput,
        prompt: str,
        negative_prompt: str = "",
        *,
        start: float = 0.0,
        duration: float | None = None,
        num_frames: int | None = None,
        fps: float | None = None,
        height: int | None = None,
        width: int | None = None,
        fit: Fit = "letterbox",
        num_inference_steps: int = 25,
        guidance_scale: float = 3.5,
        music_guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        densepose: ImageInput | None = None,
        bpm: float | None = None,
        eta: float = 0.0,
        generator: torch.Generator | None = None,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> MuseDancePipelineOutput | tuple[Any, ...] | Iterator[MuseDanceSegment]:
        """Generate a video.

        Args:
            image: the picture that dances.
            music: a file with sound, `(samples, sampling_rate)`, or `Audio`.
            prompt: how it moves.
            negative_prompt: text of the unconditional branch.
            start: where in the music the video begins, seconds.
            duration: length in seconds, or
            num_frames: in frames; without either, one segment or as much as there is music.
            fps: frames per second; the model's own unless given.
            height: pixels, a multiple of the VAE's scale factor (8); without height and width, `default_size`.
            width: the same.
            fit: how a picture of another shape fits: whole with bars, or cropped around its centre.
            num_inference_steps: denoising steps per segment.
            guidance_scale: see `musedance.guidance.guide`, as for the next two.
            music_guidance_scale: a scale of its own for music and beats.
            guidance_rescale: 0 to 1.
            densepose: DensePose picture of the image, of the image's shape.
            bpm: tempo to track beats at, where librosa's own estimate is off.
            eta: 0 = deterministic DDIM, 1 = DDPM; ignored by schedulers without it.
            generator: source of the noise, which is drawn in float32 whatever the model's dtype is.
            output_type: "pil", "np", "pt" and "latent" say in which form to return all frames. "segments" returns an
                iterator that generates segment by segment, in memory that does not grow with the video's length.
            return_dict: return an output object instead of a tuple.
            callback_on_step_end: called as (pipeline, step, timestep, tensors) after each step, step counting over the
                whole video; may return changed tensors.
            callback_on_step_end_tensor_inputs: which tensors it gets; there is `latents`.

        Returns:
            The whole video, or an iterator over its segments, the last one trimmed to the video's length.

        Raises:
            InputError: an argument, a file or the scheduler cannot be used.
            RuntimeError: a callback interrupted the first segment.
        """
        if output_type not in OUTPUT_TYPES:
            raise InputError(f"output_type has to be one of {', '.join(OUTPUT_TYPES)}, not {output_type!r}")
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            callback_on_step_end_tensor_inputs = callback_on_step_end.tensor_inputs
        sampling = _Sampling(
            num_inference_steps,
            guidance_scale,
            music_guidance_scale,
            guidance_rescale,
            eta,
            generator,
            callback_on_step_end,
            callback_on_step_end_tensor_inputs,
        )
        self._check(sampling)
        picture = read_image(image)
        if height is None and width is None:
            height, width = self.default_size(picture)
            if max(picture.size) <= MAX_ASPECT * min(picture.size):
                fit = "crop"  # the canvas has the picture's shape but for rounding: cut a few pixels, draw no thin bars
        height, width = self._check_size(height, width)
        track = music if isinstance(music, Audio) else read_audio(music)
        timeline = plan_timeline(
            track.duration,
            segment_frames=self.unet.config.num_frames,
            fps=self.unet.config.fps if fps is None else fps,
            start=start,
            duration=duration,
            num_frames=num_frames,
        )
        check_segment_length(timeline, self.music_encoder.ast.config.to_dict())
        video = _Video(
            text=self._encode_prompt(prompt),
            negative_text=self._encode_prompt(negative_prompt),
            reference=self._encode_reference(picture, densepose, (height, width), fit),
            waveforms=segment_waveforms(track, timeline, self.feature_extractor.sampling_rate),
            beats=segment_beats(track, timeline, bpm),
            track=track,
            timeline=timeline,
        )
        if self.config.stage == 1:
            warnings.warn("a stage 1 model has not learned to move: the video is a still picture", stacklevel=2)
        canvas = (height // self.vae_scale_factor, width // self.vae_scale_factor)
        segments = self._generate(video, sampling, canvas, decode=output_type != "latent")
        if output_type == "segments":
            return segments
        output = join_segments(list(segments), output_type)
        return output if return_dict else output.to_tuple()

    @torch.no_grad()
    def _generate(
        self, video: _Video, sampling: _Sampling, canvas: tuple[int, int], decode: bool
    ) -> Iterator[MuseDanceSegment]:
        """Segment after segment; of the previous one only its latents are kept. A still is sampled once."""
        device, timeline, still = self._execution_device, video.timeline, self.config.stage == 1
        frames = () if still else (timeline.segment_frames,)
        shape = (1, self.unet.config.in_channels, *frames, *canvas)
        self.scheduler.set_timesteps(sampling.num_inference_steps, device=device)
        steps = len(self.scheduler.timesteps)
        self._num_timesteps, self._interrupt = steps * (1 if still else timeline.num_segments), False
        latents: Tensor | None = None
        try:
            with self.progress_bar(total=self._num_timesteps) as bar:
                for segment in range(timeline.num_segments):
                    if latents is None or not still:
                        noise = randn_tensor(shape, sampling.generator, device, torch.float32)
                        branches = self._branches(sampling, video, segment, latents)
                        latents = self._denoise(noise, branches, sampling, bar, segment * steps)
                        if self._interrupt:
                            return
                    yield self._finish(latents, video, segment, decode)
        finally:
            self.maybe_free_model_hooks()

    def _denoise(
        self, noise: Tensor, branches: dict[str, dict[str, Any]], sampling: _Sampling, bar: tqdm, first_step: int
    ) -> Tensor:
        """Sample one segment: noise and the result are float32, `(1, channels, [K,] h, w)`."""
        known = inspect.signature(self.scheduler.step).parameters
        extra = {key: getattr(sampling, key) for key in ("eta", "generator") if key in known}
        self.scheduler.set_timesteps(sampling.num_inference_steps, device=noise.device)  # schedulers count their steps
        scales = sampling.guidance_scale, sampling.music_guidance_scale, sampling.guidance_rescale
        latents = noise * self.scheduler.init_noise_sigma
        for step, timestep in enumerate(self.scheduler.timesteps):
            sample = self.scheduler.scale_model_input(latents, timestep).to(self.unet.dtype)
            # One branch after the other: a doubled batch would double the activations for no speed at this size.
            e = {name: self.unet(sample, timestep, **told).sample.float() for name, told in branches.items()}
            latents = self.scheduler.step(guide(e, *scales), timestep, latents, **extra, return_dict=False)[0]
            if sampling.callback is not None:
                tensors = {"latents": latents} if sampling.callback_inputs else {}
                latents = sampling.callback(self, first_step + step, timestep, tensors).pop("latents", latents)
            bar.update()
            if self._interrupt:
                break
        return latents

    def _branches(
        self, sampling: _Sampling, video: _Video, segment: int, previous: Tensor | None
    ) -> dict[str, dict[str, Any]]:
        """The UNet's conditions for each branch of guidance. Motion frames stay in all of them.

        Dropped text is the negative prompt, dropped reference, music and beats are `None`: what training drops.
        """
        music, positions = self._encode_music(video.waveforms[segment], video.timeline.fps)
        beats = torch.from_numpy(video.beats[segment])[None].to(music.device)
        branches: dict[str, dict[str, Any]] = {}
        for name in guidance_branches(sampling.guidance_scale, sampling.music_guidance_scale):
            text, reference = (video.negative_text, None) if name == NONE else (video.text, video.reference)
            branches[name] = {"encoder_hidden_states": text, "reference": reference}
            if name == ALL:
                branches[name] |= {"music": music, "music_positions": positions, "beats": beats}
            if previous is not None and self.unet.config.use_motion_modules:
                # The latents as they were sampled: decoding and encoding them again would add an error per segment.
                last = previous[:, :, -self.unet.config.num_motion_frames :].to(self.unet.dtype)
                branches[name]["motion"] = self._networks.encode_motion(last, text, reference)
        return branches

    @property
    def _networks(self) -> MuseDanceNetworks:
        return MuseDanceNetworks(self.unet, self.reference_net, self.mask_encoder)

    def _encode_prompt(self, prompt: str) -> Tensor:
        return encode_prompt(prompt, self.tokenizer, self.text_encoder, self._execution_device).to(self.unet.dtype)

    def _encode_reference(
        self, picture: Image.Image, densepose: ImageInput | None, size: tuple[int, int], fit: Fit
    ) -> dict[str, Tensor]:
        """The ReferenceNet's features of the picture on its canvas, with its DensePose mask if there is one."""
        device, dtype = self._execution_device, self.unet.dtype
        mask = None if densepose is None else densepose_pixels(densepose, picture, *size, fit).to(device, dtype)
        pixels = picture_pixels(picture, *size, fit).to(device, self.vae.dtype)
        latents = (self.vae.encode(pixels).latent_dist.mode() * self.vae.config.scaling_factor).to(dtype)
        return self._networks.encode_reference(latents, self._encode_prompt(""), mask)

    def _encode_music(self, waveform: np.ndarray, fps: float) -> tuple[Tensor, Tensor]:
        """AST tokens of a segment, `(1, tokens, dim)`, and when each of them is, `(tokens,)` in frames."""
        mel = mel_spectrogram(self.feature_extractor, waveform).to(self._execution_device, self.music_encoder.dtype)
        positions = self.music_encoder.token_times(mel.shape[1]) * fps
        return self.music_encoder(mel).to(self.unet.dtype), positions.to(mel.device)

    def _finish(self, latents: Tensor, video: _Video, segment: int, decode: bool) -> MuseDanceSegment:
        """Trim a segment, decode it frame by frame, add its sound and beats. A still has one latent for all frames."""
        timeline = video.timeline
        kept, first = timeline.kept_frames(segment), segment * timeline.segment_frames
        still = latents.ndim == 4
        images = latents[0, :, None] if still else latents[0, :, :kept]
        frames = np.stack([self._decode(image) for image in images.unbind(1)]) if decode else None
        if still:
            images = images.expand(-1, kept, -1, -1)
            frames = None if frames is None else frames.repeat(kept, axis=0)
        return MuseDanceSegment(
            frames=frames,
            latents=images.cpu(),
            audio=video.track.cut(timeline.seconds(first), timeline.seconds(first + kept)),
            beats=video.beats[segment, :kept],
            index=segment,
            num_segments=timeline.num_segments,
            fps=timeline.fps,
        )

    def _decode(self, latent: Tensor) -> np.ndarray:
        """`(channels, h, w)` -> `(H, W, 3)` uint8."""
        latent = (latent[None] / self.vae.config.scaling_factor).to(self.vae.dtype)
        pixels = self.vae.decode(latent, return_dict=False)[0][0].float().clamp(-1, 1)
        return ((pixels.permute(1, 2, 0) + 1) * 127.5).round().byte().cpu().numpy()

    def _check(self, sampling: _Sampling) -> None:
        check_scheduler(self.scheduler, dict(self.config.noise_schedule))
        most = self.scheduler.config.num_train_timesteps
        steps, inputs = sampling.num_inference_steps, tuple(sampling.callback_inputs)
        if not (isinstance(steps, int) and 1 <= steps <= most):
            raise InputError(f"num_inference_steps has to be a whole number from 1 to {most}, not {steps}")
        if not 0 <= sampling.guidance_rescale <= 1:
            raise InputError(f"guidance_rescale has to lie between 0 and 1, not {sampling.guidance_rescale}")
        if not set(inputs) <= set(self._callback_tensor_inputs):
            raise InputError(f"a callback can get {self._callback_tensor_inputs}, not {inputs}")
        if self.vae.config.latent_channels != self.unet.config.in_channels:
            raise InputError(
                f"the VAE has {self.vae.config.latent_channels} latent channels, "
                f"the UNet {self.unet.config.in_channels}: these do not belong together"
            )

    def _check_size(self, height: int | None, width: int | None) -> tuple[int, int]:
        if height is None or width is None:
            raise InputError("give height and width, or neither")
        multiple = self.vae_scale_factor
        for name, side in (("height", height), ("width", width)):
            if not (isinstance(side, int) and 0 < side <= MAX_SIDE and side % multiple == 0):
                raise InputError(f"{name} has to be a multiple of {multiple} from {multiple} to {MAX_SIDE}, not {side}")
        return height, width
