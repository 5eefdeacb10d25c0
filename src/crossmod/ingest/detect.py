"""Which layout a data folder has, and the reader of each.

A layout is told by names of files alone, DICOM by how files begin. A new one needs a reader module
with `find` and `matches` and a line in `READERS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from crossmod.errors import InputError
from crossmod.ingest import bids, brats, ixi, msd
from crossmod.ingest.dicom import reader as dicom
from crossmod.ingest.folders import check_folder, files_below
from crossmod.ingest.names import Found
from crossmod.text import counted

MOST_FILES = 5000
"""So many files, in the order of their names, are enough to tell a layout."""


@dataclass(frozen=True)
class Reader:
    """What detection needs of a reader.

    Attributes
    ----------
    title : str
        What the layout is called.
    example : str
        A path that tells it.
    matches : callable
        Whether a file, given with the data folder, is named as in this layout.
    find : callable
        What the data folder holds.
    private : bool
        Whether paths may name a person and are not shown.
    """

    title: str
    example: str
    matches: Callable[[Path, Path], bool]
    find: Callable[[Path], Found]
    private: bool = False


READERS: dict[str, Reader] = {
    "bids": Reader("BIDS", bids.EXAMPLE, bids.matches, bids.find),
    "brats": Reader("BraTS", brats.EXAMPLE, brats.matches, brats.find),
    "msd": Reader("Medical Segmentation Decathlon", msd.EXAMPLE, msd.matches, msd.find),
    "ixi": Reader("IXI", ixi.EXAMPLE, ixi.matches, ixi.find),
    "dicom": Reader("DICOM", dicom.EXAMPLE, dicom.matches, dicom.find, private=True),
}


@dataclass(frozen=True)
class Detected:
    """The layout taken.

    Attributes
    ----------
    layout : str
        Key of `READERS`, or `manifest` or `phantom`.
    evidence : str
        Why: the study says so, or how many files are named so.
    """

    layout: str
    evidence: str = "the study says so"


def detect(root: Path) -> Detected:
    """Tell the layout of a folder from the names of its first files.

    Raises
    ------
    InputError
        If the folder does not exist, no layout fits, or more than one does; or if DICOM files lie
        in it without a folder of their participant.
    """
    check_folder(root)
    counts: Counter[str] = Counter()
    first: dict[str, Path] = {}
    looked = 0
    for path in islice(files_below(root), MOST_FILES):
        looked += 1
        for name in _matching(path, root):
            counts[name] += 1
            first.setdefault(name, path.relative_to(root))
    if not counts and dicom.loose_files(root):
        raise dicom.no_participant(root)
    if not counts:
        known = "; ".join(f"{r.title} ({r.example})" for r in READERS.values())
        problem = f"has no layout that is known; none of {counted(looked, 'file')} is named as in "
        remedy = "check data_dir, or list the scans in a table (layout manifest)"
        raise InputError(root, problem + known, remedy)
    told = {name: _evidence(name, counts[name], first[name]) for name in counts}
    if len(counts) > 1:
        found = " and ".join(f"{name} ({text})" for name, text in sorted(told.items()))
        remedy = "set dataset.layout to one of them, or data_dir to a folder with one layout"
        raise InputError(root, f"has scans of more than one layout: {found}", remedy)
    ((layout, evidence),) = told.items()
    return Detected(layout, evidence)


def _evidence(layout: str, count: int, first: Path) -> str:
    if READERS[layout].private:
        return f"{counted(count, 'file')} whose content says so"
    return f"{counted(count, 'file')} such as {first}"


def _matching(path: Path, root: Path) -> list[str]:
    """Layouts that a file's name fits; what lies in a BIDS subject's folders is BIDS alone."""
    if bids.matches(path, root):
        return ["bids"]
    if bids.is_inside(path, root):
        return []
    return [name for name, reader in READERS.items() if reader.matches(path, root)]
