"""Grids and the one resampling that each scan goes through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.preprocess.transforms import Matrix

SPLINE_ORDERS = {"nearest": 0, "linear": 1, "bspline": 3}
EXACT = 1e-6
FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))


@dataclass(frozen=True)
class Grid:
    """Shape and place of a volume without its values.

    Attributes
    ----------
    shape : tuple of int
        Voxels along x, y, z.
    affine : array, shape (4, 4)
        Voxel index to RAS+ world coordinates in mm.
    """

    shape: tuple[int, int, int]
    affine: Matrix

    @classmethod
    def of(cls, image: Image) -> Grid:
        """Grid of an image."""
        x, y, z = image.data.shape
        return cls((x, y, z), image.affine)

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Voxel edge lengths in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    def center(self) -> NDArray[np.float64]:
        """World coordinates of the middle of the grid, in mm."""
        middle = (np.array(self.shape) - 1) / 2
        return self.affine[:3, :3] @ middle + self.affine[:3, 3]


def isotropic_grid(grid: Grid, spacing_mm: float) -> Grid:
    """Grid of cubes over the same field of view, along the same axes.

    The axes stay those of `grid` (an oblique scan stays oblique, so its slices are not cut
    askew); a shear is replaced by the nearest rotation. A grid that has this spacing already
    comes back as it is, so that nothing is interpolated without need.
    """
    columns = grid.affine[:3, :3] / grid.spacing_mm
    left, _, right = np.linalg.svd(columns)
    axes = left @ right
    if np.allclose(grid.spacing_mm, spacing_mm, rtol=1e-4) and np.allclose(axes, columns):
        return grid
    extent = np.array(grid.shape) * grid.spacing_mm
    shape = np.maximum(np.ceil(extent / spacing_mm - 1e-3).astype(int), 1)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing_mm
    affine[:3, 3] = grid.center() - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def index_map(source: Grid, target: Grid, transform: Matrix) -> Matrix:
    """Matrix from voxel indices of `target` to voxel indices of `source`.

    Parameters
    ----------
    source, target : Grid
        Grid of the scan and grid to resample onto.
    transform : array, shape (4, 4)
        World of `target` to world of `source`, RAS mm.
    """
    matrix = np.linalg.inv(source.affine) @ transform @ target.affine
    rounded = np.round(matrix)
    return rounded if np.allclose(matrix, rounded, atol=EXACT) else matrix


def resample(image: Image, target: Grid, transform: Matrix, method: str = "linear") -> Image:
    """Resample once, without aliasing; values beyond the field of view repeat its edge.

    Parameters
    ----------
    image : Image
        Scan, values of any type (returned as float32; `nearest` keeps the type).
    target : Grid
        Grid to resample onto.
    transform : array, shape (4, 4)
        World of `target` to world of `image`, RAS mm.
    method : {"nearest", "linear", "bspline"}
        Interpolation; `bspline` is cubic.

    Returns
    -------
    Image
        On `target`, without header.

    Notes
    -----
    Where the target's voxels are larger than the scan's, the scan is first smoothed with a
    Gaussian whose FWHM makes up for the difference in squares (Cardoso et al., MICCAI 2015).
    """
    from scipy import ndimage

    source = Grid.of(image)
    matrix = index_map(source, target, transform)
    nearest = method == "nearest"
    data = image.data if nearest else image.data.astype(np.float32, copy=False)
    if target.shape == source.shape and np.array_equal(matrix, np.eye(4)):
        return Image(data.copy(), target.affine)
    if not nearest:
        sigmas = _smoothing(matrix)
        if max(sigmas) > 0:
            data = ndimage.gaussian_filter(data, sigmas, mode="nearest", truncate=3.0)
    out = ndimage.affine_transform(
        data,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=target.shape,
        output=data.dtype,
        order=SPLINE_ORDERS[method],
        mode="nearest",
    )
    return Image(out, target.affine)


def _smoothing(matrix: Matrix) -> list[float]:
    """Standard deviation in source voxels along each source axis against aliasing."""
    steps = np.linalg.norm(matrix[:3, :3], axis=1)  # size of a target voxel in source voxels
    excess = np.where(steps > 1.05, steps**2 - 1, 0.0)
    return [float(value) for value in np.sqrt(excess) / FWHM_PER_SIGMA]


def resample_mask(mask: Image, target: Grid, transform: Matrix) -> NDArray[np.bool_]:
    """Resample a mask: linear, at least half; false outside its field of view."""
    weight = resample(mask.with_data(mask.data.astype(np.float32)), target, transform)
    return (weight.data >= 0.5) & covered(Grid.of(mask), target, transform)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Overlap of two masks on one grid, 0 to 1; 1 if both are empty."""
    size = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / size if size else 1.0


def covered(source: Grid, target: Grid, transform: Matrix) -> NDArray[np.bool_]:
    """Voxels of `target` whose centers lie in the field of view of `source`."""
    matrix = index_map(source, target, transform)
    inside = np.ones(target.shape, dtype=bool)
    for row, size in zip(matrix[:3], source.shape, strict=True):
        index = linear_function(row, target.shape)
        inside &= (index >= -0.5 - EXACT) & (index <= size - 0.5 + EXACT)
    return inside


def linear_function(row: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """`row @ (i, j, k, 1)` for every voxel of a volume.

    Parameters
    ----------
    row : array, shape (4,)
        Row of a matrix that takes voxel indices somewhere.
    shape : tuple of int
        Voxels along x, y, z.
    """
    x, y, z = (factor * np.arange(size) for factor, size in zip(row[:3], shape, strict=True))
    total: NDArray[np.float64] = x[:, None, None] + y[None, :, None] + (z + row[3])[None, None, :]
    return total


def working_copy(image: Image, spacing_mm: float) -> Image:
    """Coarse isotropic copy along the same axes, for estimating things."""
    return resample(image, isotropic_grid(Grid.of(image), spacing_mm), np.eye(4))
