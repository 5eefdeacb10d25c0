"""What the report is made of: plain paths and names, so that it can be written from any folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunFiles:
    """One run: task x model x fold x seed.

    Attributes
    ----------
    task : str
        Name in paths and tables, `T1w+T2w-to-FLAIR`.
    sources, target : tuple of str, str
        Modalities.
    model, method : str
        Configured name and algorithm.
    null : bool
        A null model.
    fold, seed : int
        Path keys.
    curve : path or None
        Table of losses; need not exist (methods that are fitted at once have none).
    batches : tuple of path
        Batch status files of the synthetic images.
    scored : tuple of path
        Batch status files of the scores; need not exist.
    benchmark : path or None
        What Snakemake noted of the training's time and memory; need not exist.
    cost : mapping of str to int or None
        Parameters and operations, as `crossmod.training.cost.cost` counts them.
    batch_size : int or None
        Slices per step of its training; None for methods that are fitted at once.
    synthesis : tuple of path
        What Snakemake noted of the time of each batch; need not exist.
    """

    task: str
    sources: tuple[str, ...]
    target: str
    model: str
    method: str
    null: bool
    fold: int
    seed: int
    curve: Path | None = None
    batches: tuple[Path, ...] = ()
    scored: tuple[Path, ...] = ()
    benchmark: Path | None = None
    cost: Mapping[str, int] | None = None
    batch_size: int | None = None
    synthesis: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Description:
    """Methods of a study in words, ready for a paper.

    Attributes
    ----------
    paragraphs : tuple of (str, str)
        Heading and text; `[1]` cites the first reference.
    references : tuple of str
        In the order in which they are cited.
    """

    paragraphs: tuple[tuple[str, str], ...]
    references: tuple[str, ...]


@dataclass(frozen=True)
class ReportRequest:
    """Everything the report shows.

    Attributes
    ----------
    name, title : str
        Of the study.
    settings : mapping
        The resolved study file, as plain JSON values.
    primary_model : str
        Model of the primary endpoint.
    index : path
        Folder of scans.tsv, sessions.tsv, remarks.tsv, split.tsv and unserved.tsv.
    tables : path
        Folder of scores.tsv, summary.tsv and comparisons.tsv.
    runs : tuple of RunFiles
        In the order in which models are listed.
    output : path
        The page to write; a light one is put beside it.
    preprocessed : tuple of path
        Status files of preprocessing.
    manifests : tuple of path
        Manifests of the slice stores.
    benchmarks : mapping of str to tuple of path
        Stage to the benchmark files that Snakemake wrote for it; they need not exist.
    command : str
        What makes the study again.
    examples : int
        Subjects whose images are shown, per task.
    description : Description or None
        Methods in words.
    quality : path or None
        Page of quality control to link to.
    """

    name: str
    title: str
    settings: Mapping[str, Any]
    primary_model: str
    index: Path
    tables: Path
    runs: tuple[RunFiles, ...]
    output: Path
    preprocessed: tuple[Path, ...] = ()
    manifests: tuple[Path, ...] = ()
    benchmarks: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    command: str = ""
    examples: int = 4
    description: Description | None = None
    quality: Path | None = None


@dataclass(frozen=True)
class Endpoint:
    """The comparison that was named before the results were seen."""

    model: str
    metric: str = "psnr"
    region: str = "brain"
    protocol: str = "brain-v1"
    control: str | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any], model: str) -> Endpoint:
        """From a resolved study file; `model` stands for an unnamed model of interest."""
        given = (settings.get("evaluation") or {}).get("primary") or {}
        named = {key: value for key, value in given.items() if value is not None}
        return cls(**{"model": model, **named})


@dataclass(frozen=True)
class Model:
    """One row of the tables."""

    name: str
    method: str
    null: bool


def models_of(runs: tuple[RunFiles, ...]) -> tuple[Model, ...]:
    """Models in the order of the runs, null models last."""
    found = {run.model: Model(run.model, run.method, run.null) for run in reversed(runs)}
    ordered = [found[name] for name in dict.fromkeys(run.model for run in runs)]
    return tuple(sorted(ordered, key=lambda model: model.null))
