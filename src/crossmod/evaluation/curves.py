"""Validation scores of all trainings of a study in one table, for DVC to plot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from crossmod.files import read_rows, write_rows


def write_curves(curves: Sequence[tuple[str, Path]], output: Path) -> None:
    """Validation PSNR by epoch and model, mean over tasks, folds and seeds.

    Parameters
    ----------
    curves : sequence of (str, path)
        Model and table of its training (columns epoch, split, name, value).
    output : path
        Table to write: `epoch`, then one column per model.
    """
    values: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for model, path in curves:
        for row in read_rows(path, ("epoch", "split", "name", "value")):
            if (row["split"], row["name"]) == ("validation", "psnr"):
                values[int(row["epoch"])][model].append(float(row["value"]))
    rows = [
        {"epoch": epoch, **{model: f"{fmean(found):.6g}" for model, found in by_model.items()}}
        for epoch, by_model in sorted(values.items())
    ]
    write_rows(output, ("epoch", *dict.fromkeys(model for model, _ in curves)), rows)
