"""Lines on a terminal or in a file: one that is written over, and the end of a log."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

# Seconds between lines where each stays.
LINE_EVERY = 5.0


class StatusLine:
    """One line of progress: written over on a terminal, else added now and then.

    Parameters
    ----------
    stream : text stream
        Where it is written.
    over : callable
        Whether the stream is a terminal that can be written over now; asked whenever that counts.
    """

    def __init__(self, stream: TextIO, *, over: Callable[[], bool]) -> None:
        self._stream, self._over = stream, over
        self.shown = float("-inf")
        self._open = False

    @property
    def over(self) -> bool:
        """Whether the line is written over now."""
        return self._over()

    def show(self, text: str, now: float, *, at_once: bool = False) -> None:
        """Show a text, unless another was shown a moment ago."""
        if not self.over:
            self.end()
        pause = 0.0 if self.over else LINE_EVERY
        if now - self.shown < pause and not at_once:
            return
        self.shown = now
        if self.over:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\033[K{text[:width]}")
            self._open = True
        else:
            self._stream.write(f"{clock()}{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Make room for another line."""
        if self._open:
            self._stream.write("\r\033[K")
            self._open = False

    def end(self) -> None:
        """Leave the line as it is and go to the next."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False


def clock() -> str:
    """Time of day before a line."""
    return time.strftime("[%H:%M:%S] ")


def tail(path: Path, lines: int) -> list[str]:
    """Last lines of a log; what is wrong with it if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return [line.rstrip("\n") for line in deque(stream, lines)] or ["(empty)"]
    except OSError as error:
        return [f"({error.strerror})"]
