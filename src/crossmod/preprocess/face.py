"""Whether a scan shows the face, and the scan without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.preprocess.foreground import background_value, threshold_of
from crossmod.preprocess.resampling import Grid, linear_function, working_copy
from crossmod.preprocess.transforms import Matrix, apply

# Ways from the brain to the face, degrees below the horizon: eyes and nose, mouth, chin.
ANGLES_DEG = (30.0, 50.0, 70.0)
MARGIN_MM = 10.0  # between brain and cut
# Between the cut and the lips, from cheek to cheek, from the brain's middle to the nose.
DEEPEST_MM, HALF_WIDTH_MM, NOSE_MM = 40.0, 35.0, 15.0
# How full that is in heads with and without a face: docs/results/faces.md.
FACE_SHARE = 0.5
LEAST_ML = 20.0
WORKING_MM = 2.0


@dataclass(frozen=True)
class FaceBorder:
    """Planes that touch the brain in front and below; the face lies beyond any of them.

    Lengths are mm in the world (RAS) of the scan that the brain was found in.

    Attributes
    ----------
    planes : array, shape (planes, 4)
        `plane @ (x, y, z, 1)` is how far a point lies beyond the plane.
    middle : array, shape (2,)
        Middle of the brain along x and y.
    front : float
        Where the brain begins along y.
    """

    planes: NDArray[np.float64]
    middle: NDArray[np.float64]
    front: float

    def beyond(self, to_world: Matrix, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """How far each voxel lies beyond the border, mm; negative towards the brain.

        Parameters
        ----------
        to_world : array, shape (4, 4)
            Voxel index to the world of the border.
        shape : tuple of int
            Voxels along x, y, z.
        """
        return np.maximum.reduce([linear_function(p @ to_world, shape) for p in self.planes])


def face_border(brain: Image) -> FaceBorder:
    """Lay planes between brain and face, parallel to the axis from ear to ear.

    Parameters
    ----------
    brain : Image
        Brain mask of any orientation.

    Notes
    -----
    Source: Schimke and Hale, Quickshear defacing for neuroimages, HealthSec 2011. Deviation: three
    planes of given slopes, where the paper takes one along an edge of the brain's profile: which
    edge is the longest, or the foremost, hangs on single voxels of the mask.
    """
    points = apply(brain.affine, np.argwhere(brain.data))
    angles = np.deg2rad(ANGLES_DEG)
    normals = np.stack([np.zeros(len(angles)), np.cos(angles), -np.sin(angles)], axis=1)
    planes = np.column_stack([normals, -(points @ normals.T).max(axis=0)])
    low, high = np.percentile(points[:, :2], (1, 99), axis=0)
    return FaceBorder(planes, (low + high) / 2, float(high[1]))


def face_share(scan: Image, border: FaceBorder, transform: Matrix) -> float | None:
    """How much of the face's place is filled, 0 to 1; None where the scan hardly covers it.

    Parameters
    ----------
    scan : Image
        Scan with any background.
    border : FaceBorder
        Of the same head.
    transform : array, shape (4, 4)
        World of the border to world of the scan, RAS mm.
    """
    copy = working_copy(scan, WORKING_MM)
    to_world = np.linalg.inv(transform) @ copy.affine
    x, y = (linear_function(row, copy.data.shape) for row in to_world[:2])
    depth = border.beyond(to_world, copy.data.shape)
    zone = (depth > MARGIN_MM) & (depth < DEEPEST_MM)
    zone &= (np.abs(x - border.middle[0]) < HALF_WIDTH_MM) & (y > border.middle[1])
    zone &= y < border.front + NOSE_MM
    if zone.sum() * Grid.of(copy).voxel_ml < LEAST_ML:
        return None
    _, threshold, _ = threshold_of(copy.data)
    return float((copy.data[zone] > threshold).mean())


def without_face(scan: Image, border: FaceBorder, transform: Matrix) -> Image:
    """The scan with background from `MARGIN_MM` beyond the border; see `face_share`."""
    to_world = np.linalg.inv(transform) @ scan.affine
    face = border.beyond(to_world, scan.data.shape) > MARGIN_MM
    background = background_value(scan.data)
    if background is None:  # noise
        background, _, _ = threshold_of(scan.data)
    return scan.with_data(np.where(face, background, scan.data).astype(scan.data.dtype))
