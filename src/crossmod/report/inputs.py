"""Read the files a report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from crossmod.evaluation.summary import subject_values
from crossmod.files import read_json, read_rows, read_table
from crossmod.report.request import Endpoint, Model, ReportRequest, RunFiles, models_of
from crossmod.status import Status, read_batch, read_status
from crossmod.text import without_folders

if TYPE_CHECKING:
    import pandas as pd

ROLE_ORDER = ("train", "validation", "test", "external", "unused")
TEXT_COLUMNS = (
    *("participant", "session", "task", "model", "variant", "role", "region", "protocol"),
    *("metric", "control", "primary", "experiment", "row"),
)


@dataclass(frozen=True)
class Task:
    """One direction of synthesis."""

    id: str
    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Made:
    """A synthetic image: the run, the batch status file and the session's entry in it."""

    run: RunFiles
    batch: Path
    status: Status


class StudyFiles:
    """The content of a study's files, read once and on demand.

    Parameters
    ----------
    request : ReportRequest
        Where they lie.
    """

    def __init__(self, request: ReportRequest) -> None:
        self.request = request
        self.endpoint = Endpoint.of(request.settings, request.primary_model)
        self.models: tuple[Model, ...] = models_of(request.runs)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks in the order of the runs."""
        found = {run.task: Task(run.task, run.sources, run.target) for run in self.request.runs}
        return tuple(found.values())

    @cached_property
    def scores(self) -> pd.DataFrame:
        """All scores, tidy."""
        return read_scores(self.request.tables / "scores.tsv")

    @cached_property
    def subjects(self) -> pd.DataFrame:
        """One value per subject: its sessions averaged, then its seeds."""
        return subject_values(self.scores)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Means over subjects."""
        return read_scores(self.request.tables / "summary.tsv")

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """Paired comparisons of models."""
        return read_scores(self.request.tables / "comparisons.tsv")

    @cached_property
    def experiments(self) -> pd.DataFrame:
        """Rows of the experiments that the study file defines."""
        return read_scores(self.request.tables / "experiments.tsv")

    def slices_seen(self, task: str, model: str) -> int:
        """Most slices that a training of the model saw; 0 for what is fitted at once."""
        runs = [r for r in self.request.runs if (r.task, r.model) == (task, model)]
        return max((slices_seen(run) for run in runs), default=0)

    def index(self, table: str) -> list[dict[str, str]]:
        """Rows of an index table."""
        return read_rows(self.request.index / f"{table}.tsv")

    @cached_property
    def roles(self) -> dict[str, dict[int, str]]:
        """Participant to fold to role in the split."""
        found: dict[str, dict[int, str]] = {}
        for row in self.index("split"):
            found.setdefault(row["participant_id"], {})[int(row["fold"] or 0)] = row["role"]
        return found

    @cached_property
    def preprocessed(self) -> dict[str, tuple[Status, Path]]:
        """Session key to the status of preprocessing and its file."""
        found = {}
        for path in self.request.preprocessed:
            status = read_status(path)
            found[status.session] = (status, path)
        return found

    @cached_property
    def made(self) -> list[Made]:
        """Every entry of every batch of synthetic images."""
        return [
            Made(run, batch, status)
            for run in self.request.runs
            for batch in run.batches
            for status in read_batch(batch)
        ]

    @cached_property
    def scored(self) -> list[tuple[RunFiles, Status]]:
        """Every entry of every batch of scores."""
        return [
            (run, status)
            for run in self.request.runs
            for batch in run.scored
            if batch.is_file()
            for status in read_batch(batch)
        ]

    @cached_property
    def failures(self) -> list[dict[str, str]]:
        """Sessions that a stage left out: session, stages, models, reason; each reason once."""
        entries: list[tuple[str, str, str, str]] = []
        for status, _ in self.preprocessed.values():
            if not status.ok:
                entries.append((status.session, "preprocess", "", status.reason))
        for path in self.request.manifests:
            manifest = read_json(path)
            if manifest.get("verdict") == "failed":
                entries.append((manifest["session"], "slices", "", manifest["reason"]))
        of_models = [("synthesize", made.run.model, made.status) for made in self.made]
        of_models += [("evaluate", run.model, status) for run, status in self.scored]
        entries += [
            (s.session, stage, model, s.reason) for stage, model, s in of_models if not s.ok
        ]
        return _merged([(key, stage, model, self.tidy(why)) for key, stage, model, why in entries])

    @cached_property
    def unscored(self) -> list[dict[str, str]]:
        """Sessions that have a synthetic image and no score, with the reason."""
        entries = [
            (status.session, run.task, run.model, str(status.details.get("reason", "")))
            for run, status in self.scored
            if status.ok and status.details.get("scored") is False
        ]
        return _merged(entries)

    def tidy(self, text: str) -> str:
        """A reason without the place of the data folder on this machine."""
        return without_folders(text, self.request.settings.get("data_dir"))


def slices_seen(run: RunFiles) -> int:
    """Slices that a training saw, repeated ones counted; 0 for what is fitted at once."""
    if run.batch_size is None or run.curve is None or not run.curve.is_file():
        return 0
    return run.batch_size * max((int(row["step"]) for row in read_rows(run.curve)), default=0)


def _merged(entries: list[tuple[str, str, str, str]]) -> list[dict[str, str]]:
    """One row per session and reason, at the first stage that gave it.

    Later stages pass a session's first reason on; that is no second failure.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for key, stage, model, reason in entries:
        row = rows.setdefault((key, reason), {"session": key, "stage": stage, "models": model})
        row["reason"] = reason
        if stage == row["stage"] and model and model not in row["models"].split(", "):
            row["models"] += f", {model}"
    return sorted(rows.values(), key=lambda row: (row["session"], row["stage"]))


def read_scores(path: Path) -> pd.DataFrame:
    """A table of results, with empty text where a text column says `n/a`."""
    table = read_table(path, **dict.fromkeys(TEXT_COLUMNS, str))
    text = [name for name in TEXT_COLUMNS if name in table]
    table[text] = table[text].fillna("")
    if "primary" in table:
        table["primary"] = table["primary"].str.lower().isin(("true", "1", "yes"))
    return table


def role_of(roles: dict[int, str]) -> str:
    """One word for a participant's part in the study: its role, or the fold that tests it."""
    if not roles:
        return "unused"
    if len(roles) == 1 or len(set(roles.values())) == 1:
        return next(iter(roles.values()))
    tested = [fold for fold, role in roles.items() if role == "test"]
    return f"test in fold {tested[0]}" if tested else "train"
