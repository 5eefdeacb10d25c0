"""Page of the documentation that lists every sub-command, from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from crossmod.cli import make_parser

HEAD = """\
# Command line

Every stage of a study is one sub-command of `crossmod`. `snakemake` calls them in the right order,
and each can be typed by hand. `crossmod --help` lists them, with exit codes;
`crossmod COMMAND --help` shows what stands here. A fault of the input is one line that names the
file, the problem and what to do, and exit code 1. Options that take JSON read the keys of
[the settings](settings.md). Every sub-command takes `-q` (no messages but
results and errors) and `-v` (more messages).

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
    lines = [f"\n## `crossmod {name}`\n", f"{parser.description}\n"]
    # `-q` and `-v` are those of all sub-commands, told of at the top.
    rows = [_row(action) for action in parser._actions if action.dest not in ("help", "level")]
    if rows:
        lines += ["| argument | needed | what |", "| --- | --- | --- |", *rows]
    else:
        lines.append("No arguments.")
    if parser.epilog:
        lines += ["", "```text", parser.epilog.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _row(action: argparse.Action) -> str:
    if not action.help:
        raise SystemExit(f"make_reference: {action.dest} of the command line has no help text")
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    names = names or f"`{action.metavar or action.dest}`"
    if action.option_strings and action.nargs != 0:
        value = action.metavar or action.dest.upper()
        names += f" `{value}{'...' * (action.nargs in ('+', '*'))}`"
    needed = action.required if action.option_strings else action.nargs != "?"
    text = f"{action.help[0].upper()}{action.help[1:]}."
    if action.choices:
        text += f" One of {', '.join(f'`{choice}`' for choice in action.choices)}."
    return f"| {names} | {'yes' if needed else ''} | {text} |"
