"""The index: which scan of which session exists, is missing or is left out, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crossmod.config import Study
from crossmod.errors import InputError
from crossmod.ingest import bids, manifest
from crossmod.ingest.names import Found, Remark
from crossmod.paths import StudyPaths, raw_scan, split_key
from crossmod.settings import MODALITIES, Modality

ScanStatus = Literal["present", "missing", "excluded"]
SCAN_COLUMNS = ("participant_id", "session_key", "modality", "status", "reason", "path")
SESSION_COLUMNS = ("participant_id", "session_key", "group", "status", "reason")
REMARK_COLUMNS = ("participant_id", "path", "remark")
ANNOTATION_COLUMNS = ("session_key", "kind", "status", "reason", "path")


@dataclass(frozen=True)
class Scan:
    """One cell of the table subject x session x modality."""

    key: str
    modality: Modality
    status: ScanStatus
    reason: str = ""
    path: Path | None = None


@dataclass(frozen=True)
class Session:
    """One visit."""

    key: str
    group: str
    excluded: str
    scans: dict[Modality, Scan]
    annotations: tuple[tuple[str, Path], ...]
    unusable: tuple[tuple[str, Path, str], ...] = ()

    @property
    def participant(self) -> str:
        """Participant of the visit."""
        return split_key(self.key)[0]

    @property
    def available(self) -> tuple[Modality, ...]:
        """Modalities that can be used, in canonical order; none if the session is excluded."""
        if self.excluded:
            return ()
        return tuple(m for m, scan in self.scans.items() if scan.status == "present")

    def path(self, modality: Modality) -> Path:
        """File of an available scan."""
        path = self.scans[modality].path
        assert path is not None, f"{self.key} has no {modality}"
        return path


@dataclass(frozen=True)
class Index:
    """Sessions by key, sorted, and what was found beside them."""

    sessions: dict[str, Session]
    remarks: tuple[Remark, ...]


def index_study(study: Study) -> Index:
    """Index of a study's data set.

    Scans are judged by name and size only; what is wrong inside a file is found where it is read.

    Raises
    ------
    InputError
        If the data folder cannot be used, one file serves two participants, or a configured
        name does not exist.
    """
    found = find(study)
    _refuse_shared_files(found)
    wanted = _wanted(study, found)
    sessions = []
    for key in sorted({key for key, _ in found.scans}):
        participant, _ = split_key(key)
        if study.dataset.include is not None and participant not in study.dataset.include:
            continue
        scans = {m: _scan(key, m, found, study.dataset.layout == "phantom") for m in wanted}
        reason = study.dataset.exclude.get(key) or study.dataset.exclude.get(participant, "")
        group = found.participants[participant].get(study.split.stratify or "", "")
        notes = [(kind, path) for k, kind, path in found.annotations if k == key]
        faults = {} if study.dataset.layout == "phantom" else {p: _fault(p) for _, p in notes}
        usable = tuple((kind, path) for kind, path in notes if not faults.get(path))
        bad = tuple((kind, path, faults[path]) for kind, path in notes if faults.get(path))
        sessions.append(Session(key, group, reason, scans, usable, bad))
    _check_names(study, {session.key for session in sessions})
    _check_stratum(study, found)
    people = study.dataset.include
    remarks = [r for r in found.remarks if people is None or r.participant in people]
    return Index({session.key: session for session in sessions}, tuple(remarks))


def find(study: Study) -> Found:
    """What the reader of the study's layout finds."""
    paths = StudyPaths(study)
    if study.dataset.layout == "phantom":
        return _planned_phantom(study, paths.data)
    if study.dataset.layout == "manifest":
        assert study.dataset.manifest is not None
        return manifest.find(paths.data, study.dataset.manifest)
    return bids.find(paths.data)


def _planned_phantom(study: Study, root: Path) -> Found:
    """The phantom is indexed from its settings, before it is made."""
    from crossmod.phantom import lesion_file, plan

    assert study.dataset.phantom is not None
    found = Found()
    for subject in plan(study.dataset.phantom):
        found.participants[subject.participant] = {"group": subject.group}
        for modality in subject.modalities:
            path = root / raw_scan(subject.participant, modality)
            found.scans[subject.participant, modality] = [path]
        if subject.has_lesion:
            path = root / lesion_file(subject.participant)
            found.annotations.append((subject.participant, "lesion", path))
    return found


def _wanted(study: Study, found: Found) -> list[Modality]:
    """Modalities of the table: those of the tasks, and what else is there and processed."""
    present = {m for _, m in found.scans} & set(study.preprocess.modalities)
    return [m for m in MODALITIES if m in present.union(study.task_modalities)]


def _scan(key: str, modality: Modality, found: Found, planned: bool) -> Scan:
    paths = found.scans.get((key, modality), [])
    if not paths:
        return Scan(key, modality, "missing", "no file")
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        reason = f"{len(paths)} files claim to be {modality}: {names}"
        return Scan(key, modality, "excluded", reason)
    (path,) = paths
    fault = "" if planned else _fault(path)
    return Scan(key, modality, "excluded" if fault else "present", fault, path)


def _fault(path: Path) -> str:
    """What is wrong with a file as far as its entry in the folder tells; empty if nothing."""
    try:
        return "empty file" if path.stat().st_size == 0 else ""
    except OSError as error:
        return error.strerror or "unreadable"


def _refuse_shared_files(found: Found) -> None:
    """One file in two places would put a brain into train and test, or a target into its input."""
    owners: dict[Path, str] = {}
    for (key, modality), paths in found.scans.items():
        for path in paths:
            place = f"{key} {modality}"
            owner = owners.setdefault(path.resolve(), place)
            if owner != place:
                problem = f"is given as {owner} and as {place}"
                raise InputError(path, problem, "keep one of the two: results would leak")


def _check_stratum(study: Study, found: Found) -> None:
    column = study.split.stratify
    if column is not None and not any(column in row for row in found.participants.values()):
        columns = sorted({name for row in found.participants.values() for name in row})
        problem = f"names the column {column!r}, which no participant has"
        raise InputError("split.stratify", problem, f"known are {', '.join(columns) or 'none'}")


def _check_names(study: Study, keys: set[str]) -> None:
    participants = {split_key(key)[0] for key in keys}
    named = {
        "dataset.exclude": set(study.dataset.exclude) - keys,
        "dataset.include": set(study.dataset.include or ()),
        "split.external": set(study.split.external),
    }
    for where, names in named.items():
        unknown = sorted(names - participants)
        if unknown:
            problem = f"names {unknown[0]}, which the data set does not have"
            raise InputError(where, problem, "check the spelling (sub-01 or sub-01_ses-2)")


def scan_rows(sessions: Iterable[Session], root: Path) -> list[dict[str, str]]:
    """Rows of scans.tsv; paths are relative to the data folder where they lie in it."""
    return [
        {
            "participant_id": session.participant,
            "session_key": session.key,
            "modality": modality,
            "status": "excluded" if session.excluded and scan.path else scan.status,
            "reason": session.excluded or scan.reason,
            "path": _relative(scan.path, root),
        }
        for session in sessions
        for modality, scan in session.scans.items()
    ]


def remark_rows(remarks: Iterable[Remark]) -> list[dict[str, str]]:
    """Rows of remarks.tsv."""
    return [
        {"participant_id": remark.participant, "path": remark.path, "remark": remark.text}
        for remark in remarks
    ]


def session_rows(sessions: Iterable[Session]) -> list[dict[str, str]]:
    """Rows of sessions.tsv."""
    return [
        {
            "participant_id": session.participant,
            "session_key": session.key,
            "group": session.group,
            "status": "present" if session.available else "excluded",
            "reason": session.excluded or ("" if session.available else "no usable scan"),
        }
        for session in sessions
    ]


def annotation_rows(sessions: Iterable[Session], root: Path) -> list[dict[str, str]]:
    """Rows of annotations.tsv."""
    return [
        {
            "session_key": session.key,
            "kind": kind,
            "status": "excluded" if reason else "present",
            "reason": reason,
            "path": _relative(path, root),
        }
        for session in sessions
        for kind, path, reason in (
            *((kind, path, "") for kind, path in session.annotations),
            *session.unusable,
        )
    ]


def _relative(path: Path | None, root: Path) -> str:
    if path is None:
        return ""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
