"""Which participants, sessions and series a folder of DICOM files holds."""

from __future__ import annotations

from pathlib import Path

from crossmod.errors import InputError
from crossmod.ingest.dicom.cache import Folder, read_folder
from crossmod.ingest.dicom.choice import candidates, choose
from crossmod.ingest.dicom.headers import begins_as_dicom
from crossmod.ingest.dicom.identity import label, pseudonym
from crossmod.ingest.dicom.series import Series, group
from crossmod.ingest.folders import check_folder
from crossmod.ingest.names import Found, Remark, Source, looks_like_image
from crossmod.paths import session_key, split_key
from crossmod.text import counted, some

EXAMPLE = "sub-01/any/folders/IM0001"
_QUIET = {"no DICOM file", "directory"}


def matches(path: Path, root: Path) -> bool:
    """Whether a file below a participant's folder begins as a DICOM file; names tell nothing."""
    if path.parent == root or looks_like_image(path.name):
        return path.suffix.lower() == ".dcm" and path.parent != root
    try:
        return begins_as_dicom(path)
    except OSError:
        return False


def find(root: Path) -> Found:
    """Find the series of a data folder; headers are read once and remembered.

    Each folder directly below `root` is a participant; each StudyInstanceUID a session, numbered in
    the order of StudyDate and StudyTime. A folder whose name is no plain label of a study,
    or tells who was scanned, gives a participant with a pseudonym.

    Parameters
    ----------
    root : path
        Folder that holds one folder per participant.

    Raises
    ------
    InputError
        If the folder does not exist or holds no DICOM images, or scans of one study lie in two
        participants' folders.
    """
    check_folder(root)
    found = Found()
    owners: dict[str, list[str]] = {}
    folders = (f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith("."))
    for number, path in enumerate(folders, 1):
        folder = read_folder(path)
        series = group(folder.pairs)
        name, named = _participant(path, series, number)
        found.remarks += _on_files(name, folder)
        if not series:
            continue
        if reason := _why_not(name, series, found):
            found.remarks.append(Remark(name, "", reason))
            continue
        for identity in _identities(series):
            owners.setdefault(identity, []).append(name)
        found.participants[name] = {}
        if named:
            text = (
                "renamed: the folder's name may tell who was scanned; name it sub-01, for instance"
            )
            found.remarks.append(Remark(name, "", text))
        _add_sessions(found, name, folder.record, series)
    _leave_out_shared(found, owners)
    if not found.participants:
        raise _nobody(root, found)
    return found


def _nobody(root: Path, found: Found) -> InputError:
    """Why a data folder has no participant."""
    unused = [f"{r.participant} {r.text}" for r in found.remarks if r.text.startswith("not used")]
    if unused:
        return InputError(root, "has no participant that can be used", unused[0])
    problem = "holds no scans: none of its folders has DICOM images"
    remedy = "put each participant's files in a folder of its own below data_dir"
    return InputError(root, problem, remedy)


def _participant(path: Path, series: list[Series], number: int) -> tuple[str, bool]:
    """Name of a participant, and whether the folder's own was not taken."""
    if not series:  # nothing is known of the patient, so the folder's name cannot be judged
        return f"folder {number}, by name", False
    first = min((h.date, h.study or h.series) for h in (one.header for one in series))[1]
    named = any(one.header.named for one in series) or not label(path.name)
    return (pseudonym(path.name, first) if named else label(path.name)), named


def _on_files(name: str, folder: Folder) -> list[Remark]:
    """What else than images lies in a folder."""
    remarks = [
        Remark(name, "", f"{counted(count, 'file')} not used: {fault}; copy it again")
        for fault, count in sorted(folder.others.items())
        if fault not in _QUIET
    ]
    if folder.closed:
        text = (
            f"{counted(folder.closed, 'folder')} not used: may not be read; change the permissions"
        )
        remarks.append(Remark(name, "", text))
    if not folder.pairs:
        only = ", only a DICOMDIR: copy the files it lists" if "directory" in folder.others else ""
        remarks.append(Remark(name, "", f"no DICOM image in the folder{only}"))
    return remarks


def _why_not(name: str, series: list[Series], found: Found) -> str:
    """Why a folder stands for no participant."""
    patients = len({one.header.patient for one in series} - {""})
    if patients > 1:
        return f"not used, holds scans of {patients} patients: give each a folder of its own"
    if name in found.participants:
        return "not used, another folder's name has the same letters and digits: rename one"
    return ""


def _identities(series: list[Series]) -> set[str]:
    """Who was scanned and in which examinations, as far as headers say."""
    headers = [one.header for one in series]
    return {identity for h in headers for identity in (h.patient, h.study) if identity}


def _leave_out_shared(found: Found, owners: dict[str, list[str]]) -> None:
    """Leave out one person in two folders, who could be in training and test at once."""
    others: dict[str, set[str]] = {}
    for names in owners.values():
        for name in names if len(names) > 1 else ():
            others.setdefault(name, set()).update(set(names) - {name})
    for name in others:
        del found.participants[name]
    found.scans = {k: v for k, v in found.scans.items() if split_key(k[0])[0] not in others}
    for name, shared in others.items():
        text = f"not used, holds the patient or an examination of {some(sorted(shared))}"
        remedy = "put both in one folder, or list the scans in a table (layout manifest)"
        found.remarks.append(Remark(name, "", f"{text}: {remedy}"))


def _add_sessions(found: Found, name: str, record: Path, series: list[Series]) -> None:
    """Number the sessions, choose a series for each modality, tell what is left out."""
    order = dict.fromkeys(
        one.header.study for one in sorted(series, key=lambda s: (s.header.date, s.header.study))
    )
    for number, study in enumerate(order, 1):
        key = session_key(name, f"ses-{number}")
        usable, unused, notes = candidates([one for one in series if one.header.study == study])
        for modality, choices in usable.items():
            chosen, why = choose(choices)
            found.scans[key, modality] = [Source(record, series=one.id) for one in chosen]
            unused += why
        found.remarks += [Remark(name, f"{key} series {id}", why) for id, why in unused]
        found.remarks += [Remark(name, "", note) for note in notes]


def source_in(folder: Path, number: str) -> Source:
    """The series of a folder that a table names.

    Parameters
    ----------
    folder : path
        Folder of DICOM files.
    number : str
        SeriesNumber as viewers show it, or the name crossmod gives the series; empty if the folder
        holds only one.

    Raises
    ------
    InputError
        If the folder has no or several such series.
    """
    found = read_folder(folder)
    named = [s for s in group(found.pairs) if not number or number in (s.id, str(s.header.number))]
    if len(named) != 1:
        which = f"series {number}" if number else "series"
        problem = f"holds {len(named)} {which} where one is due"
        known = some([s.id for s in named] or [s.id for s in group(found.pairs)], 8)
        raise InputError(folder, problem, f"name one in the column series: {known or 'none'}")
    return Source(found.record, series=named[0].id)
