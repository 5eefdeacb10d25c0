"""What the rows of a score table mean, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crossmod.report.inputs import Task
from crossmod.report.request import Endpoint, Model
from crossmod.report.tables import metric_of, variant_name

if TYPE_CHECKING:
    import pandas as pd

CHANGES = {
    "shift": "moved to the right by {} voxel, as by a registration that is slightly off",
    "blur": "blurred by a Gaussian of sigma {} voxel, as by a loss of detail",
    "scale": "multiplied by {}, as by a wrong intensity scale",
}


def null_sentences(
    models: Sequence[Model], settings: Mapping[str, Any], task: Task
) -> list[tuple[str, str]]:
    """Name of each null model with what it does and does not know."""
    rows = []
    for model in models:
        if model.null:
            own = (settings.get("models") or {}).get(model.name) or {}
            text = _null(model.method, own.get("source") or task.sources[0], task.target)
            if own.get("resolution") == "native":
                text += " It works on the common grid itself, at its full resolution."
            rows.append((model.name, text))
    return rows


def _null(method: str, source: str, target: str) -> str:
    known = {
        "brain-mean": f"One gray value for the whole brain, the mean {target} intensity of the "
        "training subjects: it knows where the brain is and nothing else.",
        "copy-source": f"The subject's own {source}, its intensities mapped to {target} by one "
        "line: the right anatomy with the contrast of another modality.",
        "linear-regression": f"Each {target} voxel as one linear function of the sources at that "
        "voxel: the best linear guess without a look at its neighbors.",
    }
    return known.get(method, f"The method {method}, a control that a trained model has to beat.")


def sensitivity_sentences(
    summary: pd.DataFrame, task: str, endpoint: Endpoint
) -> list[tuple[str, str]]:
    """Name of each sensitivity row with what was changed and what that costs."""
    part = summary[
        (summary["task"] == task)
        & (summary["role"] == "test")
        & (summary["region"] == endpoint.region)
        & (summary["protocol"] == "brain-v1")
        & (summary["metric"] == endpoint.metric)
    ]
    means = {(row["model"], row["variant"]): row["mean"] for row in part.to_dict("records")}
    rows = []
    for model, variant in sorted(key for key in means if key[1]):
        kind, _, amount = variant.rpartition("-")
        change = CHANGES.get(kind, "changed ({})").format(amount)
        text = f"The images of {model}, {change}"
        if (model, "") in means:
            text += f": {_effect(means[model, variant] - means[model, ''], endpoint)}"
        rows.append((variant_name(model, variant), f"{text}."))
    return rows


def _effect(difference: float, endpoint: Endpoint) -> str:
    metric = metric_of(endpoint.metric)
    amount = f"{metric.value(abs(difference))} {metric.unit}".strip()
    loss = difference < 0 if metric.up else difference > 0
    return f"{'costs' if loss else 'gains'} {amount} of {metric.name}"
