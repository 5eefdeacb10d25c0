"""Reader of the BraTS challenges' folders, from 2012 to 2024."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from crossmod.ingest.folders import check_folder, files_below, refuse_empty
from crossmod.ingest.names import Found, Remark, Source, looks_like_image, plain_label
from crossmod.paths import session_key
from crossmod.settings import Modality

EXAMPLES = {
    "2012": "BRATS_HG0001/BRATS_HG0001_T1C.mha",
    "2013": "HG/0001/VSD.Brain.XX.O.MR_T1c/VSD.Brain.XX.O.MR_T1c.686.mha",
    "2014, 2015": "brats_2013_pat0001_1/VSD.Brain.XX.O.MR_T1c.686/VSD.Brain.XX.O.MR_T1c.686.mha",
    "2017 to 2021": "BraTS20_Training_001/BraTS20_Training_001_t1ce.nii.gz",
    "2023, 2024": "BraTS-GLI-00005-100/BraTS-GLI-00005-100-t1c.nii.gz",
}
"""How files are named, by years."""
EXAMPLE = ", ".join(f"{years}: {path}" for years, path in EXAMPLES.items())
_IMAGE = r"\.nii(?:\.gz)?"
_EARLY_IMAGE = r"\.(?:mha|nii(?:\.gz)?)"
_KIND = r"(?P<kind>[A-Za-z][A-Za-z0-9]*)"
# 2012: BRATS_HG0001_T1C.mha, SimBRATS_HG0001_T1C.mha.
_FIRST = re.compile(
    rf"(?P<subject>(?P<sim>Sim)?BRATS_(?P<grade>[HL]G)\d+)_(?P<kind>[A-Za-z]\w*){_EARLY_IMAGE}"
)
# 2013 to 2015: folders name the subject, the file names the kind of image.
_EARLY = re.compile(rf"VSD\.Brain(?:_\dmore)?\.\w+\.\w+\.(?P<kind>[A-Za-z]\w*)\.\d+{_EARLY_IMAGE}")
_EARLY_SUBJECT = re.compile(r"(?P<subject>brats_\w+_pat\w+?)_(?P<session>\d+)")
# 2013: HG/0001 in Image_Data and, for another subject, in Synthetic_Data. What the numbers in maps
# of synthetic subjects mean is not known for sure: they become plain masks.
_NUMBERED = {"HG": "HGG", "LG": "LGG"}
_SYNTHETIC = "Synthetic_Data"
# 2017 to 2021: BraTS20_Training_001_t1ce.nii.gz; each subject was scanned once.
_MIDDLE = re.compile(rf"(?P<subject>brats\d+_\w+)_{_KIND}{_IMAGE}", re.IGNORECASE)
# 2023 and 2024: BraTS-GLI-00005-100-t1c.nii.gz; the last number is the time point, which
# BraTS-GoAT-00001-t1c.nii.gz has not.
_LATE = re.compile(
    rf"(?P<subject>BraTS-(?P<tumor>[A-Za-z]+(?:-RT)?)-[A-Za-z0-9]+)(?:-(?P<session>\d+))?[-_]"
    rf"{_KIND}{_IMAGE}"
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
_MAPS = ("seg", "ot", "gtv", "truth")
# Numbers of these changed between years under the same names, or tell a target volume alone.
_PLAIN_MAPS = ("PED", "MEN-RT")


@dataclass(frozen=True)
class _Name:
    """What a file's name and folders say."""

    subject: str
    session: str | None
    kind: str
    labels: str | None
    grade: str = ""

    @property
    def participant(self) -> str:
        """Name of the participant in BIDS."""
        return f"sub-{plain_label(self.subject)}"


def matches(path: Path, root: Path) -> bool:
    """Whether a file is named as in one of the challenges."""
    name = _read(path)
    return name is not None and name.kind in (*_MODALITIES, *_MAPS)


def find(root: Path) -> Found:
    """Find scans and label maps by name, in folders of any depth.

    The subject is the challenge's own name of it without punctuation, `sub-BraTS20Training001`.
    Subjects of 2013, which have a number alone, are called as in 2012: `HG/0001` of `Image_Data`
    is `sub-BRATSHG0001`, that of `Synthetic_Data` is `sub-SimBRATSHG0001`. The column `grade` is
    told by a folder (HGG, LGG, in 2013 HG, LG) or, in 2012, by the name.

    Raises
    ------
    InputError
        If the folder does not exist or no file is named as in the challenges.
    """
    check_folder(root)
    found = Found()
    owners: dict[Path, str] = {}
    strange: list[Path] = []
    for path in files_below(root, found):
        name = _read(path)
        if name is None:
            strange += [path] if looks_like_image(path.name) else []
            continue
        owners[path.parent] = name.participant
        key = session_key(name.participant, f"ses-{name.session}" if name.session else None)
        if name.kind in _MODALITIES:
            scans = found.scans.setdefault((key, _MODALITIES[name.kind]), [])
            scans.append(Source(path))
            grade = name.grade or _grade(path, root)
            about = found.participants.setdefault(name.participant, {})
            about.update({"grade": grade} if grade else {})
        elif name.kind in _MAPS:
            found.annotations.append((key, "lesion", Source(path, labels=name.labels)))
        else:
            why = f"not used, BraTS has no images called {name.kind}"
            found.remarks.append(Remark(name.participant, _place(path, root), why))
    refuse_empty(found, root, EXAMPLE)
    text = "not used, the name is none of BraTS's"
    found.remarks += [
        Remark(owners.get(path.parent, ""), _place(path, root), text) for path in strange
    ]
    return found


def _read(path: Path) -> _Name | None:
    """What the name says; None if it is no name of the challenges."""
    if match := _LATE.fullmatch(path.name):
        labels = None if match["tumor"] in _PLAIN_MAPS else "brats-2023"
        return _Name(match["subject"], match["session"], match["kind"].lower(), labels)
    if match := _MIDDLE.fullmatch(path.name):
        return _Name(match["subject"], None, match["kind"].lower(), "brats-2017")
    if match := _FIRST.fullmatch(path.name):
        labels = None if match["sim"] else "brats-2012"
        grade = _NUMBERED[match["grade"]]
        return _Name(match["subject"], None, match["kind"].lower(), labels, grade)
    if match := _EARLY.fullmatch(path.name):
        return _early(path, match["kind"].lower())
    return None


def _early(path: Path, kind: str) -> _Name | None:
    """What the folders of a file named as in 2013 to 2015 say; None if they name no subject."""
    for folder in path.parents:
        if match := _EARLY_SUBJECT.fullmatch(folder.name):
            return _Name(match["subject"], match["session"], kind, "brats-2013")
        grade = folder.parent.name
        if grade in _NUMBERED and folder.name.isascii() and folder.name.isdecimal():
            synthetic = _SYNTHETIC in (place.name for place in folder.parents)
            prefix, labels = ("Sim", None) if synthetic else ("", "brats-2013")
            subject = f"{prefix}BRATS_{grade}{folder.name}"
            return _Name(subject, None, kind, labels, _NUMBERED[grade])
    return None


def _grade(path: Path, root: Path) -> str:
    """Grade that a folder tells; empty if none does."""
    folders = path.relative_to(root).parts
    return next((grade for grade in _NUMBERED.values() if grade in folders), "")


def _place(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
