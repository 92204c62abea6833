"""MuseDancePipeline: a picture, music and text -> a video in which the picture dances, or many at once."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, ModelMixin
from diffusers.pipelines import pipeline_loading_utils
from diffusers.schedulers import KarrasDiffusionSchedulers
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from tqdm import tqdm
from transformers import ASTFeatureExtractor, CLIPTextModel, CLIPTokenizer

from musedance.conditions.music import mel_spectrogram
from musedance.conditions.reference import Fit, ImageInput
from musedance.conditions.text import encode_prompt
from musedance.errors import InputError
from musedance.guidance import ALL, NONE, guidance_branches, guide
from musedance.latents import decode_latents, encode_pixels, packing, scale_factor
from musedance.media.image import canvas_size, read_image
from musedance.models import MaskEncoder, MuseDanceNetworks, MuseDanceUNet, MusicEncoder, ReferenceNet
from musedance.noise_schedule import check_scheduler, noise_schedule_of
from musedance.outputs import OUTPUT_TYPES, MuseDancePipelineOutput, MuseDanceSegment, OutputType, join_segments
from musedance.pipeline_inputs import Music, MusicInput, Pictures, map_videos, read_music, read_pictures, spread
from musedance.sampling import CALLBACK_INPUTS, Sampling

# model_index.json then says ["musedance", "MuseDanceUNet"] rather than a module's path, so that moving a file does not
# break every saved folder. The table is private to diffusers; a test guards it.
pipeline_loading_utils.LOADABLE_CLASSES.setdefault("musedance", {})

MAX_SIDE = 2048  # pixels


@dataclass(frozen=True)
class _Videos:
    """What is computed once for n videos: text `(n, tokens, dim)`, the reference's features `(n, ...)`; the music."""

    text: Tensor
    negative_text: Tensor
    reference: dict[str, Tensor]
    music: Music


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
    _callback_tensor_inputs = CALLBACK_INPUTS

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
    def vae_scale_factor(self) -> int:
        """Pixels along one position of the UNet's latents.

        Raises:
            InputError: VAE and UNet do not belong together.
        """
        return scale_factor(len(self.vae.config.block_out_channels), self._packing)

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
        image: ImageInput | list[ImageInput],
        music: MusicInput | list[MusicInput],
        prompt: str | list[str],
        negative_prompt: str | list[str] = "",
        *,
        start: float | list[float] = 0.0,
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
        densepose: ImageInput | list[ImageInput | None] | None = None,
        bpm: float | list[float | None] | None = None,
        beats: np.ndarray | list[np.ndarray | None] | None = None,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> MuseDancePipelineOutput | tuple[Any, ...] | list[Any] | Iterator[Any]:
        """Generate a video, or with a list of n pictures n videos in one batch.

        Then `music`, `prompt`, `negative_prompt`, `start`, `densepose`, `bpm`, `beats` and `generator` may be lists of
        n; what is no list holds for all, like the rest: the videos share size, length, rate, steps and scales.

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
            beats: when they are, seconds from the start of the music, where that is known: none are tracked.
            eta: 0 = deterministic DDIM, 1 = DDPM; ignored by schedulers without it.
            generator: source of the noise, which is drawn in float32 whatever the model's dtype is. With one for each
                video, a video's noise does not depend on what else is in the batch.
            output_type: "pil", "np", "pt" and "latent" say in which form to return all frames. "segments" returns an
                iterator that generates segment by segment, in memory that does not grow with the video's length.
            return_dict: return an output object instead of a tuple.
            callback_on_step_end: called as (pipeline, step, timestep, tensors) after each step, step counting over the
                whole video; may return changed tensors.
            callback_on_step_end_tensor_inputs: which tensors it gets; there is `latents`, of all videos.

        Returns:
            The whole video, a `MuseDancePipelineOutput` or tuple; or an iterator over its `MuseDanceSegment`s, the last
            one trimmed to the video's length. With a list of pictures a list of these, or an iterator over lists of n.

        Raises:
            InputError: an argument, a file or the scheduler cannot be used.
            RuntimeError: a callback interrupted the first segment.
        """
        if output_type not in OUTPUT_TYPES:
            raise InputError(f"output_type has to be one of {', '.join(OUTPUT_TYPES)}, not {output_type!r}")
        sampling = Sampling(
            num_inference_steps,
            guidance_scale,
            music_guidance_scale,
            guidance_rescale,
            eta,
            generator,
            callback_on_step_end,
            callback_on_step_end_tensor_inputs,
        )
        check_scheduler(self.scheduler, dict(self.config.noise_schedule))
        sampling.check(self.scheduler.config.num_train_timesteps)
        each = spread(
            image,
            music=music,
            prompt=prompt,
            negative_prompt=negative_prompt,
            start=start,
            densepose=densepose,
            bpm=bpm,
            beats=beats,
            generator=generator,
        )
        pictures = read_pictures(
            each["image"],
            each["densepose"],
            height=height,
            width=width,
            fit=fit,
            default_size=self.default_size,
            multiple=self.vae_scale_factor,
            max_side=MAX_SIDE,
        )
        heard = read_music(
            each["music"],
            each["start"],
            each["bpm"],
            each["beats"],
            duration=duration,
            num_frames=num_frames,
            fps=self.unet.config.fps if fps is None else fps,
            segment_frames=self.unet.config.num_frames,
            ast_config=self.music_encoder.ast.config.to_dict(),
            sampling_rate=self.feature_extractor.sampling_rate,
        )
        videos = _Videos(
            text=torch.cat(map_videos(self._encode_prompt, each["prompt"])),
            negative_text=torch.cat(map_videos(self._encode_prompt, each["negative_prompt"])),
            reference=self._encode_reference(pictures),
            music=heard,
        )
        if self.config.stage == 1:
            warnings.warn("a stage 1 model has not learned to move: the video is a still picture", stacklevel=2)
        canvas = tuple(side // self.vae_scale_factor for side in pictures.pixels.shape[2:])
        segments = self._generate(videos, sampling, canvas, decode=output_type != "latent")
        if output_type == "segments":
            return segments if isinstance(image, list) else map(itemgetter(0), segments)
        whole = list(segments)
        outputs = [join_segments([s[i] for s in whole], output_type) for i in range(len(pictures.pixels))]
        results = outputs if return_dict else [output.to_tuple() for output in outputs]
        return results if isinstance(image, list) else results[0]

    @torch.no_grad()
    def _generate(
        self, videos: _Videos, sampling: Sampling, canvas: tuple[int, ...], decode: bool
    ) -> Iterator[list[MuseDanceSegment]]:
        """Segment after segment of all videos; of the previous ones only latents are kept. A still is sampled once."""
        device, timeline, still = self._execution_device, videos.music.timelines[0], self.config.stage == 1
        frames = () if still else (timeline.segment_frames,)
        shape = (len(videos.text), self.unet.config.in_channels, *frames, *canvas)
        self.scheduler.set_timesteps(sampling.num_inference_steps, device=device)
        steps = len(self.scheduler.timesteps)
        self._num_timesteps, self._interrupt = steps * (1 if still else timeline.num_segments), False
        latents: Tensor | None = None
        try:
            with self.progress_bar(total=self._num_timesteps) as bar:
                for segment in range(timeline.num_segments):
                    if latents is None or not still:
                        noise = randn_tensor(shape, sampling.generator, device, torch.float32)
                        branches = self._branches(sampling, videos, segment, latents)
                        latents = self._denoise(noise, branches, sampling, bar, segment * steps)
                        if self._interrupt:
                            return
                    yield [self._finish(own, videos.music, i, segment, decode) for i, own in enumerate(latents)]
        finally:
            self.maybe_free_model_hooks()

    def _denoise(
        self, noise: Tensor, branches: dict[str, dict[str, Any]], sampling: Sampling, bar: tqdm, first_step: int
    ) -> Tensor:
        """Sample one segment: noise and the result are float32, `(n, channels, [K,] h, w)`."""
        extra = sampling.step_arguments(self.scheduler)
        self.scheduler.set_timesteps(sampling.num_inference_steps, device=noise.device)  # schedulers count their steps
        scales = sampling.guidance_scale, sampling.music_guidance_scale, sampling.guidance_rescale
        latents = noise * self.scheduler.init_noise_sigma
        for step, timestep in enumerate(self.scheduler.timesteps):
            sample = self.scheduler.scale_model_input(latents, timestep).to(self.unet.dtype)
            # One branch after the other: a doubled batch would double the activations for no speed at this size.
            e = {name: self.unet(sample, timestep, **told).sample.float() for name, told in branches.items()}
            latents = self.scheduler.step(guide(e, *scales), timestep, latents, **extra, return_dict=False)[0]
            if sampling.callback is not None:
                tensors = {"latents": latents} if sampling.tensor_inputs else {}
                latents = sampling.callback(self, first_step + step, timestep, tensors).pop("latents", latents)
            bar.update()
            if self._interrupt:
                break
        return latents

    def _branches(
        self, sampling: Sampling, videos: _Videos, segment: int, previous: Tensor | None
    ) -> dict[str, dict[str, Any]]:
        """The UNet's conditions for each branch of guidance.

        Dropped text is the negative prompt, dropped reference, music, beats and motion frames are `None`: what training
        drops. The branch without all has no motion frames either, so that guidance strengthens them with the rest.
        """
        heard, fps = videos.music, videos.music.timelines[0].fps
        encoded = [self._encode_music(waveform, fps) for waveform in heard.waveforms[:, segment]]
        music, positions = torch.cat([tokens for tokens, _ in encoded]), encoded[0][1]
        beats = torch.from_numpy(heard.beats[:, segment]).to(music.device)
        branches: dict[str, dict[str, Any]] = {}
        for name in guidance_branches(sampling.guidance_scale, sampling.music_guidance_scale):
            text, reference = (videos.negative_text, None) if name == NONE else (videos.text, videos.reference)
            branches[name] = {"encoder_hidden_states": text, "reference": reference}
            if name == ALL:
                branches[name] |= {"music": music, "music_positions": positions, "beats": beats}
            if name != NONE and previous is not None and self.unet.config.use_motion_modules:
                # The latents as they were sampled: decoding and encoding them again would add an error per segment.
                last = previous[:, :, -self.unet.config.num_motion_frames :].to(self.unet.dtype)
                branches[name]["motion"] = self._networks.encode_motion(last, text, reference)
        return branches

    @property
    def _packing(self) -> int:
        return packing(self.unet.config.in_channels, self.vae.config.latent_channels)

    @property
    def _networks(self) -> MuseDanceNetworks:
        return MuseDanceNetworks(self.unet, self.reference_net, self.mask_encoder)

    def _encode_prompt(self, prompt: str) -> Tensor:
        return encode_prompt(prompt, self.tokenizer, self.text_encoder, self._execution_device).to(self.unet.dtype)

    def _encode_reference(self, pictures: Pictures) -> dict[str, Tensor]:
        """The ReferenceNet's features of the pictures, with their DensePose masks if there are any."""
        device, dtype = self._execution_device, self.unet.dtype
        masks = None if pictures.densepose is None else pictures.densepose.to(device, dtype)
        latents = encode_pixels(self.vae, pictures.pixels.to(device), self._packing).to(dtype)
        empty_text = self._encode_prompt("").expand(len(latents), -1, -1)
        return self._networks.encode_reference(latents, empty_text, masks)

    def _encode_music(self, waveform: np.ndarray, fps: float) -> tuple[Tensor, Tensor]:
        """AST tokens of a segment, `(1, tokens, dim)`, and when each of them is, `(tokens,)` in frames."""
        mel = mel_spectrogram(self.feature_extractor, waveform).to(self._execution_device, self.music_encoder.dtype)
        positions = self.music_encoder.token_times(mel.shape[1]) * fps
        return self.music_encoder(mel).to(self.unet.dtype), positions.to(mel.device)

    def _finish(self, latents: Tensor, music: Music, video: int, segment: int, decode: bool) -> MuseDanceSegment:
        """Trim a video's segment, decode it frame by frame, add its sound and beats. A still has one latent for all."""
        timeline = music.timelines[video]
        kept, first = timeline.kept_frames(segment), segment * timeline.segment_frames
        still = latents.ndim == 3
        images = latents[:, None] if still else latents[:, :kept]
        frames = np.stack([self._decode(image) for image in images.unbind(1)]) if decode else None
        if still:
            images = images.expand(-1, kept, -1, -1)
            frames = None if frames is None else frames.repeat(kept, axis=0)
        return MuseDanceSegment(
            frames=frames,
            latents=images.cpu(),
            audio=music.tracks[video].cut(timeline.seconds(first), timeline.seconds(first + kept)),
            beats=music.beats[video, segment, :kept],
            index=segment,
            num_segments=timeline.num_segments,
            fps=timeline.fps,
        )

    def _decode(self, latent: Tensor) -> np.ndarray:
        """`(channels, h, w)` -> `(H, W, 3)` uint8."""
        pixels = decode_latents(self.vae, latent[None], self._packing)[0]
        return ((pixels.permute(1, 2, 0) + 1) * 127.5).round().byte().cpu().numpy()
