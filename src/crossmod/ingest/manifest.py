"""Reader of manifest tables: any naming, one row per file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from crossmod.errors import InputError
from crossmod.files import read_rows
from crossmod.ingest.dicom import reader as dicom
from crossmod.ingest.labels import CONVENTIONS
from crossmod.ingest.names import KINDS, Found, Kind, Source, sidecar_of
from crossmod.paths import session_key
from crossmod.settings import MODALITIES, Modality

COLUMNS = ("participant_id", "modality", "path")
OPTIONAL = ("session_id", "volume", "labels", "series")


def find(root: Path, manifest: Path) -> Found:
    """Read a manifest.

    Parameters
    ----------
    root : path
        Folder that relative paths start from.
    manifest : path
        Table with the columns participant_id, modality, path and, if wanted, session_id, volume
        (of a 4-D file, from 0), labels (convention of a lesion map, a key of `CONVENTIONS`; in no
        other row), series (its number, where `path` is a folder of several DICOM series) and others
        that describe the participant. `modality` is a modality, `brain` (a brain mask) or `lesion`
        (a label map).

    Raises
    ------
    InputError
        If the table is missing or a row says something impossible.
    """
    path = manifest if manifest.is_absolute() else root / manifest
    found = Found()
    for number, row in enumerate(read_rows(path, COLUMNS), start=2):
        participant = _labelled(row["participant_id"], "sub-", path, number)
        session = row.get("session_id", "")
        key = session_key(
            participant, _labelled(session, "ses-", path, number) if session else None
        )
        if row["modality"] not in (*MODALITIES, *KINDS):
            problem = f"line {number} has the unknown modality {row['modality']!r}"
            known = ", ".join((*MODALITIES, *KINDS))
            raise InputError(path, problem, f"use one of {known}")
        if not row["path"]:
            raise InputError(path, f"line {number} has no path", "name the scan's file there")
        file = Path(row["path"])
        file = file if file.is_absolute() else root / file
        source = _source(row, file, path, number)
        details = {k: v for k, v in row.items() if k not in (*COLUMNS, *OPTIONAL)}
        found.participants.setdefault(participant, {}).update(details)
        if row["modality"] in KINDS:
            found.annotations.append((key, cast(Kind, row["modality"]), source))
        else:
            modality = cast(Modality, row["modality"])
            found.scans.setdefault((key, modality), []).append(source)
    if not found.scans:
        raise InputError(path, "lists no scan", "add a row per scan")
    return found


def _source(row: dict[str, str], file: Path, table: Path, number: int) -> Source:
    """Where a row's scan lies; a JSON file of the same name beside it describes it."""
    volume, labels = row.get("volume", ""), row.get("labels", "")
    if labels and (row["modality"] != "lesion" or file.is_dir()):
        what = "a DICOM folder" if file.is_dir() else f"the modality {row['modality']}"
        problem = f"line {number} has labels and {what}"
        raise InputError(table, problem, "leave labels empty but for label maps of lesions")
    if file.is_dir():
        return dicom.source_in(file, row.get("series", ""))
    if volume and not (volume.isascii() and volume.isdecimal()):
        problem = f"line {number} has the volume {volume!r}"
        raise InputError(table, problem, "write its place in the 4-D file, from 0")
    if labels and labels not in CONVENTIONS:
        problem = f"line {number} has the unknown labels {labels!r}"
        raise InputError(table, problem, f"use one of {', '.join(CONVENTIONS)}")
    return Source(
        file,
        volume=int(volume) if volume else None,
        labels=labels or None,
        sidecar=sidecar_of(file),
    )


def _labelled(value: str, prefix: str, path: Path, number: int) -> str:
    label = value.removeprefix(prefix)
    if not label.isalnum() or not label.isascii():
        problem = f"line {number} has the label {value!r}"
        raise InputError(path, problem, "use letters and digits only, as BIDS does")
    return prefix + label
