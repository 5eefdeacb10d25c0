"""What the header of a volume file says, checked before any voxel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.formats.stored import Stored, check_amount, read_voxels

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

MOST_VOXELS = 2**29  # 812 to the third: 2 GB as float32
LONGEST_AXIS = 32767  # what a NIfTI-1 file can say
SPACING_MM = (0.01, 100.0)
LEAST_VOLUME = 1e-4  # of a voxel, as a share of that of a box with its edges
CONVERT_AGAIN = "convert it again or exclude the session"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


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
    stored : Stored
        Where the voxels are.
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
    stored: Stored
    slope: float = 1.0
    inter: float = 0.0
    header: Nifti1Header | None = None
    remarks: tuple[str, ...] = ()

    @property
    def slice_voxels(self) -> int:
        """Voxels of a section along the first two axes."""
        return self.shape[0] * self.shape[1]

    def volume(self, index: int = 0) -> NDArray:
        """Numbers of one volume as they are stored, shape (X, Y, Z).

        The end of the file is looked at as well, so that damage behind the volume is found.

        Raises
        ------
        InputError
            If the file is cut off or damaged, or longer than it should be.
        """
        count = self.slice_voxels * self.shape[2]
        left = (self.volumes - index - 1) * count + self.slice_voxels - 1
        values = read_voxels(self.path, self.stored, index * count, count, left)
        return values.reshape(self.shape, order="F")

    def section(self, place: int) -> NDArray:
        """Numbers of slice `place` of the first volume, shape (X, Y); nothing behind it is read."""
        count = self.slice_voxels
        values = read_voxels(self.path, self.stored, place * count, count, -1)
        return values.reshape(self.shape[:2], order="F")


def grid_size(path: Path, dims: Sequence[int]) -> tuple[tuple[int, int, int], int]:
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
    voxels = shape[0] * shape[1] * shape[2]
    if max(shape) > LONGEST_AXIS or voxels > MOST_VOXELS:
        problem = f"has the size {said}, more than {MOST_VOXELS} voxels"
        if voxels <= MOST_VOXELS:
            problem = f"has the size {said}, more than {LONGEST_AXIS} voxels in a row"
        raise InputError(path, problem, "check its header or resample it")
    return shape, volumes


def check_affine(path: Path, affine: NDArray[np.float64], fields: str) -> None:
    """Refuse an affine that cannot place voxels in the world.

    Parameters
    ----------
    path : path
        File.
    affine : array, shape (4, 4)
        Voxel index to world coordinates in mm.
    fields : str
        Header fields that the user should look at.

    Raises
    ------
    InputError
        If it has NaN or infinities, flat voxels, or edges that no scan has.
    """
    remedy = f"repair its {fields}"
    if not np.isfinite(affine).all():
        raise InputError(path, "has no usable affine, it holds NaN or infinities", remedy)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    said = " x ".join(f"{v:.4g}" for v in spacing)
    if spacing.min() == 0:
        raise InputError(path, f"has no usable affine, its voxels are {said} mm", remedy)
    if abs(np.linalg.det(affine[:3, :3])) < LEAST_VOLUME * spacing.prod():
        raise InputError(path, "has no usable affine, its axes lie in one plane", remedy)
    if spacing.min() < SPACING_MM[0] or spacing.max() > SPACING_MM[1]:
        problem = f"has voxels of {said} mm, which no scan has"
        raise InputError(path, problem, f"{remedy} or its units")


def check_spacing(path: Path, spacing: Sequence[float] | NDArray, field: str) -> None:
    """Refuse voxel edges in a header that are no positive numbers.

    Raises
    ------
    InputError
        For NaN, infinities, zero and negative numbers.
    """
    values = [float(v) for v in spacing]
    if not all(np.isfinite(v) and v > 0 for v in values):
        said = " x ".join(f"{v:g}" for v in values)
        raise InputError(path, f"has the voxel spacing {said}", f"repair {field} in its header")


def check_numbers(path: Path, dtype: np.dtype) -> None:
    """Refuse voxels that are no plain numbers.

    Raises
    ------
    InputError
        For complex numbers and colors.
    """
    if dtype.kind == "c":
        raise InputError(path, "holds complex numbers", "save their magnitude")
    if dtype.kind not in "iuf":
        raise InputError(path, "holds colors", "save it as gray values")


def checked(file: VolumeFile, fields: str) -> VolumeFile:
    """The file, after its affine and its size on disk were checked.

    Raises
    ------
    InputError
        As `check_affine` and `check_amount`.
    """
    check_affine(file.path, file.affine, fields)
    voxels = file.slice_voxels * file.shape[2] * file.volumes
    check_amount(file.path, file.stored, voxels, file.slice_voxels)
    return file


def file_beside(path: Path, name: str) -> Path:
    """The other file of a pair; it must lie beside the one that the user named.

    Raises
    ------
    InputError
        If it is missing, or lies elsewhere: a header is data, it must not choose what is opened.
    """
    name = name.removeprefix("./")
    if not name or Path(name).name != name:
        problem = f"keeps its voxels in {name!r}, outside its folder"
        raise InputError(path, problem, "put both files in one folder and correct the name")
    other = path.with_name(name)
    if not other.is_file():
        raise InputError(path, f"lacks the file {name!r} beside it", "copy both files")
    return other
