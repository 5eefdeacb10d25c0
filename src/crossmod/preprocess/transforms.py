"""Linear transforms of points, and the ITK files they are stored in.

A transform is a 4 x 4 matrix in RAS+ mm that takes points of the fixed image to points of the
moving image: the direction in which images are resampled. ITK and ANTs store the same direction
but count x and y the other way (LPS); only this module, `ants_bridge` and
`crossmod.stored_transforms` convert.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crossmod.files import write_text
from crossmod.spatial import FLIP_XY, Matrix, apply

__all__ = [
    "FLIP_XY", "Matrix", "about", "apply", "from_itk", "ras_to_lps", "rotation", "write_itk",
]  # fmt: skip


def ras_to_lps(matrix: Matrix) -> Matrix:
    """Express a point transform in LPS instead of RAS; its own inverse."""
    return FLIP_XY @ matrix @ FLIP_XY


def from_itk(parameters: Matrix, center: Matrix) -> Matrix:
    """RAS matrix of ITK's parameters.

    Parameters
    ----------
    parameters : array, shape (12,)
        Matrix row by row, then the translation, in LPS.
    center : array, shape (3,)
        Center of rotation: ITK computes `A (p - c) + t + c`.

    Returns
    -------
    array, shape (4, 4)
        Fixed to moving, RAS mm.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(parameters[:9], dtype=float).reshape(3, 3)
    matrix[:3, 3] = parameters[9:12] + center - matrix[:3, :3] @ center
    return ras_to_lps(matrix)


def write_itk(path: Path | str, matrix: Matrix) -> None:
    """Write a RAS matrix (fixed to moving) as an ITK text file, exact to the last bit."""
    lps = ras_to_lps(matrix)
    values = [*lps[:3, :3].ravel(), *lps[:3, 3]]
    # `+ 0.0` turns the negative zeros that the flip makes into plain ones.
    parameters = " ".join(repr(float(value) + 0.0) for value in values)
    write_text(
        path,
        "#Insight Transform File V1.0\n#Transform 0\n"
        "Transform: AffineTransform_double_3_3\n"
        f"Parameters: {parameters}\nFixedParameters: 0 0 0\n",
    )


def rotation(angles_rad: tuple[float, float, float]) -> Matrix:
    """Rotation about x, then y, then z, as a 4 x 4 matrix."""
    matrix = np.eye(4)
    for axis, angle in enumerate(angles_rad):
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        step = np.eye(4)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        matrix = step @ matrix
    return matrix


def about(center: Matrix, matrix: Matrix, shift: Matrix) -> Matrix:
    """Apply the linear part of `matrix` about `center` (RAS mm), then move by `shift`."""
    to, back = np.eye(4), np.eye(4)
    to[:3, 3] = -np.asarray(center)
    back[:3, 3] = np.asarray(center) + shift
    return back @ matrix @ to
