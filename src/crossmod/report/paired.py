"""Paired differences: what a model gains over its control, subject by subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmod.report.figures import COLORS, GRAY, INK, STYLE, svg_picture
from crossmod.report.picture import Picture
from crossmod.report.request import Endpoint
from crossmod.report.tables import metric_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SPREAD = 0.26
"""How far dots of one row lie from its middle."""


@dataclass(frozen=True)
class Pair:
    """One row of the chart: differences by subject with their mean and interval."""

    name: str
    differences: list[float]
    mean: float
    low: float
    high: float
    primary: bool


def pairs_of(
    values: pd.DataFrame, comparisons: pd.DataFrame, task: str, endpoint: Endpoint
) -> list[Pair]:
    """Comparisons of a task by the endpoint's metric, the primary one first.

    Parameters
    ----------
    values : data frame
        One row per tested participant, one column per model.
    comparisons : data frame
        Means and intervals, as the stage `summarize` wrote them.
    task : str
        Direction of synthesis.
    endpoint : Endpoint
        Names metric, region and protocol.
    """
    part = comparisons[
        (comparisons["task"] == task)
        & (comparisons["metric"] == endpoint.metric)
        & (comparisons["region"] == endpoint.region)
        & (comparisons["protocol"] == endpoint.protocol)
    ]
    found = []
    for line in part.to_dict("records"):
        model, control = line["model"], line["control"]
        if model in values and control in values:
            differences = (values[model] - values[control]).dropna().sort_index()
            numbers = (line["difference"], line["ci_low"], line["ci_high"])
            row = Pair(f"{model} \u2212 {control}", differences.tolist(), *numbers, line["primary"])
            found.append(row)
    return sorted(found, key=lambda pair: not pair.primary)


def paired_plot(pairs: Sequence[Pair], endpoint: Endpoint) -> Picture | None:
    """One row per pair: a dot per subject, the mean and its interval; None without pairs."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = [pair for pair in pairs if pair.differences]
    if not shown:
        return None
    metric = metric_of(endpoint.metric)
    style: Any = {**STYLE, "axes.grid.axis": "x"}
    with rc_context(style):
        figure = Figure(figsize=(5.6, 1.15 + 0.46 * len(shown)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=INK, lw=0.9, zorder=1)
        for place, pair in enumerate(shown):
            _row(axes, place, pair)
        axes.set_yticks(range(len(shown)), [pair.name for pair in shown])
        for label, pair in zip(axes.get_yticklabels(), shown, strict=True):
            label.set_fontweight("bold" if pair.primary else "normal")
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        better = "right" if metric.up else "left"
        unit = f" / {metric.unit}" if metric.unit else ""
        axes.set_xlabel(f"difference in {metric.name}{unit} ({better} of 0: the first is better)")
        text = "; ".join(
            f"{p.name}: mean {metric.value(p.mean, sign=True)}, 95 % CI "
            f"{metric.interval(p.low, p.high, sign=True)}"
            for p in shown
        )
        return svg_picture(figure, f"Paired differences in {metric.name}. {text}")


def _row(axes: Axes, place: int, pair: Pair) -> None:
    color = COLORS[0] if pair.primary else GRAY
    # Neighbors in rank go to different heights, so that dots of like value stay apart.
    order = np.argsort(np.argsort(pair.differences, kind="stable"))
    heights = place + SPREAD * (2 * (order * 0.618034 % 1) - 1)
    alpha = 0.65 if len(pair.differences) <= 60 else 0.3
    axes.plot(pair.differences, heights, "o", ms=3.8, color=color, mew=0, alpha=alpha, zorder=2)
    axes.plot([pair.low, pair.high], [place, place], color=INK, lw=2.2, zorder=3)
    axes.plot(pair.mean, place, "D", ms=6, color=INK, mfc="white", mew=1.6, zorder=4)
