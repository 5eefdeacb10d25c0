"""Sub-commands that make, align and cut scans."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from crossmod.cli.common import Arguments, Commands, parse_json, settings_of, stage
from crossmod.errors import InputError
from crossmod.settings import MODALITIES, Modality

log = logging.getLogger(__name__)


def add_commands(commands: Commands) -> None:
    """Add these sub-commands."""
    commands.group("data")
    _add_phantom(commands)
    _add_ingest(commands)
    _add_preprocess(commands)
    _add_quality(commands)
    _add_slices(commands)


def _add_phantom(commands: Commands) -> None:
    text = "make the embedded data set, or one subject of it"
    details = "example: crossmod phantom --settings '{\"subjects\": 4}' --output-dir phantom"
    parser = commands.add("phantom", _phantom, text, details)
    parser.add_argument(
        "--settings", type=parse_json, default={}, metavar="JSON", help="phantom settings"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--participant", metavar="SUB", help="make this subject only (sub-0001)")
    which.add_argument("--description-only", action="store_true", help="make no subject")
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="FOLDER", help="folder to write"
    )


def _add_ingest(commands: Commands) -> None:
    text = "convert the scans of one session to BIDS, or list the participants converted"
    details = (
        "example: crossmod ingest --session sub-01 --output-dir derivatives/mine/bids \\\n"
        '           --sources \'{"scans": {"T1w": {"path": "t1.mha"}}}\''
    )
    parser = commands.add("ingest", _ingest, text, details)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--session", metavar="KEY", help="its name: sub-01 or sub-01_ses-2")
    which.add_argument(
        "--participants", type=Path, metavar="TABLE", help="what is known of all participants"
    )
    parser.add_argument(
        "--planned", type=Path, metavar="TABLE", help="sessions of the index that are to be listed"
    )
    parser.add_argument(
        "--sources", type=parse_json, default={}, metavar="JSON", help="files of the session"
    )
    parser.add_argument("--deface", action="store_true", help="take the face out of every scan")
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="FOLDER", help="BIDS data set to write"
    )


def _add_preprocess(commands: Commands) -> None:
    text = "align, correct and brain-extract the scans of one session"
    details = (
        "example: crossmod preprocess --session sub-01 --scan T1w=t1.nii.gz \\\n"
        "           --scan FLAIR=flair.nii.gz --output-dir derivatives/mine"
    )
    parser = commands.add("preprocess", _preprocess, text, details)
    parser.add_argument(
        "--session", required=True, metavar="KEY", help="its name: sub-01 or sub-01_ses-2"
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--ingested", type=Path, metavar="STATUS", help="status file that `crossmod ingest` wrote"
    )
    which.add_argument(
        "--scan",
        type=_scan,
        action="append",
        default=[],
        metavar="MODALITY=FILE",
        help=f"a scan; once for each. Modalities: {', '.join(MODALITIES)}",
    )
    for option, text in (
        ("--brain-mask", "brain mask to use instead of brain extraction"),
        ("--lesion", "lesion map, kept for evaluation"),
    ):
        parser.add_argument(
            option, type=Path, action="append", default=[], metavar="FILE", help=text
        )
    parser.add_argument(
        "--earlier",
        type=Path,
        nargs="+",
        default=[],
        metavar="STATUS",
        help="status files of the participant's earlier sessions (space subject)",
    )
    parser.add_argument(
        "--settings", type=parse_json, default={}, metavar="JSON", help="preprocess settings"
    )
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="FOLDER", help="derivative to write"
    )


def _add_quality(commands: Commands) -> None:
    text = "write the pages of quality control of preprocessed sessions"
    details = (
        "example: crossmod quality --preprocessed derivatives/mine/*_status.json \\\n"
        "           --output-dir quality"
    )
    parser = commands.add("quality", _quality, text, details)
    parser.add_argument(
        "--preprocessed",
        type=Path,
        nargs="+",
        required=True,
        metavar="STATUS",
        help="status files that `crossmod preprocess` wrote",
    )
    parser.add_argument(
        "--sessions", type=Path, metavar="TABLE", help="index table that tells what is excluded"
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="title of the study")
    parser.add_argument(
        "--data-dir", type=Path, metavar="FOLDER", help="raw data; its place is not told"
    )
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="FOLDER", help="folder to write"
    )


def _add_slices(commands: Commands) -> None:
    parser = commands.add("slices", _slices, "cut one preprocessed session into slices")
    parser.add_argument(
        "--preprocessed", type=Path, required=True, metavar="STATUS", help="its status file"
    )
    parser.add_argument(
        "--settings", type=parse_json, default={}, metavar="JSON", help="slice settings"
    )
    parser.add_argument(
        "--preprocess", type=parse_json, default={}, metavar="JSON", help="preprocess settings"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="MANIFEST", help="manifest to write"
    )


def _scan(text: str) -> tuple[Modality, Path]:
    name, _, path = text.partition("=")
    for modality in MODALITIES:
        if modality == name and path:
            return modality, Path(path)
    known = ", ".join(MODALITIES)
    raise argparse.ArgumentTypeError(f"{text!r} is not MODALITY=FILE with one of {known}")


def _phantom(arguments: Arguments) -> None:
    from crossmod.config import PhantomSettings
    from crossmod.phantom import generate_subject, plan, write_dataset

    settings = settings_of(PhantomSettings, arguments.settings, "--settings")
    wanted = [arguments.participant] if arguments.participant else []
    if not arguments.participant:
        write_dataset(settings, arguments.output_dir)
        log.info("wrote %s", arguments.output_dir / "participants.tsv")
    if not arguments.participant and not arguments.description_only:
        wanted = [subject.participant for subject in plan(settings)]
    for number, participant in enumerate(wanted, 1):
        with stage(
            f"subject {number} of {len(wanted)}: {participant}", arguments.output_dir / participant
        ):
            generate_subject(settings, participant, arguments.output_dir)


def _ingest(arguments: Arguments) -> None:
    from crossmod.ingest.dataset import write_data_set
    from crossmod.ingest.request import Request
    from crossmod.ingest.stage import ingest_session
    from crossmod.paths import IngestedPaths

    if arguments.participants:
        path = write_data_set(arguments.output_dir, arguments.participants, arguments.planned)
        log.info("wrote %s", path)
        return
    request = Request.from_json(arguments.sources)
    paths = IngestedPaths(arguments.output_dir, arguments.session)
    with stage(f"{arguments.session}: {', '.join(request.scans)}", paths.status):
        ingest_session(paths, request, arguments.deface)


def _preprocess(arguments: Arguments) -> None:
    from crossmod.config import PreprocessSettings
    from crossmod.paths import PreprocessedPaths
    from crossmod.preprocess.ingested import run_ingested
    from crossmod.preprocess.session import Annotations, run

    settings = settings_of(PreprocessSettings, arguments.settings, "--settings")
    paths = PreprocessedPaths(arguments.output_dir, arguments.session)
    annotations = Annotations(tuple(arguments.brain_mask), tuple(arguments.lesion))
    scans = dict(arguments.scan)
    for path in (*scans.values(), *([arguments.ingested] if arguments.ingested else ())):
        if not path.exists():
            raise InputError(path, "does not exist", "check the path")
    with stage(f"{arguments.session}: {', '.join(scans) or arguments.ingested}", paths.status):
        if arguments.ingested:
            status = run_ingested(paths, arguments.ingested, settings, arguments.earlier)
        else:
            status = run(paths, scans, annotations, settings, earlier=arguments.earlier)
        for note in status.details.get("notes", ()):
            log.warning("%s: %s", arguments.session, note)


def _quality(arguments: Arguments) -> None:
    from crossmod.paths import QUALITY_PAGE
    from crossmod.report.quality.pages import QualityRequest, write_quality

    request = QualityRequest(
        preprocessed=tuple(arguments.preprocessed),
        output=arguments.output_dir,
        title=arguments.title,
        sessions=arguments.sessions,
        data_dir=arguments.data_dir,
    )
    page = arguments.output_dir / QUALITY_PAGE
    with stage(f"quality control of {len(request.preprocessed)} sessions", page):
        write_quality(request)


def _slices(arguments: Arguments) -> None:
    from crossmod.config import PreprocessSettings, SliceSettings
    from crossmod.slices import make_store

    settings = settings_of(SliceSettings, arguments.settings, "--settings")
    preprocess = settings_of(PreprocessSettings, arguments.preprocess, "--preprocess")
    with stage(f"cutting {arguments.preprocessed}", arguments.output):
        make_store(arguments.preprocessed, arguments.output, settings, preprocess)
