"""Walking through a folder of unknown layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from crossmod.errors import InputError

# What archives and tools leave behind; BIDS keeps what is no raw scan in the last three.
_SKIPPED = {"__MACOSX", "derivatives", "sourcedata", "code"}


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder, in fixed order; links to folders are followed once.

    Hidden files are passed over (`._BRATS_001.nii.gz` is no scan), and so are the folders
    `derivatives`, `sourcedata` and `code`.

    Raises
    ------
    InputError
        If a folder cannot be read: scans would be missing without a word.
    """
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_refuse):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n not in _SKIPPED)
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)


def _refuse(error: OSError) -> None:
    problem = f"cannot be read ({error.strerror})"
    raise InputError(str(error.filename), problem, "change its permissions or move it away")


def check_folder(root: Path) -> None:
    """Refuse a data folder that is none.

    Raises
    ------
    InputError
        If it does not exist or is no folder.
    """
    if not root.is_dir():
        problem = "is no folder" if root.exists() else "does not exist"
        raise InputError(root, problem, "set data_dir to the folder of the raw data")
