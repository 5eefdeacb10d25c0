"""Smooth random fields from cubic B-spline lattices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

# Mean of the sum of squared cubic B-spline weights along one axis: the variance that is left
# of unit-variance lattice values.
_VARIANCE_PER_AXIS = 151 / 315


def cubic_basis(positions: NDArray, count: int) -> NDArray[np.float32]:
    """Weights of `count` lattice values at `positions`, shape (len(positions), count).

    Positions count in lattice steps from the first value. The weights are the uniform cubic
    B-spline (de Boor, A Practical Guide to Splines, 1978).
    """
    distance = np.abs(positions[:, None] - np.arange(count)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def expand(lattice: NDArray, bases: tuple[NDArray, NDArray, NDArray]) -> NDArray[np.float32]:
    """Evaluate a lattice of spline values on a grid, one basis matrix per axis.

    Sparse products: a point has four neighbors, and unlike those of BLAS their bits do not depend
    on the number of threads.
    """
    field = lattice.astype(np.float32)
    for basis in reversed(bases):
        # Each pass interpolates the last axis and moves it to the front.
        columns = np.ascontiguousarray(field.reshape(-1, field.shape[-1]).T)
        field = (csr_array(basis) @ columns).reshape(-1, *field.shape[:-1])
    return field


def smooth_field(
    random: np.random.Generator, shape: tuple[int, ...], step: float
) -> NDArray[np.float32]:
    """Random field of mean 0 and unit variance that varies over about `step` voxels.

    Parameters
    ----------
    random : Generator
        Source of the lattice values.
    shape : tuple of int
        Grid, (X, Y, Z).
    step : float
        Distance of the lattice values in voxels.
    """
    counts = [int(np.ceil((n - 1) / step)) + 4 for n in shape]
    lattice = random.standard_normal(counts, dtype=np.float32)
    lattice *= np.float32(_VARIANCE_PER_AXIS**-1.5)
    positions = [np.arange(n) / step + 1 for n in shape]
    x, y, z = (cubic_basis(p, count) for p, count in zip(positions, counts, strict=True))
    return expand(lattice, (x, y, z))


def coil_shading(
    random: np.random.Generator, shape: tuple[int, ...], strength: float
) -> NDArray[np.float32]:
    """Receive-coil shading: positive, geometric mean about 1, varying over a third of the grid.

    `strength` is the standard deviation of its logarithm.
    """
    counts = [6, 6, 6]
    lattice = random.standard_normal(counts, dtype=np.float32)
    lattice *= np.float32(strength * _VARIANCE_PER_AXIS**-1.5)
    positions = [np.linspace(1, 4, n) for n in shape]
    x, y, z = (cubic_basis(p, 6) for p in positions)
    return np.exp(expand(lattice, (x, y, z)))
