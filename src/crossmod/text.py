"""Words and plain-text tables."""

from __future__ import annotations

from collections.abc import Sequence


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


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
