"""The stage `summarize`: from all scores of a study to its tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossmod.errors import ConfigError, InputError
from crossmod.evaluation.experiments import experiment_table
from crossmod.evaluation.statistics import compare, holm, mean_interval
from crossmod.evaluation_settings import PROTOCOLS, EvaluationSettings
from crossmod.files import read_table, write_json, write_table

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("participant", "session", "task", "model", "variant", "fold", "seed")
CELL = ("region", "protocol", "metric")
BY_CELL = ("protocol", "region", "metric")
SCORE_COLUMNS = (*KEYS, *CELL, "value", "voxels")
SUMMARY_COLUMNS = (
    *("task", "model", "variant", "role", *CELL, "subjects"),
    *("mean", "sd", "ci_low", "ci_high", "seed_sd"),
)
COMPARISON_COLUMNS = (
    *("task", "model", "control", *CELL, "subjects", "difference", "ci_low", "ci_high"),
    *("t_p", "wilcoxon_p", "t_p_holm", "wilcoxon_p_holm", "effect_size", "primary"),
)
SCORED_ROLES = ("test", "external")
ORDER: dict[str, tuple[str, ...]] = {
    "role": SCORED_ROLES,
    "protocol": PROTOCOLS,
    "region": ("brain", "healthy", "lesion", "slice"),
    "metric": ("psnr", "ssim", "ssim-gauss", "ssim-global", "nrmse", "nmse", "mae"),
}
# Ways of other papers are there to be read beside their tables, not to be tested by.
COMPARED = ("brain-v1", "brain-v1-deploy", "seed-v1")
LOWER_IS_BETTER = ("nrmse", "nmse", "mae", "mae-hu")
HEADLINE = ("psnr", "ssim")
HEADLINE_CELL = ("brain", "brain-v1")


@dataclass(frozen=True)
class SummaryRequest:
    """What to summarize and where to write it.

    Attributes
    ----------
    score_files : tuple of path
        Tables of all runs and batches.
    settings : EvaluationSettings
        Primary endpoint, bootstrap.
    split : pandas.DataFrame
        Columns participant_id, fold, role.
    models : tuple of (str, bool)
        Every model of the study in its order, and whether it is a null model.
    scores, summary, comparisons, experiments, metrics : path
        Tables and JSON file to write.
    """

    score_files: tuple[Path, ...]
    settings: EvaluationSettings
    split: pd.DataFrame
    models: tuple[tuple[str, bool], ...]
    scores: Path
    summary: Path
    comparisons: Path
    experiments: Path
    metrics: Path


def summarize(request: SummaryRequest) -> None:
    """Write all rows, means with intervals, paired comparisons and the headline numbers.

    Raises
    ------
    InputError
        If a table is missing or malformed, a score is there twice, or of a subject that was
        neither tested nor external.
    ConfigError
        If the primary endpoint names a model or metric that there is not.
    """
    scores = with_roles(gather(request.score_files), request.split)
    names = [name for name, _ in request.models]
    _check_names(scores, names, request.settings)
    scores = _in_order(scores, (*KEYS[2:], *KEYS[:2], *BY_CELL), names)
    subjects = subject_values(scores)
    summary = summary_table(scores, subjects, request.settings, names)
    write_table(request.scores, scores[[*SCORE_COLUMNS, "role"]])
    write_table(request.summary, summary)
    comparisons = comparison_table(subjects, request.settings, request.models)
    write_table(request.comparisons, comparisons)
    write_table(request.experiments, experiment_table(subjects, request.settings))
    write_json(request.metrics, headline_metrics(summary))


def gather(paths: Sequence[Path]) -> pd.DataFrame:
    """All rows of several score tables.

    Raises
    ------
    InputError
        If a table is missing, lacks a column, or one score is there twice.
    """
    import pandas as pd

    texts = dict.fromkeys(("participant", "session", "task", "model", "variant", *CELL), str)
    tables = []
    for path in paths:
        table = read_table(path, **texts)
        missing = [name for name in SCORE_COLUMNS if name not in table.columns]
        if missing:
            problem = f"lacks the column {missing[0]!r}"
            raise InputError(path, problem, "delete it and score again")
        tables.append(table[list(SCORE_COLUMNS)])
    filled = [table for table in tables if len(table)]
    scores = pd.concat(filled or tables[:1] or [pd.DataFrame(columns=list(SCORE_COLUMNS))])
    scores["variant"] = scores["variant"].fillna("").astype(str)
    scores = scores.astype({"fold": int, "seed": int, "value": float, "voxels": int})
    keys = [*KEYS, *CELL]
    twice = scores[scores.duplicated(keys)]
    if len(twice):
        first = ", ".join(str(twice.iloc[0][name]) for name in keys if twice.iloc[0][name] != "")
        raise InputError("the scores", f"hold a row twice ({first})", "give every table once")
    return scores.reset_index(drop=True)


def with_roles(scores: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Add the column `role`, by participant and fold.

    Raises
    ------
    InputError
        If a scored subject is not `test` or `external` in that fold.
    """
    roles = {
        (str(row.participant_id), int(row.fold)): str(row.role)
        for row in split.itertuples(index=False)
    }
    found = [
        roles.get((participant, fold), "unknown")
        for participant, fold in zip(scores["participant"], scores["fold"], strict=True)
    ]
    for participant, fold, role in zip(scores["participant"], scores["fold"], found, strict=True):
        if role not in SCORED_ROLES:
            problem = f"{participant} is scored in fold {fold}, where its role is {role}"
            raise InputError("the split", problem, "score test and external subjects only")
    return scores.assign(role=found)


def _in_order(table: pd.DataFrame, columns: Sequence[str], models: Sequence[str]) -> pd.DataFrame:
    """Sort rows so that no table depends on the order of the files.

    Models come as in the study; protocols, regions and metrics as in `ORDER`, unknown names after
    the known ones; everything else by its value.
    """
    known = {**ORDER, "model": tuple(models)}

    def rank(column: pd.Series) -> pd.Series:
        names = known.get(str(column.name))
        if names is None:
            return column
        others = sorted(set(column) - set(names))
        return column.map({name: place for place, name in enumerate((*names, *others))})

    return table.sort_values(list(columns), key=rank, kind="stable").reset_index(drop=True)


def _check_names(scores: pd.DataFrame, names: Sequence[str], settings: EvaluationSettings) -> None:
    """Refuse scores of other studies and a primary endpoint that does not exist."""
    unknown = sorted(set(scores["model"]) - set(names))
    if unknown:
        problem = f"hold the model {unknown[0]!r}, which the study has not"
        raise InputError("the scores", problem, "give the tables of this study alone")
    primary = settings.primary
    metrics = sorted(set(scores["metric"])) or [primary.metric]
    for key, name, choice in (
        ("model", primary.model, names),
        ("control", primary.control, names),
        ("metric", primary.metric, metrics),
    ):
        if name is not None and name not in choice:
            problem = f"there is no {name!r}"
            raise ConfigError(f"evaluation.primary.{key}", problem, f"use {' or '.join(choice)}")


def subject_values(scores: pd.DataFrame) -> pd.DataFrame:
    """One value per subject: the mean over its sessions, then over seeds.

    Returns
    -------
    pandas.DataFrame
        Columns task, model, variant, role, region, protocol, metric, participant, value, in the
        order of `scores`; undefined values are left out.
    """
    cell = ["task", "model", "variant", "role", *CELL]
    groups = scores.dropna(subset=["value"])
    by_seed = groups.groupby([*cell, "participant", "seed"], sort=False)["value"].mean()
    means = by_seed.groupby([*cell, "participant"], sort=False).mean()
    return means.reset_index()


def summary_table(
    scores: pd.DataFrame,
    subjects: pd.DataFrame,
    settings: EvaluationSettings,
    models: Sequence[str],
) -> pd.DataFrame:
    """Mean, standard deviation and bootstrap interval over subjects; external ones apart.

    `seed_sd` is the standard deviation over seeds of the mean over subjects. A cell in which every
    value is undefined is kept, with 0 subjects.
    """
    import pandas as pd

    cell = ["task", "model", "variant", "role", *CELL]
    values = {key: part.sort_values("participant")["value"].to_numpy() for key, part in
              subjects.groupby(cell, sort=False)}  # fmt: skip
    by_seed = scores.groupby([*cell, "seed", "participant"], sort=False)["value"].mean()
    seed_means = by_seed.groupby([*cell, "seed"], sort=False).mean()
    seed_sds = seed_means.groupby(cell, sort=False).std(ddof=1).to_dict()
    rows = []
    cells = _in_order(
        scores[cell].drop_duplicates(), ("task", "role", *BY_CELL, "model", "variant"), models
    )
    for key in cells.itertuples(index=False, name=None):
        found = values.get(key)
        row: dict[str, Any] = dict(zip(cell, key, strict=True))
        row |= {"subjects": 0, "seed_sd": seed_sds.get(key, math.nan)}
        if found is not None:
            low, high = mean_interval(found, settings.bootstrap, settings.seed)
            row |= {"subjects": len(found), "mean": found.mean(), "ci_low": low, "ci_high": high}
            row["sd"] = found.std(ddof=1) if len(found) > 1 else math.nan
        rows.append(row)
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def comparison_table(
    subjects: pd.DataFrame, settings: EvaluationSettings, models: Sequence[tuple[str, bool]]
) -> pd.DataFrame:
    """Paired comparisons on the test subjects.

    Parameters
    ----------
    subjects : pandas.DataFrame
        As `subject_values` gives it.
    settings : EvaluationSettings
        Primary endpoint, bootstrap.
    models : sequence of (str, bool)
        Models in their order, and whether each is a null model.

    Returns
    -------
    pandas.DataFrame
        Under the protocols `COMPARED`, every model that is no null against the primary control,
        and the primary model against every other one. Holm's family is one task, region and
        protocol: all pairs x metrics but the primary endpoint, which was named beforehand and is
        tested alone.
    """
    import pandas as pd

    tested = subjects[
        (subjects["role"] == "test")
        & (subjects["variant"] == "")
        & subjects["protocol"].isin({*COMPARED, settings.primary.protocol})
    ]
    tested = _in_order(tested, ("task", *BY_CELL, "participant"), [name for name, _ in models])
    rows: list[dict[str, Any]] = []
    for task, part in tested.groupby("task", sort=True):
        present = [(name, null) for name, null in models if name in set(part["model"])]
        pairs, endpoint = _pairs(part, settings, present)
        for (region, protocol), block in part.groupby(["region", "protocol"], sort=False):
            compared = list(_compare_block(block, pairs, settings))
            for row in compared:
                row |= {"task": task, "region": region, "protocol": protocol}
                cell = (row["model"], row["control"], row["metric"], region, protocol)
                row["primary"] = cell == endpoint
            for primary in (True, False):
                _adjust([row for row in compared if row["primary"] == primary])
            rows += compared
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def _adjust(family: Sequence[dict[str, Any]]) -> None:
    """Add the p values adjusted by Holm's procedure within a family of comparisons."""
    for kind in ("t_p", "wilcoxon_p"):
        for row, value in zip(family, holm([row[kind] for row in family]), strict=True):
            row[f"{kind}_holm"] = value


def _pairs(
    part: pd.DataFrame, settings: EvaluationSettings, models: Sequence[tuple[str, bool]]
) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Pairs (model, control) of one task, and the primary endpoint among them."""
    primary = settings.primary
    names = [name for name, _ in models]
    learned = [name for name, null in models if not null]
    model = primary.model or (learned or names)[0]
    control = primary.control or default_control(part, settings, models, model)
    pairs = [(model, control)] if control else []
    pairs += [(name, control) for name in learned if control]
    pairs += [(model, name) for name in names]
    distinct = [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]
    endpoint = (model, control or "", primary.metric, primary.region, primary.protocol)
    # The same two models are compared once, whichever comes first.
    kept = [pair for place, pair in enumerate(distinct) if pair[::-1] not in distinct[:place]]
    return kept, endpoint


def default_control(
    part: pd.DataFrame,
    settings: EvaluationSettings,
    models: Sequence[tuple[str, bool]],
    model: str,
) -> str | None:
    """The null model with the best mean of the primary metric: the hardest one to beat.

    Without a null model it is the best of the others; without any score of the endpoint, the
    first of the candidates; None if there is no other model.
    """
    primary = settings.primary
    others = [(name, null) for name, null in models if name != model]
    candidates = [name for name, null in others if null] or [name for name, _ in others]
    if not candidates:
        return None
    cell = part[
        (part["metric"] == primary.metric)
        & (part["region"] == primary.region)
        & (part["protocol"] == primary.protocol)
    ]
    means = cell.groupby("model")["value"].mean()
    sign = -1 if primary.metric in LOWER_IS_BETTER else 1
    # The first of equals, in the order of the study.
    return max(candidates, key=lambda name: sign * means.get(name, -sign * math.inf))


def _compare_block(
    block: pd.DataFrame, pairs: Sequence[tuple[str, str]], settings: EvaluationSettings
) -> Iterator[dict[str, Any]]:
    """Comparisons of one task, region and protocol, without adjustment."""
    for metric, part in block.groupby("metric", sort=False):
        table = part.pivot(index="participant", columns="model", values="value").sort_index()
        for model, control in pairs:
            if model in table.columns and control in table.columns:
                first, second = table[model].to_numpy(), table[control].to_numpy()
                found = compare(first, second, settings.bootstrap, settings.seed)
                yield {"model": model, "control": control, "metric": metric, **asdict(found)}


def headline_metrics(summary: pd.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """Mean PSNR and SSIM in the brain, brain-v1, of test subjects, by task and model."""
    region, protocol = HEADLINE_CELL
    rows = summary[
        (summary["role"] == "test")
        & (summary["variant"] == "")
        & (summary["region"] == region)
        & (summary["protocol"] == protocol)
        & summary["metric"].isin(HEADLINE)
    ]
    metrics: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in rows.to_dict("records"):
        value = None if math.isnan(row["mean"]) else round(float(row["mean"]), 6)
        metrics.setdefault(row["task"], {}).setdefault(row["model"], {})[row["metric"]] = value
    return metrics
