"""What each model cost: time and memory of its training, size and work of its networks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossmod.files import read_rows
from crossmod.report.inputs import Task, slices_seen
from crossmod.report.request import Model, ReportRequest, RunFiles
from crossmod.status import read_batch


@dataclass(frozen=True)
class CostRow:
    """One model of one task, as text; the measured part differs from run to run."""

    model: str
    parameters: str
    flops_per_slice: str
    flops_per_training_slice: str
    runs: int
    slices: str
    slices_per_second: str
    time: str
    memory: str
    time_per_volume: str


def cost_rows(request: ReportRequest, task: Task, models: Sequence[Model]) -> list[CostRow]:
    """Costs of all models of a task that have runs."""
    rows = []
    for model in models:
        runs = [r for r in request.runs if (r.task, r.model) == (task.id, model.name)]
        if not runs:
            continue
        counted = runs[0].cost or {}
        seconds, megabytes = measurements([r.benchmark for r in runs if r.benchmark])
        seen = [slices_seen(run) for run in runs]
        speeds = [_slices_per_second(run, count) for run, count in zip(runs, seen, strict=True)]
        known = [speed for speed in speeds if speed]
        rows.append(
            CostRow(
                model.name,
                _count(counted.get("parameters")),
                _flops(counted.get("flops_per_slice")),
                _flops(counted.get("flops_per_training_slice")),
                len(runs),
                f"{max(seen):,}".replace(",", "\u202f") if any(seen) else "\u2013",
                f"{statistics.mean(known):.3g}" if known else "\u2013",
                duration(statistics.mean(seconds)) if seconds else "n/a",
                f"{max(megabytes):.0f} MB" if megabytes else "n/a",
                _time_per_volume(runs),
            )
        )
    return rows


def _slices_per_second(run: RunFiles, seen: int) -> float | None:
    """Slices of a training over its time; None where either is unknown."""
    seconds, _ = measurements([run.benchmark] if run.benchmark else [])
    return seen / seconds[0] if seconds and seconds[0] else None


def _time_per_volume(runs: Sequence[RunFiles]) -> str:
    """Mean seconds of synthesis per session, reading and writing included."""
    seconds = sum(measurements([path for run in runs for path in run.synthesis])[0])
    ran = [batch for run in runs for batch in run.batches if run.synthesis]
    volumes = sum(status.ok for batch in ran if batch.is_file() for status in read_batch(batch))
    return duration(seconds / volumes) if seconds and volumes else "n/a"


def measurements(files: Sequence[Path]) -> tuple[list[float], list[float]]:
    """Seconds and peak memory in MB of jobs, from the benchmark files of those that ran."""
    found = [path for path in files if path.is_file()]
    rows = [row for path in found for row in read_rows(path, required=("s", "max_rss"))]
    seconds = [_number(row["s"]) for row in rows]
    memory = [_number(row["max_rss"]) for row in rows]
    return [s for s in seconds if s is not None], [m for m in memory if m is not None]


def _number(text: str) -> float | None:
    """A number, or None for what Snakemake writes when a job was too short to measure."""
    try:
        return float(text)
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _count(number: int | None) -> str:
    if number is None:
        return "n/a"
    if number == 0:  # a forest has nodes, as many as its data made
        return "\u2013"
    return f"{number / 1e6:.2f} M" if number >= 100_000 else f"{number:,}".replace(",", "\u202f")


def _flops(number: int | None) -> str:
    if number is None:
        return "n/a"
    if number == 0:
        return "\u2013"
    return f"{number / 1e9:.2f} GFLOP" if number >= 1e7 else "< 0.01 GFLOP"
