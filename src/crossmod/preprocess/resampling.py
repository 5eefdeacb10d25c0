"""Grids and the one resampling that each scan goes through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.spatial import Matrix, Transform, apply, as_transform, inverted, mapped_slabs, sample

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


def part_around(grid: Grid, points: NDArray[np.float64], margin_mm: float) -> Grid:
    """The part of a grid that holds points (n x 3, world, mm) and a margin around them."""
    index = apply(inverted(grid.affine), points)
    margin = margin_mm / grid.spacing_mm
    first = np.clip(np.floor(index.min(axis=0) - margin), 0, np.array(grid.shape) - 1).astype(int)
    last = np.clip(np.ceil(index.max(axis=0) + margin) + 1, first + 1, grid.shape).astype(int)
    affine = grid.affine.copy()
    affine[:3, 3] = apply(grid.affine, first.astype(float))
    x, y, z = (int(size) for size in last - first)
    return Grid((x, y, z), affine)


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


def resample(
    image: Image, target: Grid, transform: Matrix | Transform, method: str = "linear"
) -> Image:
    """Resample once, without aliasing; values beyond the field of view repeat its edge.

    Parameters
    ----------
    image : Image
        Scan, values of any type (returned as float32; `nearest` keeps the type).
    target : Grid
        Grid to resample onto.
    transform : Transform, or array of shape (4, 4)
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
    The size is that of the linear part of a transform with a warp.
    """
    from scipy import ndimage

    source, mapping = Grid.of(image), voxel_mapping(Grid.of(image), target, transform)
    matrix = mapping.linear
    nearest = method == "nearest"
    data = image.data if nearest else image.data.astype(np.float32, copy=False)
    unmoved = mapping.warp is None and np.array_equal(matrix, np.eye(4))
    if unmoved and target.shape == source.shape:
        return Image(data.copy(), target.affine)
    if not nearest:
        sigmas = _smoothing(matrix)
        if max(sigmas) > 0:
            data = ndimage.gaussian_filter(data, sigmas, mode="nearest", truncate=3.0)
    out = sample(data, mapping, target.shape, SPLINE_ORDERS[method], "nearest")
    return Image(out, target.affine)


def _smoothing(matrix: Matrix) -> list[float]:
    """Standard deviation in source voxels along each source axis against aliasing."""
    steps = np.linalg.norm(matrix[:3, :3], axis=1)  # size of a target voxel in source voxels
    excess = np.where(steps > 1.05, steps**2 - 1, 0.0)
    return [float(value) for value in np.sqrt(excess) / FWHM_PER_SIGMA]


def voxel_mapping(source: Grid, target: Grid, transform: Matrix | Transform) -> Transform:
    """Voxel indices of `target` to voxel indices of `source`, given world to world (RAS mm)."""
    transform = as_transform(transform)
    if transform.warp is None:
        return Transform(index_map(source, target, transform.linear))
    return transform.following(target.affine).then(inverted(source.affine))


def resample_mask(mask: Image, target: Grid, transform: Matrix | Transform) -> NDArray[np.bool_]:
    """Resample a mask: linear, at least half; false outside its field of view."""
    weight = resample(mask.with_data(mask.data.astype(np.float32)), target, transform)
    return (weight.data >= 0.5) & covered(Grid.of(mask), target, transform)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Overlap of two masks on one grid, 0 to 1; 1 if both are empty."""
    size = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / size if size else 1.0


def covered(source: Grid, target: Grid, transform: Matrix | Transform) -> NDArray[np.bool_]:
    """Voxels of `target` whose centers lie in the field of view of `source`."""
    mapping = voxel_mapping(source, target, transform)
    least, most = -0.5 - EXACT, np.array(source.shape) - 0.5 + EXACT
    if mapping.warp is not None:
        shown = np.empty(target.shape, dtype=bool)
        for part, points in mapped_slabs(target.shape, mapping):
            shown[part] = ((points >= least) & (points <= most)).all(axis=-1)
        return shown
    inside = np.ones(target.shape, dtype=bool)
    for row, upper in zip(mapping.linear[:3], most, strict=True):
        index = linear_function(row, target.shape)
        inside &= (index >= least) & (index <= upper)
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
