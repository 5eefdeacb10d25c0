"""The result in words: one paragraph for the page, one table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crossmod.report.inputs import Task
from crossmod.report.request import Endpoint, Model
from crossmod.report.tables import (
    FEWEST_SUBJECTS,
    REGION_NAMES,
    Selection,
    mean_of,
    metric_of,
    p_value,
    score_table,
)
from crossmod.text import listed, text_table

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05


@dataclass(frozen=True)
class KeyNumber:
    """One number that the page prints large."""

    label: str
    value: str
    unit: str
    detail: str
    main: bool = False


def key_numbers(
    summary: pd.DataFrame, comparisons: pd.DataFrame, task: Task, endpoint: Endpoint
) -> list[KeyNumber]:
    """The primary comparison in numbers; nothing where there is none."""
    line = primary_line(comparisons, task.id)
    if line is None:
        return []
    metric = metric_of(line["metric"])
    found = []
    for name in (line["model"], line["control"]):
        mean = mean_of(summary, task.id, name, endpoint)
        if mean:
            interval = metric.interval(mean["ci_low"], mean["ci_high"])
            value = metric.value(mean["mean"])
            found.append(KeyNumber(f"{metric.name}, {name}", value, metric.unit, _ci(interval)))
    interval = metric.interval(line["ci_low"], line["ci_high"], sign=True)
    value = metric.value(line["difference"], sign=True)
    found.append(KeyNumber("Mean difference", value, metric.unit, _ci(interval), main=True))
    if line["subjects"] >= FEWEST_SUBJECTS:
        other = f"Wilcoxon {p_value(line['wilcoxon_p'])}"
        found.append(KeyNumber("p, paired t", p_value(line["t_p"]), "", other))
    subjects = int(line["subjects"])
    found.append(KeyNumber("Test subjects", str(subjects), "", "paired"))
    return found


def _ci(interval: str) -> str:
    return "" if "n/a" in interval else f"95 % CI {interval}"


def summary_sentences(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    models: Sequence[Model],
    task: Task,
    endpoint: Endpoint,
) -> list[str]:
    """What was synthesized, who wins, by how much and whether that is more than chance."""
    of_task = summary[(summary["task"] == task.id) & (summary["variant"] == "")]
    sentences = [_what(of_task, models, task)]
    line = primary_line(comparisons, task.id)
    where = f"{REGION_NAMES.get(endpoint.region, endpoint.region)}, {endpoint.protocol}"
    metric = metric_of(endpoint.metric)
    if line is None:
        sentences.append(
            f"The primary endpoint named beforehand ({metric.name}, {where}) has no comparison."
        )
    else:
        sentences += _outcome(summary, task, endpoint, line)
    means = {m.name: mean_of(summary, task.id, m.name, endpoint) for m in models}
    known = {n: float(found["mean"]) for n, found in means.items() if found}
    known = {name: mean for name, mean in known.items() if not math.isnan(mean)}
    if len(known) > 1:
        best = (max if metric.up else min)(known, key=lambda name: known[name])
        value = f"{metric.value(known[best])} {metric.unit}".strip()
        sentences.append(
            f"Of all {len(known)} models {best} has the best mean {metric.name} ({value})."
        )
    return sentences


def _what(of_task: pd.DataFrame, models: Sequence[Model], task: Task) -> str:
    tested = _most(of_task[of_task["role"] == "test"])
    external = _most(of_task[of_task["role"] == "external"])
    trained = [model.name for model in models if not model.null]
    nulls = [model.name for model in models if model.null]
    people = f"{tested} test subject{'s' * (tested != 1)} kept out of training"
    if external:
        people += f" and {external} external subject{'s' * (external != 1)} (reported apart)"
    text = f"{task.target} was synthesized from {listed(task.sources)} for {people}"
    parts = []
    if trained:
        parts.append(f"{len(trained)} trained model{'s' * (len(trained) != 1)} ({listed(trained)})")
    if nulls:
        parts.append(f"{len(nulls)} null model{'s' * (len(nulls) != 1)} ({listed(nulls)})")
    return f"{text}, by {listed(parts)}." if parts else f"{text}."


def _most(part: pd.DataFrame) -> int:
    return int(part["subjects"].max()) if len(part) else 0


def primary_line(comparisons: pd.DataFrame, task: str) -> dict[str, Any] | None:
    """The comparison of a task that is flagged as primary."""
    part = comparisons[(comparisons["task"] == task) & comparisons["primary"].astype(bool)]
    lines: list[dict[str, Any]] = part.to_dict("records")
    return lines[0] if lines else None


def _outcome(
    summary: pd.DataFrame, task: Task, endpoint: Endpoint, line: dict[str, Any]
) -> list[str]:
    metric = metric_of(line["metric"])
    unit = f" {metric.unit}" if metric.unit else ""
    model, control = line["model"], line["control"]
    region = REGION_NAMES.get(line["region"], line["region"])
    against = control if endpoint.control else f"the best null model, which is {control}"
    first = (
        f"Primary endpoint, named before the results were seen: {metric.name} in the {region} "
        f"({line['protocol']}) of {model} against {against}."
    )
    values = []
    for name in (model, control):
        found = mean_of(summary, task.id, name, endpoint)
        if found:
            interval = metric.interval(found["ci_low"], found["ci_high"])
            values.append(
                f"{name} reaches {metric.value(found['mean'])}{unit} (95 % CI {interval})"
            )
    gain = line["difference"] if metric.up else -line["difference"]
    verb = "better" if gain > 0 else "worse"
    interval = metric.interval(line["ci_low"], line["ci_high"], sign=True)
    second = (
        f"{', '.join(values)}: {model} is {metric.value(abs(line['difference']))}{unit} {verb} "
        f"(mean difference {metric.value(line['difference'], sign=True)}{unit}, "
        f"95 % CI {interval}, {int(line['subjects'])} subjects)."
    )
    return [first, second, _significance(line, gain)]


def _significance(line: dict[str, Any], gain: float) -> str:
    tests = {"paired t": line["t_p"], "Wilcoxon": line["wilcoxon_p"]}
    if line["subjects"] < FEWEST_SUBJECTS or any(math.isnan(p) for p in tests.values()):
        return f"No test is printed below {FEWEST_SUBJECTS} subjects."
    values = ", ".join(f"{name} {p_value(p)}" for name, p in tests.items())
    passed = [name for name, p in tests.items() if p < LEVEL]
    verdict = {0: "is not significant", 1: f"is significant by the {listed(passed)} test alone"}
    text = verdict.get(len(passed), "is significant")
    against = ", against the model" if gain < 0 and passed else ""
    effect = f"{line['effect_size']:.2f}".replace("-", "\u2212")
    return (
        f"At the 5 % level the difference {text}{against} (p of this one comparison, not adjusted "
        f"because it was named beforehand: {values}; effect size dz {effect})."
    )


def headline(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    models: Sequence[Model],
    tasks: Sequence[Task],
    endpoint: Endpoint,
) -> str:
    """The headline table of every task as plain text for the terminal."""
    blocks = []
    for task in tasks:
        chosen = Selection(task.id, endpoint.protocol, (endpoint.region,))
        table = score_table(summary, models, chosen)
        title = f"{task.target} from {listed(task.sources)}"
        if table is None:
            blocks.append(f"{title}: nothing was scored")
            continue
        region = REGION_NAMES.get(endpoint.region, endpoint.region)
        title += f": {table.subjects} test subjects, {region}, {endpoint.protocol}"
        # One blank more, because `*` marks the best of a column.
        header = ["model", *(f"{m.name} {m.unit}".rstrip() + " " for _, m in table.columns)]
        rows: list[list[str]] = []
        for group in table.groups:
            rows.append([group.name.partition(":")[0].lower()])
            rows += [[f"  {r.name}", *(_plain(c) for c in r.cells)] for r in group.rows]
        sentences = summary_sentences(summary, comparisons, models, task, endpoint)
        legend = "* best of the column, whatever the tests say"
        blocks.append("\n".join([title, text_table(header, rows), legend, *sentences[1:]]))
    return "\n\n".join(blocks)


def _plain(cell: Any) -> str:
    return f"{cell.mean} ± {cell.sd}{'*' if cell.best else ' '}" if cell.sd else f"{cell.mean} "
