"""Deformable registration of the template to a brain (SyN of ANTs)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.preprocess.ants_bridge import load_ants, to_ants
from crossmod.preprocess.foreground import within
from crossmod.preprocess.resampling import Grid, isotropic_grid, resample, resample_mask
from crossmod.spatial import Matrix, Warp
from crossmod.stored_transforms import read_field

WORKING_MM = 2.0
ITERATIONS = (30, 15, 5)  # on cubes of 8, 4 and 2 mm
BINS = 32
# Tail of the brain's intensities left out: it would take most of the histogram's bins.
WINDOW_PERCENTILES = (0.5, 99.5)
MARGIN_MM = 6.0
LESION_MARGIN_MM = 4.0  # what blurs into the brain around it


def deform(
    template: Image, brain: Image, affine: Matrix, lesion: NDArray[np.bool_] | None = None
) -> Warp:
    """Find the displacements that an affine transform leaves between a template and a brain.

    Parameters
    ----------
    template : Image
        Brain, 0 outside.
    brain : Image
        Scan of a brain of any contrast, 0 outside.
    affine : array, shape (4, 4)
        Template to scan, RAS mm.
    lesion : array of bool, shape of `working_grid(template)`, optional
        Voxels that have no counterpart in the template.

    Returns
    -------
    Warp
        Within the world of the template, on its grid of 2 mm: a point `p` of the template lies at
        `affine (p + forward(p))` in the scan.

    Notes
    -----
    Symmetric diffeomorphic registration (Avants et al., Medical Image Analysis 12(1):26-41,
    2008) by Mattes mutual information with 32 bins, on copies of 2 mm of which the scan's is
    affinely aligned already. Lesions are filled with what the scan shows elsewhere where the
    template is as bright. Leaving them out of the cost (Brett et al., NeuroImage 14(2):486-500,
    2001) by masks of the fixed, the moving or both images did not keep SyN from pulling at them.
    """
    ants, grid = load_ants(), working_grid(template)
    fixed = _windowed(resample(template, grid, np.eye(4)))
    moving = _windowed(resample(brain, grid, affine))
    if lesion is not None and lesion.any():
        moving = _filled(moving, fixed, within(lesion, grid.spacing_mm, LESION_MARGIN_MM))
    inside = resample_mask(template.with_data(template.data > 0), grid, np.eye(4))
    near = within(inside, grid.spacing_mm, MARGIN_MM)
    with tempfile.TemporaryDirectory(prefix="crossmod-") as folder:
        ants.registration(
            to_ants(fixed),
            to_ants(moving),
            type_of_transform="SyNOnly",
            outprefix=f"{folder}/out_",
            syn_metric="mattes",
            syn_sampling=BINS,
            reg_iterations=ITERATIONS,
            mask=to_ants(fixed.with_data(near.astype(np.float32))),
        )
        names = ("out_1Warp.nii.gz", "out_1InverseWarp.nii.gz")
        return Warp(*(read_field(Path(folder, name)) for name in names))


def _filled(brain: Image, template: Image, lesion: NDArray[np.bool_]) -> Image:
    """Give a lesion the intensities that its place in the template lets expect (both 0 to 1)."""
    levels = np.minimum((template.data * BINS).astype(np.int64), BINS - 1)
    healthy = ~lesion & (template.data > 0) & (brain.data > 0)
    expected = np.zeros(BINS, dtype=np.float32)
    for level in np.unique(levels[healthy]):
        expected[level] = np.median(brain.data[healthy & (levels == level)])
    filled = np.where(template.data > 0, expected[levels], 0)
    return brain.with_data(np.where(lesion, filled, brain.data))


def _windowed(image: Image) -> Image:
    """Intensities of a brain from 0 to 1; what is outside, the least, becomes 0."""
    inside = image.data[image.data > image.data.min()]
    low, high = np.percentile(inside, WINDOW_PERCENTILES)
    scaled = np.clip((image.data - min(low, 0)) / max(high - min(low, 0), 1e-12), 0, 1)
    return image.with_data(scaled.astype(np.float32))


def working_grid(template: Image) -> Grid:
    """Grid that the deformation is found on."""
    return isotropic_grid(Grid.of(template), WORKING_MM)
