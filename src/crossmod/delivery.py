"""Resampling of a synthetic volume onto the grid of an acquired scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmod.masks import bounding_box
from crossmod.spatial import Matrix, Transform, as_transform, sample

IN_BRAIN = 0.5
ALIGNED_VOXELS = 1e-3


def resample_brain(
    volume: NDArray[np.float32],
    brain: NDArray[np.bool_],
    to_volume: Matrix | Transform,
    shape: tuple[int, ...],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Sample a volume inside the brain only.

    Parameters
    ----------
    volume : array, shape (X, Y, Z)
        Values, 0 outside `brain`.
    brain : array of bool, shape (X, Y, Z)
        Brain mask.
    to_volume : Transform, or array of shape (4, 4)
        Voxel index of the wanted grid to voxel index of `volume`.
    shape : tuple of int
        Shape of the wanted grid.

    Returns
    -------
    values : array of `shape`, float32
        Resampled values, 0 outside the brain.
    inside : array of `shape`, bool
        Resampled mask.

    Notes
    -----
    Values and mask are interpolated linearly and the first is divided by the second, so that
    values at the brain's edge are not mixed with the background. A voxel is brain from half a mask
    on. Voxels that are r times as long as those of `volume` along one of their edges take the mean
    of r samples there: what a scanner measures in a thick slice. Only the box that holds the brain
    is computed.
    """
    mapping = as_transform(to_volume)
    box = _box(mapping.inverse(), brain, shape)
    extent = np.array([part.stop - part.start for part in box])
    start = np.array([part.start for part in box])
    ratio = np.maximum(np.rint(np.linalg.norm(mapping.linear[:3, :3], axis=0)), 1).astype(int)
    # Sample k of a voxel lies at its own index plus (k + 0.5) / ratio - 0.5.
    samples = np.diag([*(1 / ratio), 1.0])
    samples[:3, 3] = start + 0.5 / ratio - 0.5
    weight, mixed = (
        _means(_sample(data, mapping.following(samples), extent * ratio), ratio)
        for data in (brain.astype(np.float32), volume)
    )
    values, inside = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=bool)
    inside[box] = weight >= IN_BRAIN
    values[box] = np.where(weight >= IN_BRAIN, mixed / np.maximum(weight, IN_BRAIN), 0)
    return values, inside


def _sample(
    volume: NDArray[np.float32], mapping: Transform, shape: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Linear interpolation where a mapping takes voxel indices, zeros around the volume."""
    matrix, offset = mapping.linear[:3, :3], mapping.linear[:3, 3]
    axes = np.abs(matrix).argmax(axis=1)
    scales = matrix[range(3), axes]
    aligned = np.zeros((3, 3))
    aligned[range(3), axes] = scales
    aside = np.abs(matrix - aligned) @ shape
    if mapping.warp or sorted(axes) != [0, 1, 2] or aside.max() > ALIGNED_VOXELS:
        size = tuple(int(n) for n in shape)
        return sample(volume, mapping, size, order=1, mode="grid-constant")
    # Grids along the same axes, the usual case, are sampled axis by axis: ten times as fast.
    for axis in range(3):
        places = scales[axis] * np.arange(shape[axes[axis]]) + offset[axis]
        volume = _sample_along(volume, places, axis)
    return volume.transpose(np.argsort(axes))


def _sample_along(
    volume: NDArray[np.float32], places: NDArray[np.floating], axis: int
) -> NDArray[np.float32]:
    length = volume.shape[axis]
    margin = [(1, 1) if a == axis else (0, 0) for a in range(3)]
    padded = np.pad(volume, margin)
    places = np.clip(places, -1, length) + 1
    below = np.minimum(places.astype(np.int64), length)
    shape = [-1 if a == axis else 1 for a in range(3)]
    fraction = (places - below).astype(np.float32).reshape(shape)
    low = padded.take(below, axis=axis)
    result: NDArray[np.float32] = low + fraction * (padded.take(below + 1, axis=axis) - low)
    return result


def _means(fine: NDArray[np.float32], ratio: NDArray[np.integer]) -> NDArray[np.float32]:
    """Means over blocks of `ratio` samples."""
    for axis, number in enumerate(ratio):
        if number > 1:
            shape = (*fine.shape[:axis], -1, int(number), *fine.shape[axis + 1 :])
            fine = fine.reshape(shape).mean(axis=axis + 1)
    return fine


def _box(to_grid: Transform, mask: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Box of a grid that holds a mask, given the mask's voxel to the grid's voxel."""
    placed = to_grid.apply(_corners(mask) if to_grid.warp is None else _rim(mask))
    lows, highs = placed.min(axis=0), placed.max(axis=0)
    box = []
    for low, high, length in zip(lows, highs, shape, strict=True):
        first = min(max(int(np.floor(low)), 0), length)
        box.append(slice(first, max(min(int(np.ceil(high)) + 1, length), first)))
    return tuple(box)


def _corners(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners (8, 3) of the box that lies one voxel around a mask."""
    ends = [(part.start - 1.0, float(part.stop)) for part in bounding_box(mask)]
    return np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Voxels (N, 3) that touch a mask from outside."""
    from scipy.ndimage import binary_dilation

    padded = np.pad(mask, 1)
    around = binary_dilation(padded, np.ones((3, 3, 3))) & ~padded
    return np.argwhere(around).astype(np.float64) - 1
