"""The acquired target of a session, synthetic volumes laid beside it, and a score of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.data.store import Store
from crossmod.errors import InputError
from crossmod.evaluation import image_quality as quality
from crossmod.intensity import Normalizer, scored_by, to_scored
from crossmod.io import Image, read_image, read_on_grid
from crossmod.masks import bounding_box
from crossmod.slices import covered_brain
from crossmod.spatial import Transform, inverted, sample
from crossmod.status import Status

LEAST_VOXELS = 30
LESION_MARGIN_MM = 3.0
FRAME_MM = 256.0
SEED_RUN_MM = 80.0
# Windows that touch the brain reach this far out of it.
MARGIN = quality.SSIM_WINDOW // 2

Volume = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """One number; the measures of one region share `voxels`."""

    region: str
    protocol: str
    metric: str
    value: float
    voxels: int


@dataclass(frozen=True)
class Truth:
    """The acquired target of one session, cut to the box of its brain.

    Attributes
    ----------
    target : str
        Modality.
    volume : array, shape (x, y, z)
        In [0, 1] on the scale of scores, made from its own intensities; 0 outside the brain.
    regions : dict of str to array of bool, shape (x, y, z)
        `brain`, and `lesion` and `healthy` where lesions are annotated.
    box : tuple of slice
        Place of the box in the common grid.
    grid : Image
        Brain mask on the whole common grid.
    low, high : float
        Intensities that were mapped to 0 and 1.
    seed_slices : array of int
        Slices of the box that protocols of whole slices score.
    normalization : mapping
        Record of the normalization that predictions are made in; empty if it is that of scores.
    """

    target: str
    volume: Volume
    regions: dict[str, Mask]
    box: tuple[slice, slice, slice]
    grid: Image
    low: float
    high: float
    seed_slices: NDArray[np.int64]
    normalization: Mapping[str, Any] = field(default_factory=dict)

    @property
    def brain(self) -> Mask:
        """Brain inside the target's field of view."""
        return self.regions["brain"]

    @property
    def frame(self) -> tuple[int, int]:
        """Pixels of a whole slice of `FRAME_MM`, or more where the box needs it."""
        width, height, _ = self.grid.spacing_mm
        rows, columns, _ = (length + 2 * quality.MS_SSIM_WINDOW for length in self.volume.shape)
        return max(round(FRAME_MM / width), rows), max(round(FRAME_MM / height), columns)

    def cut(self, volume: NDArray[np.floating]) -> Volume:
        """Cut a volume on the common grid to the box; 0 outside the brain."""
        return np.where(self.brain, volume[self.box].astype(np.float64), 0)


def load_truth(
    status: Status, status_file: Path, target: str, sources: tuple[str, ...], store: Store | None
) -> Truth:
    """Read the acquired target of one session.

    Parameters
    ----------
    status, status_file : Status, path
        Preprocessed session, which has the target.
    target : str
        Synthesized modality.
    sources : tuple of str
        Modalities it was made from; they decide which whole slices are scored.
    store : Store or None
        Slice store of the session; without one, the slices are chosen on the target.

    Raises
    ------
    InputError
        If files are missing or do not fit each other, or the target covers less than
        `LEAST_VOXELS` voxels of the brain.
    """
    mask = read_image(status.path("brain", status_file), dtype=np.uint8)
    grid = mask.with_data(mask.data > 0)
    brain = covered_brain(status, status_file, target, grid)
    if int(brain.sum()) < LEAST_VOXELS:
        problem = f"covers {int(brain.sum())} voxels of the brain, {LEAST_VOXELS} are needed"
        raise InputError(f"{status.session} {target}", problem, "check scan and registration")
    normalization = status.details["normalizers"][target]
    scale = scored_by(normalization)
    volume = read_on_grid(status.path(target, status_file), grid)
    box = bounding_box(brain, margin=MARGIN, least=quality.SSIM_WINDOW)
    regions = {"brain": brain[box]}
    if "lesion" in status.outputs:
        lesion: Mask = read_on_grid(status.path("lesion", status_file), grid, np.uint8) > 0
        regions["lesion"] = lesion[box] & brain[box]
        near = near_mask(lesion, grid.spacing_mm, LESION_MARGIN_MM)
        regions["healthy"] = brain[box] & ~near[box]
    return Truth(
        target=target,
        volume=np.where(brain[box], scale.apply(volume[box]), 0).astype(np.float64),
        regions=regions,
        box=box,
        grid=grid,
        low=scale.low,
        high=scale.high,
        seed_slices=_seed_slices(brain, box[2], grid.spacing_mm[2], sources, store),
        normalization=normalization,
    )


def near_mask(mask: Mask, spacing_mm: tuple[float, float, float], distance_mm: float) -> Mask:
    """Voxels (X, Y, Z) whose center lies within a distance of a voxel of the mask."""
    from scipy.ndimage import distance_transform_edt

    near: Mask = np.zeros(mask.shape, dtype=bool)
    if mask.any():
        box = bounding_box(mask, margin=math.ceil(distance_mm / min(spacing_mm)))
        distances: Volume = distance_transform_edt(~mask[box], sampling=spacing_mm)
        near[box] = distances <= distance_mm
    return near


def _seed_slices(
    brain: Mask,
    box_z: slice,
    spacing_mm: float,
    sources: tuple[str, ...],
    store: Store | None,
) -> NDArray[np.int64]:
    """Slices of the box with truth, of the middle `SEED_RUN_MM` of those that all sources cover."""
    with_truth: Mask = np.asarray(brain.any(axis=(0, 1)))
    covered = np.zeros_like(with_truth)
    if store is not None:
        counts = [store.occupancy[name] for name in sources]
        here = slice(store.first_slice, store.first_slice + len(store))
        covered[here] = np.all([count > 0 for count in counts], axis=0)
    else:
        covered[:] = with_truth
    run = np.flatnonzero(covered)
    if run.size == 0:
        return run
    length = int(run[-1] - run[0]) + 1
    number = min(max(round(SEED_RUN_MM / spacing_mm), 1), length)
    start = int(run[0]) + (length - number) // 2
    chosen = np.arange(start, start + number)
    return chosen[with_truth[chosen]] - box_z.start


def load_normalized(truth: Truth, path: Path) -> Volume:
    """Synthetic volume on the common grid, cut to the truth's box, on the scale of scores.

    Raises
    ------
    InputError
        If it cannot be read or lies on another grid.
    """
    values = truth.cut(read_on_grid(path, truth.grid))
    return np.where(truth.brain, to_scored(values, truth.normalization), 0)


def load_delivered(truth: Truth, path: Path, to_raw: Transform) -> Volume:
    """Delivered file, resampled onto the common grid and mapped to [0, 1] as the truth.

    Parameters
    ----------
    truth : Truth
        Acquired target.
    path : path
        File on the grid of the reference scan, in the scale of the training cohort.
    to_raw : Transform
        RAS+ world in mm of the common grid to RAS+ world in mm of the reference scan.

    Notes
    -----
    Linear interpolation; outside the file's grid lies 0, its background.
    """
    delivered = read_image(path)
    start = truth.grid.affine.copy()
    start[:3, 3] += start[:3, :3] @ [part.start for part in truth.box]
    to_voxel = to_raw.following(start).then(inverted(delivered.affine))
    values = sample(
        delivered.data.astype(np.float64), to_voxel, truth.volume.shape, 1, "grid-constant"
    )
    scaled = Normalizer(truth.low, truth.high).apply(values).astype(np.float64)
    return np.where(truth.brain, scaled, 0)
