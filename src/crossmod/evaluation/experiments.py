"""Experiments: rows of models and tasks on the same subjects, beside published numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crossmod.evaluation.statistics import compare, holm, mean_interval
from crossmod.evaluation_settings import EvaluationSettings, ExperimentSettings

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("experiment", "row", "task", "model", "protocol", "region", "metric", "subjects"),
    *("mean", "sd", "ci_low", "ci_high", "above_baseline"),
    *("difference", "difference_low", "difference_high"),
    *("t_p", "wilcoxon_p", "t_p_holm", "wilcoxon_p_holm", "published_mean", "published_sd"),
)
# Protocol, region and metrics of the tables; what the published numbers mean is seed-v1.
CELLS = (
    ("brain-v1", "brain", ("psnr", "ssim", "nrmse")),
    ("seed-v1", "slice", ("psnr", "ssim", "ssim-gauss", "ssim-global", "nrmse")),
)
PUBLISHED_PROTOCOL = "seed-v1"


def experiment_table(subjects: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """Means and paired comparisons of the rows of every experiment.

    Parameters
    ----------
    subjects : pandas.DataFrame
        One value per subject, as `summary.subject_values` gives it.
    settings : EvaluationSettings
        Experiments, bootstrap.

    Returns
    -------
    pandas.DataFrame
        One line per experiment, row, protocol and metric, over the test subjects that every row
        has. The control has no difference. Holm's family is one experiment and protocol: all rows
        x metrics. Null models count: their stars are read, too, and the family does not depend on
        which rows a reader deems of interest.
    """
    import pandas as pd

    lines: list[dict[str, Any]] = []
    for experiment in settings.experiments:
        for protocol, region, metrics in CELLS:
            family = []
            for metric in metrics:
                cell = {"protocol": protocol, "region": region, "metric": metric}
                values = tested_values(subjects, protocol, region, metric)
                family += [cell | line for line in _lines(values, experiment, settings)]
            _adjust(family)
            for line in family:
                line |= _published(line, experiment)
            lines += family
    return pd.DataFrame(lines, columns=list(COLUMNS))


def tested_values(subjects: pd.DataFrame, protocol: str, region: str, metric: str) -> pd.DataFrame:
    """One line per test subject, one column per task and model, of one metric.

    Parameters
    ----------
    subjects : pandas.DataFrame
        One value per subject, as `summary.subject_values` gives it.
    protocol, region, metric : str
        What is measured.
    """
    part = subjects[
        (subjects["role"] == "test")
        & (subjects["variant"] == "")
        & (subjects["protocol"] == protocol)
        & (subjects["region"] == region)
        & (subjects["metric"] == metric)
    ]
    return part.pivot(index="participant", columns=["task", "model"], values="value")


def common_values(values: pd.DataFrame, experiment: ExperimentSettings) -> pd.DataFrame:
    """One line per subject that all rows of an experiment have, one column per row, by its name.

    Parameters
    ----------
    values : pandas.DataFrame
        As `tested_values` gives it.
    experiment : ExperimentSettings
        Rows, and the subjects to leave out.
    """
    kept = values[~values.index.isin(experiment.without)]
    common = kept.reindex(columns=[(row.task, row.model) for row in experiment.rows])
    common.columns = [row.name for row in experiment.rows]
    return common.dropna().sort_index()


def _lines(
    values: pd.DataFrame, experiment: ExperimentSettings, settings: EvaluationSettings
) -> Iterator[dict[str, Any]]:
    """One line per row of an experiment, for one metric."""
    common = common_values(values, experiment)
    samples, seed = settings.bootstrap, settings.seed
    for row in experiment.rows:
        own = common[row.name].to_numpy()
        baseline = values.get((row.task, experiment.baseline))
        low, high = mean_interval(own, samples, seed)
        line = {
            "experiment": experiment.title,
            "row": row.name,
            "task": row.task,
            "model": row.model,
            "subjects": len(own),
            "mean": own.mean() if own.size else math.nan,
            "sd": own.std(ddof=1) if own.size > 1 else math.nan,
            "ci_low": low,
            "ci_high": high,
        }
        if baseline is not None and own.size:
            line["above_baseline"] = float((own - baseline[common.index]).mean())
        if row.name != experiment.control:
            found = compare(own, common[experiment.control].to_numpy(), samples, seed)
            line |= {"t_p": found.t_p, "wilcoxon_p": found.wilcoxon_p}
            line |= {"difference": found.difference}
            line |= {"difference_low": found.ci_low, "difference_high": found.ci_high}
        yield line


def _adjust(family: list[dict[str, Any]]) -> None:
    """Add the p values adjusted by Holm's procedure; the control has none."""
    compared = [line for line in family if "t_p" in line]
    for kind in ("t_p", "wilcoxon_p"):
        adjusted = holm([line[kind] for line in compared])
        for line, value in zip(compared, adjusted, strict=True):
            line[f"{kind}_holm"] = value


def _published(line: dict[str, Any], experiment: ExperimentSettings) -> dict[str, float]:
    """The published numbers, for lines that are defined as they are."""
    row = next(row for row in experiment.rows if row.name == line["row"])
    if line["protocol"] != PUBLISHED_PROTOCOL or line["metric"] not in row.published:
        return {}
    mean, sd = row.published[line["metric"]]
    return {"published_mean": mean, "published_sd": sd}
