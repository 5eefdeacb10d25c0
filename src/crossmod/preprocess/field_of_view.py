"""Which part of the brain a scan shows, and how deep it lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.preprocess.foreground import background_value
from crossmod.preprocess.resampling import Grid, covered, resample
from crossmod.spatial import Transform

LEAST_HOLE = 0.01


def field_of_view(
    scan: Image,
    brain_only: bool,
    grid: Grid,
    transform: Transform,
    mask: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Voxels of the brain that a scan covers.

    Parameters
    ----------
    scan : Image
        Scan in its own space.
    brain_only : bool
        Whether its background was set to one value. Connected regions of that value which
        hold at least 1 % of the brain then count as not covered: the scan was cut there.
    grid : Grid
        Common grid.
    transform : Transform
        World of `grid` to world of `scan`, RAS mm.
    mask : array of bool, shape of `grid`
        Brain mask.
    """
    from scipy import ndimage

    cover = mask & covered(Grid.of(scan), grid, transform)
    value = background_value(scan.data) if brain_only else None
    if value is None:
        return cover
    shown = scan.with_data((scan.data != value).astype(np.float32))
    holes = cover & (resample(shown, grid, transform).data < 0.5)
    labels, count = ndimage.label(holes)
    if count:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        cover &= ~(sizes >= LEAST_HOLE * mask.sum())[labels]
    return cover


def depth_mm(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """Distance to the surface of the brain in mm, for each voxel of the mask."""
    from scipy import ndimage

    distance: NDArray[np.float64] = ndimage.distance_transform_edt(mask, sampling=grid.spacing_mm)
    return distance[mask]
