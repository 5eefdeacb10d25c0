"""Sub-commands that score synthetic images and tell the results of a study."""

from __future__ import annotations

from pathlib import Path

from crossmod.cli.common import Arguments, Commands, add_study, parse_json, stage, study_of
from crossmod.cli.model import add_sessions


def add_commands(commands: Commands) -> None:
    """Add these sub-commands."""
    commands.group("results")
    _add_evaluate(commands)
    for name, run, text in (
        ("summarize", _summarize, "means, intervals and tests over all scores of a study"),
        ("report", _report, "write the report of a study"),
        ("headline", _headline, "print the headline table of a finished study"),
    ):
        add_study(commands.add(name, run, text), needed=name != "headline")
    _add_trace(commands)


def _add_trace(commands: Commands) -> None:
    text = "print how a file, or a voxel of it, came to be"
    details = "example: crossmod trace sub-01_desc-synthetic_FLAIR.nii.gz --voxel 90 110 60"
    parser = commands.add("trace", _trace, text, details)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="volume, mask, transform, slices or checkpoint"
    )
    parser.add_argument(
        "--voxel",
        type=int,
        nargs=3,
        metavar=("I", "J", "K"),
        help="voxel of the volume, counted from 0; tells its place in the raw scans",
    )


def _add_evaluate(commands: Commands) -> None:
    parser = commands.add("evaluate", _evaluate, "score synthetic images of one model")
    parser.add_argument(
        "--run",
        type=parse_json,
        dest="keys",
        required=True,
        metavar="JSON",
        help="task, sources, target, model, fold and seed, for the rows of the table",
    )
    parser.add_argument(
        "--synthetic", type=Path, required=True, metavar="STATUS", help="batch status of synthesis"
    )
    add_sessions(parser)
    parser.add_argument(
        "--protocols",
        nargs="+",
        required=True,
        metavar="ID",
        help="ids of docs/explanation/protocol.md, such as brain-v1; by default all",
    )
    parser.add_argument(
        "--sensitivity", action="store_true", help="score shifted, blurred and scaled images, too"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="table of scores to write"
    )
    parser.add_argument(
        "--status", type=Path, required=True, metavar="FILE", help="batch status to write"
    )


def _evaluate(arguments: Arguments) -> None:
    from crossmod.evaluation.stage import EvaluateRequest, evaluate_batch

    request = EvaluateRequest(
        synthetic=arguments.synthetic,
        preprocessed=tuple(arguments.preprocessed),
        manifests=tuple(arguments.slices),
        protocols=tuple(arguments.protocols),
        sensitivity=arguments.sensitivity,
        **arguments.keys,
    )
    count = len(request.preprocessed)
    with stage(f"{count} sessions of {request.model}", arguments.output, sessions=count):
        evaluate_batch(request, arguments.output, arguments.status)


def _summarize(arguments: Arguments) -> None:
    from crossmod.paths import StudyPaths
    from crossmod.stages import summarize_study

    study = study_of(arguments)
    paths = StudyPaths(study)
    with stage(f"scores of {study.study}", paths.metrics, written=paths.metrics.parent):
        summarize_study(study)


def _report(arguments: Arguments) -> None:
    from crossmod.paths import StudyPaths
    from crossmod.stages import report_study

    study = study_of(arguments)
    with stage(f"report of {study.study}", StudyPaths(study).report):
        report_study(study)


def _trace(arguments: Arguments) -> None:
    from crossmod.tracing import trace

    print(trace(arguments.file, arguments.voxel))


def _headline(arguments: Arguments) -> None:
    from crossmod.stages import headline_text

    print(headline_text(study_of(arguments)))
