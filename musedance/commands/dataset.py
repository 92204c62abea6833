"""`musedance dataset`: what can be done with a dataset folder."""

import argparse

HELP = "check, describe, show, pack or cache a dataset folder"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    def add(name: str, text: str, action: object) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(action=action)
        # Absent unless given, so that it does not undo a --traceback before the action.
        sub.add_argument("--traceback", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        sub.add_argument("folder", metavar="FOLDER", help="dataset folder, plain or sharded")
        return sub

    validate = add("validate", "open and check every file of every clip", _validate)
    validate.add_argument("--workers", type=int, metavar="N", help="threads (default: one a core)")

    stats = add("stats", "print what is in a dataset", _stats)
    stats.add_argument("--json", action="store_true", help="print JSON")

    page = add("page", "write a web page that shows the clips", _page)
    page.add_argument("--output", metavar="FILE.html", help="file to write (default: FOLDER/index.html)")
    page.add_argument(
        "--clips", type=int, default=60, metavar="N", help="clips shown, spread over the sources (default: %(default)s)"
    )

    shard = add("shard", "pack a dataset into tar files (webdataset)", _shard)
    shard.add_argument("output", metavar="OUTPUT", help="folder to make")
    shard.add_argument(
        "--shard-size", type=float, default=256, metavar="MB", help="size of a tar file (default: %(default)s)"
    )

    cache = add("cache", "compute latents, music tokens and text embeddings once, for training", _cache)
    cache.add_argument("--model", required=True, metavar="FOLDER", help="model folder that is to be trained")
    cache.add_argument("--output", metavar="FOLDER", help="folder of the cache (default: FOLDER/cache)")
    cache.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    cache.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: %(default)s)")
    said = "if training is to have another than the model's"
    cache.add_argument("--size", type=int, metavar="PX", help=f"clips.size, {said}")
    cache.add_argument("--num-frames", type=int, metavar="K", help=f"clips.num_frames, {said}")
    cache.add_argument("--fps", type=float, metavar="N", help=f"clips.fps, {said}")


def run(options: argparse.Namespace) -> int:
    """Run the command with parsed options; its exit code."""
    code: int = options.action(options)
    return code


def _validate(options: argparse.Namespace) -> int:
    from musedance.datasets.shards import open_dataset
    from musedance.datasets.validate import validate
    from musedance.failures import BAD_INPUT

    report = validate(open_dataset(options.folder), options.workers)
    for line in [*report.problems, *(f"warning: {warning}" for warning in report.warnings)]:
        print(printable(line))
    clips = f"{report.clips} clip{'s' if report.clips != 1 else ''}"
    if report.problems:
        print(f"{clips}, {len(report.problems)} problem{'s' if len(report.problems) != 1 else ''}")
        return BAD_INPUT
    print(f"{clips}, all good")
    return 0


def _stats(options: argparse.Namespace) -> int:
    import json

    from musedance.datasets.shards import open_dataset
    from musedance.datasets.statistics import format_statistics, statistics_of

    dataset = open_dataset(options.folder)
    numbers = statistics_of(dataset.clips)
    if options.json:
        print(json.dumps(numbers, indent=2, ensure_ascii=False))
    else:
        for line in format_statistics(dataset.info, numbers).splitlines():
            print(printable(line))
    return 0


def _page(options: argparse.Namespace) -> int:
    from musedance.datasets.page import write_page
    from musedance.datasets.shards import open_dataset

    print(write_page(open_dataset(options.folder), options.output, options.clips))
    return 0


def _shard(options: argparse.Namespace) -> int:
    from musedance.datasets.shard_writer import write_shards
    from musedance.datasets.shards import open_dataset

    print(write_shards(open_dataset(options.folder), options.output, options.shard_size))
    return 0


def _cache(options: argparse.Namespace) -> int:
    from musedance.datasets.cache import build_cache
    from musedance.datasets.spec import ClipSpec

    spec = ClipSpec.of_model(options.model)
    spec = spec.changed(size=options.size, fps=options.fps, num_frames=options.num_frames)
    where = {"device": options.device, "dtype": options.dtype}
    print(build_cache(options.folder, options.model, options.output, spec=spec, **where))
    return 0


def printable(line: str) -> str:
    """A line without what would steer a terminal: names and captions come from who knows where."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)
