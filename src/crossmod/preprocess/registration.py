"""Linear registration with ANTs, from the best of several starts.

Every transform returned takes points of the fixed image to points of the moving one (RAS mm).
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image, same_grid
from crossmod.preprocess.ants_bridge import SEED, load_ants, read_transform, to_ants
from crossmod.preprocess.foreground import within
from crossmod.preprocess.resampling import (
    Grid,
    index_map,
    isotropic_grid,
    part_around,
    resample,
    resample_mask,
    working_copy,
)
from crossmod.preprocess.transforms import Matrix, about, apply, rotation, write_itk

COARSE_MM = 4.0
MARGIN_MM = 10.0
ROOM_MM = 10.0  # by which refining may still move a point
BINS = 32
MOST_POINTS = 20_000
SEARCH_MM = 6.0
SEARCH_POINTS = 5_000
SEARCHES = 3
SEARCH_STEPS = 250
# Degrees or mm between poses that are searched from, and that are refined.
CLOSE_POSE, SAME_POSE = 13.0, 2.0
LEAST_OVERLAP = 0.25
# Tail of the intensities left out: vessels and fat would take most of the histogram's bins.
CLIP_PERCENTILES = (0.5, 99.5)
START_ANGLES_DEG = ((-24, -12, 0, 12, 24), (-12, 0, 12), (-12, 0, 12))  # pitch, roll, yaw
# On one grid a transform must beat the headers by this much mutual information: interpolating
# scans that are aligned already only blurs them. On two grids, where something is interpolated
# anyway, the headers must be better by this much, for coarse copies cannot tell half a millimeter.
LEAST_GAIN = 0.001
# Mutual information falls all around a transform that is right, see `peak_share`. On the phantom,
# from poses up to 60 degrees and 40 mm away, the share is at most .76 where errors were below 2 mm
# and at least .85 where they were above.
PEAK_STEP = 4.0  # degrees and mm
MOST_PEAK_SHARE = 0.83


class Similarity:
    """Normalized mutual information: how well two images explain each other.

    A function of the transform (fixed to moving, RAS mm) from 1, not at all, to 2:
    `(H(A) + H(B)) / H(A, B)` over the voxels in both fields of view; 1 if these hold less than a
    quarter of the mask, so that no transform wins by moving the head out of view.

    Parameters
    ----------
    fixed, moving : Image
        Coarse copies.
    mask : array of bool, optional
        Voxels of `fixed` to look at.
    most_points : int
        How many of them are.

    Notes
    -----
    Studholme, Hill and Hawkes, Pattern Recognition 32:71-86, 1999; 32 bins, linear
    interpolation.
    """

    def __init__(
        self,
        fixed: Image,
        moving: Image,
        mask: NDArray[np.bool_] | None,
        most_points: int = MOST_POINTS,
    ) -> None:
        from scipy import ndimage

        mask = np.ones(fixed.data.shape, dtype=bool) if mask is None else mask
        self.fixed_image, self.moving_image = fixed, moving
        self.fixed, self.moving = Grid.of(fixed), Grid.of(moving)
        # Interpolation smooths, and smooth images explain each other better: on the voxel
        # centers every transform would beat the identity. Off the centers all are smoothed.
        random = np.random.default_rng(SEED)
        points = np.argwhere(mask).astype(np.float64)
        if len(points) > most_points:
            points = points[np.sort(random.choice(len(points), most_points, replace=False))]
        self.index = points + random.uniform(-0.5, 0.5, points.shape)
        scaled = _scaled(fixed.data).astype(np.float32)
        self.bins_fixed = _bins(
            ndimage.map_coordinates(scaled, self.index.T, order=1, mode="nearest")
        )
        self.values = _scaled(moving.data).astype(np.float32)

    def __call__(self, transform: Matrix) -> float:
        """Similarity under a transform, fixed to moving."""
        from scipy import ndimage

        matrix = index_map(self.moving, self.fixed, transform)
        points = apply(matrix, self.index)
        shape = np.array(self.moving.shape)
        inside = ((points >= -0.5) & (points <= shape - 0.5)).all(axis=1)
        if inside.sum() < LEAST_OVERLAP * len(points) or not inside.any():
            return 1.0
        at = points[inside].T
        values = ndimage.map_coordinates(self.values, at, order=1, mode="nearest")
        pairs = self.bins_fixed[inside] * BINS + _bins(values)
        joint = np.bincount(pairs, minlength=BINS * BINS).reshape(BINS, BINS) / inside.sum()
        together = _entropy(joint)
        if together == 0:
            return 1.0
        return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together


def peak_share(similarity: Similarity, found: Matrix) -> float:
    """How far mutual information is from having its peak at a transform.

    Returns
    -------
    float
        The mean of the mutual informations 4 mm and 4 degrees away, in and about each axis both
        ways, divided by that of the transform: .4 to .8 where two scans lie on one another, 1 where
        nothing tells one place from another (`MOST_PEAK_SHARE`).
    """
    center = apply(similarity.fixed.affine, similarity.index.mean(axis=0))
    steps = np.concatenate([np.eye(6), -np.eye(6)]) * PEAK_STEP
    turned = (about(center, rotation(tuple(np.deg2rad(s[:3]))), s[3:]) for s in steps)
    here = similarity(found) - 1
    return float(np.mean([similarity(found @ turn) - 1 for turn in turned])) / max(here, 1e-6)


def _scaled(data: NDArray, limits: NDArray | None = None) -> NDArray[np.float64]:
    low, high = np.percentile(data, CLIP_PERCENTILES) if limits is None else limits
    return np.clip((data - low) / max(high - low, 1e-12), 0, 1)


def _bins(values: NDArray) -> NDArray[np.int64]:
    return np.minimum((values * BINS).astype(np.int64), BINS - 1)


def _entropy(shares: NDArray) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def register(
    fixed: Image, moving: Image, mask: Image, kind: Literal["Rigid", "Affine"] = "Rigid"
) -> Matrix:
    """Find the linear transform between two scans of one head, or of a head and a template.

    Parameters
    ----------
    fixed, moving : Image
        Bias-corrected scans, RAS orientation, any spacing.
    mask : Image
        Brain mask of the fixed image, any grid; it is widened by 10 mm.
    kind : {"Rigid", "Affine"}
        Degrees of freedom.

    Returns
    -------
    array, shape (4, 4)
        Fixed to moving, RAS mm; the identity where the headers are as good.

    Notes
    -----
    Mattes mutual information (ANTs) on copies of 2.5 mm cubes. Starts are searched
    from the headers, the centers of the fields of view and the centers of mass, each with 45
    rotations: an anisotropic or partial scan misleads any single one of these. Which of the
    starts was near shows only after each has been refined. The best end is refined once more on
    copies of 1.5 mm cubes.
    """
    pair = _Pair.of(fixed, moving, mask, COARSELY)
    starts = _search(compared(pair.fixed, pair.moving, mask, SEARCH_MM, SEARCH_POINTS))
    ends = [_refine(pair, start, kind, COARSELY) for start in starts]
    similarity = compared(pair.fixed, pair.moving, mask)
    best = max(ends, key=similarity)
    found = _refine(_Pair.of(fixed, moving, mask, FINELY, best), best, kind, FINELY)
    gain = similarity(found) - similarity(np.eye(4))
    least = LEAST_GAIN if same_grid(fixed, moving) else -LEAST_GAIN
    return found if gain > least else np.eye(4)


def compared(
    fixed: Image,
    moving: Image,
    mask: Image,
    spacing_mm: float = COARSE_MM,
    points: int = MOST_POINTS,
) -> Similarity:
    """Similarity near the brain of copies of the given spacing."""
    fixed, moving = (working_copy(image, spacing_mm) for image in (fixed, moving))
    return Similarity(fixed, moving, near_brain(mask, Grid.of(fixed)), points)


def near_brain(mask: Image, grid: Grid) -> NDArray[np.bool_]:
    """Voxels of `grid` within 10 mm of the brain mask."""
    return within(resample_mask(mask, grid, np.eye(4)), grid.spacing_mm, MARGIN_MM)


def _clipped(image: Image, grid: Grid) -> Image:
    """Copy on a grid in the world of the scan, its intensities from 0 to 1."""
    limits = np.percentile(image.data, CLIP_PERCENTILES)
    copy = resample(image, grid, np.eye(4))
    return copy.with_data(_scaled(copy.data, limits).astype(np.float32))


def _search(similarity: Similarity) -> list[Matrix]:
    """Rigid starts, no two alike: many poses are compared, a few improved (Powell)."""
    from scipy.optimize import minimize

    center = _center_of_mass(similarity.fixed_image)
    moving = similarity.moving_image
    middles = Grid.of(moving).center() - Grid.of(similarity.fixed_image).center()

    def pose(parameters: NDArray) -> Matrix:
        # Degrees and mm: steps of one are of similar size at the edge of a head.
        return about(center, rotation(tuple(np.deg2rad(parameters[:3]))), parameters[3:])

    shifts = (np.zeros(3), middles, _center_of_mass(moving) - center)
    angles = list(itertools.product(*START_ANGLES_DEG))
    starts = [np.array([*turn, *shift]) for shift in shifts for turn in angles]
    starts.sort(key=lambda start: -similarity(pose(start)))
    starts = [np.zeros(6), *_distinct(starts, CLOSE_POSE)[:SEARCHES]]
    ends = [
        minimize(
            lambda parameters: -similarity(pose(parameters)),
            start,
            method="Powell",
            options={"maxfev": SEARCH_STEPS, "xtol": 0.1, "ftol": 1e-4},
        )
        for start in starts
    ]
    ends.sort(key=lambda end: float(end.fun))
    return [pose(end) for end in _distinct([end.x for end in ends], SAME_POSE)]


def _distinct(poses: list[NDArray], apart: float) -> list[NDArray]:
    """Poses in their order that are not next to one before (degrees or mm)."""
    chosen: list[NDArray] = []
    for pose in poses:
        if all(np.abs(pose - other).max() > apart for other in chosen):
            chosen.append(pose)
    return chosen


def _center_of_mass(image: Image) -> NDArray[np.float64]:
    """Center of mass in world mm; negative intensities are lifted to 0."""
    weights = image.data.astype(np.float64)
    weights -= min(0.0, float(weights.min()))
    total = weights.sum()
    axes = [
        (weights.sum(axis=tuple({0, 1, 2} - {k})) * np.arange(n)).sum() / total
        for k, n in enumerate(weights.shape)
    ]
    return apply(image.affine, np.array(axes))


@dataclass(frozen=True)
class _Level:
    """How ANTs refines: on cubes of which size, how many points, at which resolutions.

    With more points in the fine level errors on real scans were no smaller, but times longer in
    proportion; with fewer iterations in the coarse one, poses 20 mm away were missed.
    """

    spacing_mm: float
    points: float  # share of the voxels near the brain
    iterations: tuple[int, ...]
    shrink: tuple[int, ...]
    smoothing: tuple[int, ...]  # voxels

    @property
    def reach_mm(self) -> float:
        """How far smoothing carries intensities."""
        return 3 * max(self.smoothing) * self.spacing_mm


COARSELY = _Level(2.5, 0.15, (100, 40, 15), (4, 2, 1), (2, 1, 0))
FINELY = _Level(1.5, 0.06, (15, 10), (2, 1), (1, 0))


@dataclass(frozen=True)
class _Pair:
    """Copies of two scans, tails of intensity clipped, and where they are compared."""

    fixed: Image
    moving: Image
    region: NDArray[np.bool_]

    @classmethod
    def of(
        cls, fixed: Image, moving: Image, mask: Image, level: _Level, start: Matrix | None = None
    ) -> _Pair:
        """Copies around the brain; of all of the moving scan where no start tells its place."""
        brain = apply(mask.affine, np.argwhere(mask.data).astype(np.float64))
        grids = [isotropic_grid(Grid.of(image), level.spacing_mm) for image in (fixed, moving)]
        grids[0] = part_around(grids[0], brain, MARGIN_MM + level.reach_mm)
        if start is not None:
            room = MARGIN_MM + ROOM_MM + level.reach_mm
            grids[1] = part_around(grids[1], apply(start, brain), room)
        copies = [_clipped(image, grid) for image, grid in zip((fixed, moving), grids, strict=True)]
        return cls(copies[0], copies[1], near_brain(mask, grids[0]))


def _refine(pair: _Pair, start: Matrix, kind: str, level: _Level) -> Matrix:
    ants = load_ants()
    with tempfile.TemporaryDirectory(prefix="crossmod-") as folder:
        initial = Path(folder, "initial.txt")
        write_itk(initial, start)
        result = ants.registration(
            to_ants(pair.fixed),
            to_ants(pair.moving),
            type_of_transform=kind,
            initial_transform=str(initial),
            outprefix=f"{folder}/out_",
            mask=to_ants(pair.fixed.with_data(pair.region.astype(np.float32))),
            aff_metric="mattes",
            aff_sampling=BINS,
            aff_random_sampling_rate=level.points,
            aff_iterations=level.iterations,
            aff_shrink_factors=level.shrink,
            aff_smoothing_sigmas=level.smoothing,
            random_seed=SEED,
        )
        return read_transform(result["fwdtransforms"][0])
