"""Page of the documentation that lists every sub-command, from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from crossmod.cli import make_parser

HEAD = """\
# Command line

Every stage of a study is one sub-command of `crossmod`. `snakemake` calls them in the right order,
and each can be typed by hand. A fault of the input is one line that names the file, the problem and
what to do, and exit code 1. Options that take JSON read the keys of [the settings](settings.md).

This page is made by `workflow/make_reference.py`; do not edit it.
"""


def command_page() -> str:
    """Markdown text of the page."""
    return HEAD + "".join(_section(name, parser) for name, parser in _commands())


def _commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    text = (parser.description or "").strip()
    lines = [f"\n## `crossmod {name}`\n", f"{text[:1].upper()}{text[1:]}.\n"]
    rows = [_row(action) for action in parser._actions if action.dest != "help"]
    if rows:
        lines += ["| argument | needed | what |", "| --- | --- | --- |", *rows]
    else:
        lines.append("No arguments.")
    return "\n".join(lines) + "\n"


def _row(action: argparse.Action) -> str:
    if not action.help:
        raise SystemExit(f"make_reference: {action.dest} of the command line has no help text")
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
    value = action.metavar or (action.dest.upper() if action.option_strings else "")
    takes_value = action.option_strings and action.nargs != 0
    names += f" `{value}{'...' * (action.nargs in ('+', '*'))}`" if takes_value else ""
    needed = action.required if action.option_strings else action.nargs != "?"
    default = f" (default `{action.default}`)" if isinstance(action.default, str | int) else ""
    return f"| {names} | {'yes' if needed else ''} | {action.help}{_shown(action, default)} |"


def _shown(action: argparse.Action, default: str) -> str:
    """A default, where it says anything: a flag is off by default."""
    return "" if isinstance(action.default, bool) else default
