"""Volume files of other programs: what their headers say, and their voxels, read within bounds.

One module per family of formats parses headers. It gives a `VolumeFile`: grid, affine in RAS+ mm,
and where and how the voxels are stored. `stored.py` alone reads voxels, for all formats alike, and
never takes more memory than the header accounts for. `crossmod.io` is what the rest of the package
calls.
"""

from __future__ import annotations

from pathlib import Path

from crossmod.errors import InputError
from crossmod.formats.metaimage import open_metaimage
from crossmod.formats.mgh import open_mgh
from crossmod.formats.nifti import open_nifti
from crossmod.formats.nrrd import open_nrrd
from crossmod.formats.stored import check_regular, first_bytes
from crossmod.formats.volume_file import VolumeFile

READERS = {
    ".nii": open_nifti,
    ".nii.gz": open_nifti,
    ".hdr": open_nifti,
    ".hdr.gz": open_nifti,
    ".img": open_nifti,
    ".img.gz": open_nifti,
    ".mha": open_metaimage,
    ".mhd": open_metaimage,
    ".nrrd": open_nrrd,
    ".nhdr": open_nrrd,
    ".mgh": open_mgh,
    ".mgz": open_mgh,
    ".mgh.gz": open_mgh,
}
SUFFIXES = tuple(READERS)


def volume_suffix(name: str) -> str | None:
    """Suffix of a file that can be read as a volume, as in `SUFFIXES`; None for other names."""
    return max((s for s in SUFFIXES if name.lower().endswith(s)), key=len, default=None)


def open_volume(path: Path) -> VolumeFile:
    """Read and check the header of a volume file; the format is chosen by the name.

    Parameters
    ----------
    path : path
        File of one of `SUFFIXES`; of a pair of header and voxels, either.

    Returns
    -------
    VolumeFile
        One or more volumes on one grid.

    Raises
    ------
    InputError
        If there is no such file, or its header is damaged, implausible, or of an unsupported kind.
    """
    check_regular(path)
    suffix = volume_suffix(path.name)
    if suffix is None and first_bytes(path, 132)[0][128:] == b"DICM":
        problem = "is one DICOM file where a volume is due"
        raise InputError(path, problem, "convert its series, for instance with dcm2niix")
    if suffix is None:
        problem = "is of no format that is read"
        raise InputError(path, problem, f"convert it to one of {', '.join(SUFFIXES)}")
    return READERS[suffix](path)
