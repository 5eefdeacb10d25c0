"""What the sub-commands share: how they are listed, read their options, and tell what they do."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossmod.errors import InputError
from crossmod.locks import stage_lock
from crossmod.paths import DEFAULT_STUDY
from crossmod.progress import duration

if TYPE_CHECKING:
    from crossmod.config import Study

Arguments = argparse.Namespace
log = logging.getLogger(__name__)


class Ended(Exception):
    """A sub-command has told all there is to tell and ends with an exit code of its own."""

    def __init__(self, code: int) -> None:
        self.code = code


class Commands:
    """The sub-commands of a parser, in groups that `--help` lists in the order of use."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        # Listed by `listing`, which knows the groups: hence the suppressed help.
        self._parsers = parser.add_subparsers(
            dest="command",
            required=True,
            metavar="COMMAND",
            prog="crossmod",
            help=argparse.SUPPRESS,
        )
        self._groups: dict[str, list[tuple[str, str]]] = {}

    def group(self, title: str) -> None:
        """Begin a group."""
        self._groups[title] = []

    def add(
        self, name: str, run: Callable[[Arguments], None], text: str, details: str = ""
    ) -> argparse.ArgumentParser:
        """Add one sub-command to the group begun last.

        Parameters
        ----------
        name : str
            What is typed.
        run : callable
            What is called with the parsed arguments.
        text : str
            One line for the list of sub-commands.
        details : str
            More for its own `--help`: an example, exit codes.
        """
        self._groups[list(self._groups)[-1]].append((name, text))
        parser: argparse.ArgumentParser = self._parsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=details,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=run)
        add_verbosity(parser, default=argparse.SUPPRESS)
        return parser

    def listing(self) -> str:
        """All sub-commands by group, one line each."""
        width = max(len(name) for names in self._groups.values() for name, _ in names)
        lines = []
        for title, names in self._groups.items():
            lines += [f"{title}:", *(f"    {name:{width}}  {text}" for name, text in names)]
        return "\n".join(lines)


def add_verbosity(parser: argparse.ArgumentParser, default: Any) -> None:
    """Add `-q` and `-v`, which set the level of the messages that are shown."""
    options = parser.add_mutually_exclusive_group()
    options.add_argument(
        "-q",
        "--quiet",
        action="store_const",
        dest="level",
        const=logging.ERROR,
        default=default,
        help="no messages, only results and errors",
    )
    options.add_argument(
        "-v",
        "--verbose",
        action="store_const",
        dest="level",
        const=logging.DEBUG,
        default=default,
        help="print more: settings, and where an error arose",
    )


def add_study(parser: argparse.ArgumentParser, *, needed: bool = False) -> None:
    """Add the study and its data folder."""
    if needed:
        parser.add_argument("study", metavar="STUDY", help="study file, or its content as JSON")
    else:
        parser.add_argument(
            "study",
            nargs="?",
            default=str(DEFAULT_STUDY),
            metavar="STUDY",
            help=f"study file (default: {DEFAULT_STUDY})",
        )
    parser.add_argument(
        "--data-dir", metavar="FOLDER", help="folder of the raw data, instead of the study's own"
    )


def parse_json(text: str) -> Any:
    """Value of an option that takes JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from None


def study_of(arguments: Arguments) -> Study:
    """The study that the arguments name."""
    from crossmod.study_file import study_from

    return study_from(arguments.study, arguments.data_dir)


def settings_of(model: Any, content: Any, option: str) -> Any:
    """Settings given as JSON, checked."""
    from crossmod.checking import check

    try:
        settings = check(model, content, where=option)
    except ValueError as error:
        raise InputError(option, str(error), "see config/README.md") from None
    log.debug("%s %s", option, settings)
    return settings


class SessionCount(logging.Filter):
    """Numbers the messages on the sessions of a batch, and adds the time left.

    What a stage makes of a session is logged by `crossmod.status` alone; counting here keeps the
    stages, whose source files decide when results are made again, free of it.
    """

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total, self._done, self._began = total, 0, time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record; let it pass."""
        self._done += 1
        left = self._total - self._done
        record.msg = f"{self._done} of {self._total}: {record.msg}"
        if left > 0:
            seconds = (time.monotonic() - self._began) / self._done * left
            record.msg += f", about {duration(seconds)} left"
        return True


@contextmanager
def stage(
    what: str, output: Path, *, written: Path | None = None, sessions: int = 0
) -> Iterator[None]:
    """Tell what a stage does, hold the lock of its output, and tell how it ended.

    Parameters
    ----------
    what : str
        What is done to what, in a few words.
    output : path
        The output that names the job.
    written : path, optional
        What to name at the end, if that is another path.
    sessions : int
        How many sessions a batch has; their messages are numbered.
    """
    log.info("%s", what)
    began = time.monotonic()
    status_log, count = logging.getLogger("crossmod.status"), SessionCount(sessions)
    with stage_lock(output):
        if sessions:
            status_log.addFilter(count)
        try:
            yield
        finally:
            status_log.removeFilter(count)
    log.info("wrote %s (%.1f s)", written or output, time.monotonic() - began)
