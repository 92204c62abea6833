"""Making the videos of a test set with a model."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from musedance.datasets.chance import video_noise_seed
from musedance.errors import InputError
from musedance.evaluation.cases import Case, Cases, Inputs
from musedance.evaluation.processes import Processes
from musedance.media.video_writer import VideoWriter
from musedance.outputs import MuseDanceSegment
from musedance.pipeline import MuseDancePipeline


@dataclass(frozen=True)
class SamplingOptions:
    """How videos are made.

    Attributes:
        steps: of denoising, per segment.
        guidance: scale of guidance.
        music_guidance: a scale of its own for music and beats.
        seed: each video's noise depends on it and on the video's name, on nothing else.
        batch_size: videos that are made at once, for those of one size and length.
    """

    steps: int = 25
    guidance: float = 3.5
    music_guidance: float | None = None
    seed: int = 0
    batch_size: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise InputError(f"steps and batch size have to be 1 or more, not {self.steps} and {self.batch_size}")

    def __str__(self) -> str:
        music = "" if self.music_guidance is None else f", music guidance {self.music_guidance:g}"
        return f"{self.steps} step{'' if self.steps == 1 else 's'}, guidance {self.guidance:g}{music}, seed {self.seed}"

    def described(self) -> dict[str, float | None]:
        """What decides how videos come out; the batch size does not, but for rounding."""
        return {name: value for name, value in vars(self).items() if name != "batch_size"}


def make_videos(
    load: Callable[[], MuseDancePipeline], cases: Cases, folder: Path, sampling: SamplingOptions, processes: Processes
) -> dict[str, str]:
    """Make each video that is not there yet, `folder/ID.mp4`; every process calls this and makes its share.

    Args:
        load: gives the model; not called where nothing is missing.
        cases: what to make.
        folder: for the videos.
        sampling: how.
        processes: that share the work.

    Returns:
        What could not be made, and why: by id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Shared out before looking: another process may already be writing.
    own = [name for name in processes.share(list(cases.cases)) if not (folder / f"{name}.mp4").exists()]
    failed: dict[str, str] = {}
    if not own:
        return processes.together(failed)
    pipeline = load()
    pipeline.set_progress_bar_config(disable=None if processes.is_main else True, leave=False, desc="denoising")
    with tqdm(total=len(own), unit="video", desc="generating", disable=None if processes.is_main else True) as bar:
        for names in _batches([cases.cases[name] for name in own], sampling.batch_size):
            failed |= _make(pipeline, cases, names, folder, sampling)
            bar.update(len(names))
    return processes.together(failed)


def _batches(cases: Sequence[Case], size: int) -> Iterator[list[str]]:
    """Names of up to `size` videos that can be made at once."""

    def shape(case: Case) -> tuple[tuple[int, int], int]:
        return case.canvas, case.num_frames

    for _, group in itertools.groupby(sorted(cases, key=shape), shape):
        alike = [case.id for case in group]
        yield from (alike[first : first + size] for first in range(0, len(alike), size))


def _make(
    pipeline: MuseDancePipeline, cases: Cases, names: Sequence[str], folder: Path, sampling: SamplingOptions
) -> dict[str, str]:
    """Make some videos at once; where that fails, one by one, so that only those fail that are at fault."""
    failed: dict[str, str] = {}
    inputs: dict[str, Inputs] = {}
    for name in names:
        try:
            inputs[name] = cases.inputs(name)
        except (InputError, OSError) as error:
            failed[name] = str(error)
    try:
        if inputs:
            _write(pipeline, cases, inputs, folder, sampling)
    except InputError as error:
        if len(inputs) == 1:
            return failed | {name: str(error) for name in inputs}
        for name in inputs:
            failed |= _make(pipeline, cases, [name], folder, sampling)
    return failed


def _write(
    pipeline: MuseDancePipeline, cases: Cases, inputs: dict[str, Inputs], folder: Path, sampling: SamplingOptions
) -> None:
    chosen = [cases.cases[name] for name in inputs]
    height, width = chosen[0].canvas
    segments = pipeline(
        [given.picture for given in inputs.values()],
        [given.sound for given in inputs.values()],
        [case.facts.prompt for case in chosen],
        num_frames=chosen[0].num_frames,
        fps=cases.fps,
        height=height,
        width=width,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.guidance,
        music_guidance_scale=sampling.music_guidance,
        bpm=[given.bpm for given in inputs.values()],
        beats=[given.beats for given in inputs.values()],
        generator=[
            torch.Generator().manual_seed(video_noise_seed(sampling.seed, case.noise or case.id)) for case in chosen
        ],
        output_type="segments",
    )
    with ExitStack() as stack:  # all of the batch appear, or none
        writers: list[VideoWriter] = []
        for batch in segments:
            if not writers:
                writers = [stack.enter_context(_writer(folder, case, batch[0])) for case in chosen]
            for writer, segment in zip(writers, batch, strict=True):
                assert segment.frames is not None
                writer.write(segment.frames, segment.audio.samples)


def _writer(folder: Path, case: Case, segment: MuseDanceSegment) -> VideoWriter:
    height, width = case.canvas
    sound = segment.audio
    return VideoWriter(
        folder / f"{case.id}.mp4",
        fps=segment.fps,
        height=height,
        width=width,
        audio_rate=sound.sampling_rate,
        audio_channels=len(sound.samples),
    )
