"""`musedance tiny`."""

import argparse

from musedance.commands.evaluation_options import add_model_options, add_sampling_options, sampling_of, settings_of

HELP = "train what the built-in model needs beside the two stages, and measure what its card says"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be given on the command line."""
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP", dest="step")
    text = "VAE and encoders, in a folder that train_stage1.py starts from"
    base = steps.add_parser("base", help=text, description=text, allow_abbrev=False)
    base.add_argument("output", metavar="OUTPUT", help="pipeline folder to make")
    base.add_argument("--data", required=True, metavar="FOLDER", help="dataset made with `musedance puppets`")
    base.add_argument("--config", metavar="FILE", help="settings (default: configs/tiny/base.yaml)")
    base.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda (default: %(default)s)")

    text = "a trained model as before stage 2: its spatial weights with new music, beat and motion modules"
    renewed = steps.add_parser("renew", help=text, description=text, allow_abbrev=False)
    renewed.add_argument("output", metavar="OUTPUT", help="pipeline folder to make, of stage 1")
    renewed.add_argument("--model", required=True, metavar="FOLDER", help="pipeline folder")
    renewed.add_argument("--seed", type=int, default=0, metavar="N", help="of the new weights (default: %(default)s)")

    text = "the mean of two models, of which one was trained on from the other"
    mean = steps.add_parser("mean", help=text, description=text, allow_abbrev=False)
    mean.add_argument("output", metavar="OUTPUT", help="pipeline folder to make")
    mean.add_argument("models", nargs=2, metavar="FOLDER", help="pipeline folder; all but UNets is the second one's")

    text = "every number of the card, on puppets that the model was not trained on"
    proof = steps.add_parser("prove", help=text, description=text, allow_abbrev=False)
    add_model_options(proof)
    proof.add_argument("--learned", required=True, metavar="FOLDER", help="puppets it was trained on, for a recogniser")
    proof.add_argument("--test", required=True, metavar="FOLDER", help="other puppets, all in the split test")
    proof.add_argument("--long", metavar="FOLDER", help="the same with clips of several segments")
    proof.add_argument("--clips", type=int, metavar="N", help="of the test puppets (default: all)")
    proof.add_argument("--output", required=True, metavar="FOLDER", help="for videos, findings.json and length.png")
    proof.add_argument("--card", metavar="FILE", help="card whose table of numbers is written anew")
    add_sampling_options(proof)


def run(options: argparse.Namespace) -> int:
    """Run the step with parsed options; its exit code."""
    return {"base": _base, "renew": _renew, "mean": _mean, "prove": _prove}[options.step](options)


def _base(options: argparse.Namespace) -> int:
    from pathlib import Path

    from musedance.device import choose_device
    from musedance.tiny.base import load_settings, make_base
    from musedance.training.config_file import find_config

    path = Path(options.config) if options.config else find_config("tiny/base.yaml")
    scores = make_base(options.output, options.data, load_settings(path), choose_device(options.device))
    for name, score in scores.items():
        print(f"{name}: {score:.3f}")
    return 0


def _renew(options: argparse.Namespace) -> int:
    from musedance.tiny.renew import renew_modules

    print(renew_modules(options.model, options.output, options.seed))
    return 0


def _mean(options: argparse.Namespace) -> int:
    from musedance.tiny.mean import mean_model

    first, second = options.models
    print(mean_model(first, second, options.output))
    return 0


def _prove(options: argparse.Namespace) -> int:
    from pathlib import Path

    from musedance.datasets.shards import open_dataset
    from musedance.evaluation.settings import TestSet
    from musedance.proof.card import table, write_findings, write_numbers
    from musedance.proof.length import draw_length
    from musedance.proof.prove import Exam, prove

    settings, sampling, output = settings_of(options), sampling_of(options), Path(options.output)
    exam = Exam(
        open_dataset(options.learned),
        TestSet(options.test, clips=options.clips),
        None if options.long is None else TestSet(options.long),
        sampling,
    )
    findings, curves = prove(settings, exam, output)
    write_findings(output / "findings.json", findings, curves)
    if curves:
        draw_length(curves, output / "length.png")
    if options.card:
        whole = "" if exam.long is None else ", and whole videos where it says length"
        told = f"First segments{whole}; {exam.sampling}."
        write_numbers(Path(options.card), findings, told)
    print(table(findings))
    return 0
