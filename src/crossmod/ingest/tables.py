"""The index as tables: one row per scan, session, annotation, file, remark and participant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crossmod.files import write_rows
from crossmod.ingest.index import Index, Session
from crossmod.ingest.names import Kind, Remark, Source
from crossmod.paths import IngestedPaths, StudyPaths, raw_scan
from crossmod.privacy import PARTICIPANT_COLUMNS, allowed_participant

LAYOUT_COLUMNS = ("layout", "evidence", "converted")
FILE_COLUMNS = ("path", "volume", "session_key", "kind", "status", "reason", "becomes")
PARTICIPANT_TABLE_COLUMNS = ("participant_id", *PARTICIPANT_COLUMNS)
SCAN_COLUMNS = ("participant_id", "session_key", "modality", "status", "reason", "path")
SESSION_COLUMNS = ("participant_id", "session_key", "group", "status", "reason")
REMARK_COLUMNS = ("participant_id", "path", "remark")
ANNOTATION_COLUMNS = ("session_key", "kind", "status", "reason", "path")


def write_index(index: Index, paths: StudyPaths) -> None:
    """Write the tables of an index; unchanged ones are left alone."""
    sessions, root = index.sessions.values(), paths.data
    tables: dict[str, tuple[tuple[str, ...], list[dict[str, Any]]]] = {
        "layout": (LAYOUT_COLUMNS, [layout_row(index)]),
        "files": (FILE_COLUMNS, file_rows(index, root)),
        "participants": (PARTICIPANT_TABLE_COLUMNS, participant_rows(index)),
        "scans": (SCAN_COLUMNS, scan_rows(sessions, root)),
        "sessions": (SESSION_COLUMNS, session_rows(sessions)),
        "annotations": (ANNOTATION_COLUMNS, annotation_rows(sessions, root)),
        "remarks": (REMARK_COLUMNS, remark_rows(index.remarks)),
    }
    for name, (columns, rows) in tables.items():
        write_rows(paths.index(name), columns, rows)


def layout_row(index: Index) -> dict[str, str]:
    """Row of layout.tsv."""
    detected = index.detected
    converted = "no" if index.in_place else "yes"
    return {"layout": detected.layout, "evidence": detected.evidence, "converted": converted}


def participant_rows(index: Index) -> list[dict[str, str]]:
    """Rows of participants.tsv: what may be told of participants, and the stratum as `group`."""
    groups = {s.participant: {"group": s.group} for s in index.sessions.values() if s.group}
    names = dict.fromkeys(session.participant for session in index.sessions.values())
    known: Mapping[str, Mapping[str, str]] = index.participants
    return [
        {**allowed_participant(known[name]), **groups.get(name, {}), "participant_id": name}
        for name in names
    ]


def file_rows(index: Index, root: Path) -> list[dict[str, Any]]:
    """Rows of files.tsv: what each file became, or why it was left out."""
    rows = []
    for key, session in index.sessions.items():
        for modality, scan in {**session.scans, **session.others}.items():
            for source in scan.claims:
                reason = session.excluded or scan.reason
                row = _file_row(source, root, key, modality, reason)
                name = "" if reason or index.in_place else raw_scan(key, modality).as_posix()
                rows.append({**row, "becomes": name})
        for _, kind, source, number in session.request.numbered:
            row = _file_row(source, root, key, kind, session.excluded)
            path = IngestedPaths(Path(), key).annotation(kind, number, labeled=bool(source.labels))
            name = "" if session.excluded or index.in_place else path.as_posix()
            rows.append({**row, "becomes": name})
        rows += [_file_row(source, root, key, kind, why) for kind, source, why in session.unusable]
    rows += [
        {"path": remark.path, "status": "left out", "reason": remark.text}
        for remark in index.remarks
        if remark.path
    ]
    return rows


def _file_row(source: Source, root: Path, key: str, kind: str, reason: str) -> dict[str, Any]:
    return {
        "path": source.place(root),
        "volume": source.volume if source.volume is None else str(source.volume),
        "session_key": key,
        "kind": kind,
        "status": "left out" if reason else "used",
        "reason": reason,
    }


def scan_rows(sessions: Iterable[Session], root: Path) -> list[dict[str, str]]:
    """Rows of scans.tsv; paths are relative to the data folder where they lie in it."""
    return [
        {
            "participant_id": session.participant,
            "session_key": session.key,
            "modality": modality,
            "status": "excluded" if session.excluded and scan.path else scan.status,
            "reason": session.excluded or scan.reason,
            "path": scan.source.place(root) if scan.source else "",
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
            "path": source.place(root),
        }
        for session in sessions
        for kind, source, reason in _annotations(session)
    ]


def _annotations(session: Session) -> list[tuple[Kind, Source, str]]:
    """Annotations of a session, with the reason of those that cannot be used."""
    usable = [(kind, source, "") for kind, source in session.annotations]
    return [*usable, *session.unusable]
