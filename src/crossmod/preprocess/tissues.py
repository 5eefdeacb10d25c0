"""How bright gray and white matter are in a scan of unknown contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Share of voxels that are neither, wherever they lie: lesions, vessels, errors of the mask.
OTHER = 0.1
# Range of intensities over which the others are spread evenly, in quartile distances.
OTHER_RANGE = 12.0
# Where fluid is likely voxels hold some of it, which would darken or brighten gray matter.
MOST_FLUID = 0.12
SD_LIMITS = (0.05, 1.5)  # quartile distances
SD_OF_QUARTILES = 1.349
ITERATIONS = 60
CONVERGED = 1e-4
LEAST_VOXELS = 500


@dataclass(frozen=True)
class Parenchyma:
    """Intensities of the two tissues of the brain.

    Attributes
    ----------
    gray, white : float
        Means.
    gray_sd, white_sd : float
        Standard deviations within the tissue, noise included.
    explained : float
        Share of the voxels looked at that are one of the two, 0 to 1.
    """

    gray: float
    white: float
    gray_sd: float
    white_sd: float
    explained: float


def fit_parenchyma(
    values: NDArray[np.floating], gray: NDArray[np.floating], white: NDArray[np.floating]
) -> Parenchyma | None:
    """Fit two normal distributions to a brain, and an even one for what else there is.

    Parameters
    ----------
    values : array, shape (voxels,)
        Intensities of any scale and sign.
    gray, white : array, shape (voxels,)
        Prior probabilities of the tissues.

    Returns
    -------
    Parenchyma or None
        None where there is nothing to fit: few voxels, or one value in most of them.

    Notes
    -----
    Expectation maximization with spatial priors from an atlas (Van Leemput et al., IEEE TMI
    18(10):897-908, 1999, without their bias field and Markov field). Nothing is learned from
    scans, and no contrast is assumed. White matter, the most uniform of tissues, is never given a
    wider distribution than gray, which keeps edema out of it.
    """
    inside = gray + white > 1 - MOST_FLUID
    if inside.sum() < LEAST_VOXELS:
        return None
    values, priors = values[inside].astype(np.float64), np.stack([gray, white], 1)[inside]
    low, median, high = np.percentile(values, (25, 50, 75))
    scale = high - low
    if scale <= 0:
        return None
    mean, sd, explained = _maximize((values - median) / scale, priors * (1 - OTHER))
    mean, sd = mean * scale + median, sd * scale
    return Parenchyma(float(mean[0]), float(mean[1]), float(sd[0]), float(sd[1]), explained)


def _maximize(values: NDArray, priors: NDArray) -> tuple[NDArray, NDArray, float]:
    """Means and standard deviations of the classes (columns of `priors`), and their share."""
    other = np.clip(1 - priors.sum(axis=1), OTHER, 1) / OTHER_RANGE
    mean, sd = _start(values, priors)
    for _ in range(ITERATIONS):
        sd = np.clip([sd[0], min(sd)], *SD_LIMITS)
        likely = priors * np.exp(-0.5 * ((values[:, None] - mean) / sd) ** 2)
        likely /= np.sqrt(2 * np.pi) * sd
        belongs = likely / (likely.sum(axis=1) + other)[:, None]
        size = belongs.sum(axis=0) + 1e-9
        found = (belongs * values[:, None]).sum(axis=0) / size
        spread = (belongs * (values[:, None] - found) ** 2).sum(axis=0) / size
        moved, mean, sd = np.abs(found - mean).max(), found, np.sqrt(spread)
        if moved < CONVERGED:
            break
    return mean, np.clip([sd[0], min(sd)], *SD_LIMITS), float(size.sum() / len(values))


def _start(values: NDArray, priors: NDArray) -> tuple[NDArray, NDArray]:
    """Weighted medians and quartiles where a tissue is likely."""
    order = np.argsort(values, kind="stable")
    mean, sd = np.empty(2), np.empty(2)
    for tissue in range(2):
        weight = np.cumsum(priors[order, tissue] ** 2)
        at = np.searchsorted(weight, weight[-1] * np.array([0.25, 0.5, 0.75]))
        low, mean[tissue], high = values[order[np.minimum(at, len(values) - 1)]]
        sd[tissue] = (high - low) / SD_OF_QUARTILES
    return mean, sd
