"""Volumes in and out: the one module that the rest of the package reads and writes them with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.files import atomic_path
from crossmod.formats import open_volume
from crossmod.nifti_forms import mm_per_unit, qform_matrix
from crossmod.volume_file import VolumeFile

GRID_TOLERANCE_MM = 1e-3
# Correlation of neighbors: that of scans is above SMOOTH, that of swapped bytes below ROUGH.
ROUGH, SMOOTH = 0.4, 0.7


@dataclass(frozen=True)
class Image:
    """A 3-D volume with its place in the world.

    Attributes
    ----------
    data : array, shape (X, Y, Z)
        Voxel values, float32 unless stated.
    affine : array, shape (4, 4)
        Voxel index to RAS+ world coordinates in mm.
    header : nibabel.Nifti1Header or None
        Header of the NIfTI file the image came from; form codes, matrices and units are kept on
        writing, free text is not.
    remarks : tuple of str
        What the user should know about how the file was read.
    """

    data: NDArray
    affine: NDArray[np.float64]
    header: nib.Nifti1Header | None = None
    remarks: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths in mm."""
        return tuple(float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))  # type: ignore[return-value]

    def with_data(self, data: NDArray) -> Image:
        """Same grid and header, other values."""
        if data.shape != self.data.shape:
            raise ValueError(f"shape {data.shape} does not fit the grid {self.data.shape}")
        return replace(self, data=data)


def read_header(path: Path | str, volume: int | None = None) -> VolumeFile:
    """Read and check the header of a volume file, without its voxels.

    Parameters
    ----------
    path : path
        NIfTI-1 or -2, Analyze, MetaImage, NRRD or MGH (docs/reference/formats.md).
    volume : int, optional
        Which volume of a 4-D file is meant, from 0. Without it, a file with more than one is
        refused.

    Returns
    -------
    VolumeFile
        Shape, affine (RAS+, mm), NIfTI header if there is one, remarks.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, of no known format, not 3-D, or its grid makes no
        sense.
    """
    file = open_volume(Path(path))
    if volume is None and file.volumes > 1:
        shape = (*file.shape, file.volumes)
        problem = f"has 4 dimensions {shape} where 3 are due"
        raise InputError(path, problem, "split the series into 3-D volumes or name one of them")
    if volume is not None and not 0 <= volume < file.volumes:
        problem = f"has no volume {volume}, but {file.volumes}"
        raise InputError(path, problem, f"name one from 0 to {file.volumes - 1}")
    return file


def read_image(path: Path | str, dtype: type = np.float32, volume: int | None = None) -> Image:
    """Read a 3-D volume.

    Parameters
    ----------
    path : path
        As in `read_header`.
    dtype : numpy type
        Type of the voxel values returned; the file's scaling is applied.
    volume : int, optional
        As in `read_header`.

    Returns
    -------
    Image
        In the file's own orientation.

    Raises
    ------
    InputError
        If the file cannot be read, is not 3-D, or holds NaN or infinities.
    """
    file = read_header(path, volume)
    data = _scaled(file.read(volume or 0, None), file, dtype)
    return Image(data, file.affine, file.header, file.remarks)


def read_scan(path: Path | str, volume: int | None = None) -> Image:
    """Read an acquired scan: as `read_image`, and voxels that no scanner makes are refused.

    Raises
    ------
    InputError
        As `read_image`, and if the volume is constant or in the wrong byte order.
    """
    file = read_header(path, volume)
    stored = file.read(volume or 0, None)
    data = _scaled(stored, file, np.float32)
    if data.min() == data.max():
        problem = f"is constant, every voxel is {data.flat[0]:g}"
        raise InputError(path, problem, "copy the scan again or exclude the session")
    if _looks_swapped(stored):
        problem = "holds voxels in another byte order than its header says"
        raise InputError(path, problem, "correct its byte order or convert it again")
    return Image(data, file.affine, file.header, file.remarks)


def read_section(path: Path | str, place: int) -> NDArray[np.float32]:
    """Read slice `place` along the third axis, shape (X, Y); what is behind it is not looked at.

    Raises
    ------
    InputError
        As `read_image`.
    """
    file = read_header(path)
    return _scaled(file.read(0, place), file, np.float32)


def _scaled(stored: NDArray, file: VolumeFile, dtype: type) -> NDArray:
    """Values of stored numbers in native byte order, C order and the type asked for."""
    if (file.slope, file.inter) != (1.0, 0.0):
        kind = np.float32 if dtype is np.float32 else np.float64
        stored = apply_read_scaling(stored, kind(file.slope), kind(file.inter))
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        problem = f"holds {int((~np.isfinite(stored)).sum())} values that are no finite number"
        raise InputError(file.path, problem, "replace them or exclude the session")
    with np.errstate(over="ignore"):
        data: NDArray = np.ascontiguousarray(stored, dtype=dtype)
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        problem = "holds numbers too large for 32 bits"
        raise InputError(file.path, problem, "check its byte order or rescale it")
    return data


def _looks_swapped(stored: NDArray) -> bool:
    """Whether neighbors in the middle slice agree only once the bytes of voxels are swapped."""
    if stored.dtype.itemsize == 1:
        return False
    section = stored[:, :, stored.shape[2] // 2]
    return _smoothness(section) < ROUGH and _smoothness(section.byteswap()) > SMOOTH


def _smoothness(section: NDArray) -> float:
    """Correlation of voxels with their neighbors along x; 0 if there is nothing to correlate."""
    with np.errstate(invalid="ignore"):  # swapped bytes may be NaN
        values = section.astype(np.float64)
    if not np.isfinite(values).all() or np.abs(values).max() > 1e100:
        return 0.0
    first, second = values[:-1].ravel(), values[1:].ravel()
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def read_on_grid(path: Path | str, grid: Image, dtype: type = np.float32) -> NDArray:
    """Read a volume made earlier, which must lie on the grid of the brain mask.

    Parameters
    ----------
    path : path
        File of an earlier stage.
    grid : Image
        Brain mask.
    dtype : numpy type
        As in `read_image`.

    Raises
    ------
    InputError
        As `read_image`, and if the volume lies on another grid.
    """
    image = read_image(path, dtype)
    if not same_grid(image, grid):
        problem = "does not lie on the grid of the brain mask"
        raise InputError(path, problem, "delete it and run its stage again")
    return image.data


def write_image(path: Path | str, image: Image, description: str = "") -> None:
    """Write a NIfTI volume atomically; the bytes depend on the content only.

    Parameters
    ----------
    path : path
        Ends in `.nii` or `.nii.gz`.
    image : Image
        As in `to_nifti`.
    description : str
        At most 79 characters for the header's `descrip`.
    """
    out = to_nifti(image)
    out.header["descrip"] = description.encode()[:79]
    with atomic_path(path) as temporary:
        nib.save(out, temporary)


def to_nifti(image: Image) -> nib.Nifti1Image:
    """NIfTI image in memory, without free text of the header the image came with.

    Parameters
    ----------
    image : Image
        Bool is stored as uint8, other types as they are. With a header, form codes and units are
        kept; if the affine is still that of the header, so are the matrices of both forms. Without
        a header, or with both codes 0, the form is scanner (1), and units are mm.
    """
    data = image.data.astype(np.uint8) if image.data.dtype == bool else image.data
    old: Any = image.header
    affine = image.affine.copy()
    affine[:3] /= 1.0 if old is None else mm_per_unit(old)
    out: Any = nib.Nifti1Image(data, affine)
    out.header.set_xyzt_units(*(("mm",) if old is None else _units(old)))
    codes = {"sform": 1, "qform": 1}
    if old is not None:
        codes = {form: int(old[f"{form}_code"]) for form in codes}
        if not any(codes.values()):
            codes["qform"] = 1
    matrices = dict.fromkeys(codes, affine) if old is None else _matrices(old, affine)
    out.set_sform(matrices["sform"], code=codes["sform"])
    # A sheared affine has no exact qform: nibabel then stores the nearest rotation.
    out.set_qform(matrices["qform"], code=codes["qform"], strip_shears=True)
    return out


def _matrices(header: Any, affine: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Matrix of each form: the header's, if it is used and the image has not moved since."""
    matrices = {"sform": affine, "qform": affine}
    used = {form: int(header[f"{form}_code"]) > 0 for form in matrices}
    if all(used.values()) and np.allclose(header.get_sform(), affine, rtol=1e-6, atol=1e-6):
        qform = qform_matrix(header)
        if qform is not None and np.isfinite(qform).all():  # what is broken is not kept
            matrices["qform"] = qform
    return matrices


def _units(header: Any) -> tuple[str, ...]:
    try:
        return header.get_xyzt_units()
    except KeyError:
        return ("mm",)


def describe_header(image: Image) -> dict[str, Any]:
    """What a written image keeps of a header, as plain values: form codes, units, other form.

    The matrix of the qform is told only if it is not that of the sform, which is the affine.
    """
    header: Any = image.header
    if header is None:
        return {"sform_code": 1, "qform_code": 1, "units": ["mm", "unknown"]}
    described = {
        "sform_code": int(header["sform_code"]),
        "qform_code": int(header["qform_code"]),
        "units": list(_units(header)),
    }
    sform = header.get_sform()
    qform = _matrices(header, sform)["qform"]
    tolerance = GRID_TOLERANCE_MM / mm_per_unit(header)
    if not np.allclose(qform, sform, rtol=1e-6, atol=tolerance):
        described |= {"sform": sform.tolist(), "qform": qform.tolist()}
    return described


def header_from(described: dict[str, Any]) -> nib.Nifti1Header:
    """Header with what `describe_header` told."""
    header: Any = nib.Nifti1Header()
    header.set_xyzt_units(*described["units"])
    if "qform" in described:
        header.set_sform(described["sform"])
        header.set_qform(described["qform"], strip_shears=True)
    header["sform_code"], header["qform_code"] = described["sform_code"], described["qform_code"]
    return header


def to_ras(image: Image) -> Image:
    """Flip and permute axes so that they run closest to right, anterior, superior."""
    change = ornt_transform(io_orientation(image.affine), axcodes2ornt("RAS"))
    data = np.ascontiguousarray(apply_orientation(image.data, change))
    affine = image.affine @ inv_ornt_aff(change, image.data.shape)
    return Image(data, affine, image.header, image.remarks)


def same_grid(a: Image, b: Image) -> bool:
    """Whether two images have the same shape and, within 1 um, the same affine."""
    return a.data.shape == b.data.shape and np.allclose(a.affine, b.affine, atol=GRID_TOLERANCE_MM)
