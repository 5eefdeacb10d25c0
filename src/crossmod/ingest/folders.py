"""Walking through a folder of unknown layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from crossmod.errors import InputError
from crossmod.ingest.names import Found, Remark

# What archives and tools leave behind; BIDS keeps what is no raw scan in the last three.
_SKIPPED = {"__MACOSX", "derivatives", "sourcedata", "code"}


def files_below(root: Path, found: Found | None = None) -> Iterator[Path]:
    """Every file below a folder, in fixed order; links to folders are followed once.

    Hidden files are passed over (`._BRATS_001.nii.gz` is no scan), and so are the folders
    `derivatives`, `sourcedata` and `code`. Folders that cannot be read are remarked on in `found`.
    """
    seen: set[str] = set()

    def tell(error: OSError) -> None:
        if found is not None:
            found.remarks.append(closed_folder("", Path(error.filename).relative_to(root), error))

    for folder, folders, names in os.walk(root, followlinks=True, onerror=tell):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n not in _SKIPPED)
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)


def closed_folder(participant: str, place: Path, error: OSError) -> Remark:
    """Remark on a folder that cannot be read: scans must not be missing without a word."""
    text = f"not used, the folder cannot be read ({error.strerror}); change its permissions"
    return Remark(participant, place.as_posix(), text)


def refuse_empty(found: Found, root: Path, example: str) -> None:
    """Refuse a data folder without scans; `example` is how they would be named.

    Raises
    ------
    InputError
        If nothing was found.
    """
    if not found.scans:
        problem = f"holds no scans named like {example}"
        raise InputError(root, problem, "check data_dir and dataset.layout")


def check_folder(root: Path) -> None:
    """Refuse a data folder that is none.

    Raises
    ------
    InputError
        If it does not exist, is no folder, or cannot be read.
    """
    if not root.is_dir():
        problem = "is no folder" if root.exists() else "does not exist"
        raise InputError(root, problem, "set data_dir to the folder of the raw data")
    if not os.access(root, os.R_OK | os.X_OK):
        raise InputError(root, "cannot be read (Permission denied)", "change its permissions")
