"""The plan of a study: its sessions, split and runs, from which the workflow's DAG is made.

Loading a plan indexes the data folder by names, brings the index tables up to date and derives
everything else from them. It imports neither torch nor pandas: the Snakefile does it at each parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from crossmod.config import Study
from crossmod.data.splits import (
    COLUMNS,
    Split,
    assign,
    fold_count,
    missing_participants,
    participants,
    read_split,
    split_rows,
)
from crossmod.errors import ConfigError
from crossmod.files import read_json, write_json, write_rows
from crossmod.hashing import canonical_json
from crossmod.ingest.index import Index, Session, index_study
from crossmod.ingest.names import Remark
from crossmod.ingest.tables import write_index
from crossmod.methods import Declaration, declaration
from crossmod.paths import RunPaths, StudyPaths, raw_scan
from crossmod.settings import Modality, TaskSettings
from crossmod.study_file import load_study

UNSERVED_COLUMNS = ("session_key", "modality", "reason")


@dataclass(frozen=True)
class Run:
    """One model to train and use: task x model x fold x seed.

    Attributes
    ----------
    train, validation : tuple of str
        Session keys.
    batches : dict of str to tuple of str
        Batch name to the keys of the sessions it synthesizes.
    """

    task: TaskSettings
    model: str
    fold: int
    seed: int
    declaration: Declaration
    paths: RunPaths
    train: tuple[str, ...]
    validation: tuple[str, ...]
    batches: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """What a study will do."""

    study: Study
    index: Index
    split: Split

    @property
    def sessions(self) -> dict[str, Session]:
        """Sessions by key, sorted."""
        return self.index.sessions

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What the index came across and could not use."""
        return self.index.remarks

    @cached_property
    def paths(self) -> StudyPaths:
        """Paths of the study."""
        return StudyPaths(self.study)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Runs by id. Methods that are fitted at once are fitted with the first seed only."""
        runs = {}
        for task in self.study.tasks:
            for model in self.study.models:
                if (task.id, model) in self.skipped:
                    continue
                settings = self.study.models[model]
                found = declaration(settings.method)
                seeds = self.study.seeds if found.fitting == "gradient" else self.study.seeds[:1]
                for fold in settings.folds or range(fold_count(self.study.split)):
                    for seed in seeds:
                        run = self._run(task, model, fold, seed)
                        runs[run.paths.id] = run
        return runs

    @cached_property
    def skipped(self) -> dict[tuple[str, str], str]:
        """Pairs of task and model that make no sense or are not asked for, with the reason."""
        reasons = {}
        for task in self.study.tasks:
            for name, model in self.study.models.items():
                if model.own.get("source") not in (None, *task.sources):
                    reasons[task.id, name] = f"{model.own['source']} is no source of the task"
                elif model.tasks is not None and task.id not in model.tasks:
                    reasons[task.id, name] = "the study restricts the model to other tasks"
        return reasons

    def _run(self, task: TaskSettings, model: str, fold: int, seed: int) -> Run:
        paths = self.paths.run(self.paths.run_id(task.id, model, fold, seed))
        found = declaration(self.study.models[model].method)
        train = self._trainable(task, fold, "train")
        validation = self._trainable(task, fold, "validation")
        if not train:
            needed = ", ".join((*task.sources, task.target))
            problem = f"no training subject has all of {needed} in fold {fold}"
            raise ConfigError(f"task {task.id}", problem, "see index/scans.tsv and index/split.tsv")
        batches = self._batches(task, fold, found)
        return Run(task, model, fold, seed, found, paths, train, validation, batches)

    def _trainable(self, task: TaskSettings, fold: int, role: Any) -> tuple[str, ...]:
        """Keys of the sessions with all modalities of the task, in the order of the split."""
        needed = {*task.sources, task.target}
        keys = self._keys(participants(self.split, fold, [role]))
        return tuple(key for key in keys if needed <= set(self.sessions[key].available))

    def _batches(
        self, task: TaskSettings, fold: int, method: Declaration
    ) -> dict[str, tuple[str, ...]]:
        """Sessions to synthesize: tests, external ones, and those that lack the target.

        Only the last may lack a source, where the method can do without: scores of all methods
        are of the same subjects.

        A session's place is its participant's place in the append-only split, so that a new
        participant or one that drops out moves nobody to another batch.
        """
        batches: dict[str, list[str]] = {}
        place = 0
        for (participant, f), role in self.split.items():
            if f != fold:
                continue
            tested = role == "test" or (role == "external" and fold == 0)
            for key in self._keys([participant]):
                available = set(self.sessions[key].available)
                fill = fold_count(self.study.split) == 1 and task.target not in available
                whole = set(task.sources) <= available
                if (tested and whole) or (fill and method.serves(task.sources, available)):
                    batches.setdefault(f"{place // self.study.batch:03d}", []).append(key)
            place += tested
        return {name: tuple(keys) for name, keys in batches.items()}

    def _keys(self, names: list[str]) -> list[str]:
        return [key for name in names for key in self._keys_of.get(name, ())]

    @cached_property
    def _keys_of(self) -> dict[str, list[str]]:
        keys: dict[str, list[str]] = {}
        for key, session in self.sessions.items():
            keys.setdefault(session.participant, []).append(key)
        return keys

    @cached_property
    def used_sessions(self) -> tuple[str, ...]:
        """Keys of every session with a usable scan: all of them are preprocessed."""
        wanted = set(self.study.preprocess.modalities)
        return tuple(key for key, s in self.sessions.items() if wanted & set(s.available))

    def earlier_sessions(self, key: str) -> tuple[str, ...]:
        """Sessions of the same participant that are preprocessed and come before by name."""
        mine = (k for k in self._keys_of[self.sessions[key].participant] if k < key)
        return tuple(k for k in mine if k in self.used_sessions)

    @cached_property
    def ingested_sessions(self) -> tuple[str, ...]:
        """Keys of the sessions that are converted to BIDS; none where scans are used in place."""
        return () if self.index.in_place else self.used_sessions

    @cached_property
    def primary_model(self) -> str:
        """Model of the primary endpoint: the one named, else the first that is no null."""
        named = self.study.evaluation.primary.model
        models = self.study.models
        candidates = [m for m in models if not declaration(models[m].method).null]
        return named or (candidates or list(models))[0]

    @cached_property
    def sensitivity_model(self) -> str:
        """Model whose images are also scored shifted, blurred and scaled."""
        return self.study.evaluation.sensitivity or self.primary_model

    @cached_property
    def phantom_groups(self) -> dict[tuple[str, ...], tuple[str, ...]]:
        """Participants of the phantom by the files they have; empty for other layouts."""
        groups: dict[tuple[str, ...], list[str]] = {}
        if self.study.dataset.layout == "phantom":
            for session in self.sessions.values():
                made = [str(m) for m, scan in session.scans.items() if scan.path]
                made += [kind for kind, _ in session.annotations]
                groups.setdefault(tuple(made), []).append(session.participant)
        return {made: tuple(names) for made, names in groups.items()}

    def phantom_pattern(self, kind: str) -> str:
        """Path of a scan (a modality) or lesion map of the phantom, for any `{participant}`."""
        from crossmod.phantom import lesion_file

        stand_in = "sub-0"
        lesion = kind == "lesion"
        file = lesion_file(stand_in) if lesion else raw_scan(stand_in, cast(Modality, kind))
        return (self.paths.data / file).as_posix().replace(stand_in, "{participant}")

    @cached_property
    def unserved(self) -> list[dict[str, str]]:
        """Modalities of the tasks that a session lacks and no model can make, with the reason.

        Sessions that are excluded are told elsewhere.
        """
        rows = []
        for key, session in self.sessions.items():
            for modality in () if session.excluded else self.study.task_modalities:
                if modality in session.available:
                    continue
                reason = self._unserved_reason(session, modality)
                if reason:
                    rows.append({"session_key": key, "modality": modality, "reason": reason})
        return rows

    def _unserved_reason(self, session: Session, modality: str) -> str:
        tasks = [task for task in self.study.tasks if task.target == modality]
        if not tasks:
            return f"no task of this study makes {modality}"
        if any(self._serves(task, session) for task in tasks):
            return ""
        lacking = [[m for m in t.sources if m not in session.available] for t in tasks]
        return f"lacks the source {' and '.join(sorted(lacking, key=len)[0])}"

    def _serves(self, task: TaskSettings, session: Session) -> bool:
        """Whether any model of a task can be used on a session."""
        return any(
            declaration(model.method).serves(task.sources, session.available)
            for name, model in self.study.models.items()
            if (task.id, name) not in self.skipped
        )


def load_plan(overrides: Mapping[str, Any] | None = None, path: Path | str | None = None) -> Plan:
    """Load a study, index its data, bring its tables up to date.

    Parameters
    ----------
    overrides, path
        As for `crossmod.study_file.load_study`.

    Raises
    ------
    ConfigError, InputError
        If study, data folder or split cannot be used.
    """
    return make_plan(load_study(overrides, path))


def make_plan(study: Study) -> Plan:
    """Index a study's data and bring its tables up to date."""
    paths = StudyPaths(study)
    index = index_study(study)
    _claim_dataset(study, paths, index.detected.layout)
    split = _split(study, index.sessions.values(), paths.index("split"))
    plan = Plan(study, index, split)
    write_index(index, paths)
    write_rows(paths.index("split"), COLUMNS, split_rows(split))
    write_rows(paths.index("unserved"), UNSERVED_COLUMNS, plan.unserved)
    _ = plan.runs  # a study that cannot be trained is refused here, in one line
    return plan


def _split(study: Study, sessions: Iterable[Session], table: Path) -> Split:
    groups = {session.participant: session.group for session in sessions if session.available}
    folds = fold_count(study.split)
    if study.split.file is not None:
        split = read_split(study.split.file, folds)
        unknown = missing_participants(split, groups)
        if unknown:
            problem = f"says nothing of {unknown[0]}"
            raise ConfigError(study.split.file, problem, "add a line or exclude the participant")
        return split
    existing = _earlier_split(study, table, folds)
    for participant in study.split.external:
        role = existing.get((participant, 0), "external")
        if role != "external":
            problem = f"{participant} is external in the study, {role} in the split"
            raise ConfigError(table, problem, "delete the table to divide anew")
    return assign(groups, existing, study.split)


def _earlier_split(study: Study, table: Path, folds: int) -> Split:
    """Roles given by an earlier run; none of them may come from other settings."""
    settings = study.split.model_dump(mode="json", exclude={"external"})
    record = table.with_name("split.json")
    if table.is_file() and record.is_file() and read_json(record) != settings:
        remedy = f"delete {table} to divide anew, or take the old settings back"
        raise ConfigError(table, "was made with other split settings", remedy)
    existing = read_split(table, folds) if table.is_file() else {}
    write_json(record, settings)
    return existing


def _claim_dataset(study: Study, paths: StudyPaths, layout: str) -> None:
    """One data set name stands for one folder: derivatives are shared by name."""
    claim = paths.derivatives / "dataset.json"
    content = {"name": study.dataset.name, "data_dir": paths.data.as_posix()}
    content["layout"] = layout
    if study.dataset.entities:
        content["entities"] = canonical_json(study.dataset.model_dump(mode="json")["entities"])
    if study.dataset.deface:
        content["deface"] = "true"
    if study.dataset.manifest is not None:
        content["manifest"] = study.dataset.manifest.as_posix()
    if study.dataset.phantom is not None:
        content["phantom"] = canonical_json(study.dataset.phantom.of_one_subject())
    if claim.is_file() and read_json(claim) != content:
        old = read_json(claim)
        same_folder = old.get("data_dir") == content["data_dir"]
        other = "the same folder with other settings" if same_folder else old.get("data_dir")
        problem = f"data set {study.dataset.name!r} already stands for {other}"
        remedy = f"choose another dataset.name, or delete {claim} to let the new one replace it"
        raise ConfigError(claim, problem, remedy)
    write_json(claim, content)
