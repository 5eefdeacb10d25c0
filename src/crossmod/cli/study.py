"""Sub-commands that look at a whole study before it runs."""

from __future__ import annotations

from pathlib import Path

from crossmod.cli.common import Arguments, Commands, Ended, add_study, study_of


def add_commands(commands: Commands) -> None:
    """Add these sub-commands."""
    commands.group("before a study")
    for name, run, text in (
        ("index", _index, "list scans and split the subjects of a study"),
        ("estimate", _estimate, "print what a study will cost: jobs, parameters, memory, hours"),
        ("describe", _describe, "print the methods of a study in words, with references"),
    ):
        parser = commands.add(name, run, text)
        add_study(parser)
        if name == "estimate":
            parser.add_argument(
                "--save",
                type=Path,
                metavar="FILE",
                help="write the expected seconds of every kind of job as JSON",
            )

    text = "check that this machine can run a study"
    details = "exit codes: 0 when nothing would stop a study (warnings or not), 1 otherwise."
    parser = commands.add("doctor", _doctor, text, details)
    add_study(parser)
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def _index(arguments: Arguments) -> None:
    from crossmod.planning import make_plan
    from crossmod.summary_text import index_text

    print(index_text(make_plan(study_of(arguments))))


def _estimate(arguments: Arguments) -> None:
    from crossmod.estimate import estimate, estimate_text
    from crossmod.planning import make_plan
    from crossmod.progress import write_expectation

    found = estimate(make_plan(study_of(arguments)))
    if arguments.save:
        write_expectation(arguments.save, found.expectation)
    print(estimate_text(found))


def _describe(arguments: Arguments) -> None:
    from crossmod.description import description_text
    from crossmod.planning import make_plan

    print(description_text(make_plan(study_of(arguments))))


def _doctor(arguments: Arguments) -> None:
    from crossmod.doctor import as_json, as_text, examine, stops

    findings = examine(arguments.study, arguments.data_dir)
    print(as_json(findings) if arguments.json else as_text(findings))
    if stops(findings):
        raise Ended(1)
