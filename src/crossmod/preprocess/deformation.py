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
LESION_MARGIN_MM = 2.0


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
        Voxels that have no counterpart in the template; they do not count.

    Returns
    -------
    Warp
        Within the world of the template, on its grid of 2 mm: a point `p` of the template lies at
        `affine (p + forward(p))` in the scan.

    Notes
    -----
    Symmetric diffeomorphic registration (Avants et al., Medical Image Analysis 12(1):26-41,
    2008) by Mattes mutual information with 32 bins, on copies of 2 mm of which the scan's is
    affinely aligned already. Lesions are left out of the cost (Brett et al., NeuroImage
    14(2):486-500, 2001).
    """
    ants, grid = load_ants(), working_grid(template)
    fixed = _windowed(resample(template, grid, np.eye(4)))
    moving = _windowed(resample(brain, grid, affine))
    inside = resample_mask(template.with_data(template.data > 0), grid, np.eye(4))
    near = within(inside, grid.spacing_mm, MARGIN_MM)
    options = {"mask": to_ants(fixed.with_data(near.astype(np.float32)))}
    if lesion is not None and lesion.any():
        compared = ~within(lesion, grid.spacing_mm, LESION_MARGIN_MM)
        options["moving_mask"] = to_ants(fixed.with_data(compared.astype(np.float32)))
    with tempfile.TemporaryDirectory(prefix="crossmod-") as folder:
        ants.registration(
            to_ants(fixed),
            to_ants(moving),
            type_of_transform="SyNOnly",
            outprefix=f"{folder}/out_",
            syn_metric="mattes",
            syn_sampling=BINS,
            reg_iterations=ITERATIONS,
            **options,
        )
        names = ("out_1Warp.nii.gz", "out_1InverseWarp.nii.gz")
        return Warp(*(read_field(Path(folder, name)) for name in names))


def _windowed(image: Image) -> Image:
    """Intensities of a brain from 0 to 1; 0 outside stays 0."""
    low, high = np.percentile(image.data[image.data != 0], WINDOW_PERCENTILES)
    scaled = np.clip((image.data - min(low, 0)) / max(high - min(low, 0), 1e-12), 0, 1)
    return image.with_data(scaled.astype(np.float32))


def working_grid(template: Image) -> Grid:
    """Grid that the deformation is found on."""
    return isotropic_grid(Grid.of(template), WORKING_MM)
