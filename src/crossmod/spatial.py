"""Transforms of points: linear, and with a displacement field in between.

Points are RAS+ world coordinates in mm unless a transform begins or ends with voxel indices.
A transform of images takes points of the grid that is resampled onto to points of the scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]
FLIP_XY = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS to LPS, the axes of ITK and ANTs, and back."""
SLAB_POINTS = 500_000
SPLINE_MARGIN = 12  # voxels beyond the edge: a cubic spline has forgotten the edge by then


def apply(matrix: Matrix, points: NDArray) -> NDArray:
    """Transform points of shape (..., 3)."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def inverted(matrix: Matrix) -> Matrix:
    """Inverse of a matrix, shape (4, 4)."""
    return np.linalg.inv(matrix).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Field:
    """Displacements on a grid.

    Attributes
    ----------
    vectors : array, shape (X, Y, Z, 3), float32
        Displacement in mm along right, anterior, superior.
    affine : array, shape (4, 4)
        Voxel index to RAS+ world coordinates in mm.
    """

    vectors: NDArray[np.float32]
    affine: Matrix

    def at(self, points: Points) -> Points:
        """Displacement (..., 3) at points (..., 3), mm: linear between voxels, 0 off the grid.

        As ITK's DisplacementFieldTransform has it.
        """
        from scipy.ndimage import map_coordinates

        index = apply(inverted(self.affine), points)
        shape = np.array(self.vectors.shape[:3])
        inside = np.all((index >= -0.5) & (index <= shape - 0.5), axis=-1, keepdims=True)
        places = np.moveaxis(index, -1, 0)
        found = [
            map_coordinates(self.vectors[..., axis], places, order=1, mode="nearest")
            for axis in range(3)
        ]
        moved: Points = np.stack(found, axis=-1) * inside
        return moved

    def jacobian(self) -> NDArray[np.float64]:
        """Determinant of the Jacobian of `p + u(p)` in every voxel, shape (X, Y, Z).

        The factor by which volumes grow; where it is not positive space is folded.
        """
        to_index = np.linalg.inv(self.affine)[:3, :3]
        by_index = np.stack(np.gradient(self.vectors.astype(np.float64), axis=(0, 1, 2)), axis=-1)
        determinants: NDArray[np.float64] = np.linalg.det(by_index @ to_index + np.eye(3))
        return determinants


@dataclass(frozen=True, eq=False)
class Warp:
    """A displacement field and the one that undoes it, both of the same space."""

    forward: Field
    backward: Field

    def inverse(self) -> Warp:
        """The other way."""
        return Warp(self.backward, self.forward)


@dataclass(frozen=True, eq=False)
class Transform:
    """A point transform: a matrix, a warp if there is one, another matrix.

    Attributes
    ----------
    after : array, shape (4, 4)
        Applied last.
    before : array, shape (4, 4)
        Applied first.
    warp : Warp, optional
        Between the two: `p -> after (q + u(q))` with `q = before p`.
    """

    after: Matrix
    before: Matrix = field(default_factory=lambda: np.eye(4))
    warp: Warp | None = None

    @property
    def linear(self) -> Matrix:
        """The matrices alone, shape (4, 4); all there is without a warp."""
        return self.after @ self.before

    def apply(self, points: NDArray) -> Points:
        """Transform points of shape (..., 3)."""
        if self.warp is None:
            return apply(self.linear, points)
        between = apply(self.before, points)
        return apply(self.after, between + self.warp.forward.at(between))

    def then(self, matrix: Matrix) -> Transform:
        """Apply a matrix afterwards."""
        return replace(self, after=matrix @ self.after)

    def following(self, matrix: Matrix) -> Transform:
        """Apply a matrix beforehand."""
        return replace(self, before=self.before @ matrix)

    def inverse(self) -> Transform:
        """The way back; as exact as the warp's second field undoes the first."""
        warp = self.warp.inverse() if self.warp else None
        return Transform(inverted(self.before), inverted(self.after), warp)


def as_transform(transform: Matrix | Transform) -> Transform:
    """A transform; of a matrix, the one without a warp."""
    return transform if isinstance(transform, Transform) else Transform(transform)


def mapped_slabs(shape: tuple[int, ...], mapping: Transform) -> Iterator[tuple[slice, Points]]:
    """Where a mapping takes the voxel indices of a grid, some sections along x at a time.

    Yields
    ------
    part : slice
        Sections.
    points : array, shape (sections, Y, Z, 3)
    """
    if mapping.warp is None:
        yield from _slabs(shape, mapping.linear)
        return
    moved = _displacements(mapping.warp.forward, shape, mapping.before.tobytes())
    for part, between in _slabs(shape, mapping.before):
        yield part, apply(mapping.after, between + moved[part])


def _slabs(shape: tuple[int, ...], matrix: Matrix) -> Iterator[tuple[slice, Points]]:
    step = max(SLAB_POINTS // max(shape[1] * shape[2], 1), 1)
    for start in range(0, shape[0], step):
        part = slice(start, min(start + step, shape[0]))
        axes = (np.arange(part.start, part.stop), np.arange(shape[1]), np.arange(shape[2]))
        yield part, apply(matrix, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))


@lru_cache(maxsize=1)
def _displacements(field: Field, shape: tuple[int, ...], to_world: bytes) -> NDArray[np.float32]:
    """Displacements (X, Y, Z, 3) at the voxels of a grid, kept for the next volume on it."""
    matrix = np.frombuffer(to_world).reshape(4, 4)
    moved = np.empty((*shape, 3), dtype=np.float32)
    for part, points in _slabs(shape, matrix):
        moved[part] = field.at(points)
    return moved


def sample(
    volume: NDArray, mapping: Transform, shape: tuple[int, ...], order: int, mode: str
) -> NDArray:
    """Interpolate a volume once.

    Parameters
    ----------
    volume : array, shape (X, Y, Z)
        Values, of the type that is returned.
    mapping : Transform
        Voxel index of the wanted grid to voxel index of `volume`.
    shape : tuple of int
        Shape of the wanted grid.
    order, mode : int, str
        Order of the spline and what lies around the volume, as SciPy has them.
    """
    from scipy import ndimage

    options: dict[str, Any] = {"order": order, "mode": mode}
    if mapping.warp is None:
        matrix = mapping.linear
        return ndimage.affine_transform(
            volume, matrix[:3, :3], matrix[:3, 3], output_shape=shape, output=volume.dtype,
            **options,
        )  # fmt: skip
    margin = SPLINE_MARGIN if order > 1 else 0
    source = np.pad(volume, margin, mode="edge") if margin else volume
    source = ndimage.spline_filter(source, order, mode="mirror") if margin else source
    values = np.empty(shape, dtype=volume.dtype)
    for part, points in mapped_slabs(shape, mapping):
        places = np.moveaxis(points, -1, 0) + margin
        values[part] = ndimage.map_coordinates(
            source, places, output=volume.dtype, prefilter=False, **options
        )
    return values
