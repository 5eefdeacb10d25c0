"""Experiments of a study: their tables, charts and pictures, and what they say of the published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossmod.checking import check
from crossmod.evaluation.experiments import (
    CELLS,
    PUBLISHED_PROTOCOL,
    common_values,
    tested_values,
)
from crossmod.evaluation_settings import ExperimentRow, ExperimentSettings
from crossmod.report.experiment_plot import Panel, row_plot
from crossmod.report.inputs import StudyFiles
from crossmod.report.picture import Picture
from crossmod.report.pictures import Strip, strip
from crossmod.report.tables import Metric, metric_of, p_value
from crossmod.report.verdicts import SIGNIFICANT, Key, Line, sentences

if TYPE_CHECKING:
    import pandas as pd

PLOTTED = (("brain-v1", "brain"), (PUBLISHED_PROTOCOL, "slice"))
PLOTTED_METRICS = ("psnr", "ssim", "nrmse")
FAR_FEWER = 0.5
"""A training that saw less than this part of the published one is marked as undertrained."""


@dataclass(frozen=True)
class Cell:
    """Mean and SD over subjects, or as published."""

    mean: str = ""
    sd: str = ""
    star: bool = False


@dataclass(frozen=True)
class TableRow:
    """One row as text; the published cells are empty where nothing was published."""

    name: str
    model: str
    control: bool
    undertrained: bool
    cells: tuple[Cell, ...]
    above: str
    published: tuple[Cell, ...]


@dataclass(frozen=True)
class DifferenceRow:
    """One paired difference from the control as text."""

    name: str
    protocol: str
    metric: Metric
    difference: str
    interval: str
    t_p: str
    wilcoxon_p: str


@dataclass(frozen=True)
class ExperimentView:
    """Everything the page shows of one experiment."""

    title: str
    control: str
    subjects: int
    columns: tuple[tuple[str, tuple[Metric, ...]], ...]
    published: tuple[Metric, ...]
    publication: str
    baseline: str
    without: tuple[str, ...]
    rows: tuple[TableRow, ...]
    differences: tuple[DifferenceRow, ...]
    sentences: tuple[str, ...]
    boxes: Picture | None
    strip: Strip | None


def experiment_views(study: StudyFiles) -> list[ExperimentView]:
    """All experiments that the study file defines and that have scores."""
    evaluation = study.request.settings.get("evaluation") or {}
    found = []
    for content in evaluation.get("experiments") or ():
        experiment = check(ExperimentSettings, content, "evaluation.experiments")
        table = study.experiments
        lines = table[table["experiment"] == experiment.title].to_dict("records")
        if any(line["subjects"] > 0 for line in lines):
            found.append(_view(study, experiment, lines))
    return found


def _view(
    study: StudyFiles, experiment: ExperimentSettings, lines: Sequence[Line]
) -> ExperimentView:
    by_key = {(line["row"], line["protocol"], line["metric"]): line for line in lines}
    filled = {(k[1], k[2]) for k, line in by_key.items() if line["subjects"] > 0}
    columns = tuple(
        (protocol, tuple(metric_of(m) for m in metrics if (protocol, m) in filled))
        for protocol, _, metrics in CELLS
        if any((protocol, m) in filled for m in metrics)
    )
    names = dict.fromkeys(metric for row in experiment.rows for metric in row.published)
    undertrained = _undertrained(study, experiment)
    values = {
        place: common_values(tested_values(study.subjects, *place), experiment)
        for place in _places()
    }
    common = values["brain-v1", "brain", "psnr"]
    return ExperimentView(
        title=experiment.title,
        control=experiment.control,
        subjects=max(int(line["subjects"]) for line in lines),
        columns=columns,
        published=tuple(metric_of(name) for name in names),
        publication=experiment.publication,
        baseline=experiment.baseline or "",
        without=experiment.without,
        rows=tuple(
            _table_row(row, experiment, by_key, columns, tuple(names), undertrained)
            for row in experiment.rows
        ),
        differences=tuple(_differences(experiment, by_key, columns)),
        sentences=tuple(sentences(experiment, by_key, undertrained)),
        boxes=row_plot(_panels(experiment, values), f"scores of {experiment.title}"),
        strip=_strip(study, experiment, common),
    )


def _places() -> list[Key]:
    return [(*place, metric) for place in PLOTTED for metric in PLOTTED_METRICS]


def _undertrained(study: StudyFiles, experiment: ExperimentSettings) -> dict[str, int]:
    """Row to the slices its trainings saw, where they are far fewer than the published ones."""
    wanted = experiment.publication_slices
    if wanted is None:
        return {}
    seen = {row.name: study.slices_seen(row.task, row.model) for row in experiment.rows}
    return {name: count for name, count in seen.items() if count and count < FAR_FEWER * wanted}


def _table_row(
    row: ExperimentRow,
    experiment: ExperimentSettings,
    lines: Mapping[Key, Line],
    columns: Sequence[tuple[str, Sequence[Metric]]],
    published: Sequence[str],
    undertrained: Mapping[str, int],
) -> TableRow:
    cells = []
    for protocol, metrics in columns:
        for metric in metrics:
            line = lines[row.name, protocol, metric.id]
            numbers = (metric.value(line["mean"]), metric.value(line["sd"]))
            cells.append(Cell(*numbers, star=_significant(line)))
    known = lines.get((row.name, PUBLISHED_PROTOCOL, "psnr"))
    above = math.nan if known is None else known["above_baseline"]
    return TableRow(
        name=row.name,
        model=row.model if row.label else "",
        control=row.name == experiment.control,
        undertrained=row.name in undertrained,
        cells=tuple(cells),
        above=metric_of("psnr").value(above, sign=True),
        published=tuple(_published(row, name) for name in published),
    )


def _significant(line: Line) -> bool:
    p = line["wilcoxon_p_holm"]
    return not math.isnan(p) and p < SIGNIFICANT


def _published(row: ExperimentRow, name: str) -> Cell:
    """As it was printed: the paper's digits, not ours."""
    if name not in row.published:
        return Cell()
    mean, sd = row.published[name]
    return Cell(f"{mean:g}", f"{sd:g}")


def _differences(
    experiment: ExperimentSettings,
    lines: Mapping[Key, Line],
    columns: Sequence[tuple[str, Sequence[Metric]]],
) -> list[DifferenceRow]:
    found = []
    for row in experiment.rows:
        for protocol, metrics in columns:
            for metric in metrics if row.name != experiment.control else ():
                line = lines[row.name, protocol, metric.id]
                found.append(
                    DifferenceRow(
                        name=row.name,
                        protocol=protocol,
                        metric=metric,
                        difference=metric.value(line["difference"], sign=True),
                        interval=metric.interval(
                            line["difference_low"], line["difference_high"], sign=True
                        ),
                        t_p=p_value(line["t_p_holm"]),
                        wilcoxon_p=p_value(line["wilcoxon_p_holm"]),
                    )
                )
    return found


def _panels(experiment: ExperimentSettings, values: Mapping[Key, pd.DataFrame]) -> list[Panel]:
    panels = []
    for (protocol, region, metric), table in values.items():
        if table.empty:
            continue
        published = {
            row.name: row.published[metric][0]
            for row in experiment.rows
            if protocol == PUBLISHED_PROTOCOL and metric in row.published
        }
        named = metric_of(metric)
        title = f"{named.name}, {protocol}, {region if region != 'slice' else 'whole slices'}"
        panels.append(Panel(title, named, table, published))
    return panels


def _strip(study: StudyFiles, experiment: ExperimentSettings, common: pd.DataFrame) -> Strip | None:
    """Images of the subject whose score by the control is the median."""
    if common.empty:
        return None
    ranked = common[experiment.control].sort_values(kind="stable").index.tolist()
    person = ranked[(len(ranked) - 1) // 2]
    rows = [(row.name, row.task, row.model) for row in experiment.rows]
    return strip(study, rows, person, f"median of {experiment.control}")
