"""Displacement fields in files, and the transforms that a preprocessed session was made with.

Files are as ITK has them: NIfTI-1 of shape (X, Y, Z, 1, 3), vector intent, mm along left,
posterior, superior (LPS). In memory everything is RAS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.files import atomic_path
from crossmod.spatial import FLIP_XY, Field, Transform, Warp
from crossmod.status import Status

WARP, WARP_BACK = "xfm-warp", "xfm-warp-back"
"""Outputs of a preprocessed session: from the affine to the deformed template space, and back."""
LPS: NDArray[np.float32] = FLIP_XY.diagonal()[:3].astype(np.float32)


def write_field(path: Path | str, field: Field) -> None:
    """Write a displacement field; the bytes depend on the content only."""
    # `+ 0.0` turns the negative zeros that the flip makes into plain ones.
    vectors = field.vectors[:, :, :, None, :] * LPS + np.float32(0)
    image: Any = nib.Nifti1Image(vectors, field.affine)
    image.header.set_intent("vector")
    image.header.set_xyzt_units("mm")
    image.set_sform(field.affine, code=1)
    image.set_qform(field.affine, code=1)
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def read_field(path: Path | str) -> Field:
    """Read a displacement field that `write_field`, ANTs or ITK wrote.

    Raises
    ------
    InputError
        If the file cannot be read or holds no vectors.
    """
    try:
        image: Any = nib.load(path)
        stored = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError):
        raise InputError(path, "is no readable NIfTI file", "delete it and run again") from None
    if stored.ndim != 5 or stored.shape[3:] != (1, 3):
        problem = f"has the shape {stored.shape}, not that of a displacement field"
        raise InputError(path, problem, "delete it and run again")
    return Field(stored[:, :, :, 0] * LPS, np.asarray(image.affine, dtype=np.float64))


def to_raw(status: Status, status_file: Path, modality: str) -> Transform:
    """Points of a session's common grid to points of a raw scan, RAS+ mm both.

    Parameters
    ----------
    status, status_file : Status, path
        Preprocessed session.
    modality : str
        One of its scans.

    Raises
    ------
    InputError
        If a file that the status lists is missing or damaged.
    """
    matrix = np.array(status.details["affines"][modality], dtype=np.float64)
    if WARP not in status.outputs:
        return Transform(matrix)
    fields = (read_field(status.path(name, status_file)) for name in (WARP, WARP_BACK))
    return Transform(matrix, warp=Warp(*fields))
