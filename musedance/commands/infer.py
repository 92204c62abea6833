"""`musedance infer`."""

import argparse
from dataclasses import fields
from typing import Any

from musedance.inference.job import Job

HELP = "make a dancing video"
DEFAULTS = {field.name: field.default for field in fields(Job)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    # Options of a job are absent unless given, so that a --jobs file and Job know what to fill in.
    job = parser.add_argument_group("the video (also the keys of a --jobs line, with underscores)")

    def add(option: str, text: str, **kwargs: Any) -> None:
        default = DEFAULTS[option.removeprefix("--").replace("-", "_")]
        shown = (
            f" (default: {default})" if isinstance(default, str | int | float) and default not in ("", False) else ""
        )
        job.add_argument(option, help=text + shown, default=argparse.SUPPRESS, **kwargs)

    add("--image", "picture of who or what dances", metavar="FILE")
    add("--music", "sound file, or a video with sound", metavar="FILE")
    add("--prompt", "how it moves", metavar="TEXT")
    add("--negative-prompt", "what to keep away from (default: nothing)", metavar="TEXT")
    add("--output", "video to write (default: IMAGE_MUSIC.mp4 in the current folder)", metavar="FILE.mp4")
    add("--duration", "length in seconds (default: one segment of the model)", type=float, metavar="S")
    add("--start", "where in the music the video begins, in seconds", type=float, metavar="S")
    add("--fps", "frames per second, 1 to 120 (default: the model's)", type=float, metavar="N")
    add(
        "--size",
        "side or width x height in pixels, multiples of 8 up to 2048 (default: the picture's own shape, "
        "with as many pixels as the model was made for)",
        metavar="WxH",
    )
    add(
        "--fit",
        "a picture of another shape than --size: letterbox shows it whole, crop fills the canvas",
        metavar="HOW",
    )
    add("--steps", "denoising steps per segment, 1 to 1000", type=int, metavar="N")
    add("--guidance", "how closely to follow picture, text and music; 1 is off", type=float, metavar="X")
    add("--music-guidance", "a scale of its own for the music (default: as --guidance)", type=float, metavar="X")
    add("--seed", "0 to 2^63 - 1 (default: a new one each time, noted in the .json)", type=int, metavar="N")
    add("--densepose", "DensePose mask of the picture (default: none)", metavar="FILE")
    add("--bpm", "tempo of the music, 30 to 300 beats a minute (default: estimated)", type=float, metavar="N")
    add("--preview", "also write a contact sheet, .png, with the beats marked", action="store_true")

    run = parser.add_argument_group("the run")
    run.add_argument("--model", metavar="FOLDER", help="model folder (default: the built-in tiny one)")
    run.add_argument("--jobs", metavar="FILE", help="make many videos: a JSON object with the options above a line")
    run.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    run.add_argument(
        "--dtype",
        default="auto",
        help="auto, float32, bfloat16 or float16 (default: %(default)s, bfloat16 where the hardware has it)",
    )
    run.add_argument("--attention", default="sdpa", help="sdpa or xformers (CUDA only) (default: %(default)s)")
    run.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    given = {name: value for name, value in vars(options).items() if name in DEFAULTS}
    run = {name: getattr(options, name) for name in ("model", "device", "dtype", "attention", "overwrite")}
    if options.jobs is not None:
        from musedance.inference.job_file import run_jobs
        from musedance.inference.studio import Settings

        return run_jobs(options.jobs, given, Settings(**run))

    job = Job.from_options(given)  # before the imports, which take seconds
    from musedance.inference.studio import Settings, Studio

    studio = Studio(Settings(**run))
    print(studio.make(job, studio.check(job)))
    return 0
