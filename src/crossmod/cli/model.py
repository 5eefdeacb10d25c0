"""Sub-commands that train models and use them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from crossmod.cli.common import Arguments, Commands, parse_json, settings_of, stage
from crossmod.errors import InputError
from crossmod.settings import MODALITIES


def add_commands(commands: Commands) -> None:
    """Add these sub-commands."""
    commands.group("models")
    commands.add("methods", _methods, "list the synthesis methods")
    _add_train(commands)
    _add_synthesize_batch(commands)
    _add_synthesize(commands)


def add_sessions(parser: argparse.ArgumentParser) -> None:
    """Add the preprocessed sessions of a batch and their slices."""
    parser.add_argument(
        "--preprocessed",
        type=Path,
        nargs="+",
        required=True,
        metavar="STATUS",
        help="status files of the preprocessed sessions",
    )
    parser.add_argument(
        "--slices",
        type=Path,
        nargs="+",
        required=True,
        metavar="MANIFEST",
        help="manifests of their slices, in the same order",
    )


def _add_train(commands: Commands) -> None:
    details = (
        'example: --task \'{"sources": ["T1w"], "target": "FLAIR"}\' '
        '--model \'{"method": "unet"}\'\n'
        "A training that was interrupted goes on from the last epoch in --resume-dir."
    )
    parser = commands.add("train", _train, "train or fit one model", details)
    parser.add_argument(
        "--task", type=parse_json, required=True, metavar="JSON", help="sources and target"
    )
    parser.add_argument(
        "--model",
        type=parse_json,
        required=True,
        metavar="JSON",
        help="method, settings and training",
    )
    for option, count, needed, text in (
        ("--train", "+", True, "slices to train on"),
        ("--validation", "*", False, "slices to validate on"),
    ):
        parser.add_argument(
            option,
            type=Path,
            nargs=count,
            required=needed,
            default=[],
            metavar="MANIFEST",
            help=text,
        )
    parser.add_argument(
        "--preprocess", type=parse_json, default={}, metavar="JSON", help="preprocess settings"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    for option, metavar, text in (
        ("--output", "FILE", "checkpoint to write"),
        ("--curve", "FILE", "table of losses to write"),
        ("--resume-dir", "FOLDER", "folder of the resume state"),
    ):
        parser.add_argument(option, type=Path, required=True, metavar=metavar, help=text)


def _add_synthesize_batch(commands: Commands) -> None:
    text = "apply one model to the sessions of a study"
    parser = commands.add("synthesize-batch", _synthesize_batch, text)
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FILE", help="its checkpoint.pt"
    )
    add_sessions(parser)
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="FOLDER", help="derivative to write"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="STATUS", help="batch status to write"
    )


def _add_synthesize(commands: Commands) -> None:
    text = "make a missing scan of a new subject with a trained model"
    details = (
        "example: crossmod synthesize --model checkpoint.pt --t1w t1.nii.gz -o flair.nii.gz\n"
        "Give every source modality of the model. Synthetic images are no diagnosis."
    )
    parser = commands.add("synthesize", _synthesize, text, details)
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FILE", help="its checkpoint.pt"
    )
    for modality in MODALITIES:
        parser.add_argument(
            f"--{modality.lower()}", type=Path, metavar="FILE", help=f"raw {modality} scan"
        )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help=".nii.gz to write"
    )


def _methods(arguments: Arguments) -> None:
    from crossmod.summary_text import methods_text

    print(methods_text())


def _check_model(content: Any) -> None:
    from crossmod.methods import settings_class
    from crossmod.settings import TrainingSettings

    known = {"method", "settings", "training"}
    if not isinstance(content, dict) or set(content) - known or "method" not in content:
        raise InputError("--model", "has not the keys method, settings and training", "add them")
    try:
        own = settings_class(content["method"])
    except ValueError as error:
        raise InputError("--model", str(error), "see `crossmod methods`") from None
    settings_of(own, content.get("settings", {}), "--model settings")
    settings_of(TrainingSettings, content.get("training", {}), "--model training")


def _train(arguments: Arguments) -> None:
    from crossmod.settings import TaskSettings

    task = settings_of(TaskSettings, arguments.task, "--task")
    _check_model(arguments.model)
    from crossmod.training.loop import TrainRequest, train

    request = TrainRequest(
        task=task,
        model={"settings": {}, **arguments.model},
        train_manifests=tuple(arguments.train),
        validation_manifests=tuple(arguments.validation),
        seed=arguments.seed,
        preprocess=arguments.preprocess,
    )
    what = f"{arguments.model['method']} on {len(arguments.train)} sessions"
    with stage(what, arguments.output):
        train(request, arguments.output, arguments.curve, arguments.resume_dir)


def _synthesize_batch(arguments: Arguments) -> None:
    from crossmod.synthesis import synthesize_batch

    if len(arguments.preprocessed) != len(arguments.slices):
        raise InputError("--slices", "has not as many files as --preprocessed", "give one for each")
    sessions = list(zip(arguments.preprocessed, arguments.slices, strict=True))
    what = f"{len(sessions)} sessions with {arguments.model}"
    with stage(what, arguments.output, sessions=len(sessions)):
        synthesize_batch(arguments.model, sessions, arguments.output_dir, arguments.output)


def _synthesize(arguments: Arguments) -> None:
    from crossmod.new_scans import synthesize_scans

    given = {m: getattr(arguments, m.lower()) for m in MODALITIES}
    scans = {modality: path for modality, path in given.items() if path is not None}
    what = f"from {', '.join(scans) or 'no scan'} with {arguments.model}"
    with stage(what, arguments.output):
        synthesize_scans(arguments.model, scans, arguments.output)
