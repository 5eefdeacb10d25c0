"""The stage: preprocessed volumes to slice stores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.config import PreprocessSettings, SliceSettings
from crossmod.data import standardization
from crossmod.data.store import FORMAT
from crossmod.errors import InputError
from crossmod.files import atomic_path, write_json
from crossmod.hashing import hash_file
from crossmod.intensity import Normalizer
from crossmod.io import Image, read_image, read_on_grid
from crossmod.paths import split_key
from crossmod.planes import place_section, to_plane
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
        Size, fit, halvings and stored type.
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
        "landmarks": {},
    }


def _slice_session(
    status: Status, status_file: Path, settings: SliceSettings
) -> tuple[NDArray[np.floating], dict[str, Any]]:
    """Array and the manifest keys that describe it."""
    brain_image = read_image(status.path("brain", status_file), dtype=np.uint8)
    brain = brain_image.data > 0
    normalizers: dict[str, dict[str, Any]] = status.details.get("normalizers", {})
    modalities = [name for name in MODALITIES if name in status.outputs and name in normalizers]
    if not modalities:
        problem = "lists no volume with a normalizer"
        raise InputError(status_file, problem, "preprocess the session again")
    geometry = place_section(brain, brain_image.affine, settings, where=status_file)
    filled = np.flatnonzero(brain.any(axis=(0, 1)))
    section = slice(int(filled[0]), int(filled[-1]) + 1)
    shape = (len(modalities), section.stop - section.start, settings.size, settings.size)
    array = np.empty(shape, dtype=settings.dtype)
    occupancy, landmarks = {}, {}
    for row, name in enumerate(modalities):
        covered = covered_brain(status, status_file, name, brain_image)[..., section]
        path = status.path(name, status_file)
        volume = read_on_grid(path, brain_image)[..., section]
        values = normalize(volume, normalizers[name], covered)
        array[row] = to_plane(values, geometry)
        landmarks[name] = standardization.measure(values[covered])
        occupancy[name] = covered.sum(axis=(0, 1)).tolist()
    content = {
        "modalities": modalities,
        "first_slice": section.start,
        "occupancy": occupancy,
        "geometry": geometry.to_dict(),
        "normalizers": {name: normalizers[name] for name in modalities},
        "landmarks": landmarks,
    }
    return array, content


def covered_brain(
    status: Status, status_file: Path, modality: str, brain: Image
) -> NDArray[np.bool_]:
    """Brain voxels (X, Y, Z) that a scan covers: all of them unless a mask says otherwise."""
    name = f"fov-{modality}"
    if name not in status.outputs:
        return brain.data > 0
    field_of_view = read_on_grid(status.path(name, status_file), brain, np.uint8)
    return (brain.data > 0) & (field_of_view > 0)


def normalize(
    volume: NDArray[np.floating], normalizer: Mapping[str, Any], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Map `low` to 0 and `high` to 1 and clip; 0 where `inside` is false."""
    return np.where(inside, Normalizer.of(normalizer).apply(volume), np.float32(0))
