"""Bias-field correction: N4 on a coarse isotropic copy, the smooth field applied to the scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.masks import bounding_box
from crossmod.preprocess.ants_bridge import from_ants, load_ants, to_ants
from crossmod.preprocess.foreground import background_value, largest_component, threshold_of
from crossmod.preprocess.resampling import Grid, resample, working_copy
from crossmod.settings import Modality
from crossmod.spatial import apply

WORKING_MM = 8.0
ITERATIONS = [30, 25, 20]
TOLERANCE = 1e-5
# CT and PET have no coil whose sensitivity could shade them.
MODALITIES_WITHOUT_FIELD: tuple[Modality, ...] = ("CT", "PET")


def correct_bias_field(image: Image) -> Image:
    """Divide a scan by the smooth field that N4 finds.

    Parameters
    ----------
    image : Image
        MR scan in RAS orientation, any spacing.

    Returns
    -------
    Image
        Same grid; background values that are exactly constant stay as they are.

    Notes
    -----
    Tustison et al., IEEE TMI 29(6):1310-1320, 2010. The usual shrink factor (every fourth voxel)
    would leave a scan of thick slices with a handful of them, so N4 works on a copy of 8 mm
    cubes around the head, and the logarithm of its field is interpolated linearly to the scan.
    Three levels end at control points a quarter of the head apart: finer ones, and smaller cubes,
    took up to three times as long to remove little more of a field that was put on a real scan.
    """
    ants = load_ants()
    copy = working_copy(image, WORKING_MM)
    background = background_value(image.data)
    _, threshold, _ = threshold_of(copy.data)
    mask = largest_component(copy.data > max(threshold, 0.0))
    if not mask.any():
        return image
    copy, mask = _crop(copy, mask)
    field = ants.n4_bias_field_correction(
        to_ants(copy),
        mask=to_ants(copy.with_data(mask.astype(np.float32))),
        shrink_factor=1,
        convergence={"iters": ITERATIONS, "tol": TOLERANCE},
        return_bias_field=True,
    )
    logarithm = np.log(np.clip(from_ants(field), 1e-3, 1e3))
    logarithm -= logarithm[mask].mean()  # keeps the scale of the scan
    smooth = resample(copy.with_data(logarithm), Grid.of(image), np.eye(4)).data
    corrected = (image.data / np.exp(smooth)).astype(np.float32)
    if background is not None:
        corrected[image.data == background] = background
    return image.with_data(corrected)


def _crop(image: Image, mask: NDArray[np.bool_]) -> tuple[Image, NDArray[np.bool_]]:
    """Cut the box around the mask out of both: air costs time and loosens the spline."""
    box = bounding_box(mask)
    affine = image.affine.copy()
    affine[:3, 3] = apply(affine, np.array([part.start for part in box], dtype=float))
    return Image(image.data[box], affine), mask[box]
