"""Reader of BIDS data sets (raw scans, annotations from their derivatives)."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from crossmod.files import read_rows
from crossmod.ingest.entities import Wanted, choose
from crossmod.ingest.folders import check_folder, closed_folder, refuse_empty
from crossmod.ingest.names import (
    Found,
    Remark,
    Source,
    annotation_of,
    entities_of,
    is_mask,
    modality_of,
    plain_number,
    sidecar_of,
    stem,
    why_no_scan,
)
from crossmod.paths import session_key, split_key

FOLDERS = ("anat", "ct", "pet")
EXAMPLE = "sub-01/anat/sub-01_T1w.nii.gz"
LABEL = re.compile(r"(sub|ses)-[A-Za-z0-9+-]+")  # BIDS says letters and digits; dates are common
OTHER_MASK = "mask not used, its name has neither desc-brain nor label-lesion or label-tumor"
ELSEWHERE = "mask not used, it lies in no folder anat, ct or pet of a subject; move it there"
# Masks of other data, such as fMRIPrep's of BOLD series, are none of the scans'.
OTHER_DATA = ("func", "dwi", "fmap", "perf", "eeg", "ieeg", "meg", "beh", "micr", "mrs", "nirs")


def is_inside(path: Path, root: Path) -> bool:
    """Whether a file lies where BIDS puts a subject's scans, whatever its name."""
    *folders, _ = path.relative_to(root).parts
    if len(folders) == 3 and folders[1].startswith("ses-"):
        folders.pop(1)
    return len(folders) == 2 and folders[0].startswith("sub-") and folders[1] in FOLDERS


def matches(path: Path, root: Path) -> bool:
    """Whether a file is named as BIDS names a scan."""
    return is_inside(path, root) and path.name.startswith("sub-") and stem(path.name) is not None


def find(root: Path, entities: Mapping[str, Wanted] | None = None) -> Found:
    """Find scans by name; nothing is opened but participants.tsv.

    Folders such as `sub-01_old` are no subjects; they, images that are no scans and subjects
    without any scan are remarked on.

    Parameters
    ----------
    root : path
        Folder that holds `sub-*` folders: raw scans, or a derivative such as fMRIPrep's.
    entities : mapping of entity to value or values, optional
        What names must have; of several values the first that a session has, None for names
        without the entity.

    Raises
    ------
    InputError
        If the folder does not exist, holds no subject, or no scan has one of `entities`.
    """
    check_folder(root)
    found = Found()
    _list_participants(root, found)
    for participant, session, path in _files(root, found):
        if other := _other_owner(path.name, participant, session):
            text = f"not used, the name is of another {other} than the folder; rename or move it"
            found.remarks.append(Remark(participant, path.relative_to(root).as_posix(), text))
            continue
        modality = modality_of(path.name)
        if modality is not None:
            key = session_key(participant, session)
            source = Source(path, sidecar=sidecar_of(path))
            found.scans.setdefault((key, modality), []).append(source)
            found.participants.setdefault(participant, {})
        elif kind := annotation_of(path.name):
            key = session_key(participant, session)
            found.annotations.append((key, kind, Source(path)))
        elif why := why_no_scan(path.name):
            found.remarks.append(Remark(participant, path.relative_to(root).as_posix(), why))
    if found.scans and entities:
        choose(found, root, entities)
    refuse_empty(found, root, EXAMPLE + (" with these dataset.entities" if entities else ""))
    _annotations(root, found)
    found.remarks += _without_scans(root, found)
    return found


def _list_participants(root: Path, found: Found) -> None:
    """Take the rows of participants.tsv; of several of one participant, the first."""
    table = root / "participants.tsv"
    for row in read_rows(table, ("participant_id",)) if table.is_file() else ():
        name = row["participant_id"]
        if found.participants.setdefault(name, row) != row:
            text = "listed more than once, the first line is used; keep one line"
            found.remarks.append(Remark(name, table.name, text))


def _other_owner(name: str, participant: str, session: str | None) -> str:
    """Whether a file name says another subject or session than its folder; empty if not."""
    said = entities_of(name)
    for what, folder in (("subject", participant), ("session", session)):
        entity, _, label = (folder or "").partition("-")
        if folder and said.get(entity, plain_number(label)) != plain_number(label):
            return what
    return ""


def _without_scans(root: Path, found: Found) -> list[Remark]:
    """Folders and lines of participants.tsv that no scan belongs to."""
    with_scans = {split_key(key)[0] for key, _ in found.scans}
    told = {remark.path for remark in found.remarks}
    remarks = []
    folders = _subfolders(root, "sub-")
    for name in folders:
        if not LABEL.fullmatch(name):
            text = "not used, the folder's name is not sub- with letters and digits; rename it"
            remarks.append(Remark(name, name, text))
        elif name not in with_scans and name not in told:
            remarks.append(Remark(name, name, "no scan in the folder"))
    placed = with_scans.union(folders)
    listed = [name for name in found.participants if name not in placed]
    return remarks + [
        Remark(name, "", "in participants.tsv, but without a folder") for name in listed
    ]


def _annotations(root: Path, found: Found) -> None:
    """Attach masks of derivatives; those without session serve every session of the subject.

    Those of subjects without any scan are kept for the index to tell.
    """
    sessions: dict[str, set[str]] = {}
    for key, _ in found.scans:
        sessions.setdefault(key.split("_")[0], set()).add(key)
    derivatives = root / "derivatives"
    names = _listed(derivatives, root, found) if derivatives.is_dir() else []
    for derivative in (derivatives / name for name in names):
        if annotation_of(derivative.name) and derivative.is_file():
            found.remarks.append(_misplaced(derivative, root))
        if not derivative.is_dir() or not _listed(derivative, root, found):
            continue
        found.remarks += [_misplaced(path, root) for path in _elsewhere(derivative)]
        for participant, session, path in _files(derivative, found):
            kind = annotation_of(path.name)
            if kind is None:
                if is_mask(path.name):
                    place = path.relative_to(root).as_posix()
                    found.remarks.append(Remark(participant, place, OTHER_MASK))
                continue
            every = sessions.get(participant, (participant,))
            keys = [session_key(participant, session)] if session else every
            found.annotations += [(key, kind, Source(path)) for key in sorted(keys)]


def _elsewhere(derivative: Path) -> Iterator[Path]:
    """Masks of a derivative that lie where no scan would."""
    known = (*FOLDERS, *OTHER_DATA)
    for subject in _folders(derivative, "sub-"):
        for folder, folders, names in os.walk(subject):
            folders[:] = sorted(name for name in folders if name not in known)
            yield from (Path(folder, name) for name in sorted(names) if annotation_of(name))


def _misplaced(path: Path, root: Path) -> Remark:
    place = path.relative_to(root)
    owners = (part.split("_")[0] for part in place.parts if part.startswith("sub-"))
    return Remark(next(owners, ""), place.as_posix(), ELSEWHERE)


def _files(root: Path, found: Found) -> Iterator[tuple[str, str | None, Path]]:
    """Participant, session and path of every file in the modality folders, in fixed order.

    Folders that cannot be read are remarked on.
    """
    for subject in _folders(root, "sub-"):
        places: list[tuple[str | None, Path]] = [(None, subject)]
        inside = _listed(subject, root, found)
        sessions = [subject / n for n in inside if n.startswith("ses-") and LABEL.fullmatch(n)]
        places += [(path.name, path) for path in sessions if path.is_dir()]
        for session, place in places:
            names = _listed(place, root, found) if session else inside
            for folder in (place / name for name in FOLDERS if name in names):
                for file in _listed(folder, root, found) if folder.is_dir() else ():
                    yield subject.name, session, folder / file


def _listed(folder: Path, root: Path, found: Found) -> list[str]:
    """Names in a folder, in order; none, with a remark, if it cannot be read."""
    try:
        if os.access(folder, os.X_OK):
            return sorted(os.listdir(folder))
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        place = folder.relative_to(root)
        owner = place.parts[0] if place.parts[0].startswith("sub-") else ""
        found.remarks.append(closed_folder(owner, place, error))
        return []


def _folders(root: Path, prefix: str) -> list[Path]:
    return [root / name for name in _subfolders(root, prefix) if LABEL.fullmatch(name)]


def _subfolders(root: Path, prefix: str) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if e.name.startswith(prefix) and e.is_dir())
