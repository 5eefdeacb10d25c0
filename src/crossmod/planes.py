"""Between axial sections of a volume and slices as networks see them, there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.config import SliceSettings
from crossmod.data.store import Geometry
from crossmod.errors import InputError

# Shrunk further, bilinear interpolation would pass over voxels.
MOST_SHRINKING = 2


def place_section(
    brain: NDArray[np.bool_],
    affine: NDArray[np.float64],
    settings: SliceSettings,
    where: Path | str,
) -> Geometry:
    """Place the square of a section that slices cover.

    Parameters
    ----------
    brain : array of bool, shape (X, Y, Z)
        Brain mask, which comes from the reference modality.
    affine : array, shape (4, 4)
        Its affine in mm.
    settings : SliceSettings
        Size, fit and halvings. With fit `pad` the square is centered on the mask's bounding box,
        with `resize` it is the smallest that holds the field of view, in its middle.
    where : path or str
        Named in errors.

    Raises
    ------
    InputError
        If the mask is empty, does not fit into the square (`pad`), or the square has more than
        twice as many voxels along its edge as a slice has pixels (`resize`).
    """
    if not brain.any():
        raise InputError(where, "has an empty brain mask", "check the brain extraction")
    place = _field_of_view if settings.fit == "resize" else _around_brain
    start = place(brain, settings, where)
    x, y, z = brain.shape
    rows = tuple(tuple(float(v) for v in row) for row in affine)
    return Geometry((x, y, z), rows, start, settings.size, settings.halvings, settings.fit)


def _around_brain(
    brain: NDArray[np.bool_], settings: SliceSettings, where: Path | str
) -> tuple[int, int]:
    span = settings.size * 2**settings.halvings
    start = []
    for axis in (0, 1):
        others = tuple({0, 1, 2} - {axis})
        filled = np.flatnonzero(brain.any(axis=others))
        extent = int(filled[-1] - filled[0]) + 1
        if extent > span:
            problem = f"has a brain of {extent} voxels along {'xy'[axis]}, slices cover {span}"
            raise InputError(where, problem, "raise slices.size, slices.halvings or spacing_mm")
        start.append(int(filled[0]) - (span - extent) // 2)
    return start[0], start[1]


def _field_of_view(
    brain: NDArray[np.bool_], settings: SliceSettings, where: Path | str
) -> tuple[int, int]:
    x, y, _ = brain.shape
    span = max(x, y)
    if span > MOST_SHRINKING * settings.size:
        problem = f"has sections of {x} x {y} voxels, too many for slices of {settings.size} px"
        least = f"slices.size to at least {-(-span // MOST_SHRINKING)}"
        raise InputError(where, problem, f"raise {least}, or preprocess.spacing_mm")
    return -((span - x) // 2), -((span - y) // 2)


def to_plane(volume: NDArray[np.floating], geometry: Geometry) -> NDArray[np.float32]:
    """Cut a volume, or a run of its axial sections, into slices as networks see them.

    Parameters
    ----------
    volume : array, shape (X, Y, S)
        X and Y as in `geometry`.
    geometry : Geometry
        Square, fit and halvings.

    Returns
    -------
    array, shape (S, size, size), float32
        The square, zero outside the volume, halved by 2x2 means or resized bilinearly.
    """
    _check_plane(volume.shape[:2], geometry)
    slices: NDArray[np.float32] = np.zeros(
        (volume.shape[2], geometry.span, geometry.span), dtype=np.float32
    )
    half = np.float32(0.5)
    (x_in, x_out), (y_in, y_out) = _overlaps(geometry)
    slices[:, x_out, y_out] = volume[x_in, y_in].transpose(2, 0, 1)
    if geometry.fit == "resize":
        return _resize(slices, geometry.size / geometry.span, 2 * (slice(0, geometry.size),))
    for _ in range(geometry.halvings):
        slices = (slices[:, ::2] + slices[:, 1::2]) * half
        slices = (slices[:, :, ::2] + slices[:, :, 1::2]) * half
    return slices


def to_volume(
    slices: NDArray[np.floating], geometry: Geometry, first_slice: int
) -> NDArray[np.float32]:
    """Put slices back into their volume.

    Parameters
    ----------
    slices : array, shape (S, size, size)
        Slices as `to_plane` makes them.
    geometry : Geometry
        Square, fit and halvings.
    first_slice : int
        Index of the first slice along z.

    Returns
    -------
    array, shape (X, Y, Z), float32
        Zero where no slice lies. With halvings or resized, voxels are interpolated linearly
        between the centers of the pixels; beyond the outermost centers the edge value goes on.
    """
    if slices.shape[1:] != (geometry.size, geometry.size):
        raise ValueError(f"slices of {slices.shape[1:]} do not fit the size {geometry.size}")
    z = geometry.volume_shape[2]
    if not 0 <= first_slice <= first_slice + len(slices) <= z:
        raise ValueError(f"{len(slices)} slices from {first_slice} do not fit into {z}")
    (x_in, x_out), (y_in, y_out) = _overlaps(geometry)
    fine = slices.astype(np.float32)
    if geometry.halvings or geometry.fit == "resize":
        fine = _resize(fine, geometry.span / geometry.size, (x_out, y_out))
    else:
        fine = fine[:, x_out, y_out]
    volume = np.zeros(geometry.volume_shape, dtype=np.float32)
    volume[x_in, y_in, first_slice : first_slice + len(slices)] = fine.transpose(1, 2, 0)
    return volume


def _check_plane(shape: tuple[int, ...], geometry: Geometry) -> None:
    if tuple(shape) != geometry.volume_shape[:2]:
        raise ValueError(f"sections of {shape} do not fit the grid {geometry.volume_shape}")


def _overlaps(geometry: Geometry) -> list[tuple[slice, slice]]:
    """For x and y: the part of the volume inside the square, and its place in the square."""
    result = []
    for start, length in zip(geometry.crop_start, geometry.volume_shape, strict=False):
        low = min(max(start, 0), length)
        high = max(min(start + geometry.span, length), low)
        result.append((slice(low, high), slice(low - start, high - start)))
    return result


def _resize(
    slices: NDArray[np.float32], factor: float, wanted: tuple[slice, slice]
) -> NDArray[np.float32]:
    """Part of slices (S, H, W) that are enlarged by a factor; squares keep their outer edges."""
    slices = _interpolate(slices, factor, wanted[0], axis=1)
    return _interpolate(slices, factor, wanted[1], axis=2)


def _interpolate(
    slices: NDArray[np.float32], factor: float, wanted: slice, axis: int
) -> NDArray[np.float32]:
    """Linear interpolation between pixel centers along one axis, `factor` places to a pixel.

    Pixels are areas, not points: place i lies at (i + 0.5) / factor - 0.5 in pixels. Written as
    a + t (b - a), which keeps constants exactly.
    """
    last = slices.shape[axis] - 1
    place = np.clip((np.arange(wanted.start, wanted.stop) + 0.5) / factor - 0.5, 0, last)
    below = np.minimum(place.astype(np.int64), last - 1)
    shape = [1, 1, 1]
    shape[axis] = len(place)
    fraction = (place - below).astype(np.float32).reshape(shape)
    low = slices.take(below, axis=axis)
    result: NDArray[np.float32] = low + fraction * (slices.take(below + 1, axis=axis) - low)
    return result
