"""Sentences below an experiment's table: what agrees with the published, what cannot be said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from crossmod.evaluation.experiments import CELLS, PUBLISHED_PROTOCOL
from crossmod.evaluation.statistics import LEAST_FOR_TEST, least_wilcoxon_p
from crossmod.evaluation_settings import ExperimentRow, ExperimentSettings
from crossmod.report.tables import Metric, metric_of, p_value

Key = tuple[str, str, str]
Line = Mapping[str, Any]
SIGNIFICANT = 0.05


def sentences(
    experiment: ExperimentSettings, lines: Mapping[Key, Line], undertrained: Mapping[str, int]
) -> list[str]:
    """What agrees with the published numbers, what does not, and what cannot be said.

    Parameters
    ----------
    experiment : ExperimentSettings
        Rows with their published numbers.
    lines : mapping
        Lines of the table `experiments.tsv` by row, protocol and metric.
    undertrained : mapping of str to int
        Rows whose trainings saw far fewer slices than the published ones, and how many.
    """
    found = []
    control = next(row for row in experiment.rows if row.name == experiment.control)
    for row in experiment.rows:
        if row is not control:
            said = list(_verdicts(row, control, lines))
            found += [f"{row.name} against {control.name}: {'; '.join(said)}."] if said else []
    found += _equivalences(experiment, lines)
    found += _height(experiment, lines)
    found += _powerless(lines)
    if undertrained:
        fewest, most = min(undertrained.values()), max(undertrained.values())
        seen = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
        found.append(
            f"\u2020 Undertrained: {seen} slices seen, {experiment.publication_slices:,} in the "
            "publication. These rows compare models at an equal small budget; they are no "
            "measure of what the methods reach."
        )
    return found


def _verdicts(
    row: ExperimentRow, control: ExperimentRow, lines: Mapping[Key, Line]
) -> Iterator[str]:
    """One clause for each metric that was published for both rows."""
    for name in (name for name in row.published if name in control.published):
        line = lines.get((row.name, PUBLISHED_PROTOCOL, name))
        if line is not None and not math.isnan(line["difference"]):
            published = round(row.published[name][0] - control.published[name][0], 6)
            yield verdict(metric_of(name), published, line)


def verdict(metric: Metric, published: float, line: Line) -> str:
    """One clause on one difference; the test decides, as for the stars of the table.

    Parameters
    ----------
    metric : Metric
        What is compared.
    published : float
        The published difference.
    line : mapping
        Our `difference`, `difference_low`, `difference_high`, `wilcoxon_p_holm`.
    """
    low, high = line["difference_low"], line["difference_high"]
    ours = _with_unit(metric, line["difference"])
    if not math.isnan(low):
        ours += f" (95 % CI {metric.interval(low, high, sign=True)})"
    numbers = f"{metric.name} published {_with_unit(metric, published)}, here {ours}"
    same = (line["difference"] > 0) == (published > 0)
    direction = "the same direction" if same else "the other direction"
    if published == 0:
        direction = "no published direction"
    p = line["wilcoxon_p_holm"]
    if math.isnan(p):
        outside = "leaves 0 out" if low > 0 or high < 0 else "includes 0"
        interval = "" if math.isnan(low) else f" and the interval {outside}"
        return f"{numbers}: {direction}{interval} (no test below {LEAST_FOR_TEST} subjects)"
    if p >= SIGNIFICANT:
        why = f"p = {p_value(p)} after Holm"
        return f"{numbers}: {direction}, but not distinguishable from no difference ({why})"
    if published == 0:
        return f"{numbers}: a difference where none is published"
    said = "reproduced in direction" if same else "not reproduced: the direction is opposite"
    return f"{numbers}: {said}"


def _with_unit(metric: Metric, number: float) -> str:
    return f"{metric.value(number, sign=True)} {metric.unit}".rstrip()


def _equivalences(experiment: ExperimentSettings, lines: Mapping[Key, Line]) -> Iterator[str]:
    """Which rows are as good as the control: their interval lies inside the margin."""
    metric, margin = metric_of("psnr"), experiment.margin
    if margin is None:
        return
    for row in experiment.rows:
        line = lines.get((row.name, "brain-v1", metric.id))
        if row.name == experiment.control or line is None or math.isnan(line["difference_low"]):
            continue
        low, high = line["difference_low"], line["difference_high"]
        said = "is equal" if -margin < low and high < margin else "is not shown to be equal"
        ours = _with_unit(metric, line["difference"])
        yield (
            f"{row.name} {said} to {experiment.control} within \u00b1{margin:g} dB: PSNR in the "
            f"brain {ours} (95 % CI {metric.interval(low, high, sign=True)})."
        )


def _height(experiment: ExperimentSettings, lines: Mapping[Key, Line]) -> list[str]:
    """How far the rows are above the model that knows least, beside the span of the published."""
    metric = metric_of("psnr")
    heights = {
        row.name: lines[row.name, PUBLISHED_PROTOCOL, "psnr"]["above_baseline"]
        for row in experiment.rows
        if row.model != experiment.baseline and (row.name, PUBLISHED_PROTOCOL, "psnr") in lines
    }
    known = {name: height for name, height in heights.items() if not math.isnan(height)}
    if not known:
        return []
    text = (
        f"Above {experiment.baseline}, in PSNR of {PUBLISHED_PROTOCOL}: "
        f"{metric.interval(min(known.values()), max(known.values()), sign=True)} dB"
    )
    if experiment.control in known:
        text += f", {experiment.control} {metric.value(known[experiment.control], sign=True)} dB"
    published = [row.published["psnr"][0] for row in experiment.rows if "psnr" in row.published]
    if len(published) > 1:
        span = metric.value(max(published) - min(published))
        text += f". The published rows span {span} dB"
    return [f"{text}."]


def _powerless(lines: Mapping[Key, Line]) -> list[str]:
    """Protocols in which no difference, however large, could be significant after Holm."""
    found = []
    for protocol, _, _ in CELLS:
        tested = [
            line
            for key, line in lines.items()
            if key[1] == protocol and not math.isnan(line["wilcoxon_p"])
        ]
        if not tested:
            continue
        most = max(int(line["subjects"]) for line in tested)
        least = len(tested) * least_wilcoxon_p(most)
        if least > SIGNIFICANT:
            found.append(
                f"No test can show a difference in {protocol}: with {most} subjects and "
                f"{len(tested)} comparisons the least p after Holm is {min(least, 1):.2f}. Read "
                "the intervals."
            )
    return found
