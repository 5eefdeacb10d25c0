"""Fenced blocks of the Markdown pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
SHELLS = ("bash", "sh", "shell", "console")
_FENCE = re.compile(r"^ *(`{3,}|~{3,}) *(\S*).*?\n(.*?)^ *\1 *$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: language and text."""

    language: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [Block(language, text) for _, language, text in _FENCE.findall(page.read_text())]


def commands_of(page: Path) -> list[str]:
    """All shell commands of a page, in order; lines joined by a backslash are one command.

    In `console` blocks, lines without the prompt `$ ` are output.
    """
    found = []
    for block in blocks_of(page):
        if block.language not in SHELLS:
            continue
        text = block.text
        if block.language == "console":
            prompts = [line.strip() for line in text.splitlines()]
            text = "".join(line[2:] + "\n" for line in prompts if line.startswith("$ "))
        lines = [re.split(r"(?:^|\s)#\s", line)[0] for line in re.split(r"(?<!\\)\n", text)]
        found += [line.strip() for line in lines if line.strip()]
    return found


def relative(page: Path) -> str:
    """Name of a page for test reports."""
    return str(page.relative_to(ROOT))
