"""FreeSurfer's volumes, .mgh and gzipped .mgz."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader

from crossmod.errors import InputError
from crossmod.formats.stored import COPY_AGAIN, Stored, first_bytes
from crossmod.formats.volume_file import (
    CONVERT_AGAIN,
    VolumeFile,
    check_spacing,
    checked,
    grid_size,
)

HEADER_BYTES = 284  # voxels follow, then tags that are not read
TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
NO_ORIENTATION = (
    "tells no orientation; it is taken to be coronal, x to the left, as FreeSurfer does, so left "
    "and right may be swapped"
)


def open_mgh(path: Path) -> VolumeFile:
    """Read the header of an .mgh or .mgz file; its scanner coordinates are RAS+ mm.

    Raises
    ------
    InputError
        If the header is damaged or implausible.
    """
    block, encoding = first_bytes(path, HEADER_BYTES)
    if block[:4] != b"\0\0\0\1":
        problem = "is no readable MGH file (its version is not 1)"
        raise InputError(path, problem, CONVERT_AGAIN)
    if len(block) < HEADER_BYTES:
        problem = f"is damaged (its header has {len(block)} bytes where {HEADER_BYTES} are due)"
        raise InputError(path, problem, COPY_AGAIN)
    placed = int.from_bytes(block[28:30], "big") == 1
    header: Any = MGHHeader(block, check=False)  # sets FreeSurfer's default where it is not
    shape, volumes = grid_size(path, header["dims"])
    code = int(header["type"])
    if code not in TYPES:
        raise InputError(path, f"has the unknown data type {code}", CONVERT_AGAIN)
    stored = Stored(path, np.dtype(TYPES[code]), encoding, skip=HEADER_BYTES, tail=True)
    check_spacing(path, header["delta"], "the voxel size")
    with np.errstate(all="ignore"):  # what is no number is refused below
        affine = np.asarray(header.get_affine(), dtype=np.float64)
    file = VolumeFile(path, shape, volumes, affine, stored)
    file = file if placed else replace(file, remarks=(NO_ORIENTATION,))
    return checked(file, "direction cosines")
