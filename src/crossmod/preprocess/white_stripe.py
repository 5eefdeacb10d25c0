"""The level of normal-appearing white matter in a brain of any modality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Half of the stripe, as a share of the deep brain's voxels ("tau" in the paper).
HALF = 0.05
BINS = 512
TAILS = (0.5, 99.5)  # percentiles: beyond lie vessels, skull and errors of the mask
# A peak is at least this high, relative to the highest of the deep brain: edema and ventricles,
# which lie deep as well, are spread more widely than white matter.
LEAST_HEIGHT = 1 / 3
LEAST_VOXELS = 500


@dataclass(frozen=True)
class WhiteStripe:
    """Part of the histogram around the peak of white matter, in units of the scan.

    Attributes
    ----------
    center, width : float
        Mean and standard deviation of the values in the stripe.
    """

    center: float
    width: float


def white_stripe(
    values: NDArray[np.floating], depth_mm: NDArray[np.floating]
) -> WhiteStripe | None:
    """Find the stripe of the brain's histogram that is normal-appearing white matter.

    Parameters
    ----------
    values : array, shape (voxels,)
        Intensities in the brain, of any modality, scale and sign.
    depth_mm : array, shape (voxels,)
        Distance of the same voxels to the surface of the brain.

    Returns
    -------
    WhiteStripe or None
        None where the brain has fewer than `LEAST_VOXELS` voxels or the stripe one value.

    Notes
    -----
    Shinohara et al., NeuroImage: Clinical 6:9-19, 2014: the stripe reaches from quantile
    F(peak) - tau to F(peak) + tau of the histogram, tau = 0.05; its mean and standard deviation
    are the white matter's level and the unit of the scale. Deviations: The paper takes the last
    peak of a T1w and the highest of a T2w histogram, which is gray matter's or fluid's in many
    scans of thick slices. Here the peak is the value that is commoner in the deepest third of
    the brain than in the outermost third, by most: white matter lies deep and cortex does not, in
    every modality, so that T1w, T2w, FLAIR and PDw are treated alike and no atlas is needed. The
    quantiles are those of the deepest third, where they depend less on the amount of fluid and
    cortex. Histograms are smoothed with a Gaussian (Scott's rule), not a penalized spline. The
    stripe is of the single scan, never the overlap of two (the paper's hybrid), which would make
    one scan's scale depend on whether another is there.
    """
    if values.size < LEAST_VOXELS:
        return None
    values = values.astype(np.float64)
    outer, inner = np.quantile(depth_mm, (1 / 3, 2 / 3))
    deep = values[depth_mm >= inner]
    peak = _excess(values, deep, outside=values[depth_mm <= outer])
    if peak is None:
        return None
    place = float((deep < peak).mean())
    ends = np.quantile(deep, (max(place - HALF, 0), min(place + HALF, 1)))
    stripe = deep[(deep >= ends[0]) & (deep <= ends[1])]
    center, width = float(stripe.mean()), float(stripe.std())
    return WhiteStripe(center, width) if width > 0 else None


def _excess(values: NDArray, deep: NDArray, outside: NDArray) -> float | None:
    """Value that is commoner in the depth than outside, by most; None without a range."""
    from scipy.ndimage import gaussian_filter1d

    low, high = (float(end) for end in np.percentile(values, TAILS))
    quartiles = np.percentile(deep, (25, 75))
    spread = min(float(deep.std()), float(quartiles[1] - quartiles[0]) / 1.349)
    if spread <= 0 or high <= low:
        return None
    bandwidth = 1.06 * spread * deep.size**-0.2 * BINS / (high - low)
    shares = []
    for part in (deep, outside):
        counts, edges = np.histogram(part, BINS, (low, high))
        shares.append(gaussian_filter1d(counts / part.size, bandwidth, mode="constant"))
    difference = np.where(shares[0] >= LEAST_HEIGHT * shares[0].max(), shares[0] - shares[1], -1)
    at = int(difference.argmax())
    return float(edges[at] + edges[at + 1]) / 2
