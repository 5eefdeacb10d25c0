"""Where things lie: grids, rigid poses, and the smooth deformation that makes heads differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter
from scipy.spatial.transform import Rotation

from crossmod.phantom.fields import cubic_basis, expand, smooth_field

# The field of view holds a head from the vertex to the upper neck.
FIELD_OF_VIEW_MM = (196.0, 246.0, 218.0)
FIELD_CENTER_MM = (0.0, 1.0, -4.0)

NODE_MM = 6.0
MARGIN_NODES = 3
SQUARINGS = 6
INTRACRANIAL_LITERS = {"M": 1.469, "F": 1.289}
TEMPLATE_LITERS = 1.893  # inside of the ICBM 2009a maps
# (lattice step in mm, standard deviation of the velocity in mm): the overall shape of the head,
# and the shape of lobes and ventricles.
VELOCITY_SCALES = ((55.0, 3.0), (24.0, 1.0))


@dataclass(frozen=True)
class Grid:
    """Voxel grid: shape and voxel-to-world affine (RAS+, mm)."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Voxel edge lengths."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def centered_grid(
    extent_mm: NDArray, spacing_mm: NDArray, rotation: NDArray, center_mm: NDArray
) -> Grid:
    """Grid of at least `extent_mm` around `center_mm`, its axes along `rotation`'s columns."""
    shape = np.ceil(np.asarray(extent_mm) / spacing_mm).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.asarray(spacing_mm)
    affine[:3, 3] = center_mm - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def rigid(angles_deg: NDArray, shift_mm: NDArray) -> NDArray[np.float64]:
    """4 x 4 rotation about x, y, z (in this order, fixed axes) followed by a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


@dataclass(frozen=True)
class HeadShape:
    """How one head differs from the template and lies in the scanner during the T1w scan.

    Attributes
    ----------
    pose : array, shape (4, 4)
        Rigid: head to T1w scanner world, mm.
    scale : array, shape (3,)
        Size of the head relative to the template, per axis.
    """

    pose: NDArray[np.float64]
    scale: NDArray[np.float64]

    def to_template(self) -> NDArray[np.float64]:
        """4 x 4 affine from T1w scanner world to template, the smooth part left out."""
        return np.diag([*(1 / self.scale), 1.0]) @ np.linalg.inv(self.pose)


def draw_shape(random: np.random.Generator, sex: str) -> HeadShape:
    """Size and pose of one head.

    Intracranial volumes are those of Matsumae et al., J Neurosurg 84:982-991, 1996 (men 1.47 l,
    women 1.29 l, standard deviation 7 to 9 %); the template is larger than any usual head.
    """
    base = (INTRACRANIAL_LITERS[sex] / TEMPLATE_LITERS) ** (1 / 3)
    scale = base * np.exp(random.normal(0, 0.025) + random.normal(0, 0.015, 3))
    pose = rigid(random.normal(0, (4, 2, 2)), random.normal(0, (2, 4, 6)))
    return HeadShape(pose, scale)


def anatomy_grid(shape: HeadShape, resolution_mm: float) -> Grid:
    """Grid of the T1w scan; the field of view is set on the head."""
    center = (shape.pose @ [*FIELD_CENTER_MM, 1.0])[:3]
    extent, spacing = np.array(FIELD_OF_VIEW_MM), np.full(3, resolution_mm)
    return centered_grid(extent, spacing, np.eye(3), center)


def displacement(random: np.random.Generator, grid: Grid) -> list[NDArray[np.float32]]:
    """Diffeomorphic displacement in mm on `grid`, one array per axis.

    Notes
    -----
    The deformation is the exponential of a smooth stationary velocity field, by scaling and
    squaring (Arsigny et al., MICCAI 2006), computed on nodes 6 mm apart and interpolated by
    cubic splines. The exponential of a smooth field is invertible; a test checks the Jacobian.
    """
    spacing = grid.spacing_mm
    last = [(n - 1) * s / NODE_MM for n, s in zip(grid.shape, spacing, strict=True)]
    counts = tuple(int(np.ceil(e)) + 1 + 2 * MARGIN_NODES for e in last)
    velocity = np.zeros((3, *counts), dtype=np.float32)
    for step_mm, sd_mm in VELOCITY_SCALES:
        for part in velocity:
            part += np.float32(sd_mm) * smooth_field(random, counts, step_mm / NODE_MM)
    nodes = _exponential(velocity / np.float32(NODE_MM)) * np.float32(NODE_MM)
    bases = [
        cubic_basis(np.arange(n) * s / NODE_MM + MARGIN_NODES, count)
        for n, s, count in zip(grid.shape, spacing, counts, strict=True)
    ]
    lattices = [spline_filter(part, order=3, output=np.float32, mode="mirror") for part in nodes]
    return [expand(lattice, (bases[0], bases[1], bases[2])) for lattice in lattices]


def _exponential(velocity: NDArray) -> NDArray:
    """Displacement of the flow of `velocity` (in nodes) at time 1."""
    identity = np.indices(velocity.shape[1:], dtype=np.float32)
    flow = velocity / np.float32(2**SQUARINGS)
    for _ in range(SQUARINGS):
        moved = identity + flow
        flow = flow + np.stack(
            [map_coordinates(part, moved, order=1, mode="nearest") for part in flow]
        )
    return flow


def template_coordinates(
    shape: HeadShape, grid: Grid, moved: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Template position in mm of every voxel of `grid`, shape (3, X, Y, Z)."""
    matrix = shape.to_template()
    from_voxel = (matrix @ grid.affine).astype(np.float32)
    linear = matrix[:3, :3].astype(np.float32)
    axes = [a.astype(np.float32) for a in np.ogrid[tuple(slice(n) for n in grid.shape)]]
    out = np.empty((3, *grid.shape), dtype=np.float32)
    for i in range(3):
        plane = sum(from_voxel[i, j] * axes[j] for j in range(3))
        np.add(plane, from_voxel[i, 3], out=out[i])
        for j in range(3):
            out[i] += linear[i, j] * moved[j]
    return out
