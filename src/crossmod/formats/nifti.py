"""NIfTI-1 and NIfTI-2 files and pairs, and Analyze 7.5 pairs, which share suffixes with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import aff2axcodes
from nibabel.quaternions import quat2mat
from nibabel.spatialimages import HeaderDataError
from nibabel.spm2analyze import Spm2AnalyzeHeader
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.formats.stored import Encoding, Stored, first_bytes
from crossmod.formats.volume_file import (
    CONVERT_AGAIN,
    VolumeFile,
    check_affine,
    check_numbers,
    check_spacing,
    checked,
    file_beside,
    grid_size,
)

MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
LARGEST_OFFSET = 2**26  # bytes of extensions; those of real files are some kB
LONGEST_QUATERNION = 1.0001  # squared length of its last three numbers, 1 at most but for rounding
FORM_FIELDS = "sform or qform"
ANALYZE_REMARK = (
    "Analyze files tell no orientation; x is taken to run to the left, as FSL, SPM and nibabel do, "
    "so left and right may be swapped"
)
NO_FORM_REMARK = (
    "has neither sform nor qform; x is taken to run to the left and y to the front, so left and "
    "right may be swapped"
)


@dataclass(frozen=True)
class _Head:
    """Header as read, and the files it was read from."""

    path: Path
    header: Any
    voxels: Path
    encoding: Encoding
    single: bool


def open_nifti(path: Path) -> VolumeFile:
    """Read the header of a NIfTI or Analyze file.

    Of a pair, either file may be named. The sform is preferred to the qform, as nibabel, FSL and
    ITK 5.2 and later do (ITK only for sform code 1). Units of meters or microns become mm.

    Raises
    ------
    InputError
        If the header is damaged, implausible, or contradicts itself.
    """
    head = _read_head(path)
    header = head.header
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        problem = f"is no readable NIfTI file (it says {count} dimensions)"
        raise InputError(path, problem, "check its byte order or convert it again")
    shape, volumes = grid_size(path, [int(n) for n in header["dim"][1 : 1 + count]])
    stored = _stored(head)
    slope, inter = _scaling(path, header)
    if isinstance(header, Nifti1Header):
        check_spacing(path, header["pixdim"][1:4], "pixdim")
        affine, remarks = _place(path, header)
        kept = header
    else:
        header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])  # SPM marks flips by a sign
        check_spacing(path, header["pixdim"][1:4], "pixdim")
        affine, remarks, kept = header.get_best_affine(), (ANALYZE_REMARK,), None
    return checked(
        VolumeFile(path, shape, volumes, affine, stored, slope, inter, kept, remarks), FORM_FIELDS
    )


def mm_per_unit(header: Nifti1Header) -> float:
    """Length in mm of the unit that the header's matrices are in; mm if it tells none."""
    try:
        return MM_PER_UNIT[header.get_xyzt_units()[0]]
    except KeyError:
        return 1.0


def qform_matrix(header: Any) -> NDArray[np.float64] | None:
    """Voxel index to world by the qform, in the header's unit; None if it is no rotation.

    As nifti1_io.c, a quaternion that rounding made a little too long is shortened; nibabel's
    `get_qform` refuses it, also in files that nibabel wrote.
    """
    vector = np.array([float(header[f"quatern_{name}"]) for name in "bcd"])
    square = float(vector @ vector)
    if not square <= LONGEST_QUATERNION:
        return None
    scalar = np.sqrt(max(1 - square, 0.0))
    zooms = np.array(header["pixdim"][1:4], dtype=np.float64)
    zooms[2] *= -1 if float(header["pixdim"][0]) < 0 else 1
    affine = np.eye(4)
    affine[:3, :3] = quat2mat(np.array([scalar, *vector])) * zooms
    affine[:3, 3] = [float(header[f"qoffset_{name}"]) for name in "xyz"]
    return affine


def _read_head(path: Path) -> _Head:
    """Find the header, its kind and byte order, and the file with the voxels."""
    file = _beside(path, ".img", ".hdr")
    block, encoding = first_bytes(file, 540)
    header, single = _parse(path, block)
    if single:
        return _Head(path, header, file, encoding, single)
    voxels = _beside(path, ".hdr", ".img")
    if voxels == file:
        problem = "has the header of a pair, which keeps its voxels in a file .img"
        raise InputError(path, problem, "name it .hdr and put the .img beside it")
    return _Head(path, header, voxels, first_bytes(voxels, 1)[1], single)


def _beside(path: Path, suffix: str, other: str) -> Path:
    """The file of a pair that ends in `other`, compressed or not; other names are kept."""
    name = path.name.removesuffix(".gz")
    if not name.lower().endswith(suffix):
        return path
    stem = name[: -len(suffix)]
    upper = other.upper() if name.endswith(suffix.upper()) else other
    names = [f"{stem}{upper}", f"{stem}{upper}.gz"]
    found = next((n for n in names if path.with_name(n).is_file()), names[0])
    return file_beside(path, found)


def _parse(path: Path, block: bytes) -> tuple[Any, bool]:
    """Header and whether the voxels are in the same file."""
    for order in ("<", ">"):
        size = int(np.frombuffer(block[:4].ljust(4, b"\0"), f"{order}i4")[0])
        if size not in (348, 540):
            continue
        if len(block) < size:
            problem = f"is damaged (its header has {len(block)} bytes where {size} are due)"
            raise InputError(path, problem, "copy the scan again or exclude the session")
        magic = block[344:348] if size == 348 else block[4:12]
        kind: Any = Nifti1Header if size == 348 else Nifti2Header
        version = b"1" if size == 348 else b"2"
        if magic[:4] in (b"n+" + version + b"\0", b"ni" + version + b"\0"):
            return kind(block[:size], endianness=order, check=False), magic[1:2] == b"+"
        if size == 348 and _is_pair(path):
            return Spm2AnalyzeHeader(block[:348], endianness=order, check=False), False
        said = magic.rstrip(b"\0").decode("latin-1")
        raise InputError(path, f"is no readable NIfTI file (its magic is {said!r})", CONVERT_AGAIN)
    problem = "is no readable NIfTI file (it does not begin with 348 or 540)"
    raise InputError(path, problem, CONVERT_AGAIN)


def _is_pair(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".hdr", ".img"))


def _stored(head: _Head) -> Stored:
    path, header = head.path, head.header
    code = int(header["datatype"])
    codes = header._data_type_codes
    if code not in codes.label or codes.label[code] in ("none", "binary"):
        raise InputError(path, f"has the unknown data type {code}", CONVERT_AGAIN)
    dtype = np.dtype(codes.dtype[code])
    check_numbers(path, dtype)
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        problem = f"says data type {dtype.name}, but {int(header['bitpix'])} bits a voxel"
        raise InputError(path, problem, CONVERT_AGAIN)
    offset = float(header["vox_offset"])
    least = int(header["sizeof_hdr"]) + 4 if head.single else 0
    if not least <= offset <= LARGEST_OFFSET:
        # Some programs leave the offset of a single file 0 and mean the least.
        if offset != 0:
            raise InputError(path, f"says that its voxels begin at byte {offset:g}", CONVERT_AGAIN)
        offset = least
    dtype = dtype.newbyteorder(header.endianness)
    return Stored(head.voxels, dtype, head.encoding, skip=int(offset))


def _scaling(path: Path, header: Any) -> tuple[float, float]:
    try:
        slope, inter = header.get_slope_inter()
    except HeaderDataError:
        problem = "has a scaling that is no finite number"
        raise InputError(path, problem, "repair scl_slope and scl_inter in its header") from None
    return (1.0 if slope is None else float(slope)), (0.0 if inter is None else float(inter))


def _place(path: Path, header: Nifti1Header) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Affine in mm and remarks."""
    codes: Any = {name: int(header[f"{name}_code"]) for name in ("sform", "qform")}  # type: ignore
    if not any(codes.values()):
        return _in_mm(header, header.get_base_affine()), (NO_FORM_REMARK,)
    sform = _in_mm(header, header.get_sform())
    if codes["qform"] == 0:
        return sform, ()
    matrix = qform_matrix(header)
    if matrix is None and codes["sform"]:
        return sform, ("its qform makes no sense; the sform is used",)
    if matrix is None:
        problem = "has no usable affine, its qform is no rotation"
        raise InputError(path, problem, f"repair its {FORM_FIELDS}")
    qform = _in_mm(header, matrix)
    if codes["sform"] == 0:
        return qform, ()
    return sform, _disagreement(path, header, sform, qform)


def _in_mm(header: Nifti1Header, affine: NDArray) -> NDArray[np.float64]:
    scaled = np.array(affine, dtype=np.float64)
    scaled[:3] *= mm_per_unit(header)
    return scaled


def _disagreement(
    path: Path, header: Any, sform: NDArray[np.float64], qform: NDArray[np.float64]
) -> tuple[str, ...]:
    """Remark on sform and qform that place voxels differently; a mirrored pair is refused.

    Two forms may differ for good reason: they may lead to different spaces, and SPM moves the
    sform when it aligns a scan. None mirrors, and forms of the same code do not swap axes.
    """
    for matrix in (sform, qform):
        check_affine(path, matrix, FORM_FIELDS)
    determinants = [np.linalg.det(matrix[:3, :3]) for matrix in (sform, qform)]
    names = ["".join(aff2axcodes(matrix)) for matrix in (sform, qform)]
    same_space = int(header["sform_code"]) == int(header["qform_code"])
    mirrored = determinants[0] * determinants[1] < 0
    if mirrored or (same_space and names[0] != names[1]):
        problem = f"has an sform ({names[0]}) and a qform ({names[1]}) that contradict each other"
        remedy = "set the code of the wrong one to 0 in its header"
        raise InputError(path, problem, remedy)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in header["dim"][1:4]])).reshape(3, -1)
    moved = (sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:]
    distance_mm = float(np.linalg.norm(moved, axis=0).max())
    if distance_mm <= np.linalg.norm(sform[:3, :3], axis=0).min() / 2:
        return ()
    return (f"its sform and qform differ by up to {distance_mm:.1f} mm; the sform is used",)
