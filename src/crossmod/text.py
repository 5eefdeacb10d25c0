"""Words and plain-text tables."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

S = TypeVar("S", bound=Hashable)


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: bool = True
) -> str:
    """Columns as wide as their widest cell, the first to the left.

    The others are set to the right if they hold `numbers`. Rows may be shorter than the header.
    """
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    cells = [row + [""] * (len(header) - len(row)) for row in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *others in cells:
        pad = str.rjust if numbers else str.ljust
        padded = [pad(cell, width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *padded]).rstrip())
    return "\n".join(lines)


def counted(number: int, word: str) -> str:
    """`1 subject`, `2 subjects`."""
    return f"{number} {word}{'s' * (number != 1)}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few of many: `a, b, c and 12 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def grouped(pairs: Iterable[tuple[S, str]]) -> dict[S, list[str]]:
    """Names by what is said of them, from pairs of saying and name, in order."""
    names: dict[S, list[str]] = {}
    for saying, name in pairs:
        names.setdefault(saying, []).append(name)
    return names


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def is_utf8(text: str) -> bool:
    """Whether a file name is text: Linux allows any bytes, Python keeps them as surrogates."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def without_folders(text: str, folder: Path | str | None = None) -> str:
    """A text without the place of a folder, and of the working folder, on this machine."""
    places = [place for place in (str(folder or ""), str(Path.cwd())) if place.startswith("/")]
    for place in places:
        text = text.replace(f"{place.rstrip('/')}/", "")
    return text
