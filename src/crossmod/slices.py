"""From preprocessed volumes to slice stores, and from slices back to volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.data.store import FORMAT, Geometry
from crossmod.errors import InputError
from crossmod.files import atomic_path, write_json
from crossmod.hashing import hash_file
from crossmod.intensity import Normalizer
from crossmod.io import Image, read_image, same_grid
from crossmod.paths import split_key
from crossmod.settings import MODALITIES
from crossmod.status import Status, guarded, read_status

STAGE = "slices"


def make_store(
    status_file: Path, manifest_file: Path, settings: SliceSettings, preprocess: PreprocessSettings
) -> dict[str, Any]:
    """Write the slice store of one session: the array as `.npy` and its manifest.

    Parameters
    ----------
    status_file : path
        Status of the preprocessed session.
    manifest_file : path
        Manifest to write, ending in `.json`; the array lies beside it as `.npy`.
    settings : SliceSettings
        Size, halvings and stored type.
    preprocess : PreprocessSettings
        How the volumes were made; goes into the manifest.

    Returns
    -------
    dict
        The manifest. Its verdict is `failed`, and the array has no elements, if preprocessing
        failed or the volumes cannot be sliced.

    Raises
    ------
    InputError
        If the status file is missing or malformed.
    """
    status = read_status(status_file)
    array = np.zeros((0, 0, 0, 0), dtype=settings.dtype)
    content: dict[str, Any] = _empty_content()

    def work() -> Status:
        nonlocal array, content
        if not status.ok:
            return Status(STAGE, status.session, status.verdict, status.reason)
        array, content = _slice_session(status, status_file, settings)
        return Status(STAGE, status.session)

    verdict = guarded(STAGE, status.session, work)
    array_file = manifest_file.with_suffix(".npy")
    with atomic_path(array_file) as temporary:
        np.save(temporary, array, allow_pickle=False)
    manifest = {
        "format": FORMAT,
        "session": status.session,
        "participant": split_key(status.session)[0],
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "sha256": hash_file(array_file),
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        **content,
        "preprocessed": {
            "preprocess": preprocess.model_dump(mode="json"),
            "hash": preprocess.hash,
            "space": preprocess.space,
            "spacing_mm": preprocess.spacing_mm,
        },
    }
    write_json(manifest_file, manifest)
    return manifest


def _empty_content() -> dict[str, Any]:
    return {
        "modalities": [],
        "first_slice": 0,
        "occupancy": {},
        "geometry": None,
        "normalizers": {},
    }


def _slice_session(
    status: Status, status_file: Path, settings: SliceSettings
) -> tuple[NDArray[np.floating], dict[str, Any]]:
    """Array and the manifest keys that describe it."""
    brain_image = read_image(status.path("brain", status_file), dtype=np.uint8)
    brain = brain_image.data > 0
    normalizers: dict[str, dict[str, float]] = status.details.get("normalizers", {})
    modalities = [name for name in MODALITIES if name in status.outputs and name in normalizers]
    if not modalities:
        problem = "lists no volume with a normalizer"
        raise InputError(status_file, problem, "preprocess the session again")
    geometry = place_crop(brain, brain_image.affine, settings, where=status_file)
    filled = np.flatnonzero(brain.any(axis=(0, 1)))
    section = slice(int(filled[0]), int(filled[-1]) + 1)
    shape = (len(modalities), section.stop - section.start, settings.size, settings.size)
    array = np.empty(shape, dtype=settings.dtype)
    occupancy = {}
    for row, name in enumerate(modalities):
        covered = covered_brain(status, status_file, name, brain_image)[..., section]
        path = status.path(name, status_file)
        volume = _on_grid(path, brain_image)[..., section]
        array[row] = to_plane(normalize(volume, normalizers[name], covered), geometry)
        occupancy[name] = covered.sum(axis=(0, 1)).tolist()
    content = {
        "modalities": modalities,
        "first_slice": section.start,
        "occupancy": occupancy,
        "geometry": geometry.to_dict(),
        "normalizers": {name: normalizers[name] for name in modalities},
    }
    return array, content


def covered_brain(
    status: Status, status_file: Path, modality: str, brain: Image
) -> NDArray[np.bool_]:
    """Brain voxels (X, Y, Z) that a scan covers: all of them unless a mask says otherwise."""
    name = f"fov-{modality}"
    if name not in status.outputs:
        return brain.data > 0
    field_of_view = _on_grid(status.path(name, status_file), brain, np.uint8)
    return (brain.data > 0) & (field_of_view > 0)


def normalize(
    volume: NDArray[np.floating], normalizer: dict[str, float], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Map `low` to 0 and `high` to 1 and clip; 0 where `inside` is false."""
    scale = Normalizer(normalizer["low"], normalizer["high"])
    return np.where(inside, scale.apply(volume), np.float32(0))


def _on_grid(path: Path, grid: Image, dtype: type = np.float32) -> NDArray:
    image = read_image(path, dtype)
    if not same_grid(image, grid):
        problem = "does not lie on the grid of the brain mask"
        raise InputError(path, problem, "delete the session's derivatives and preprocess again")
    return image.data


def place_crop(
    brain: NDArray[np.bool_],
    affine: NDArray[np.float64],
    settings: SliceSettings,
    where: Path | str,
) -> Geometry:
    """Center the square that slices cover on the brain mask's bounding box.

    Parameters
    ----------
    brain : array of bool, shape (X, Y, Z)
        Brain mask, which comes from the reference modality.
    affine : array, shape (4, 4)
        Its affine in mm.
    settings : SliceSettings
        Size and halvings.
    where : path or str
        Named in errors.

    Raises
    ------
    InputError
        If the mask is empty or does not fit into the square.
    """
    if not brain.any():
        raise InputError(where, "has an empty brain mask", "check the brain extraction")
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
    x, y, z = brain.shape
    rows = tuple(tuple(float(v) for v in row) for row in affine)
    return Geometry((x, y, z), rows, (start[0], start[1]), settings.size, settings.halvings)


def to_plane(volume: NDArray[np.floating], geometry: Geometry) -> NDArray[np.float32]:
    """Cut a volume, or a run of its axial sections, into slices as networks see them.

    Parameters
    ----------
    volume : array, shape (X, Y, S)
        X and Y as in `geometry`.
    geometry : Geometry
        Crop and halvings.

    Returns
    -------
    array, shape (S, size, size), float32
        Cropped, zero outside the volume, then halved by 2x2 means.
    """
    _check_plane(volume.shape[:2], geometry)
    slices: NDArray[np.float32] = np.zeros(
        (volume.shape[2], geometry.span, geometry.span), dtype=np.float32
    )
    half = np.float32(0.5)
    (x_in, x_out), (y_in, y_out) = _overlaps(geometry)
    slices[:, x_out, y_out] = volume[x_in, y_in].transpose(2, 0, 1)
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
        Crop and halvings.
    first_slice : int
        Index of the first slice along z.

    Returns
    -------
    array, shape (X, Y, Z), float32
        Zero where no slice lies. With halvings, voxels are interpolated linearly between the
        centers of the pixels; beyond the outermost centers the edge value goes on.
    """
    if slices.shape[1:] != (geometry.size, geometry.size):
        raise ValueError(f"slices of {slices.shape[1:]} do not fit the size {geometry.size}")
    z = geometry.volume_shape[2]
    if not 0 <= first_slice <= first_slice + len(slices) <= z:
        raise ValueError(f"{len(slices)} slices from {first_slice} do not fit into {z}")
    (x_in, x_out), (y_in, y_out) = _overlaps(geometry)
    fine = slices.astype(np.float32)
    if geometry.halvings:
        fine = _interpolate(fine, geometry.factor, x_out, axis=1)
        fine = _interpolate(fine, geometry.factor, y_out, axis=2)
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


def _interpolate(
    slices: NDArray[np.float32], factor: int, wanted: slice, axis: int
) -> NDArray[np.float32]:
    """Linear interpolation between pixel centers along one axis, for the voxels `wanted`.

    The mean over `factor` voxels belongs to the middle between them, so voxel i lies at
    (i + 0.5) / factor - 0.5 in pixels. Written as a + t (b - a), which keeps constants exactly.
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
