"""Reader of the BraTS challenges' folders, from 2012 to 2024."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from crossmod.ingest.folders import check_folder, files_below, refuse_empty
from crossmod.ingest.names import Found, Remark, Source, looks_like_image, plain_label
from crossmod.paths import session_key
from crossmod.settings import Modality

EXAMPLE = "BraTS20_Training_001/BraTS20_Training_001_t1ce.nii.gz"
_IMAGE = r"\.nii(?:\.gz)?"
# 2012 to 2015: the folder of the subject names it, the file names the kind of image.
_EARLY = re.compile(r"VSD\.Brain(?:_\dmore)?\.\w+\.\w+\.(?P<kind>[A-Za-z]\w*)\.\d+\.(?:mha|nii)")
_EARLY_SUBJECT = re.compile(r"(?P<subject>brats_\w+_pat\w+?)_(?P<session>\d+)")
# 2017 to 2021: BraTS20_Training_001_t1ce.nii.gz; each subject was scanned once.
_MIDDLE = re.compile(
    rf"(?P<subject>brats\d+_\w+)_(?P<kind>[A-Za-z][A-Za-z0-9]*){_IMAGE}", re.IGNORECASE
)
# 2023 and 2024: BraTS-GLI-00005-100-t1c.nii.gz; the last number is the time point.
_LATE = re.compile(
    rf"(?P<subject>BraTS-(?P<tumor>[A-Za-z]+(?:-RT)?)-\w+)-(?P<session>\d+)[-_]"
    rf"(?P<kind>[A-Za-z][A-Za-z0-9]*){_IMAGE}"
)
_MODALITIES: dict[str, Modality] = {
    "t1": "T1w",
    "t1n": "T1w",
    "mr_t1": "T1w",
    "t1ce": "T1ce",
    "t1c": "T1ce",
    "mr_t1c": "T1ce",
    "t2": "T2w",
    "t2w": "T2w",
    "mr_t2": "T2w",
    "flair": "FLAIR",
    "t2f": "FLAIR",
    "mr_flair": "FLAIR",
}
_MAPS = ("seg", "ot", "gtv")
# Numbers of these changed between years under the same names, or tell a target volume alone.
_PLAIN_MAPS = ("PED", "MEN-RT")


@dataclass(frozen=True)
class _Name:
    """What a file's name says."""

    subject: str
    session: str | None
    kind: str
    labels: str | None


def matches(path: Path, root: Path) -> bool:
    """Whether a file is named as in one of the challenges."""
    name = _read(path)
    return name is not None and name.kind in (*_MODALITIES, *_MAPS)


def find(root: Path) -> Found:
    """Find scans and label maps by name, in folders of any depth.

    The subject is the challenge's own name of it without punctuation, `sub-BraTS20Training001`;
    the column `grade` is told by a folder HGG or LGG.

    Raises
    ------
    InputError
        If the folder does not exist or no file is named as in the challenges.
    """
    check_folder(root)
    found = Found()
    for path in files_below(root, found):
        name = _read(path)
        if name is None:
            if looks_like_image(path.name):
                _leave_out(found, root, path, "the name is none of BraTS's")
            continue
        participant = f"sub-{plain_label(name.subject)}"
        key = session_key(participant, f"ses-{name.session}" if name.session else None)
        if name.kind in _MODALITIES:
            scans = found.scans.setdefault((key, _MODALITIES[name.kind]), [])
            scans.append(Source(path))
            found.participants.setdefault(participant, {}).update(_grade(path, root))
        elif name.kind in _MAPS:
            found.annotations.append((key, "lesion", Source(path, labels=name.labels)))
        else:
            _leave_out(found, root, path, f"BraTS has no images called {name.kind}")
    refuse_empty(found, root, EXAMPLE)
    return found


def _read(path: Path) -> _Name | None:
    """What the name says; None if it is no name of the challenges."""
    if match := _LATE.fullmatch(path.name):
        labels = None if match["tumor"] in _PLAIN_MAPS else "brats-2023"
        return _Name(match["subject"], match["session"], match["kind"].lower(), labels)
    if match := _MIDDLE.fullmatch(path.name):
        return _Name(match["subject"], None, match["kind"].lower(), "brats-2017")
    if match := _EARLY.fullmatch(path.name):
        folders = (_EARLY_SUBJECT.fullmatch(folder.name) for folder in path.parents)
        if subject := next((folder for folder in folders if folder), None):
            kind = match["kind"].lower()
            return _Name(subject["subject"], subject["session"], kind, "brats-2012")
    return None


def _grade(path: Path, root: Path) -> dict[str, str]:
    folders = path.relative_to(root).parts
    return next(({"grade": grade} for grade in ("HGG", "LGG") if grade in folders), {})


def _leave_out(found: Found, root: Path, path: Path, why: str) -> None:
    place = path.relative_to(root)
    found.remarks.append(Remark(place.parts[0], place.as_posix(), f"not used, {why}"))
