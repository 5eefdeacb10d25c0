"""Completion of the command line in a shell."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from crossmod.cli.common import Arguments, Commands

SHELLS = ("bash", "zsh", "fish")
DETAILS = """\
to switch it on, once:
  bash  crossmod completion bash > ~/.local/share/bash-completion/completions/crossmod
  zsh   crossmod completion zsh > "${fpath[1]}/_crossmod"
  fish  crossmod completion fish > ~/.config/fish/completions/crossmod.fish
or for this shell alone: source <(crossmod completion bash)
"""


def add_commands(commands: Commands) -> None:
    """Add these sub-commands."""
    commands.group("shell")
    text = "print what makes a shell complete `crossmod` commands"
    parser = commands.add("completion", _completion, text, DETAILS)
    parser.add_argument("shell", choices=SHELLS, help="shell to print it for")


def _completion(arguments: Arguments) -> None:
    import shtab

    from crossmod.cli import make_parser

    parser = make_parser()
    _complete_paths(parser, shtab)
    print(shtab.complete(parser, arguments.shell))


def _complete_paths(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """Have files or folders offered wherever an option takes a path."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            action.help = None  # shtab skips what `--help` does not list
            for command in action.choices.values():
                _complete_paths(command, shtab)
        elif action.metavar == "FOLDER":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.type is Path or action.dest == "study":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
