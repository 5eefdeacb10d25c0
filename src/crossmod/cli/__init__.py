"""The command line: one sub-command per stage. Each parses, calls one function, and ends."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence

from crossmod import __version__
from crossmod.cli import data, model, result, shell, study
from crossmod.cli.common import Commands, Ended, add_verbosity
from crossmod.errors import CrossmodError
from crossmod.locks import end_with_workflow

INTRODUCTION = (
    "Cross-modality brain image synthesis studies. `snakemake --cores all` runs the stages\n"
    "below in their order; each can also be typed by hand."
)
EPILOG = """\
examples:
  crossmod index config/studies/mine.yaml --data-dir /data/my-bids
  crossmod doctor config/studies/mine.yaml
  crossmod synthesize --model checkpoint.pt --t1w t1.nii.gz --t2w t2.nii.gz -o flair.nii.gz

exit codes:
  0    done; a scan that cannot be used is a result, with its reason in the status written
  1    a fault of the input or of the machine, told in one line (-v adds where it arose)
  2    a wrong command line
  130  interrupted
`crossmod COMMAND --help` tells all options of a sub-command.
"""
# Faults of the machine that a user can mend, and how.
MENDABLE = {
    errno.ENOSPC: "free some space and run again, nothing half-written is left",
    errno.EDQUOT: "free some space or ask for a larger quota and run again",
    errno.EACCES: "change its permissions",
    errno.EROFS: "choose a folder that can be written",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; 0 when it ends well, 1 after one clear line about a fault."""
    parsed = make_parser().parse_args(arguments)
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # file names may be any bytes
        end_with_workflow()
        with _messages(parsed.command, parsed.level):
            parsed.run(parsed)
        sys.stdout.flush()
    except Ended as end:
        return end.code
    except CrossmodError as error:
        return _fault(str(error), parsed.level)
    except BrokenPipeError:
        # The reader (`crossmod index | head`) has seen enough; nothing may be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _fault(f"{where}{error.strerror}; {MENDABLE[error.errno]}", parsed.level)
    except KeyboardInterrupt:
        print("crossmod: interrupted", file=sys.stderr)
        return 130
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog="crossmod",
        usage="crossmod [-h] [--version] [-q | -v] COMMAND ...",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"crossmod {__version__}")
    add_verbosity(parser, default=logging.INFO)
    commands = Commands(parser)
    for module in (study, data, model, result, shell):
        module.add_commands(commands)
    parser.description = f"{INTRODUCTION}\n\n{commands.listing()}"
    return parser


@contextlib.contextmanager
def _messages(command: str, level: int) -> Iterator[None]:
    """Show messages of at least `level` on standard error while a sub-command runs."""
    log = logging.getLogger("crossmod")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"crossmod {command}: %(message)s"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(level)
    # Training writes its epochs straight to standard error: its source files decide when models
    # are trained again, so that they do without the logging of this package.
    try:
        with contextlib.ExitStack() as stack:
            if level >= logging.ERROR:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stderr(nowhere))
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def _fault(text: str, level: int) -> int:
    if level <= logging.DEBUG:
        traceback.print_exc()
    print(f"crossmod: error: {text}", file=sys.stderr)
    return 1
