"""What in a scan is head and what is background."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossmod.io import Image

ROUNDING_MM = 1e-4
CONSTANT_SHARE = 0.2
SOLID_SHARE = 0.97
BRAIN_ONLY_ML = (400.0, 2200.0)
SHELL_MM = 2.0
DEEPEST_SHELL_MM = 26.0
SKULL_DIP = 0.75


def background_value(data: NDArray) -> float | None:
    """The one value that fills the background, None if the background is noise.

    The value is looked for on the border of the volume: intensities may be negative, so the
    least value need not be it.
    """
    faces = [np.take(data, (0, -1), axis=axis).ravel() for axis in range(3)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    value = values[counts.argmax()]
    if counts.max() < 0.5 * counts.sum() or (data == value).mean() < CONSTANT_SHARE:
        return None
    return float(value)


def threshold_of(data: NDArray) -> tuple[float, float, float]:
    """Robust least, threshold and greatest intensity (2 %, 10 % between, 98 %).

    Source: Smith, Human Brain Mapping 17:143-155, 2002, section on the rough threshold.
    """
    low, high = (float(v) for v in np.percentile(data, (2, 98)))
    return low, low + 0.1 * (high - low), high


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Largest 6-connected component; all false if there is none."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def within(mask: NDArray[np.bool_], spacing_mm: ArrayLike, distance_mm: float) -> NDArray[np.bool_]:
    """Voxels that lie in a mask or no farther from it than a distance.

    Spacings come from matrices and are rounded; a distance of whole voxels must hold all the same.
    """
    from scipy import ndimage

    distances = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    near: NDArray[np.bool_] = distances <= distance_mm + ROUNDING_MM
    return near


def brain_only_mask(image: Image) -> NDArray[np.bool_] | None:
    """Mask of a scan that shows nothing but brain, None if the scan shows more.

    Such a scan has a background of exactly one value, a foreground in one piece of the size of
    a brain, and no skull: towards the inside no dark layer between two brighter ones.

    Parameters
    ----------
    image : Image
        Scan in RAS orientation.

    Returns
    -------
    array of bool or None
        Largest component of the foreground, holes filled.
    """
    from scipy import ndimage

    value = background_value(image.data)
    if value is None:
        return None
    foreground = image.data != value
    mask = largest_component(foreground)
    if mask.sum() < SOLID_SHARE * foreground.sum():
        return None
    mask = ndimage.binary_fill_holes(mask)
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    if not BRAIN_ONLY_ML[0] <= mask.sum() * voxel_ml <= BRAIN_ONLY_ML[1]:
        return None
    return None if _shows_skull(image, mask) else mask


def _shows_skull(image: Image, mask: NDArray[np.bool_]) -> bool:
    from scipy import ndimage

    # Every second voxel or so is enough to find a layer of several mm.
    steps = tuple(slice(None, None, max(round(SHELL_MM / mm), 1)) for mm in image.spacing_mm)
    spacing_mm = [mm * step.step for mm, step in zip(image.spacing_mm, steps, strict=True)]
    image, mask = Image(image.data[steps], image.affine), mask[steps]
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)
    shells = (depth[1:-1, 1:-1, 1:-1] / SHELL_MM).astype(int)
    inside = image.data[mask].astype(np.float64) - np.percentile(image.data[mask], 1)
    numbers = shells[mask]
    profile = np.array(
        [
            np.median(inside[numbers == number]) if (numbers == number).any() else 0.0
            for number in range(int(DEEPEST_SHELL_MM / SHELL_MM))
        ]
    )
    before = np.maximum.accumulate(profile)
    after = np.maximum.accumulate(profile[::-1])[::-1]
    return bool((profile < SKULL_DIP * np.minimum(before, after)).any())
