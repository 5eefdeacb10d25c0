"""Where a NIfTI header places its voxels: sform, qform and units, and what they contradict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.orientations import aff2axcodes
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.volume_file import PLACE_AGAIN, check_affine

MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
LONGEST_QUATERNION = 1.00005  # 1 at most but for rounding
SWAPPED = "so left and right may be swapped"
NO_FORM_REMARK = (
    f"has neither sform nor qform; x is taken to run to the left and y to the front, {SWAPPED}"
)


def mm_per_unit(header: Nifti1Header) -> float:
    """Length in mm of the unit that the header's matrices are in; mm if it tells none."""
    try:
        return MM_PER_UNIT[header.get_xyzt_units()[0]]
    except KeyError:
        return 1.0


def qform_matrix(header: Any) -> NDArray[np.float64] | None:
    """Voxel index to world by the qform, in the header's unit; None if it makes no sense.

    As nifti1_io.c, a quaternion that rounding made a little too long is shortened; nibabel
    refuses it, also in files that nibabel wrote.
    """
    header = header.copy()
    names = [f"quatern_{name}" for name in "bcd"]
    length = float(np.linalg.norm([float(header[name]) for name in names]))
    if 1 < length < LONGEST_QUATERNION:
        for name in names:
            header[name] = float(header[name]) / length
    try:
        return header.get_qform()
    except (HeaderDataError, ValueError):
        return None


def nifti_affine(path: Path, header: Any) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Voxel index to RAS+ mm, shape (4, 4), and remarks.

    The sform is preferred to the qform, as nibabel, FSL and ITK 5.2 and later do (ITK only for
    sform code 1).

    Raises
    ------
    InputError
        If there is no usable form, or one contradicts the other.
    """
    used = [int(header[f"{name}_code"]) > 0 for name in ("sform", "qform")]
    to_mm = np.diag([*[mm_per_unit(header)] * 3, 1.0])
    if not any(used):
        return to_mm @ header.get_base_affine(), (NO_FORM_REMARK,)
    sform, qform = to_mm @ header.get_sform(), qform_matrix(header) if used[1] else None
    if used[0] and used[1] and qform is None:
        return sform, ("its qform makes no sense; the sform is used",)
    if not used[1]:
        return sform, ()
    if qform is None:
        problem = "has no usable affine, its qform is no rotation"
        raise InputError(path, problem, PLACE_AGAIN)
    if not used[0]:
        return to_mm @ qform, ()
    return sform, _disagreement(path, header, sform, to_mm @ qform)


def _disagreement(
    path: Path, header: Any, sform: NDArray[np.float64], qform: NDArray[np.float64]
) -> tuple[str, ...]:
    """Remark on sform and qform that place voxels differently; a mirrored pair is refused.

    Two forms may differ for good reason: they may lead to different spaces, and SPM moves the
    sform when it aligns a scan. None mirrors, and forms of the same code do not swap axes.
    """
    for matrix in (sform, qform):
        check_affine(path, matrix)
    determinants = [np.linalg.det(matrix[:3, :3]) for matrix in (sform, qform)]
    names = ["".join(aff2axcodes(matrix)) for matrix in (sform, qform)]
    same_space = int(header["sform_code"]) == int(header["qform_code"])
    if determinants[0] * determinants[1] < 0 or (same_space and names[0] != names[1]):
        problem = f"has an sform ({names[0]}) and a qform ({names[1]}) that contradict each other"
        remedy = "set the code of the wrong one to 0 in its header"
        raise InputError(path, problem, remedy)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in header["dim"][1:4]])).reshape(3, -1)
    moved = (sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:]
    distance_mm = float(np.linalg.norm(moved, axis=0).max())
    if distance_mm <= np.linalg.norm(sform[:3, :3], axis=0).min() / 2:
        return ()
    return (f"its sform and qform differ by up to {distance_mm:.1f} mm; the sform is used",)
