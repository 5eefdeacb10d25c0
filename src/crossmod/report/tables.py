"""Tables of scores and comparisons, as rows of text ready for the page and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crossmod.report.request import Endpoint, Model

if TYPE_CHECKING:
    import pandas as pd

FEWEST_SUBJECTS = 6
"""Below this number of paired subjects no test is printed."""
REGION_NAMES = {
    "brain": "brain",
    "lesion": "lesion",
    "healthy": "healthy tissue",
    "slice": "whole slices",
}
VARIANT_NAMES = {"shift": "shifted by {} voxel", "blur": "blurred, sigma {} voxel"}


@dataclass(frozen=True)
class Metric:
    """How a metric is printed."""

    id: str
    name: str
    unit: str
    up: bool
    digits: int

    @property
    def arrow(self) -> str:
        """Which direction is better."""
        return "↑" if self.up else "↓"

    def value(self, number: float, sign: bool = False) -> str:
        """A value without its unit; `n/a` when undefined."""
        if number is None or math.isnan(number):
            return "n/a"
        text = f"{number:{'+' if sign else ''}.{self.digits}f}"
        return text.replace("-", "\u2212")

    def interval(self, low: float, high: float, sign: bool = False) -> str:
        """A confidence interval."""
        return f"{self.value(low, sign)} to {self.value(high, sign)}"


KNOWN_METRICS = (
    Metric("psnr", "PSNR", "dB", True, 2),
    Metric("ssim", "SSIM", "", True, 3),
    Metric("ssim-gauss", "SSIM, Gaussian window", "", True, 3),
    Metric("ssim-global", "SSIM, one window", "", True, 3),
    Metric("nrmse", "NRMSE", "", False, 3),
    Metric("nmse", "NMSE", "", False, 3),
    Metric("mae", "MAE", "", False, 4),
    Metric("mae-hu", "MAE", "HU", False, 1),
)


def metric_of(name: str) -> Metric:
    """How the metric with this id is printed."""
    for known in KNOWN_METRICS:
        if known.id == name:
            return known
    if name.startswith("ms-ssim-"):
        scales = name.removeprefix("ms-ssim-")
        return Metric(name, f"MS-SSIM ({scales} scale{'s' * (scales != '1')})", "", True, 3)
    return Metric(name, name, "", True, 3)


def ordered_metrics(names: Iterable[str]) -> list[Metric]:
    """Metrics in the usual order, unknown ones last."""
    places = {metric.id: place for place, metric in enumerate(KNOWN_METRICS)}
    return [metric_of(n) for n in sorted(set(names), key=lambda n: (places.get(n, 99), n))]


@dataclass(frozen=True)
class Selection:
    """Which part of the summary a table shows."""

    task: str
    protocol: str = "brain-v1"
    regions: tuple[str, ...] = ("brain",)
    role: str = "test"
    metrics: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Cell:
    """Mean and SD over subjects, 95 % CI of the mean, SD over seeds."""

    mean: str = ""
    sd: str = ""
    interval: str = ""
    seeds: str = ""
    subjects: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One model, or one changed copy of its images."""

    name: str
    method: str
    subjects: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Group:
    """Rows of one kind."""

    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class ScoreTable:
    """A table of scores; `columns` are (region, metric) pairs."""

    selection: Selection
    columns: tuple[tuple[str, Metric], ...]
    groups: tuple[Group, ...]

    @property
    def subjects(self) -> int:
        """Most subjects in any row."""
        return max((row.subjects for group in self.groups for row in group.rows), default=0)

    @property
    def regions(self) -> list[tuple[str, int]]:
        """Regions of the header with the number of their columns."""
        names = [region for region, _ in self.columns]
        return [(REGION_NAMES.get(n, n), names.count(n)) for n in dict.fromkeys(names)]


def variant_name(model: str, variant: str) -> str:
    """`unet, shifted by 1 voxel`."""
    kind, _, amount = variant.rpartition("-")
    if kind == "scale":
        return f"{model}, intensities \u00d7 {amount}"
    return f"{model}, {VARIANT_NAMES.get(kind, variant).format(amount)}"


def score_table(
    summary: pd.DataFrame, models: Sequence[Model], selection: Selection
) -> ScoreTable | None:
    """Scores of all models, nulls and changed images apart; None if there are no scores."""
    part = summary[
        (summary["task"] == selection.task)
        & (summary["protocol"] == selection.protocol)
        & (summary["role"] == selection.role)
        & summary["region"].isin(selection.regions)
    ]
    if part.empty:
        return None
    columns = tuple(
        (region, metric)
        for region in selection.regions
        for metric in ordered_metrics(part.loc[part["region"] == region, "metric"])
        if selection.metrics is None or metric.id in selection.metrics
    )
    lines = {
        (r["model"], r["variant"], r["region"], r["metric"]): r for r in part.to_dict("records")
    }
    best = _best(part, columns)
    changed = sorted({(m, v) for m, v, *_ in lines if v})
    named: list[tuple[str, list[tuple[str, str, str]]]] = [
        ("Trained models", [(m.name, "", m.method) for m in models if not m.null]),
        ("Null models", [(m.name, "", m.method) for m in models if m.null]),
        ("Sensitivity: the images of a model, changed on purpose", [(*k, "") for k in changed]),
    ]
    groups = []
    for title, keys in named:
        rows = [_row(lines, columns, best, *key) for key in keys]
        found = tuple(row for row in rows if row.subjects)
        if found:
            groups.append(Group(title, found))
    return ScoreTable(selection, columns, tuple(groups))


Best = dict[tuple[str, str], str]


def _best(part: pd.DataFrame, columns: tuple[tuple[str, Metric], ...]) -> Best:
    """Printed mean of the best unchanged row per column: ties as printed are ties."""
    found: Best = {}
    for region, metric in columns:
        chosen = part[(part["region"] == region) & (part["metric"] == metric.id)]
        means = chosen.loc[chosen["variant"] == "", "mean"].dropna()
        if len(means):
            found[region, metric.id] = metric.value(means.max() if metric.up else means.min())
    return found


def _row(
    lines: dict[tuple[str, str, str, str], Any],
    columns: tuple[tuple[str, Metric], ...],
    best: Best,
    model: str,
    variant: str,
    method: str,
) -> Row:
    found = [lines.get((model, variant, region, metric.id)) for region, metric in columns]
    subjects = max((int(line["subjects"]) for line in found if line), default=0)
    cells = []
    for line, (region, metric) in zip(found, columns, strict=True):
        cell = _cell(line, metric) if line else Cell("n/a")
        top = not variant and cell.mean == best.get((region, metric.id)) != "n/a"
        own = int(line["subjects"]) if line else subjects
        fewer = f"n = {own}" if own < subjects else ""
        cells.append(replace(cell, best=top, subjects=fewer))
    name = variant_name(model, variant) if variant else model
    return Row(name, method, subjects, tuple(cells))


def _cell(line: dict[str, Any], metric: Metric) -> Cell:
    mean, sd = metric.value(line["mean"]), metric.value(line["sd"])
    interval = metric.interval(line["ci_low"], line["ci_high"])
    seeds = metric.value(line["seed_sd"])
    return Cell(
        mean,
        "" if sd == "n/a" else sd,
        "" if "n/a" in interval else interval,
        "" if seeds == "n/a" else seeds,
    )


@dataclass(frozen=True)
class Comparison:
    """One paired comparison, as text."""

    model: str
    control: str
    metric: Metric
    region: str
    protocol: str
    subjects: int
    difference: str
    interval: str
    t_p: str
    wilcoxon_p: str
    t_p_alone: str
    wilcoxon_p_alone: str
    effect_size: str
    favors: str
    primary: bool


def p_value(number: float) -> str:
    """A p value as printed: never 0, and `n/a` where no test was done."""
    if number is None or math.isnan(number):
        return "n/a"
    return "< 0.001" if number < 0.001 else f"{number:.3f}"


def comparison_rows(comparisons: pd.DataFrame, task: str) -> list[Comparison]:
    """All comparisons of a task, the primary one first."""
    part = comparisons[comparisons["task"] == task]
    rows = [_comparison(line) for line in part.to_dict("records")]
    return sorted(rows, key=lambda row: not row.primary)


def _comparison(line: dict[str, Any]) -> Comparison:
    metric = metric_of(line["metric"])
    low, high = line["ci_low"], line["ci_high"]
    favors = "neither"
    if low > 0 or high < 0:
        favors = line["model"] if (low > 0) == metric.up else line["control"]
    effect = line["effect_size"]
    names = {"t_p": "t_p_holm", "wilcoxon_p": "wilcoxon_p_holm"}
    names |= {"t_p_alone": "t_p", "wilcoxon_p_alone": "wilcoxon_p"}
    enough = int(line["subjects"]) >= FEWEST_SUBJECTS
    tests = {key: p_value(line[name]) if enough else "n/a" for key, name in names.items()}
    return Comparison(
        model=line["model"],
        control=line["control"],
        metric=metric,
        region=line["region"],
        protocol=line["protocol"],
        subjects=int(line["subjects"]),
        difference=metric.value(line["difference"], sign=True),
        interval=metric.interval(low, high, sign=True),
        **tests,
        effect_size="n/a" if math.isnan(effect) else f"{effect:.2f}".replace("-", "\u2212"),
        favors=favors,
        primary=bool(line["primary"]),
    )


def note_on_tests(rows: Sequence[Comparison]) -> str:
    """What must be said about the tests of a task."""
    if not rows:
        return "There is nothing to compare."
    fewest = min(row.subjects for row in rows)
    if max(row.subjects for row in rows) < FEWEST_SUBJECTS:
        return (
            f"No test is printed: with {_counted(fewest)} there are fewer than "
            f"{FEWEST_SUBJECTS} pairs, too few for a test to say anything."
        )
    if fewest < FEWEST_SUBJECTS:
        return f"Where there are fewer than {FEWEST_SUBJECTS} paired subjects no test is printed."
    return ""


def _counted(number: int) -> str:
    return f"{number} subject{'s' * (number != 1)}"


def mean_of(
    summary: pd.DataFrame, task: str, model: str, endpoint: Endpoint
) -> dict[str, Any] | None:
    """Line of the summary with the endpoint's metric for one model's test subjects."""
    part = summary[
        (summary["task"] == task)
        & (summary["model"] == model)
        & (summary["variant"] == "")
        & (summary["role"] == "test")
        & (summary["region"] == endpoint.region)
        & (summary["protocol"] == endpoint.protocol)
        & (summary["metric"] == endpoint.metric)
    ]
    lines: list[dict[str, Any]] = part.to_dict("records")
    return lines[0] if lines else None
