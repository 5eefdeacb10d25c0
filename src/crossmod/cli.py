"""The command line: one sub-command per stage. Each parses, calls one function, and ends."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossmod import __version__
from crossmod.config import Study
from crossmod.errors import CrossmodError, InputError
from crossmod.locks import end_with_workflow, stage_lock
from crossmod.settings import MODALITIES
from crossmod.study_file import DEFAULT_STUDY, load_study, parse_study

Arguments = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; 0 when it ends well, 1 after one clear line about a fault."""
    parsed = make_parser().parse_args(arguments)
    try:
        end_with_workflow()
        parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our lines has seen enough, as in `crossmod methods | head -3`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except CrossmodError as error:
        print(f"crossmod: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("crossmod: interrupted", file=sys.stderr)
        return 130
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog="crossmod",
        description="Cross-modality brain image synthesis studies. The stages below are run by "
        "`snakemake --cores all`; each can also be typed by hand.",
    )
    parser.add_argument("--version", action="version", version=f"crossmod {__version__}")
    commands = parser.add_subparsers(title="sub-commands", required=True, metavar="COMMAND")
    _add_study_commands(commands)
    _add_data_commands(commands)
    _add_model_commands(commands)
    _add_result_commands(commands)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _add_study_commands(commands: Any) -> None:
    for name, run, text in (
        ("index", _index, "list scans and split the subjects of a study"),
        ("estimate", _estimate, "print what a study will cost: jobs, parameters, memory, hours"),
        ("headline", _headline, "print the headline table of a finished study"),
    ):
        parser = _command(commands, name, run, text)
        parser.add_argument("study", nargs="?", default=str(DEFAULT_STUDY), help="study file")
        parser.add_argument("--data-dir", help="folder of the raw data")
    _command(commands, "methods", _methods, "list the synthesis methods")


def _add_data_commands(commands: Any) -> None:
    parser = _command(commands, "phantom", _phantom, "make the embedded data set, or one subject")
    parser.add_argument("--settings", type=_json, default={}, help="phantom settings, JSON")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--participant", help="make this subject only")
    which.add_argument("--description-only", action="store_true", help="make no subject")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder to write")

    parser = _command(commands, "preprocess", _preprocess, "align the scans of one session")
    parser.add_argument("--session", required=True, help="sub-01 or sub-01_ses-2")
    parser.add_argument(
        "--scan", type=_scan, action="append", required=True, metavar="MODALITY=FILE"
    )
    parser.add_argument("--brain-mask", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--lesion", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--settings", type=_json, default={}, help="preprocess settings, JSON")
    parser.add_argument("--output-dir", type=Path, required=True, help="derivative to write")

    parser = _command(commands, "slices", _slices, "cut one preprocessed session into slices")
    parser.add_argument("--preprocessed", type=Path, required=True, help="status file")
    parser.add_argument("--settings", type=_json, default={}, help="slice settings, JSON")
    parser.add_argument("--preprocess", type=_json, default={}, help="preprocess settings, JSON")
    parser.add_argument("--output", type=Path, required=True, help="manifest to write")


def _add_model_commands(commands: Any) -> None:
    parser = _command(commands, "train", _train, "train or fit one model")
    parser.add_argument("--task", type=_json, required=True, help="sources and target, JSON")
    parser.add_argument("--model", type=_json, required=True, help="method and settings, JSON")
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="MANIFEST")
    parser.add_argument("--validation", type=Path, nargs="*", default=[], metavar="MANIFEST")
    parser.add_argument("--preprocess", type=_json, default={}, help="preprocess settings, JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--curve", type=Path, required=True, help="table of losses to write")
    parser.add_argument("--resume-dir", type=Path, required=True, help="folder of the resume state")

    parser = _command(commands, "synthesize", _synthesize, "make a missing scan of a new subject")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint.pt")
    for modality in MODALITIES:
        parser.add_argument(f"--{modality.lower()}", type=Path, metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".nii.gz to write")

    text = "apply one model to the sessions of a study"
    parser = _command(commands, "synthesize-batch", _synthesize_batch, text)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint.pt")
    parser.add_argument("--preprocessed", type=Path, nargs="+", required=True, metavar="STATUS")
    parser.add_argument("--slices", type=Path, nargs="+", required=True, metavar="MANIFEST")
    parser.add_argument("--output-dir", type=Path, required=True, help="derivative to write")
    parser.add_argument("--output", type=Path, required=True, help="batch status to write")


def _add_result_commands(commands: Any) -> None:
    parser = _command(commands, "evaluate", _evaluate, "score synthetic images of one model")
    parser.add_argument("--run", type=_json, dest="keys", required=True, help="path keys, JSON")
    parser.add_argument("--synthetic", type=Path, required=True, help="batch status file")
    parser.add_argument("--preprocessed", type=Path, nargs="+", required=True, metavar="STATUS")
    parser.add_argument("--slices", type=Path, nargs="+", required=True, metavar="MANIFEST")
    parser.add_argument("--protocols", nargs="+", required=True)
    parser.add_argument("--sensitivity", action="store_true", help="add shifted, blurred, scaled")
    parser.add_argument("--output", type=Path, required=True, help="scores to write")
    parser.add_argument("--status", type=Path, required=True, help="batch status to write")

    for name, run, text in (
        ("summarize", _summarize, "means, intervals and tests over all scores of a study"),
        ("report", _report, "write the report of a study"),
    ):
        parser = _command(commands, name, run, text)
        parser.add_argument("study", help="study file, or its content as JSON")
        parser.add_argument("--data-dir", help="folder of the raw data")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from None


def _scan(text: str) -> tuple[str, Path]:
    modality, _, path = text.partition("=")
    if modality not in MODALITIES or not path:
        known = ", ".join(MODALITIES)
        raise argparse.ArgumentTypeError(f"{text!r} is not MODALITY=FILE with one of {known}")
    return modality, Path(path)


def _study(arguments: Arguments) -> Study:
    overrides = {"data_dir": arguments.data_dir} if arguments.data_dir else {}
    if arguments.study.lstrip().startswith("{"):
        return parse_study({**_json(arguments.study), **overrides}, "the study given")
    return load_study(overrides, arguments.study)


def _settings(model: Any, content: Any, option: str) -> Any:
    from crossmod.checking import check

    try:
        return check(model, content, where=option)
    except ValueError as error:
        raise InputError(option, str(error), "see config/README.md") from None


def _check_model(content: Any) -> None:
    from crossmod.methods import settings_class
    from crossmod.settings import TrainingSettings

    unknown = set(content) - {"method", "settings", "training"}
    if unknown or "method" not in content:
        raise InputError("--model", "has not the keys method, settings and training", "add them")
    try:
        own = settings_class(content["method"])
    except ValueError as error:
        raise InputError("--model", str(error), "see `crossmod methods`") from None
    _settings(own, content.get("settings", {}), "--model settings")
    _settings(TrainingSettings, content.get("training", {}), "--model training")


def _index(arguments: Arguments) -> None:
    from crossmod.planning import make_plan
    from crossmod.summary_text import index_text

    print(index_text(make_plan(_study(arguments))))


def _estimate(arguments: Arguments) -> None:
    from crossmod.estimate import estimate_text
    from crossmod.planning import make_plan

    print(estimate_text(make_plan(_study(arguments))))


def _headline(arguments: Arguments) -> None:
    from crossmod.stages import headline_text

    print(headline_text(_study(arguments)))


def _methods(arguments: Arguments) -> None:
    from crossmod.summary_text import methods_text

    print(methods_text())


def _phantom(arguments: Arguments) -> None:
    from crossmod.config import PhantomSettings
    from crossmod.phantom import generate_subject, plan, write_dataset

    settings = _settings(PhantomSettings, arguments.settings, "--settings")
    wanted = [arguments.participant] if arguments.participant else []
    if not arguments.participant:
        write_dataset(settings, arguments.output_dir)
    if not arguments.participant and not arguments.description_only:
        wanted = [subject.participant for subject in plan(settings)]
    for participant in wanted:
        with stage_lock(arguments.output_dir / participant):
            generate_subject(settings, participant, arguments.output_dir)


def _preprocess(arguments: Arguments) -> None:
    from crossmod.config import PreprocessSettings
    from crossmod.paths import PreprocessedPaths
    from crossmod.preprocess.session import Annotations, run

    settings = _settings(PreprocessSettings, arguments.settings, "--settings")
    paths = PreprocessedPaths(arguments.output_dir, arguments.session)
    annotations = Annotations(tuple(arguments.brain_mask), tuple(arguments.lesion))
    with stage_lock(paths.status):
        run(paths, dict(arguments.scan), annotations, settings)


def _slices(arguments: Arguments) -> None:
    from crossmod.config import PreprocessSettings, SliceSettings
    from crossmod.slices import make_store

    settings = _settings(SliceSettings, arguments.settings, "--settings")
    preprocess = _settings(PreprocessSettings, arguments.preprocess, "--preprocess")
    with stage_lock(arguments.output):
        make_store(arguments.preprocessed, arguments.output, settings, preprocess)


def _train(arguments: Arguments) -> None:
    from crossmod.settings import TaskSettings
    from crossmod.training.loop import TrainRequest, train

    task = _settings(TaskSettings, arguments.task, "--task")
    _check_model(arguments.model)
    request = TrainRequest(
        task=task,
        model={"settings": {}, **arguments.model},
        train_manifests=tuple(arguments.train),
        validation_manifests=tuple(arguments.validation),
        seed=arguments.seed,
        preprocess=arguments.preprocess,
    )
    with stage_lock(arguments.output):
        train(request, arguments.output, arguments.curve, arguments.resume_dir)


def _synthesize(arguments: Arguments) -> None:
    from crossmod.new_scans import synthesize_scans

    given = {m: getattr(arguments, m.lower()) for m in MODALITIES}
    scans = {modality: path for modality, path in given.items() if path is not None}
    with stage_lock(arguments.output):
        synthesize_scans(arguments.model, scans, arguments.output)


def _synthesize_batch(arguments: Arguments) -> None:
    from crossmod.synthesis import synthesize_batch

    sessions = list(zip(arguments.preprocessed, arguments.slices, strict=True))
    with stage_lock(arguments.output):
        synthesize_batch(arguments.model, sessions, arguments.output_dir, arguments.output)


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
    with stage_lock(arguments.output):
        evaluate_batch(request, arguments.output, arguments.status)


def _summarize(arguments: Arguments) -> None:
    from crossmod.paths import StudyPaths
    from crossmod.stages import summarize_study

    study = _study(arguments)
    with stage_lock(StudyPaths(study).metrics):
        summarize_study(study)


def _report(arguments: Arguments) -> None:
    from crossmod.paths import StudyPaths
    from crossmod.stages import report_study

    study = _study(arguments)
    with stage_lock(StudyPaths(study).report):
        report_study(study)
