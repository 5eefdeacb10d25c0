"""What the header of a volume file says, and the checks that hold for every format."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

MAX_VOXELS = 2**29  # 812 to the third: 2 GB as float32
LONGEST_AXIS = 32767  # what a NIfTI-1 file can say
SPACING_MM = (0.01, 100.0)
LEAST_VOLUME = 1e-4  # of a voxel, as a share of that of a box with its edges
# Deflate codes 258 bytes in 2 bits at best. A scan of more than 1 GB shrinks less than that.
MOST_INFLATED, INFLATED_GB = 1032, 300
COPY_AGAIN = "copy the scan again or exclude the session"
PLACE_AGAIN = "repair the orientation and spacing in its header"
CONVERT_AGAIN = "convert it again or exclude the session"


@dataclass(frozen=True)
class VolumeFile:
    """Header of a file with one or more volumes on one grid.

    Attributes
    ----------
    path : path
        File that the user named.
    shape : tuple of int
        X, Y, Z.
    volumes : int
        How many follow each other.
    affine : array, shape (4, 4)
        Voxel index to RAS+ world coordinates in mm.
    read : callable
        Stored numbers of the volume with this index, shape (X, Y, Z); with a place along the third
        axis, of that slice alone, shape (X, Y).
    slope, inter : float
        Value = slope * stored number + inter.
    header : nibabel.Nifti1Header or None
        Of a NIfTI file.
    remarks : tuple of str
        What the user should know about how the header was read.
    """

    path: Path
    shape: tuple[int, int, int]
    volumes: int
    affine: NDArray[np.float64]
    read: Callable[[int, int | None], NDArray]
    slope: float = 1.0
    inter: float = 0.0
    header: Nifti1Header | None = None
    remarks: tuple[str, ...] = ()


def check_regular(path: Path) -> None:
    """Refuse what is no file with something in it; a pipe would block for good.

    Raises
    ------
    InputError
        If there is nothing, a folder, a device, a pipe, or an empty file.
    """
    try:
        info = path.stat()
    except FileNotFoundError:
        problem = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise InputError(path, problem, "check the path") from None
    except OSError as error:
        remedy = "check its permissions or exclude it"
        raise InputError(path, f"cannot be read ({error.strerror})", remedy) from None
    if not stat.S_ISREG(info.st_mode):
        kind = "a folder" if stat.S_ISDIR(info.st_mode) else "a pipe or a device"
        raise InputError(path, f"cannot be read as a scan, it is {kind}", "name a file")
    if not os.access(path, os.R_OK):
        raise InputError(path, "cannot be read", "check its permissions or exclude it")
    if info.st_size == 0:
        raise InputError(path, "is empty", COPY_AGAIN)


def check_grid(path: Path, dims: Sequence[int]) -> tuple[tuple[int, int, int], int]:
    """Check what a header says of the size; gives (X, Y, Z) and the number of volumes.

    Raises
    ------
    InputError
        If there are no voxels, other than three dimensions, or more than can be handled.
    """
    dims = [int(n) for n in dims]
    said = " x ".join(str(n) for n in dims)
    if dims and min(dims) <= 0:
        raise InputError(path, f"has no voxels, its size is {said}", CONVERT_AGAIN)
    while len(dims) > 3 and dims[-1] == 1:
        dims.pop()
    if not 3 <= len(dims) <= 4:
        problem = f"has {len(dims)} dimensions ({said}) where 3 are due"
        raise InputError(path, problem, "split it into 3-D volumes")
    shape, volumes = (dims[0], dims[1], dims[2]), dims[3] if len(dims) == 4 else 1
    if min(shape) < 2:
        problem = f"has the size {said}, a slice and no volume"
        raise InputError(path, problem, "put the slices together in one file")
    if max(shape) > LONGEST_AXIS or shape[0] * shape[1] * shape[2] > MAX_VOXELS:
        problem = f"has the size {said}, more than {MAX_VOXELS} voxels or {LONGEST_AXIS} in a row"
        raise InputError(path, problem, "check its header or resample it")
    return shape, volumes


def check_spacing(path: Path, spacing: Sequence[float]) -> None:
    """Refuse voxel edges in a header that are no positive numbers.

    Raises
    ------
    InputError
        For NaN, infinities, zero and negative numbers.
    """
    if not all(np.isfinite(v) and v > 0 for v in spacing):
        said = " x ".join(f"{v:g}" for v in spacing)
        raise InputError(path, f"has the voxel spacing {said}", PLACE_AGAIN)


def check_affine(path: Path, affine: NDArray[np.float64]) -> None:
    """Refuse an affine (voxel index to world coordinates in mm) that cannot place voxels.

    Raises
    ------
    InputError
        If it has NaN or infinities, flat voxels, or edges that no scan has.
    """
    if not np.isfinite(affine).all():
        raise InputError(path, "has no usable affine, it holds NaN or infinities", PLACE_AGAIN)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    said = " x ".join(f"{v:.4g}" for v in edges)
    if edges.min() == 0:
        raise InputError(path, f"has no usable affine, its voxels are {said} mm", PLACE_AGAIN)
    if abs(np.linalg.det(affine[:3, :3])) < LEAST_VOLUME * edges.prod():
        raise InputError(path, "has no usable affine, its axes lie in one plane", PLACE_AGAIN)
    if edges.min() < SPACING_MM[0] or edges.max() > SPACING_MM[1]:
        problem = f"has voxels of {said} mm, which no scan has"
        raise InputError(path, problem, f"{PLACE_AGAIN}, or its units")


def check_amount(path: Path, dtype: np.dtype, claimed: int, stored: int, packed: bool) -> None:
    """Compare the bytes that a header claims with those on disk, before memory is taken.

    Raises
    ------
    InputError
        If voxels are no plain numbers, or the file, which `packed` says may be compressed, cannot
        hold that many bytes or is a decompression bomb.
    """
    if dtype.kind == "c":
        raise InputError(path, "holds complex numbers", "save their magnitude")
    if dtype.kind not in "iuf":
        raise InputError(path, "holds colors or vectors", "save it as gray values")
    if not packed and stored < claimed:
        problem = f"is damaged (it has {stored} bytes where {claimed} are due)"
        raise InputError(path, problem, COPY_AGAIN)
    if packed and stored * (INFLATED_GB if claimed > 2**30 else MOST_INFLATED) < claimed:
        problem = f"claims {claimed / 1e9:.1f} GB, more than a scan in a file of its size has"
        raise InputError(path, problem, "check where it comes from or copy it again")
