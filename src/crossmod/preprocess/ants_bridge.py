"""The way to ANTs and back: one thread, fixed seed, LPS on the other side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.preprocess.transforms import FLIP_XY, Matrix, from_itk

SEED = 1


def load_ants() -> Any:
    """Import ANTs so that the same scans give the same bytes.

    ITK reads both variables when it first needs them, so they are set before the import: its
    sums depend on the number of threads, its random sampling on the seed.
    """
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    os.environ["ANTS_RANDOM_SEED"] = str(SEED)
    import ants

    return ants


def to_ants(image: Image) -> Any:
    """Copy an image to ANTs; the affine must have no shear (ITK knows none)."""
    affine = FLIP_XY @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return load_ants().from_numpy(
        np.ascontiguousarray(image.data, dtype=np.float32),
        origin=tuple(affine[:3, 3]),
        spacing=tuple(spacing),
        direction=affine[:3, :3] / spacing,
    )


def from_ants(image: Any) -> NDArray[np.float32]:
    """Voxel values of an ANTs image, shape (X, Y, Z)."""
    return np.asarray(image.numpy(), dtype=np.float32)


def read_transform(path: Path | str) -> Matrix:
    """Matrix of a linear transform in any file that ITK reads, fixed to moving, RAS mm."""
    transform = load_ants().read_transform(str(path), precision="double")
    return from_itk(np.asarray(transform.parameters), np.asarray(transform.fixed_parameters))
