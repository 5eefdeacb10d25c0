"""Losses and validation scores by epoch: collected, shown, written."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from crossmod.files import write_text

Row = tuple[int, int, str, str, float]
MOST_LINES = 40
MUCH_WAITING = 0.05


class Curve:
    """Rows `epoch, step, split, name, value`, and the progress lines made of them.

    Parameters
    ----------
    epochs : int
        Epochs of the whole training.
    rows : list of tuple
        What a resumed training had before; appended to in place.
    """

    def __init__(self, epochs: int, rows: list[Row] | None = None) -> None:
        self.epochs = epochs
        self.rows: list[Row] = [] if rows is None else rows
        self._every = -(-epochs // MOST_LINES)
        self._began = time.monotonic()
        self._done = 0

    def add(self, epoch: int, step: int, split: str, values: dict[str, float]) -> None:
        """Keep the values of one split after `epoch` (from 1) and `step`."""
        self.rows += [(epoch, step, split, name, value) for name, value in values.items()]

    def show(self, epoch: int, slices: int, waited_s: float = 0.0) -> None:
        """Print the row of `epoch` on standard error; of many epochs only some.

        Parameters
        ----------
        epoch : int
            From 1.
        slices : int
            Slices trained on in this epoch.
        waited_s : float
            Seconds spent waiting for data so far; named if they are much.
        """
        self._done += 1
        values = [row for row in self.rows if row[0] == epoch]
        if epoch % self._every and epoch not in (1, self.epochs):
            return
        seconds = time.monotonic() - self._began
        left = seconds / self._done * (self.epochs - epoch)
        texts = [
            f"{name} {value:.4g}" if split == "train" else f"validation {name} {value:.2f} dB"
            for _, _, split, name, value in values
        ]
        texts += [f"{slices * self._done / seconds:.3g} slices/s", f"{clock(left)} left"]
        if waited_s > MUCH_WAITING * seconds:
            texts.append(f"{waited_s / seconds:.0%} waiting for data")
        line = f"epoch {epoch}/{self.epochs}: {', '.join(texts)}"
        print(line, file=sys.stderr, flush=True)

    def write(self, path: Path) -> None:
        """Write the tab-separated table."""
        lines = ["\t".join(("epoch", "step", "split", "name", "value"))]
        lines += [f"{e}\t{s}\t{split}\t{name}\t{v:.10g}" for e, s, split, name, v in self.rows]
        write_text(path, "\n".join(lines) + "\n")


def clock(seconds: float) -> str:
    """`h:mm:ss`."""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
