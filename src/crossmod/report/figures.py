"""Charts: scores by subject, training curves, color bar. Same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crossmod.files import read_table
from crossmod.report.inputs import Task
from crossmod.report.picture import Picture, data_uri
from crossmod.report.request import Endpoint, Model, RunFiles
from crossmod.report.tables import metric_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colors, told apart with any color vision (jfly.uni-koeln.de/color, 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GRAY = "#8A8A8A"
INK = "#1D2430"
MOST_LINES = 60
"""Above this many subjects the lines that join a subject's dots are left out."""
MOST_POINTS = 400
STYLE: Any = {
    "svg.hashsalt": "crossmod",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9AA1AC",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E4E7EB",
    "axes.axisbelow": True,
}


def svg_picture(figure: Figure, alt: str) -> Picture:
    """A chart as SVG, without the time it was drawn."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(data_uri(stream.getvalue(), "svg+xml"), alt, width, height)


def endpoint_values(subjects: pd.DataFrame, task: str, endpoint: Endpoint) -> pd.DataFrame:
    """The endpoint's metric of a task: one row per participant, one column per model."""
    part = subjects[
        (subjects["task"] == task)
        & (subjects["variant"] == "")
        & (subjects["region"] == endpoint.region)
        & (subjects["protocol"] == endpoint.protocol)
        & (subjects["metric"] == endpoint.metric)
    ]
    return part.pivot(index="participant", columns="model", values="value")


def box_plot(
    values: pd.DataFrame,
    models: Sequence[Model],
    external: Sequence[str],
    endpoint: Endpoint,
    title: str,
) -> Picture | None:
    """Box per model with one dot per subject, joined by subject; None without scores.

    Parameters
    ----------
    values : data frame
        As `endpoint_values` gives.
    models : sequence of Model
        Order of the boxes.
    external : sequence of str
        Participants drawn as diamonds and left out of the boxes.
    endpoint : Endpoint
        Names the metric.
    title : str
        Of the chart.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = [model for model in models if model.name in values]
    if not shown:
        return None
    table = values[[model.name for model in shown]]
    outside = table[table.index.isin(external)]
    inside = table[~table.index.isin(external)]
    metric = metric_of(endpoint.metric)
    with rc_context(STYLE):
        figure = Figure(figsize=(max(4.2, 1.3 + 0.85 * len(shown)), 3.9), layout="constrained")
        axes = figure.subplots()
        draw_boxes(axes, inside, shown)
        places = range(1, len(shown) + 1)
        for _, row in outside.iterrows():
            axes.plot(places, row, "D", ms=5, mfc="none", mec=INK, mew=1.1, ls="none", zorder=4)
        axes.set_xticks(list(places), [_broken(model.name) for model in shown])
        axes.set_xlim(0.4, len(shown) + 0.6)
        axes.set_ylabel(f"{metric.name}{f' / {metric.unit}' if metric.unit else ''} {metric.arrow}")
        axes.set_title(title, fontsize=9.5, loc="left")
        return svg_picture(figure, f"Box plot of {title}, {len(inside)} subjects")


def draw_boxes(axes: Axes, table: pd.DataFrame, models: Sequence[Model]) -> None:
    """Boxes, the dots of the subjects, and the lines that join a subject's dots."""
    places = list(range(1, len(models) + 1))
    drawn = axes.boxplot(
        [table[model.name].dropna() for model in models],
        positions=places,
        widths=0.56,
        showfliers=False,
        patch_artist=True,
        medianprops={"color": INK, "linewidth": 1.4},
        whiskerprops={"color": GRAY},
        capprops={"color": GRAY},
    )
    for box, color in zip(drawn["boxes"], _colors(models), strict=True):
        box.set(facecolor=color, alpha=0.28, edgecolor=color)
    if len(table) <= MOST_LINES:
        for _, row in table.iterrows():
            axes.plot(places, row, color=GRAY, lw=0.5, alpha=0.55, zorder=2)
    for place, model, color in zip(places, models, _colors(models), strict=True):
        column = table[model.name].dropna()
        axes.plot(
            [place] * len(column), column, "o", ms=3.6, color=color, alpha=0.9, mew=0, zorder=3
        )


def _colors(models: Sequence[Model]) -> list[str]:
    trained = [model.name for model in models if not model.null]
    return [
        GRAY if model.null else COLORS[trained.index(model.name) % len(COLORS)] for model in models
    ]


def _broken(name: str) -> str:
    """Long names on two lines."""
    first, dash, rest = name.partition("-")
    return f"{first}-\n{rest}" if dash and len(name) > 9 else name


def curve_plot(runs: Sequence[RunFiles], models: Sequence[Model], task: Task) -> Picture | None:
    """Validation scores of all models, then the losses of each; None without curves."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    curves = _curves(runs, task.id)
    if not curves:
        return None
    names = [model.name for model in models if any(run.model == model.name for run, _ in curves)]
    styles = {name: _line_style(place) for place, name in enumerate(names)}
    validated = [c for c in curves if (c[1]["split"] == "validation").any()]
    trained = [n for n in names if any(r.model == n and _has_losses(t) for r, t in curves)]
    if not validated and not trained:
        return None
    rows = -(-len(trained) // 2)
    heights = [max(2.75, 0.8 + 0.17 * len(names))] * bool(validated) + [2.75 * rows] * bool(rows)
    with rc_context(STYLE):
        figure = Figure(figsize=(9.8, sum(heights)), layout="constrained")
        # Apart, so that a legend of long names above leaves the panels below their width.
        split = figure.subfigures(len(heights), height_ratios=heights, squeeze=False)
        parts = iter(split.ravel())
        if validated:
            _validation_panel(next(parts).subplots(), validated, styles)
        if trained:
            grid = next(parts).subplots(rows, 2, squeeze=False).ravel()
            for axes, name in zip(grid, trained, strict=False):
                _loss_panel(axes, [t for r, t in curves if r.model == name], name)
            for axes in grid[len(trained) :]:
                axes.set_axis_off()
        return svg_picture(figure, f"Training curves of {', '.join(names)} for {task.target}")


def _line_style(place: int) -> dict[str, Any]:
    """Color and dashes of one of many lines; alike only after three rounds of the colors."""
    dashes = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
    return {"color": COLORS[place % len(COLORS)], "ls": dashes[place // len(COLORS) % 3]}


def _finish(axes: Axes) -> None:
    """Label the epochs; the legend stands beside the curves, where it covers none."""
    axes.set_xlabel("epoch")
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1, 1.03),
        frameon=False,
        fontsize=8,
        handlelength=2.6,
    )


def _curves(runs: Sequence[RunFiles], task: str) -> list[tuple[RunFiles, pd.DataFrame]]:
    found = []
    for run in runs:
        if run.task == task and run.curve is not None and run.curve.is_file():
            table = read_table(run.curve)
            if len(table):
                found.append((run, table))
    return found


def _has_losses(table: pd.DataFrame) -> bool:
    return bool((table["split"] == "train").any())


def _validation_panel(
    axes: Axes, curves: Sequence[tuple[RunFiles, pd.DataFrame]], styles: dict[str, dict[str, Any]]
) -> None:
    name = ""
    seen: set[str] = set()
    once = False
    for run, table in curves:
        part = table[table["split"] == "validation"]
        name = name or str(part["name"].iloc[0])
        part = part[part["name"] == name]
        label = run.model if run.model not in seen else None
        seen.add(run.model)
        if len(part) == 1:  # fitted at once: no curve, but a height to compare with
            axes.axhline(part["value"].iloc[0], color=GRAY, lw=0.9, ls=(0, (3, 2)), zorder=1)
            once = True
        else:
            _line(axes, part, **styles[run.model], label=label, marker="o", ms=2.5)
    if once:
        axes.plot([], [], color=GRAY, lw=0.9, ls=(0, (3, 2)), label="fitted at once")
    metric = metric_of(name)
    axes.set_title(f"Validation {metric.name} (whole volumes)", fontsize=9.5, loc="left")
    axes.set_ylabel(f"{metric.name} {metric.unit}".strip())
    _finish(axes)


def _loss_panel(axes: Axes, tables: Sequence[pd.DataFrame], model: str) -> None:
    lowest, highest = float("inf"), 0.0
    for number, table in enumerate(tables):
        part = table[table["split"] == "train"]
        for place, (name, values) in enumerate(part.groupby("name", sort=False)):
            label = str(name) if number == 0 else None
            _line(axes, values, color=COLORS[place % len(COLORS)], label=label, alpha=0.9)
            lowest = min(lowest, float(values["value"].min()))
            highest = max(highest, float(values["value"].max()))
    if 0 < lowest * 30 < highest:
        axes.set_yscale("log")
    axes.set_title(f"{model}: training losses", fontsize=9.5, loc="left")
    axes.set_ylabel("loss")
    axes.margins(y=0.08)
    _finish(axes)


def _line(axes: Axes, part: pd.DataFrame, **style: Any) -> None:
    thin = part.iloc[:: max(1, -(-len(part) // MOST_POINTS))]
    axes.plot(thin["epoch"], thin["value"], lw=1.2, **style)


def color_bar(limit: float, colors: str) -> Picture:
    """Horizontal scale of the error maps, from -limit to limit."""
    from matplotlib import rc_context
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(4.6, 0.72), layout="constrained")
        axes = figure.subplots()
        scale = ScalarMappable(Normalize(-limit, limit), colors)
        bar = figure.colorbar(scale, cax=axes, orientation="horizontal")
        bar.set_ticks([-limit, -limit / 2, 0, limit / 2, limit])
        bar.outline.set_linewidth(0.4)  # type: ignore[operator]
        bar.set_label("synthetic \u2212 acquired (normalized intensity)", fontsize=8)
        return svg_picture(figure, f"Color bar from {-limit:g} to {limit:g}")
