"""Which intensities of a volume become 0 and 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from crossmod.config import PreprocessSettings
from crossmod.intensity import (
    WHITE_STRIPE_ENDS,
    Z_SCORE_ENDS,
    Normalization,
    Normalizer,
)
from crossmod.preprocess.white_stripe import white_stripe

# What is wrong with a brain for which there is none.
UNFIT = {
    "percentiles": "is constant in the brain",
    "maximum": "is constant in the brain or nowhere positive",
    "z-score": "is constant in the brain",
    "white-stripe": "shows no peak of white matter: the brain is small, or has few gray levels",
}


def fit_normalization(
    values: NDArray[np.floating],
    depth_mm: Callable[[], NDArray[np.floating]],
    settings: PreprocessSettings,
) -> Normalization | None:
    """Fit the normalization that the settings name to one volume.

    Parameters
    ----------
    values : array, shape (voxels,)
        Intensities of the brain, in units of the scan.
    depth_mm : callable
        Gives the distance of these voxels to the surface of the brain; asked by `white-stripe`.
    settings : PreprocessSettings
        Kind and percentiles.

    Returns
    -------
    Normalization or None
        None if the volume has none; `UNFIT` tells why.

    Notes
    -----
    `z-score` takes mean and standard deviation of all brain voxels (Reinhold et al., SPIE Medical
    Imaging 10949, 2019). The ends of both scales without percentiles are set in
    `crossmod.intensity`, so that [0, 1] stays the range of networks and files.
    """
    kind = settings.intensity
    if kind == "maximum":
        found = Normalizer.of_maximum(values)
        return None if found is None else Normalization(kind, found)
    by_percentiles = Normalizer.fit(values, settings.percentiles)
    if by_percentiles is None:
        return None
    if kind == "percentiles":
        return Normalization(kind, by_percentiles)
    if kind == "z-score":
        double = values.astype(np.float64)
        measured = {"mean": float(double.mean()), "sd": float(double.std())}
        scale = Normalizer.around(measured["mean"], measured["sd"], Z_SCORE_ENDS)
        return Normalization(kind, scale, measured, by_percentiles)
    stripe = white_stripe(values, depth_mm())
    if stripe is None:
        return None
    measured = {"center": stripe.center, "width": stripe.width}
    scale = Normalizer.around(stripe.center, stripe.width, WHITE_STRIPE_ENDS)
    return Normalization(kind, scale, measured, by_percentiles)
