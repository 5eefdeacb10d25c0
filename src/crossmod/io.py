"""NIfTI in and out: the only module that reads or writes volumes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.files import atomic_path

MAX_VOXELS = 1_000_000_000
GRID_TOLERANCE_MM = 1e-3


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
        Header of the file the image came from; form codes, units and description are kept on
        writing.
    """

    data: NDArray
    affine: NDArray[np.float64]
    header: nib.Nifti1Header | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths in mm."""
        return tuple(float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))  # type: ignore[return-value]

    def with_data(self, data: NDArray) -> Image:
        """Same grid and header, other values."""
        if data.shape != self.data.shape:
            raise ValueError(f"shape {data.shape} does not fit the grid {self.data.shape}")
        return replace(self, data=data)


def read_header(path: Path | str) -> nib.Nifti1Image:
    """Open a NIfTI file without reading its voxels and check that it is one 3-D volume.

    Raises
    ------
    InputError
        If the file is missing, empty, no NIfTI, not 3-D, or its grid makes no sense.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise InputError(path, "is empty", "copy the scan again or exclude the session")
        image: Any = nib.load(path)
        shape = tuple(image.shape)
    except FileNotFoundError:
        raise InputError(path, "does not exist", "check the path") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error})", "check it or exclude it") from None
    except (ImageFileError, HeaderDataError, ValueError, EOFError, zlib.error) as error:
        problem = f"is no readable NIfTI file ({_one_line(error)})"
        raise InputError(path, problem, "convert it again or exclude the session") from None
    if len(shape) == 4 and shape[3] == 1:
        shape = shape[:3]
    if len(shape) != 3:
        problem = f"has {len(shape)} dimensions {shape} where 3 are due"
        raise InputError(path, problem, "split the series into 3-D volumes")
    if min(shape) < 2 or int(np.prod(shape, dtype=np.int64)) > MAX_VOXELS:
        raise InputError(path, f"has the size {shape}", "check how it was converted")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(path, "has no usable affine", "repair its sform or qform")
    return image


def read_image(path: Path | str, dtype: type = np.float32) -> Image:
    """Read a 3-D NIfTI volume.

    Parameters
    ----------
    path : path
        `.nii` or `.nii.gz`; a 4-D file with one volume counts as 3-D.
    dtype : numpy type
        Type of the voxel values returned; the file's scaling is applied.

    Returns
    -------
    Image
        In the file's own orientation.

    Raises
    ------
    InputError
        If the file cannot be read, is not 3-D, or holds NaN or infinities.
    """
    proxy = read_header(path)
    try:
        raw: Any = np.asarray(proxy.dataobj, dtype=np.float64 if dtype is float else dtype)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        problem = f"is damaged ({_one_line(error)})"
        raise InputError(path, problem, "copy the scan again or exclude the session") from None
    data: NDArray = np.ascontiguousarray(raw.reshape(raw.shape[:3]))
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        problem = f"holds {int((~np.isfinite(data)).sum())} values that are no finite number"
        raise InputError(path, problem, "replace them or exclude the session")
    return Image(data, np.asarray(proxy.affine, dtype=np.float64), proxy.header.copy())


def read_scan(path: Path | str) -> Image:
    """Read an acquired scan: as `read_image`, and a constant volume is refused."""
    image = read_image(path)
    if image.data.min() == image.data.max():
        raise InputError(path, "is constant", "copy the scan again or exclude the session")
    return image


def read_volume(path: Path | str, volume: int) -> Image:
    """Read one volume of a 4-D file, and refuse it if it is constant.

    Parameters
    ----------
    path : path
        `.nii` or `.nii.gz`.
    volume : int
        Which, from 0.

    Raises
    ------
    InputError
        If the file cannot be read or has no such volume, or the volume is constant or holds NaN
        or infinities.
    """
    path = Path(path)
    try:
        proxy: Any = nib.load(path)
        count = proxy.shape[3] if len(proxy.shape) == 4 else 0
        if volume >= count:
            problem = f"has {count} volumes where number {volume} (from 0) is due"
            raise InputError(path, problem, "check which modalities it holds")
        data = np.asarray(proxy.dataobj[..., volume], dtype=np.float32)
    except FileNotFoundError:
        raise InputError(path, "does not exist", "check the path") from None
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error) as error:
        problem = f"is damaged ({_one_line(error)})"
        raise InputError(path, problem, "copy the scan again or exclude the session") from None
    if not np.isfinite(data).all():
        raise InputError(path, f"volume {volume} holds values that are no number", "exclude it")
    if data.min() == data.max():
        raise InputError(path, f"volume {volume} is constant", "copy the scan again or exclude it")
    return Image(data, np.asarray(proxy.affine, dtype=np.float64), proxy.header.copy())


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
        Bool is stored as uint8, other types as they are. With a header, form codes and units
        are kept; without one, both codes are 1 (scanner) and units are mm.
    description : str
        At most 79 characters for the header's `descrip`; empty keeps what is there.
    """
    data = image.data.astype(np.uint8) if image.data.dtype == bool else image.data
    out: Any = nib.Nifti1Image(data, image.affine)
    if image.header is not None and isinstance(image.header, nib.Nifti1Header):
        old = image.header
        out.header.set_xyzt_units(*old.get_xyzt_units())
        out.header["descrip"] = old["descrip"]
        sform_code, qform_code = int(old["sform_code"]), int(old["qform_code"])
        if sform_code == qform_code == 0:
            qform_code = 1
    else:
        out.header.set_xyzt_units("mm")
        sform_code = qform_code = 1
    out.set_sform(image.affine, code=sform_code)
    # A sheared affine has no exact qform: nibabel then stores the nearest rotation.
    out.set_qform(image.affine, code=qform_code, strip_shears=True)
    if description:
        out.header["descrip"] = description.encode()[:79]
    with atomic_path(path) as temporary:
        nib.save(out, temporary)


def describe_header(image: Image) -> dict[str, Any]:
    """What a written image keeps of a header, as plain values: form codes, units, description."""
    header = image.header
    if header is None:
        return {"sform_code": 1, "qform_code": 1, "units": ["mm", "unknown"], "description": ""}
    return {
        "sform_code": int(header["sform_code"]),
        "qform_code": int(header["qform_code"]),
        "units": list(header.get_xyzt_units()),
        "description": bytes(header["descrip"]).rstrip(b"\0").decode("ascii", "replace"),
    }


def header_from(described: dict[str, Any]) -> nib.Nifti1Header:
    """Header with what `describe_header` told."""
    header: Any = nib.Nifti1Header()
    header["sform_code"], header["qform_code"] = described["sform_code"], described["qform_code"]
    header.set_xyzt_units(*described["units"])
    header["descrip"] = described["description"].encode("ascii", "replace")[:79]
    return header


def to_ras(image: Image) -> Image:
    """Flip and permute axes so that they run closest to right, anterior, superior."""
    change = ornt_transform(io_orientation(image.affine), axcodes2ornt("RAS"))
    data = np.ascontiguousarray(apply_orientation(image.data, change))
    affine = image.affine @ inv_ornt_aff(change, image.data.shape)
    return Image(data, affine, image.header)


def same_grid(a: Image | nib.Nifti1Image, b: Image | nib.Nifti1Image) -> bool:
    """Whether two images have the same shape and, within 1 um, the same affine."""
    shape_a = (a.data if isinstance(a, Image) else a).shape[:3]
    shape_b = (b.data if isinstance(b, Image) else b).shape[:3]
    return shape_a == shape_b and np.allclose(a.affine, b.affine, atol=GRID_TOLERANCE_MM)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
