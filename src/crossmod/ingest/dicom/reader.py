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
from crossmod.text import counted, listed, some

EXAMPLE = "sub-01/any/folders/IM0001"
_QUIET = {"no DICOM file", "directory"}
_REMEDY = "put each participant's files in a folder of its own below data_dir"


def matches(path: Path, root: Path) -> bool:
    """Whether a file below a participant's folder begins as a DICOM file; names tell nothing."""
    return path.parent != root and _is_dicom(path)


def loose_files(root: Path) -> int:
    """How many DICOM files lie in the data folder itself, so that nothing tells whose they are."""
    files = (path for path in root.iterdir() if path.is_file() and path.name[0] != ".")
    return sum(_is_dicom(path) for path in files if path.name.upper() != "DICOMDIR")


def _is_dicom(path: Path) -> bool:
    if looks_like_image(path.name):
        return path.suffix.lower() == ".dcm"
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
        If the folder does not exist or holds no participant that can be used.
    """
    check_folder(root)
    found = Found()
    owners: dict[str, dict[str, int]] = {}
    folders = (f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith("."))
    for number, path in enumerate(folders, 1):
        _add_participant(found, path, number, owners)
    _leave_out_shared(found, owners)
    if not found.participants:
        raise _nobody(root, found)
    if loose := loose_files(root):
        text = f"not used, {counted(loose, 'DICOM file')} in no participant's folder: {_REMEDY}"
        found.remarks.append(Remark("", "", text))
    return found


def no_participant(root: Path) -> InputError:
    """Why no folder below a data folder stands for a participant."""
    problem = "holds no scans: none of its folders has DICOM images"
    if loose := loose_files(root):
        problem = f"holds {counted(loose, 'DICOM file')} in no participant's folder"
    return InputError(root, problem, _REMEDY)


def _nobody(root: Path, found: Found) -> InputError:
    """Why a data folder has no participant: the first reason why one is not used, if any."""
    whole = [r for r in found.remarks if not r.path and r.text.startswith("not used")]
    if not whole:
        return no_participant(root)
    first = f"{whole[0].participant} {whole[0].text}"
    return InputError(root, "has no participant that can be used", first)


def _add_participant(
    found: Found, path: Path, number: int, owners: dict[str, dict[str, int]]
) -> None:
    """Add what a folder holds, and to `owners` (identity to participants) its number."""
    folder = read_folder(path)
    series = group(folder.pairs)
    name, named = _participant(path, series, number)
    found.remarks += _on_files(name, folder)
    if not series:
        return
    if reason := _why_not(name, series, found):
        found.remarks.append(Remark(name, "", reason))
        return
    for identity in _identities(series):
        owners.setdefault(identity, {})[name] = number
    found.participants[name] = {}
    if named:
        text = "renamed: the folder's name may tell who was scanned; name it sub-01, for instance"
        found.remarks.append(Remark(name, "", text))
    _add_sessions(found, name, folder.record, series)


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


def _leave_out_shared(found: Found, owners: dict[str, dict[str, int]]) -> None:
    """Leave out one person in two folders, who could be in training and test at once.

    Folders are told by their number in the order of names, which may be a person's.
    """
    shared: dict[str, set[int]] = {}
    for numbers in owners.values():
        for name in numbers if len(numbers) > 1 else ():
            shared.setdefault(name, set()).update(numbers.values())
    for name, folders in shared.items():
        del found.participants[name]
        which = listed([str(number) for number in sorted(folders)])
        text = f"not used, folders {which} (in the order of names) hold one patient or examination"
        remedy = "put their files in one folder, or list the scans in a table (layout manifest)"
        found.remarks.append(Remark(name, "", f"{text}: {remedy}"))
    found.scans = {k: v for k, v in found.scans.items() if split_key(k[0])[0] not in shared}


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
