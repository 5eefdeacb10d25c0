"""The data and the making: who has which scan, what was left out, what it took."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from platform import python_version
from typing import Any

from crossmod import __version__
from crossmod.hashing import SHORT, hash_code, hash_file, hash_settings
from crossmod.report.costs import duration, measurements
from crossmod.report.inputs import ROLE_ORDER, StudyFiles, role_of
from crossmod.report.quality.sessions import flags_of, read_session
from crossmod.report.request import ReportRequest
from crossmod.text import grouped, some

PACKAGES = (
    *("torch", "lightning-fabric", "antspyx", "numpy", "scipy", "scikit-image", "nibabel"),
    *("simpleitk", "nilearn", "pandas", "matplotlib", "snakemake"),
)
PER_PANEL = 36
MOST_SESSIONS = 180
"""Above this the chart of sessions gives way to the table of patterns."""
MOST_NAMES = 10
"""More sessions or files with the same reason are only counted; the index tables have them all."""
MARKS = {
    "present": "present",
    "missing": "missing",
    "made": "missing, synthesized",
    "failed": "present, failed on the way",
    "excluded": "excluded",
}


@dataclass(frozen=True)
class Column:
    """One session of the chart."""

    session: str
    role: str
    short: str
    marks: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Availability:
    """Sessions x modalities."""

    modalities: tuple[str, ...]
    panels: tuple[tuple[Column, ...], ...]
    patterns: tuple[tuple[str, tuple[str, ...], int], ...]
    roles: tuple[str, ...]
    short_roles: tuple[tuple[str, str], ...]
    marks: dict[str, str]
    label_height: int
    sessions: int
    most: int
    """Sessions of the most common pattern."""


def availability(study: StudyFiles) -> Availability:
    """Which session has which modality, by role in the split."""
    scans = study.index("scans")
    modalities = tuple(dict.fromkeys(row["modality"] for row in scans))
    cells = {(row["session_key"], row["modality"]): row for row in scans}
    failed = {row["session"] for row in study.failures if row["stage"] in ("preprocess", "slices")}
    made = {(m.status.session, m.run.target) for m in study.made if m.status.ok}
    columns = []
    for key, person in {row["session_key"]: row["participant_id"] for row in scans}.items():
        role = role_of(study.roles.get(person, {}))
        found = [cells.get((key, m), {"status": "missing", "reason": ""}) for m in modalities]
        states = {"missing": {m: "made" for m in modalities if (key, m) in made}}
        states["present"] = dict.fromkeys(modalities if key in failed else (), "failed")
        marks = tuple(
            states.get(row["status"], {}).get(m, row["status"])
            for row, m in zip(found, modalities, strict=True)
        )
        reasons = tuple(study.tidy(row["reason"]) for row in found)
        columns.append(Column(key.removeprefix("sub-"), role, _short(role), marks, reasons))
    columns.sort(key=lambda column: (_place(column.role), column.session))
    shown = columns if len(columns) <= MOST_SESSIONS else []
    panels = tuple(tuple(shown[i : i + PER_PANEL]) for i in range(0, len(shown), PER_PANEL))
    used = {mark for column in columns for mark in column.marks}
    longest = max((len(column.session) for column in shown), default=0)
    patterns = _patterns(columns)
    return Availability(
        modalities,
        panels,
        patterns,
        tuple(dict.fromkeys(column.role for column in columns)),
        tuple(dict.fromkeys((column.short, column.role) for column in columns)),
        {mark: text for mark, text in MARKS.items() if mark in used},
        12 + 7 * longest,
        len(columns),
        max((number for *_, number in patterns), default=1),
    )


def _place(role: str) -> tuple[int, str]:
    word = role.partition(" ")[0]
    return ROLE_ORDER.index(word) if word in ROLE_ORDER else len(ROLE_ORDER), role


def _short(role: str) -> str:
    """What stands in the small field of the chart: two letters, or the fold."""
    names = {"train": "Tr", "validation": "Va", "test": "Te", "external": "Ex", "unused": "-"}
    return names.get(role, f"f{role.rpartition(' ')[2]}")


def _patterns(columns: list[Column]) -> tuple[tuple[str, tuple[str, ...], int], ...]:
    counts = Counter((column.role, column.marks) for column in columns)
    ordered = sorted(counts.items(), key=lambda item: (_place(item[0][0]), -item[1], item[0][1]))
    return tuple((role, marks, number) for (role, marks), number in ordered)


def excluded(study: StudyFiles) -> list[dict[str, str]]:
    """Scans and sessions that the index left out."""
    rows = []
    whole = {row["session_key"]: row for row in study.index("sessions")}
    for row in study.index("scans"):
        session = whole.get(row["session_key"], {})
        if row["status"] == "excluded" and session.get("status") != "excluded":
            name = f"{row['session_key']} {row['modality']}"
            rows.append({"what": name, "reason": study.tidy(row["reason"])})
    for key, row in whole.items():
        if row.get("status") == "excluded":
            rows.append({"what": f"{key} (whole session)", "reason": study.tidy(row["reason"])})
    return sorted(rows, key=lambda row: row["what"])


def remarks(study: StudyFiles) -> list[dict[str, str]]:
    """What the index came across and could not use: one row for everything with the same reason."""
    rows = study.index("remarks")
    names = grouped((row["remark"], row["path"] or row["participant_id"]) for row in rows)
    return [{"what": some(found, MOST_NAMES), "reason": text} for text, found in names.items()]


def unserved(study: StudyFiles) -> list[dict[str, str]]:
    """Missing modalities that no model can make: one row for all sessions with the same reason."""
    names = grouped(
        ((row["modality"], row["reason"]), row["session_key"]) for row in study.index("unserved")
    )
    return [
        {"what": f"{modality} of {some(keys, MOST_NAMES)}", "reason": study.tidy(reason)}
        for (modality, reason), keys in names.items()
    ]


def notes(study: StudyFiles) -> list[dict[str, str]]:
    """Remarks of preprocessing on sessions that passed: one row for all with the same."""
    keys = grouped(
        (study.tidy(str(note)), key)
        for key, (status, _) in sorted(study.preprocessed.items())
        for note in status.details.get("notes", [])
    )
    return [{"what": some(found, MOST_NAMES), "reason": text} for text, found in keys.items()]


def flags(study: StudyFiles) -> list[dict[str, str]]:
    """Flags of quality control on sessions that passed, one row each."""
    sessions = [read_session(path) for path in study.request.preprocessed]
    found = flags_of(sessions)
    return [
        {"what": " ".join((session.key, flag.modality)).strip(), "reason": study.tidy(flag.reason)}
        for session in sorted(sessions, key=lambda s: s.key)
        for flag in (found[session.key] if session.status.ok else ())
    ]


def run_times(request: ReportRequest) -> list[dict[str, Any]]:
    """Per stage: jobs, total, median and longest time in s, peak memory in MB."""
    rows = []
    for stage, files in request.benchmarks.items():
        seconds, memory = measurements(files)
        if seconds:
            rows.append(
                {
                    "stage": stage,
                    "jobs": len(seconds),
                    "total": duration(sum(seconds)),
                    "median": f"{statistics.median(seconds):.1f} s",
                    "longest": f"{max(seconds):.1f} s",
                    "memory": f"{max(memory):.0f} MB" if memory else "n/a",
                }
            )
    return rows


def versions() -> list[tuple[str, str]]:
    """Versions of what computed the numbers."""
    found = [("crossmod", __version__), ("Python", python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def hashes(study: StudyFiles) -> list[tuple[str, str]]:
    """Hashes that pin data, split, settings and code."""
    raw = {
        f"{key} {modality}": entry["sha256"]
        for key, (status, _) in study.preprocessed.items()
        for modality, entry in status.details.get("raw", {}).items()
    }
    settings = study.request.settings
    found = [
        (f"raw scans ({len(raw)} files)", hash_settings(raw)),
        ("split", hash_file(study.request.index / "split.tsv")[:SHORT]),
        ("settings of the study", hash_settings(portable(settings))),
        ("code", hash_code()),
    ]
    return found if raw else found[1:]


def portable(settings: Any) -> dict[str, Any]:
    """Settings without the place of the data folder on this machine."""
    content = dict(settings)
    folder = content.get("data_dir")
    if folder and PurePath(str(folder)).is_absolute():
        content["data_dir"] = f".../{PurePath(str(folder)).name}"
    return content


def settings_text(settings: Any) -> str:
    """The resolved study file, readable."""
    return json.dumps(portable(settings), indent=2, ensure_ascii=False, default=str)
