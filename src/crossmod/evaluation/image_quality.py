"""Measures of likeness between a synthetic and an acquired volume, inside a mask.

All functions take arrays of one shape (X, Y, Z) in which 1 is the intensity of the acquired scan
that normalization maps to 1, compute in float64 and give NaN where a measure is undefined.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from crossmod.masks import bounding_box

Volume = NDArray[np.floating]
Mask = NDArray[np.bool_]

PSNR_CAP_DB = 100.0
SSIM_WINDOW = 7
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_WINDOW = 11
MS_SSIM_SIGMA = 1.5
SLICE_METRICS = ("psnr", "ssim", "ssim-gauss", "ssim-global", "nrmse")
_K1, _K2 = 0.01, 0.03


def psnr(truth: Volume, prediction: Volume, mask: Mask) -> float:
    """Peak signal-to-noise ratio in dB with a peak of 1, inside the mask.

    Notes
    -----
    10 log10(1 / MSE). A perfect prediction has no finite value and gets `PSNR_CAP_DB`.
    """
    error = (truth - prediction)[mask].astype(np.float64)
    return decibel(1.0, float(np.mean(error**2))) if error.size else math.nan


def decibel(peak: float, mean_square_error: float) -> float:
    """10 log10(peak^2 / MSE), at most `PSNR_CAP_DB`; NaN for a peak of 0."""
    if peak <= 0:
        return math.nan
    if mean_square_error <= 0:
        return PSNR_CAP_DB
    return min(10 * math.log10(peak**2 / mean_square_error), PSNR_CAP_DB)


def mae(truth: Volume, prediction: Volume, mask: Mask) -> float:
    """Mean absolute error inside the mask."""
    error = (truth - prediction)[mask].astype(np.float64)
    return float(np.mean(np.abs(error))) if error.size else math.nan


def nrmse(truth: Volume, prediction: Volume, mask: Mask) -> float:
    """Root of the squared error relative to the energy of the truth, inside the mask.

    Notes
    -----
    sqrt(sum (y - g)^2 / sum y^2); undefined where the truth is 0 everywhere.
    """
    error = (truth - prediction)[mask].astype(np.float64)
    energy = float(np.sum(truth[mask].astype(np.float64) ** 2))
    return math.sqrt(float(np.sum(error**2)) / energy) if energy > 0 else math.nan


def ssim_map(truth: Volume, prediction: Volume, data_range: float = 1.0) -> NDArray[np.float64]:
    """Structural similarity around every voxel.

    Returns
    -------
    array, shape (X, Y, Z)
        NaN everywhere if an axis is shorter than the window.

    Notes
    -----
    Wang et al., IEEE Trans. Image Process. 13, 2004, as scikit-image computes it: uniform window
    of 7 x 7 x 7 voxels, K1 = 0.01, K2 = 0.03, sample (co)variances.
    """
    if min(truth.shape) < SSIM_WINDOW:
        return np.full(truth.shape, math.nan)
    from skimage.metrics import structural_similarity

    _, similarity = structural_similarity(
        truth.astype(np.float64),
        prediction.astype(np.float64),
        win_size=SSIM_WINDOW,
        data_range=data_range,
        full=True,
    )
    return np.asarray(similarity)


def ssim(truth: Volume, prediction: Volume, mask: Mask) -> float:
    """Mean inside the mask of the structural similarity of `ssim_map`.

    Only the mask's box grown by the window's radius is computed; the value is that of the whole
    volume.
    """
    if not mask.any():
        return math.nan
    box = bounding_box(mask, margin=SSIM_WINDOW // 2, least=SSIM_WINDOW)
    return float(ssim_map(truth[box], prediction[box])[mask[box]].mean())


def ms_ssim_scales(side: int) -> int:
    """Scales of MS-SSIM that fit an image: the window must fit the coarsest one, at most 5.

    Parameters
    ----------
    side : int
        Shorter edge of the image in pixels.
    """
    fitting = int(math.log2(max(side, MS_SSIM_WINDOW) / MS_SSIM_WINDOW)) + 1
    return min(fitting, len(MS_SSIM_WEIGHTS))


def ms_ssim(truth: Volume, prediction: Volume, mask: Mask, scales: int) -> float:
    """Multi-scale structural similarity of axial slices, inside the mask.

    Parameters
    ----------
    truth, prediction, mask : array, shape (X, Y, Z)
        Slices are cut along z. Both volumes count as 0 outside the mask.
    scales : int
        Number of scales, 1 to 5.

    Notes
    -----
    Wang, Simoncelli and Bovik, Asilomar Conf. Signals 2003: Gaussian window of 11 x 11 pixels and
    sigma 1.5, 2 x 2 means between the scales, contrast-structure at every scale and luminance at
    the coarsest, data range 1. With fewer than 5 scales the weights of the finest ones are taken
    and divided by their sum. Deviations: at each scale the map is averaged over the mask (halved
    like the image, so that a pixel counts by the part of it that lies inside), and the value of a
    volume is the mean over its slices, weighted by the mask's pixels. A negative mean counts as 0.
    """
    if not mask.any():
        return math.nan
    box = bounding_box(mask)
    inside = mask[box]
    first = _padded(np.where(inside, truth[box], 0), scales)
    second = _padded(np.where(inside, prediction[box], 0), scales)
    weight = _padded(inside, scales)
    pixels = inside.sum(axis=(0, 1))
    exponents = np.array(MS_SSIM_WEIGHTS[:scales]) / sum(MS_SSIM_WEIGHTS[:scales])
    result = np.ones(inside.shape[2])
    for scale, exponent in enumerate(exponents):
        if scale:
            first, second, weight = (_halved(v) for v in (first, second, weight))
        luminance, contrast = _ssim_parts(first, second)
        values = luminance * contrast if scale == scales - 1 else contrast
        # A slice without a pixel has the weight 0 below; 1 only avoids dividing by 0.
        area = np.where(pixels > 0, weight.sum(axis=(0, 1)), 1)
        result *= np.maximum((values * weight).sum(axis=(0, 1)) / area, 0) ** exponent
    return float((result * pixels).sum() / pixels.sum())


def _padded(volume: NDArray, scales: int) -> NDArray[np.float64]:
    """Zeros at the far ends, so that x and y can be halved `scales - 1` times."""
    step = 2 ** (scales - 1)
    ends = [(0, -length % step) for length in volume.shape[:2]]
    return np.pad(volume.astype(np.float64), [*ends, (0, 0)])


def _halved(volume: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 x 2 means along x and y."""
    rows = volume[::2] + volume[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) / 4


def _ssim_parts(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Luminance and contrast-structure of every axial slice; beyond the edges lie zeros."""
    from scipy.ndimage import correlate1d

    offsets = np.arange(MS_SSIM_WINDOW) - MS_SSIM_WINDOW // 2
    window = np.exp(-0.5 * (offsets / MS_SSIM_SIGMA) ** 2)
    window /= window.sum()

    def smooth(volume: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = correlate1d(volume, window, axis=0, mode="constant")
        return np.asarray(correlate1d(rows, window, axis=1, mode="constant"))

    mean_1, mean_2 = smooth(first), smooth(second)
    product = mean_1 * mean_2
    squares = mean_1**2 + mean_2**2
    variances = smooth(first**2 + second**2) - squares
    covariance = smooth(first * second) - product
    luminance = (2 * product + _K1**2) / (squares + _K1**2)
    contrast = (2 * covariance + _K2**2) / (variances + _K2**2)
    return luminance, contrast


def slice_scores(
    truth: NDArray[np.floating], prediction: NDArray[np.floating], frame: tuple[int, int]
) -> dict[str, float]:
    """PSNR, SSIM and NRMSE of one whole axial slice, with the true slice's maximum as peak.

    Parameters
    ----------
    truth, prediction : array, shape (H, W)
        Part of the slice that holds everything but 0.
    frame : (int, int)
        Pixels of the whole slice, which is 0 outside that part; at least (H + 20, W + 20).

    Returns
    -------
    dict
        `psnr` in dB, `nrmse`, and three readings of SSIM: `ssim` with a uniform window of 7 x 7
        pixels, `ssim-gauss` with a Gaussian one of 11 x 11 and sigma 1.5, `ssim-global` with one
        window, the slice. NaN where the true slice is 0.
    """
    peak = float(truth.max())
    if peak <= 0:
        return dict.fromkeys(SLICE_METRICS, math.nan)
    first, second = truth.astype(np.float64), prediction.astype(np.float64)
    squared_error = float(np.sum((first - second) ** 2))
    values = (
        decibel(peak, squared_error / math.prod(frame)),
        frame_ssim(first, second, frame, data_range=peak),
        frame_ssim(first, second, frame, data_range=peak, gaussian=True),
        global_ssim(first, second, math.prod(frame), data_range=peak),
        math.sqrt(squared_error / float(np.sum(first**2))),
    )
    return dict(zip(SLICE_METRICS, values, strict=True))


def frame_ssim(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    frame: tuple[int, int],
    *,
    data_range: float,
    gaussian: bool = False,
) -> float:
    """SSIM of two slices that are 0 around the given part, over a frame of that many pixels.

    The mean leaves out the window's radius at the frame's edge, as scikit-image does.
    """
    margin = 2 * (window_of(gaussian) // 2)
    pixels = (frame[0] - margin) * (frame[1] - margin)
    return 1 - dissimilarity(first, second, data_range=data_range, gaussian=gaussian) / pixels


def dissimilarity(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    data_range: float,
    gaussian: bool = False,
) -> float:
    """Sum of 1 - SSIM over all pixels of two images that are 0 around the given part.

    Parameters
    ----------
    first, second : array, of one shape with 2 or 3 axes
        Part of the images that holds everything but 0. Where both are 0, SSIM is exactly 1, so
        that nothing but this part and a window around it adds to the sum.
    data_range : float
        Range of the intensities.
    gaussian : bool
        A Gaussian window of 11 pixels a side, sigma 1.5 and covariances of the population, as in
        Wang et al. 2004; else a uniform one of 7 pixels and sample covariances.
    """
    from skimage.metrics import structural_similarity

    window = window_of(gaussian)
    padded = (np.pad(image, window // 2) for image in (first, second))
    _, similarity = structural_similarity(
        *padded,
        win_size=window,
        data_range=data_range,
        full=True,
        gaussian_weights=gaussian,
        sigma=MS_SSIM_SIGMA,
        use_sample_covariance=not gaussian,
    )
    return float(np.sum(1 - similarity))


def window_of(gaussian: bool) -> int:
    """Side of the window of SSIM in pixels."""
    return MS_SSIM_WINDOW if gaussian else SSIM_WINDOW


def global_ssim(
    first: NDArray[np.float64], second: NDArray[np.float64], pixels: int, *, data_range: float
) -> float:
    """SSIM with one window, a frame of `pixels` that is 0 around the given part."""
    mean_1, mean_2 = float(first.sum()) / pixels, float(second.sum()) / pixels
    variance_1 = float(np.sum(first**2)) / pixels - mean_1**2
    variance_2 = float(np.sum(second**2)) / pixels - mean_2**2
    covariance = float(np.sum(first * second)) / pixels - mean_1 * mean_2
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    return luminance * (2 * covariance + c2) / (variance_1 + variance_2 + c2)
