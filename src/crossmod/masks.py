"""Boxes around masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bounding_box(
    mask: NDArray[np.bool_], margin: int = 0, least: int = 1
) -> tuple[slice, slice, slice]:
    """Smallest box that holds a mask which is not empty.

    Parameters
    ----------
    mask : array of bool, shape (X, Y, Z)
        At least one voxel is true.
    margin : int
        Voxels added on each side, as far as the volume goes.
    least : int
        Least length along each axis, as far as the volume goes.
    """
    box = []
    for axis, length in enumerate(mask.shape):
        others = tuple({0, 1, 2} - {axis})
        filled = np.flatnonzero(mask.any(axis=others))
        start, stop = max(int(filled[0]) - margin, 0), min(int(filled[-1]) + 1 + margin, length)
        stop = min(max(stop, start + least), length)
        start = max(min(start, stop - least), 0)
        box.append(slice(start, stop))
    return box[0], box[1], box[2]
