"""Charts of an experiment: one box per row, published means beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossmod.report.figures import INK, STYLE, draw_boxes, svg_picture
from crossmod.report.picture import Picture
from crossmod.report.request import Model
from crossmod.report.tables import Metric

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ACROSS = 3
LONGEST = 24
"""Characters of a row's name below its box."""


@dataclass(frozen=True)
class Panel:
    """One metric under one protocol: subjects by rows, and what was published for rows."""

    title: str
    metric: Metric
    values: pd.DataFrame
    published: Mapping[str, float]


def row_plot(panels: Sequence[Panel], what: str) -> Picture | None:
    """Boxes of all panels, three to a line; None without panels."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not panels:
        return None
    down = -(-len(panels) // ACROSS)
    rows = max(len(panel.values.columns) for panel in panels)
    with rc_context(STYLE):
        size = (max(9.6, 0.66 * ACROSS * rows), 3.1 * down)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(down, ACROSS, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, panel)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        return svg_picture(figure, f"Box plots of {what}, {len(panels[0].values)} subjects")


def _draw(axes: Axes, panel: Panel) -> None:
    names = list(panel.values.columns)
    draw_boxes(axes, panel.values, [Model(name, "", null=False) for name in names])
    places = range(1, len(names) + 1)
    for place, name in zip(places, names, strict=True):
        if name in panel.published:
            axes.plot(place, panel.published[name], "D", ms=6, mfc="white", mec=INK, mew=1.3,
                      zorder=5)  # fmt: skip
    short = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\u2026" for name in names]
    axes.set_xticks(list(places), short, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_xlim(0.4, len(names) + 0.6)
    axes.set_title(f"{panel.title} {panel.metric.arrow}", fontsize=9, loc="left")
    axes.set_ylabel(f"{panel.metric.name} {panel.metric.unit}".strip())
