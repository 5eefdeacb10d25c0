"""The index: which scan of which session exists, is missing or is left out, and why."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crossmod.config import Study
from crossmod.errors import InputError
from crossmod.files import read_rows
from crossmod.ingest import bids, manifest
from crossmod.ingest.detect import READERS, Detected, detect
from crossmod.ingest.entities import difference
from crossmod.ingest.names import Found, Kind, Remark, Source
from crossmod.ingest.request import Request
from crossmod.paths import StudyPaths, raw_scan, split_key
from crossmod.settings import MODALITIES, Modality
from crossmod.text import is_utf8
from crossmod.volume_names import volume_files

ScanStatus = Literal["present", "missing", "excluded"]
IN_PLACE = ("bids", "phantom")
"""Layouts whose scans are used where they lie; others are converted to BIDS first."""
NO_SCAN = "mask not used, its session has no scan; check the spelling of subject and session"


@dataclass(frozen=True)
class Scan:
    """One cell of the table subject x session x modality."""

    key: str
    modality: Modality
    status: ScanStatus
    reason: str = ""
    source: Source | None = None
    rivals: tuple[Source, ...] = ()
    """Files that all claim to be this scan, so that none is used."""

    @property
    def claims(self) -> tuple[Source, ...]:
        """Every file that claims to be this scan."""
        return (self.source,) if self.source else self.rivals

    @property
    def path(self) -> Path | None:
        """File of the scan, if there is one."""
        return self.source.path if self.source else None


@dataclass(frozen=True)
class Session:
    """One visit."""

    key: str
    group: str
    excluded: str
    scans: dict[Modality, Scan]
    annotations: tuple[tuple[Kind, Source], ...]
    unusable: tuple[tuple[Kind, Source, str], ...] = ()
    others: dict[Modality, Scan] = field(default_factory=dict)
    """Scans of modalities that the study does not process."""

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

    @property
    def request(self) -> Request:
        """What to convert of it: also what this study does not process, for others that do."""
        scans = {**self.scans, **self.others}
        usable = {m: s.source for m, s in scans.items() if s.status == "present" and s.source}
        return Request({m: usable[m] for m in MODALITIES if m in usable}, self.annotations)


@dataclass(frozen=True)
class Index:
    """Sessions by key, sorted, and what was found beside them."""

    sessions: dict[str, Session]
    remarks: tuple[Remark, ...]
    detected: Detected
    participants: dict[str, dict[str, str]]
    deface: bool = False

    @property
    def in_place(self) -> bool:
        """Whether scans are used where they lie."""
        return self.detected.layout in IN_PLACE and not self.deface


def index_study(study: Study) -> Index:
    """Index of a study's data set.

    Scans are judged by name and size only; what is wrong inside a file is found where it is read.

    Raises
    ------
    InputError
        If the data folder cannot be used, one file serves two participants, or a configured
        name does not exist.
    """
    detected, found = find(study)
    _refuse_shared_files(found)
    planned = detected.layout == "phantom"
    wanted = _wanted(study, found)
    annotations: dict[str, list[tuple[Kind, Source]]] = {}
    for key, kind, source in found.annotations:
        annotations.setdefault(key, []).append((kind, source))
    excluded = _excluded(study, {key for key, _ in found.scans})
    sessions = []
    for key in sorted({key for key, _ in found.scans}):
        participant, _ = split_key(key)
        if study.dataset.include is not None and participant not in study.dataset.include:
            continue
        scans = {m: _scan(key, m, found, planned) for m in wanted}
        unasked = [m for m in MODALITIES if m not in wanted and (key, m) in found.scans]
        others = {m: _scan(key, m, found, planned) for m in unasked}
        reason = excluded.get(key) or excluded.get(participant, "")
        group = found.participants[participant].get(study.split.stratify or "", "")
        notes = annotations.get(key, [])
        faults = {} if planned else {source: _fault(source.path) for _, source in notes}
        usable = tuple((kind, source) for kind, source in notes if not faults.get(source))
        bad = tuple((kind, s, faults[s]) for kind, s in notes if faults.get(s))
        sessions.append(Session(key, group, reason, scans, usable, bad, others))
    _check_names(study, {session.key for session in sessions})
    _check_stratum(study, found)
    people = study.dataset.include
    remarks = [r for r in found.remarks if people is None or r.participant in ("", *people)]
    remarks += _without_scan(found, StudyPaths(study).data, people)
    by_key = {session.key: session for session in sessions}
    return Index(by_key, tuple(remarks), detected, found.participants, study.dataset.deface)


def _excluded(study: Study, keys: set[str]) -> dict[str, str]:
    """Session or participant to the reason why it is left out; the study file goes first."""
    table = study.dataset.exclusions
    if table is None:
        return study.dataset.exclude
    listed = {}
    known = keys | {split_key(key)[0] for key in keys}
    for row in read_rows(table, ("session", "reason")):
        name, reason = row["session"], row["reason"]
        if name not in known:
            problem = f"names {name}, which the data set does not have"
            raise InputError(table, problem, "check the spelling (sub-01 or sub-01_ses-2)")
        if not reason:
            raise InputError(table, f"gives no reason for {name}", "write why it is left out")
        listed[name] = reason
    return {**listed, **study.dataset.exclude}


def find(study: Study) -> tuple[Detected, Found]:
    """The layout of a study's data folder, and what its reader finds there."""
    root, dataset = StudyPaths(study).data, study.dataset
    if dataset.layout == "phantom":
        return Detected("phantom"), _planned_phantom(study, root)
    if dataset.manifest is not None and dataset.layout in ("auto", "manifest"):
        return Detected("manifest"), manifest.find(root, dataset.manifest)
    detected = detect(root) if dataset.layout == "auto" else Detected(dataset.layout)
    if detected.layout == "bids":
        return detected, bids.find(root, dataset.entities)
    if dataset.entities:
        problem = f"is for BIDS folders, {root} has the layout {detected.layout}"
        raise InputError("dataset.entities", problem, "remove the key")
    return detected, READERS[detected.layout].find(root)


def _planned_phantom(study: Study, root: Path) -> Found:
    """The phantom is indexed from its settings, before it is made."""
    from crossmod.phantom import lesion_file, plan

    assert study.dataset.phantom is not None
    found = Found()
    for subject in plan(study.dataset.phantom):
        found.participants[subject.participant] = {"group": subject.group}
        for modality in subject.modalities:
            path = root / raw_scan(subject.participant, modality)
            found.scans[subject.participant, modality] = [Source(path)]
        if subject.has_lesion:
            path = root / lesion_file(subject.participant)
            found.annotations.append((subject.participant, "lesion", Source(path)))
    return found


def _wanted(study: Study, found: Found) -> list[Modality]:
    """Modalities of the table: those of the tasks, and what else is there and processed."""
    present = {m for _, m in found.scans} & set(study.preprocess.modalities)
    return [m for m in MODALITIES if m in present.union(study.task_modalities)]


def _scan(key: str, modality: Modality, found: Found, planned: bool) -> Scan:
    sources = found.scans.get((key, modality), [])
    if not sources:
        return Scan(key, modality, "missing", "no file")
    if len(sources) > 1:
        names = ", ".join(source.name for source in sources)
        what = "files" if sources[0].series is None else "series"
        reason = f"{len(sources)} {what} claim to be {modality}: {names}"
        if differ := difference(sources):
            reason += f"; they differ in {differ}, choose with dataset.entities"
        elif what == "series":
            reason += "; choose one with a table (layout manifest, column series)"
        else:
            reason += "; keep one of them"
        return Scan(key, modality, "excluded", reason, rivals=tuple(sources))
    (source,) = sources
    fault = "" if planned else _fault(source.path)
    return Scan(key, modality, "excluded" if fault else "present", fault, source)


def _without_scan(found: Found, root: Path, people: Collection[str] | None) -> list[Remark]:
    """Masks of sessions without scan: a slip of the pen makes such.

    Told are those of `people`, None for all, and those of participants without any scan.
    """
    sessions = {key for key, _ in found.scans}
    known = {split_key(key)[0] for key in sessions}
    remarks = []
    for key, _, source in found.annotations:
        participant, _ = split_key(key)
        if key not in sessions and (people is None or participant not in known - {*people}):
            remarks.append(Remark(participant, source.place(root), NO_SCAN))
    return remarks


def _fault(path: Path) -> str:
    """What is wrong with a file as far as its entry in the folder tells; empty if nothing."""
    try:
        if path.stat().st_size == 0:
            return "empty file; copy it again"
    except FileNotFoundError:
        gone = "is a link to nothing" if path.is_symlink() else "does not exist"
        return f"{gone}; copy the file again"
    except OSError as error:
        return f"cannot be read ({error.strerror}); check its folder"
    if not os.access(path, os.R_OK):
        return "cannot be read (Permission denied); change its permissions"
    if not is_utf8(path.as_posix()):
        return "its path is no UTF-8 text; rename it with letters and digits"
    return ""


def _refuse_shared_files(found: Found) -> None:
    """One file in two places would put a brain into train and test, or a target into its input."""
    owners: dict[tuple[object, int | None, str | None], str] = {}
    for (key, modality), sources in found.scans.items():
        for source in sources:
            place = f"{key} {modality}"
            content = (_identity(min(volume_files(source.path))), source.volume, source.series)
            owner = owners.setdefault(content, place)
            if owner != place:
                problem = f"is given as {owner} and as {place}"
                raise InputError(source.path, problem, "keep one of the two: results would leak")


def _identity(path: Path) -> Path | tuple[int, int]:
    """What is the same for all names of a file: links of either kind give it several."""
    try:
        found = path.stat()
    except OSError:
        return path
    return path.resolve() if found.st_nlink == 1 else (found.st_dev, found.st_ino)


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
        "evaluation.experiments.without": {
            name for experiment in study.evaluation.experiments for name in experiment.without
        },
    }
    for where, names in named.items():
        unknown = sorted(names - participants)
        if unknown:
            problem = f"names {unknown[0]}, which the data set does not have"
            raise InputError(where, problem, "check the spelling (sub-01 or sub-01_ses-2)")
