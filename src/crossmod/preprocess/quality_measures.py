"""Measures of image quality, each free of the scale of the intensities.

What is done with them, and when a session is flagged: `crossmod.report.quality.measures`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmod.preprocess.tissues import Parenchyma

NORMAL_MAD = 0.6745  # median absolute deviation of a standard normal distribution
EDGE_PERCENTILE = 85
EDGE_SIGMA = 0.7  # voxels
FEW_VOXELS = 200
# Of Rayleigh's distribution with scale 1: median, and standard deviation over median.
RAYLEIGH_MEDIAN = float(np.sqrt(2 * np.log(2)))
RAYLEIGH_RATIO = float(np.sqrt(2 - np.pi / 2)) / RAYLEIGH_MEDIAN
RATIO_LIMITS = (0.7 * RAYLEIGH_RATIO, 1.3 * RAYLEIGH_RATIO)
OUTLYING = 2.5
ROUNDS = 3
SHELL_VOXELS = 2
BINS = 64

Mask = NDArray[np.bool_]


def edge_overlap(fixed: NDArray, moving: NDArray, region: Mask) -> float | None:
    """Share of the strongest edges of two registered scans that lie on one another.

    Parameters
    ----------
    fixed, moving : array, shape (X, Y, Z)
        Scans on one grid, of any contrast.
    region : array of bool, shape (X, Y, Z)
        Where to look.

    Returns
    -------
    float or None
        From 0 to 1; None in a small region.

    Notes
    -----
    Edges are the 15 % of the region where the gradient of the scan, smoothed with a standard
    deviation of 0.7 voxels, is greatest. Counted are those with an edge of the other scan in the
    same voxel or one that shares a face, in both directions: the surface Dice of Nikolov et al.,
    J Med Internet Res 23(7):e26151, 2021, with edges in the place of surfaces. What it is on the
    phantom, aligned and not: docs/how-to/check-preprocessing.md.
    """
    from scipy import ndimage

    if region.sum() < FEW_VOXELS:
        return None
    edges = [_edges(image, region) for image in (fixed, moving)]
    wide = [ndimage.binary_dilation(found) for found in edges]
    hits = (edges[0] & wide[1]).sum() + (edges[1] & wide[0]).sum()
    total = edges[0].sum() + edges[1].sum()
    return float(hits / total) if total else None


def _edges(image: NDArray, region: Mask) -> Mask:
    from scipy import ndimage

    strength = ndimage.gaussian_gradient_magnitude(image.astype(np.float32), EDGE_SIGMA)
    found: Mask = region & (strength > np.percentile(strength[region], EDGE_PERCENTILE))
    return found


def noise_sd(scan: NDArray, region: Mask) -> float | None:
    """Standard deviation of the noise, from the finest diagonal differences.

    Parameters
    ----------
    scan : array, shape (A, B, C)
        Scan on the grid it was acquired on; the differences are taken along the first two axes.
    region : array of bool, shape (A // 2, B // 2, C)
        Blocks of 2 x 2 voxels to look at.

    Returns
    -------
    float or None
        In units of the scan; None in a small region.

    Notes
    -----
    Median absolute diagonal coefficient of Haar's wavelet over 0.6745 (Donoho and Johnstone,
    Biometrika 81:425-455, 1994, section 4.2). Anatomy hardly reaches it. Interpolation by the
    scanner (zero filling) and filters do: the noise of such scans comes out too low.
    """
    if region.sum() < FEW_VOXELS:
        return None
    a, b = (size // 2 * 2 for size in scan.shape[:2])
    even = scan[:a, :b].astype(np.float32, copy=False)
    diagonal = even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2]
    return float(np.median(np.abs(diagonal[region])) / 2 / NORMAL_MAD)


def air_noise_sd(air: NDArray) -> float | None:
    """Standard deviation of the noise, from the magnitude of air.

    Parameters
    ----------
    air : array, shape (voxels,)
        Values outside the head.

    Returns
    -------
    float or None
        None where the values do not spread as Rayleigh's distribution does, within 30 %: the
        background was set to a value, or the noise changed by filters or several coils.

    Notes
    -----
    Dietrich et al., J Magn Reson Imaging 26:375-385, 2007. Their scale is the standard deviation of
    air over 0.655; here the median over 1.177, which ghosts move less.
    """
    if air.size < FEW_VOXELS:
        return None
    median, sd = float(np.median(air)), float(air.std())
    if median <= 0 or not RATIO_LIMITS[0] <= sd / median <= RATIO_LIMITS[1]:
        return None
    return median / RAYLEIGH_MEDIAN


def contrast_to_noise(tissues: Parenchyma) -> float:
    """Difference of gray and white matter over their standard deviation.

    Notes
    -----
    As in MRIQC (Esteban et al., PLoS ONE 12(9):e0184661, 2017), without the noise of air, which
    many scans do not show.
    """
    spread = float(np.sqrt((tissues.gray_sd**2 + tissues.white_sd**2) / 2))
    return abs(tissues.gray - tissues.white) / spread


def residual_bias_percent(values: NDArray, places: NDArray) -> float | None:
    """How much a smooth field still shades what should be one tissue.

    Parameters
    ----------
    values : array, shape (voxels,)
        Intensities of white matter.
    places : array, shape (voxels, 3)
        Where they are, in any unit.

    Returns
    -------
    float or None
        Standard deviation of the field over the voxels, in percent; None for few voxels or values
        that are not positive.

    Notes
    -----
    The field is the polynomial of second order that fits the logarithms best, over three rounds
    that leave out what is more than 2.5 standard deviations off (gray matter, lesions). Part of it
    is anatomy: white matter is not everywhere alike.
    """
    positive = values > 0
    if positive.sum() < FEW_VOXELS or positive.mean() < 0.95:
        return None
    logs = np.log(values[positive].astype(np.float64))
    x, y, z = ((places[positive] - places.mean(axis=0)) / places.std(axis=0).max()).T
    terms = np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)
    kept = np.ones(len(logs), dtype=bool)
    field = np.zeros_like(logs)
    for _ in range(ROUNDS):
        weights, *_ = np.linalg.lstsq(terms[kept], logs[kept], rcond=None)
        field = terms @ weights
        rest = logs - field
        off = np.abs(rest - np.median(rest[kept]))
        kept = off <= OUTLYING * max(np.median(off[kept]) / NORMAL_MAD, 1e-9)
    return 100 * float(field[kept].std())


def edge_contrast(image: NDArray, brain: Mask) -> float | None:
    """How much brighter or darker it is inside the outline of the brain than outside.

    Parameters
    ----------
    image : array, shape (X, Y, Z)
        Whole head.
    brain : array of bool, shape (X, Y, Z)
        Mask.

    Returns
    -------
    float or None
        Difference of the medians of two voxels inside and two outside, over the range from the
        5th to the 95th percentile of the brain. Low where the outline runs through one tissue.
    """
    from scipy import ndimage

    inner = brain & ~ndimage.binary_erosion(brain, iterations=SHELL_VOXELS)
    outer = ndimage.binary_dilation(brain, iterations=SHELL_VOXELS) & ~brain
    if min(inner.sum(), outer.sum()) < FEW_VOXELS:
        return None
    low, high = np.percentile(image[brain], (5, 95))
    if high <= low:
        return None
    return float(abs(np.median(image[inner]) - np.median(image[outer])) / (high - low))


def clipped_percent(values: NDArray) -> float:
    """Percent of the values (voxels,) that equal the greatest: the scan was cut off there."""
    return 100 * float((values == values.max()).mean())


def histogram(values: NDArray) -> dict[str, object]:
    """Counts of values (voxels,) in 64 bins from the least to the 99.9th percentile."""
    low, high = (float(v) for v in np.percentile(values, (0, 99.9)))
    high = high if high > low else low + 1.0
    counts, _ = np.histogram(np.minimum(values, high), BINS, (low, high))
    return {"low": low, "high": high, "counts": counts.tolist()}
