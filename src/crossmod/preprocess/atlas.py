"""The ICBM 2009a template and its tissue maps, laid over a brain of any contrast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image, read_image, to_ras
from crossmod.preprocess.registration import Similarity
from crossmod.preprocess.resampling import Grid, dice, isotropic_grid, resample, resample_mask
from crossmod.preprocess.transforms import Matrix, apply, rotation
from crossmod.spatial import inverted

FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
# Folds of two people never match: the maps are smoothed by about the distance they miss each other.
BLUR_MM = 2.0
PLACING_MM = (5.0, 4.0)  # template, scan
PLACING_POINTS = 6_000
PLACING_STEPS = 600
PITCHES_DEG = (-15.0, 0.0, 15.0)
LEAST_TEMPLATE = 20  # T1w intensity, of 255, that counts as head of the coarse template


@dataclass(frozen=True)
class TissuePriors:
    """What tissue to expect where, in the voxels of a brain mask.

    Attributes
    ----------
    gray, white : array, shape (voxels,)
        Probabilities.
    inside : array, shape (voxels,)
        Probability of the brain; what is left of it is fluid. A brain mask that reaches into fat
        or bone does so where this is low.
    overlap : float
        Dice overlap of the brain mask and that of the template: tells whether to trust the rest.
    """

    gray: NDArray[np.floating]
    white: NDArray[np.floating]
    inside: NDArray[np.floating]
    overlap: float


@cache
def read_template(kind: str = "t1") -> Image:
    """ICBM 2009a symmetric average of the brain, 1 mm, from nilearn's wheel; read once.

    Parameters
    ----------
    kind : {"t1", "gm", "wm"}
        T1w average, or probability of gray or white matter (255 is 1).
    """
    return to_ras(read_image(template_file(kind)))


def template_file(kind: str = "t1") -> Path:
    """File that `read_template` reads."""
    import nilearn

    return Path(nilearn.__file__).parent / "datasets" / "data" / FILE.format(kind)


@cache
def template_brain() -> Image:
    """Brain mask (bool) of the template."""
    template = read_template()
    return template.with_data(template.data > 0)


def template_over(scan: Image, mask: Image) -> NDArray[np.bool_]:
    """The template's brain laid over that of a scan, on its grid; both as in `place_template`."""
    to_scan = place_template(scan, mask)
    return resample_mask(template_brain(), Grid.of(scan), inverted(to_scan))


def tissue_priors(scan: Image, brain: NDArray[np.bool_], placed: bool = False) -> TissuePriors:
    """Expect tissues in a brain.

    Parameters
    ----------
    scan : Image
        Scan of any contrast, RAS orientation.
    brain : array of bool, shape of `scan`
        Brain mask.
    placed : bool
        Whether the scan lies in template space already.
    """
    from scipy import ndimage

    mask, inner = scan.with_data(brain), template_brain()
    to_scan = np.eye(4) if placed else place_template(scan, mask)
    to_template = inverted(to_scan)
    whole = inner.with_data(np.where(inner.data, 255, 0))
    gray, white, inside = (
        resample(
            image.with_data(ndimage.gaussian_filter(image.data.astype(np.float32), BLUR_MM)),
            Grid.of(scan),
            to_template,
        ).data[brain]
        / np.float32(255)
        for image in (read_template("gm"), read_template("wm"), whole)
    )
    coarse = isotropic_grid(Grid.of(inner), 2.0)
    here = resample_mask(mask, coarse, to_scan)
    there = resample_mask(inner, coarse, np.eye(4))
    return TissuePriors(gray, white, inside, dice(here, there))


def place_template(scan: Image, mask: Image) -> Matrix:
    """Template to scan, RAS mm: rotation, shift and three scales, by mutual information.

    Parameters
    ----------
    scan, mask : Image
        Scan of any contrast and its brain mask (bool), on one grid.

    Notes
    -----
    The start comes from the centers and volumes of the brains, so that it is close already.
    Quick beside `registration.register`, and near enough for maps as smooth as these.
    """
    from scipy import ndimage
    from scipy.optimize import minimize

    fixed, center, volume = _coarse_template()
    least = min(0.0, float(scan.data[mask.data].min()))
    cut_out = scan.with_data(np.where(mask.data, scan.data, least).astype(np.float32))
    moving = resample(cut_out, isotropic_grid(Grid.of(scan), PLACING_MM[1]), np.eye(4))
    region = ndimage.binary_dilation(fixed.data > LEAST_TEMPLATE)
    similarity = Similarity(fixed, moving, region, PLACING_POINTS)
    middle, size = _center_and_volume(mask)
    scale = (size / volume) ** (1 / 3)

    def pose(parameters: NDArray) -> Matrix:
        # Degrees, mm and percent: steps of one are of similar size at the edge of a brain.
        matrix = np.eye(4)
        turn = rotation(tuple(np.deg2rad(parameters[:3])))[:3, :3]
        matrix[:3, :3] = turn @ np.diag(scale * np.exp(parameters[6:] / 100))
        matrix[:3, 3] = middle + parameters[3:6] - matrix[:3, :3] @ center
        return matrix

    starts = [np.array([pitch, *np.zeros(8)]) for pitch in PITCHES_DEG]
    best = minimize(
        lambda parameters: -similarity(pose(parameters)),
        max(starts, key=lambda start: similarity(pose(start))),
        method="Powell",
        options={"maxfev": PLACING_STEPS, "xtol": 0.1, "ftol": 1e-4},
    )
    return pose(best.x)


@cache
def _coarse_template() -> tuple[Image, NDArray[np.float64], float]:
    """Coarse copy of the template, center and volume of its brain."""
    template = read_template()
    grid = isotropic_grid(Grid.of(template), PLACING_MM[0])
    return resample(template, grid, np.eye(4)), *_center_and_volume(template_brain())


def _center_and_volume(mask: Image) -> tuple[NDArray[np.float64], float]:
    """Center in world mm and volume in ml."""
    voxels = np.argwhere(mask.data)
    return apply(mask.affine, voxels.mean(axis=0)), len(voxels) * Grid.of(mask).voxel_ml
