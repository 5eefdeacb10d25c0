"""Names of volume files: which endings there are, and which files make up one volume."""

from __future__ import annotations

import re
from pathlib import Path

PAIR_SUFFIXES = (".hdr", ".hdr.gz", ".img", ".img.gz")
NIBABEL = (".nii", ".nii.gz", *PAIR_SUFFIXES, ".mgh", ".mgz", ".mgh.gz")
ITK_READERS = {
    ".mha": "MetaImageIO", ".mhd": "MetaImageIO", ".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO",
}  # fmt: skip
SUFFIXES = (*NIBABEL, *ITK_READERS)
"""Endings of files that can be read as volumes, in small letters."""
HEAD_BYTES = 2**20
# Where a text header says that the voxels are.
DATA_FILE = re.compile(rb"(?im)^\s*(?:ElementDataFile\s*[=:]|data ?file:)[ \t]*(.*?)[ \t\r]*$")


def volume_suffix(name: str) -> str | None:
    """Suffix of a file that can be read as a volume, as in `SUFFIXES`; None for other names."""
    return max((s for s in SUFFIXES if name.lower().endswith(s)), key=len, default=None)


def pair_names(name: str) -> tuple[str, str]:
    """Names of header and voxels of a pair, given either: `("a.hdr", "a.img")`."""
    suffix = volume_suffix(name) or ""
    base, own = name[: -len(suffix)], name[-len(suffix) :]
    kinds = (".HDR", ".IMG") if own[:4].isupper() else (".hdr", ".img")
    return base + kinds[0] + own[4:], base + kinds[1] + own[4:]


def data_file(head: bytes) -> str:
    """File of the voxels that a text header names; `LOCAL`, in any letters, for its own."""
    found = DATA_FILE.search(head)
    return found[1].decode("utf-8", "replace").removeprefix("./") if found else "LOCAL"


def volume_files(path: Path) -> tuple[Path, ...]:
    """Every file that holds a part of a volume, the one named first.

    Parameters
    ----------
    path : path
        File of one of `SUFFIXES`; of a pair either. A text header is opened for the name in it.

    Returns
    -------
    tuple of path
        `path`, and the file of its header or voxels if there is one in the same folder.
    """
    suffix = volume_suffix(path.name)
    others: tuple[str, ...] = ()
    if suffix in PAIR_SUFFIXES:
        others = pair_names(path.name)
    elif suffix in (".mhd", ".nhdr"):
        try:
            with open(path, "rb") as stream:
                others = (data_file(stream.read(HEAD_BYTES)),)
        except OSError:
            return (path,)
    beside = [path.with_name(n) for n in others if n == Path(n).name and n not in ("", path.name)]
    return (path, *(other for other in beside if _is_file(other)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long or with a zero byte
        return False
