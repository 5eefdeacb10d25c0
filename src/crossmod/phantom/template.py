"""The ICBM 2009a tissue maps that nilearn's wheel carries."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, spline_filter

from crossmod.errors import InputError
from crossmod.io import read_image
from crossmod.phantom.fields import cubic_basis, expand

FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
DISTANCE_STEP = 3
# Voxels of the distance map (3 mm) added around the maps: x, y, z, before and after.
DISTANCE_PADDING = ((6, 6), (4, 8), (22, 4))


@dataclass(frozen=True)
class Template:
    """Tissue maps in template space, mm, RAS+.

    Attributes
    ----------
    grey, white : array of uint8
        Probabilities, 255 is 1, on 1 mm voxels.
    t1 : array of uint8
        Averaged T1w image of the brain; 0 outside.
    origin : array, shape (3,)
        Position of the first voxel.
    distance : array of float32
        Distance to the surface of the brain in mm, negative inside, on 3 mm voxels.
    distance_origin : array, shape (3,)
        Position of its first voxel.
    """

    grey: NDArray
    white: NDArray
    t1: NDArray
    origin: NDArray[np.float64]
    distance: NDArray[np.float32]
    distance_origin: NDArray[np.float64]

    def brain_distance(self, points: NDArray[np.float32], thinning: int = 1) -> NDArray[np.float32]:
        """Distance to the surface of the brain in mm at `points`, shape (3, X, Y, Z).

        The points are those of a grid, moved smoothly. The distance is smooth too, so it is looked
        up at every `thinning`-th point and interpolated by cubic splines in between.
        """
        steps = tuple([slice(None, None, thinning)] * 3)
        coarse = _sample(
            self.distance, self.distance_origin, DISTANCE_STEP, points[(slice(None), *steps)]
        )
        if thinning == 1:
            return coarse
        lattice = spline_filter(np.pad(coarse, 2, mode="edge"), output=np.float32, mode="mirror")
        x, y, z = (
            cubic_basis(np.arange(fine) / thinning + 2, count)
            for fine, count in zip(points.shape[1:], lattice.shape, strict=True)
        )
        return expand(lattice, (x, y, z))

    def tissue(self, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Grey and white matter probability and T1w intensity (0 to 255) at `points`, (3, N)."""
        grey = _sample(self.grey, self.origin, 1, points) / np.float32(255)
        white = _sample(self.white, self.origin, 1, points) / np.float32(255)
        return grey, white, _sample(self.t1, self.origin, 1, points)


def _sample(volume: NDArray, origin: NDArray, step: float, points: NDArray) -> NDArray[np.float32]:
    index = np.empty(points.shape, dtype=np.float32)
    for axis in range(3):
        np.multiply(points[axis], np.float32(1 / step), out=index[axis])
        index[axis] -= np.float32(origin[axis] / step)
    out: NDArray[np.float32] = map_coordinates(
        volume, index, order=1, mode="nearest", output=np.float32
    )
    return out


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Read the maps once per process.

    Notes
    -----
    ICBM 152 nonlinear symmetric 2009a (Fonov et al., NeuroImage 54, 2011), as packed with
    nilearn: T1w average, grey and white matter probabilities, all without the head.
    """
    spec = importlib.util.find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("nilearn", "is not installed", "install the locked requirements")
    folder = Path(next(iter(spec.submodule_search_locations)), "datasets", "data")
    images = {kind: read_image(folder / FILE.format(kind), np.uint8) for kind in ("gm", "wm", "t1")}
    grey, white, t1 = (images[kind].data for kind in ("gm", "wm", "t1"))
    origin = images["t1"].affine[:3, 3]
    inside = ((t1 > 0) | (grey > 64) | (white > 64))[tuple([slice(1, None, DISTANCE_STEP)] * 3)]
    inside = np.pad(inside, DISTANCE_PADDING)
    before = np.array([pad[0] for pad in DISTANCE_PADDING])
    return Template(
        grey, white, t1, origin, _signed_distance(inside), origin + 1 - before * DISTANCE_STEP
    )


def _signed_distance(inside: NDArray) -> NDArray[np.float32]:
    """Distance to the surface in mm, which lies half way between two voxel centers."""
    half = DISTANCE_STEP / 2
    outer = distance_transform_edt(~inside, sampling=DISTANCE_STEP) - half
    inner = distance_transform_edt(inside, sampling=DISTANCE_STEP) - half
    distance = np.where(inside, -inner, outer).astype(np.float32)
    return gaussian_filter(distance, 0.7)
