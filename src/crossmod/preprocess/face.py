"""Whether a scan shows the face, and the scan without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.preprocess.foreground import background_value, threshold_of
from crossmod.preprocess.resampling import Grid, linear_function, working_copy
from crossmod.preprocess.transforms import Matrix, apply

MARGIN_MM = 10.0  # between brain and cut
STEEPEST, FLATTEST = 0.5, 0.98  # least and greatest share of the normal that points down
# Between the cut and the lips, from cheek to cheek, from the brain's middle to the nose.
DEEPEST_MM, HALF_WIDTH_MM, NOSE_MM = 40.0, 35.0, 15.0
# Heads with faces fill 0.57 to 0.78 of that, defaced ones up to 0.17: docs/results/faces.md.
FACE_SHARE = 0.4
LEAST_ML = 20.0
WORKING_MM = 2.0


@dataclass(frozen=True)
class FacePlane:
    """A plane that touches the brain in front and below, and what is known of the head.

    Lengths are mm in the world (RAS) of the scan that the brain was found in.

    Attributes
    ----------
    normal : array, shape (4,)
        `normal @ (x, y, z, 1)` is the distance of a point from the plane, positive in the face.
    middle : array, shape (2,)
        Middle of the brain along x and y.
    front : float
        Where the brain begins along y.
    """

    normal: NDArray[np.float64]
    middle: NDArray[np.float64]
    front: float


def face_plane(brain: Image) -> FacePlane:
    """Lay a plane between brain and face, parallel to the axis from ear to ear.

    Parameters
    ----------
    brain : Image
        Brain mask, RAS orientation.

    Notes
    -----
    Source: Schimke and Hale, Quickshear defacing for neuroimages, HealthSec 2011: an edge of the
    convex hull of the brain's profile. Deviation: the longest of the edges that look forward and
    down, where the paper begins with the foremost edge, which follows single voxels of the mask.
    """
    from scipy.spatial import ConvexHull

    points = apply(brain.affine, np.argwhere(brain.data))
    hull = ConvexHull(points[:, 1:])
    y, z, offset = hull.equations.T
    length = np.linalg.norm(np.diff(hull.points[hull.simplices], axis=1)[:, 0], axis=1)
    faceward = (y > 0) & (-z > STEEPEST) & (-z < FLATTEST)
    best = int(np.argmax(np.where(faceward, length, 0)))
    low, high = np.percentile(points[:, :2], (1, 99), axis=0)
    normal = np.array([0.0, y[best], z[best], offset[best]])
    return FacePlane(normal, (low + high) / 2, float(high[1]))


def shows_face(scan: Image, plane: FacePlane, transform: Matrix) -> bool:
    """Whether a scan shows enough of a face to know the person by.

    Parameters
    ----------
    scan : Image
        Scan with any background.
    plane : FacePlane
        Of the same head.
    transform : array, shape (4, 4)
        World of the plane to world of the scan, RAS mm.
    """
    copy = working_copy(scan, WORKING_MM)
    to_plane = np.linalg.inv(transform) @ copy.affine
    x, y = (linear_function(row, copy.data.shape) for row in to_plane[:2])
    depth = linear_function(plane.normal @ to_plane, copy.data.shape)
    zone = (depth > MARGIN_MM) & (depth < DEEPEST_MM)
    zone &= (np.abs(x - plane.middle[0]) < HALF_WIDTH_MM) & (y > plane.middle[1])
    zone &= y < plane.front + NOSE_MM
    if zone.sum() * Grid.of(copy).voxel_ml < LEAST_ML:
        return False
    _, threshold, _ = threshold_of(copy.data)
    return bool((copy.data[zone] > threshold).mean() >= FACE_SHARE)


def without_face(scan: Image, plane: FacePlane, transform: Matrix) -> Image:
    """The scan with background from `MARGIN_MM` beyond the plane; see `shows_face`."""
    to_plane = np.linalg.inv(transform) @ scan.affine
    face = linear_function(plane.normal @ to_plane, scan.data.shape) > MARGIN_MM
    background = background_value(scan.data)
    if background is None:  # noise: about its middle
        background, _, _ = threshold_of(scan.data)
    return scan.with_data(np.where(face, background, scan.data).astype(scan.data.dtype))
