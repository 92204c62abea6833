"""Options that the commands of evaluation share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from musedance.errors import InputError

if TYPE_CHECKING:
    from musedance.evaluation.generate import SamplingOptions
    from musedance.evaluation.settings import Scoring, TestSet
    from musedance.inference.studio import Settings

Group = argparse._ArgumentGroup


def add_model_options(parser: argparse.ArgumentParser, with_model: bool = True) -> Group:
    """Which model, and where it runs."""
    group = parser.add_argument_group("the model")
    if with_model:
        group.add_argument("--model", metavar="FOLDER", help="model folder (default: the built-in tiny one)")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    group.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: %(default)s)")
    group.add_argument("--attention", default="sdpa", help="sdpa or xformers (default: %(default)s)")
    return group


def add_test_options(group: Group, required: bool = False) -> None:
    """Which clips a model is tested on."""
    group.add_argument("--data", metavar="DATASET", required=required, help="dataset whose clips are the test")
    group.add_argument("--split", default="test", help="of the dataset (default: %(default)s)")
    group.add_argument("--clips", type=int, metavar="N", help="only so many, spread over the sources (default: all)")
    group.add_argument("--num-frames", type=int, metavar="N", help="of each clip, from its first (default: all)")
    group.add_argument(
        "--reference-from",
        metavar="CLIP",
        help="first: the picture is the clip's first frame; other: that of another clip of its source (default: first)",
    )


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """How videos are made."""
    group = parser.add_argument_group("sampling")
    group.add_argument("--steps", type=int, default=25, metavar="N", help="of denoising (default: %(default)s)")
    group.add_argument("--guidance", type=float, default=3.5, metavar="X", help="its scale (default: %(default)s)")
    group.add_argument("--music-guidance", type=float, metavar="X", help="of music and beats (default: as --guidance)")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of all noise and shuffles (default: 0)")
    group.add_argument("--batch-size", type=int, default=1, metavar="N", help="videos made at once (default: 1)")


def add_metric_options(parser: argparse.ArgumentParser) -> None:
    """What is measured with what."""
    group = parser.add_argument_group("metrics")
    group.add_argument("--weights", metavar="FOLDER", help="published weights of LPIPS, I3D and Wav2CLIP, by file name")
    group.add_argument("--download", action="store_true", help="fetch those that are missing and can be checked")
    group.add_argument("--clip", metavar="MODEL", help="CLIP, a folder or hub id, for CS and CLIP similarity")
    group.add_argument("--pose-model", metavar="MODEL", help="ViTPose, a folder or hub id, for kinematic beats")
    group.add_argument(
        "--beats-from",
        metavar="WHAT",
        help="what tells how the dancer moves: flow, pose, or keypoints (NAME.safetensors beside each video) "
        "(default: pose with --pose-model, else flow)",
    )
    group.add_argument("--shown", type=int, default=12, metavar="N", help="videos on the page (default: %(default)s)")


def settings_of(options: argparse.Namespace) -> Settings:
    """The model's."""
    from musedance.inference.studio import Settings

    return Settings(
        model=getattr(options, "model", None),
        device=options.device,
        dtype=options.dtype,
        attention=options.attention,
    )


def sampling_of(options: argparse.Namespace) -> SamplingOptions:
    """How videos are made."""
    from musedance.evaluation.generate import SamplingOptions

    return SamplingOptions(
        steps=options.steps,
        guidance=options.guidance,
        music_guidance=options.music_guidance,
        seed=options.seed,
        batch_size=options.batch_size,
    )


def test_set_of(options: argparse.Namespace) -> TestSet:
    """Which clips."""
    if options.reference_from not in (None, "first", "other"):
        raise InputError(f"--reference-from has to be first or other, not {options.reference_from!r}")
    from musedance.evaluation.settings import TestSet

    return TestSet(options.data, options.split, options.clips, options.num_frames, options.reference_from == "other")


def scoring_of(options: argparse.Namespace) -> Scoring:
    """How videos are scored."""
    from musedance.evaluation.settings import Scoring
    from musedance.evaluation.tools import ToolOptions

    return Scoring(
        tools=ToolOptions(options.weights, options.download, options.clip, options.pose_model),
        beats_from=options.beats_from or ("flow" if options.pose_model is None else "pose"),
        segment_frames=getattr(options, "segment_frames", None),
        device=options.device,
        seed=options.seed,
        shown=options.shown,
    )
