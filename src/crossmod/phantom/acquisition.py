"""How a scanner samples a head: pose, slices, coil shading, noise, stored numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

from crossmod.config import PhantomSettings
from crossmod.io import Image
from crossmod.phantom.fields import coil_shading
from crossmod.phantom.shape import FIELD_OF_VIEW_MM, Grid, centered_grid, rigid
from crossmod.settings import Modality

SLICED: tuple[Modality, ...] = ("T2w", "FLAIR", "PDw")
MRI: tuple[Modality, ...] = ("T1w", "T1ce", "T2w", "FLAIR", "PDw")
VOLUME_ORIENTATIONS = ("RAS", "LPS", "LAS", "PSR")
SLICE_ORIENTATIONS = ("LPS", "LAS", "RAS")
PET_VOXEL_MM, PET_FWHM_MM = 2.6, 5.5
FWHM_PER_SIGMA = 2.3548
BECQUEREL_PER_SUV = 3400.0
SHADING_PERCENTILE = 99.5


@dataclass(frozen=True)
class Pose:
    """Where a scan lies.

    Attributes
    ----------
    grid : Grid
        Voxels of the scan in its own world, RAS+.
    from_t1w : array, shape (4, 4)
        Rigid: T1w world to the world of this scan, mm; the head moved in between.
    thickness_mm : float
        Thickness of a slice; its distance to the next may be larger.
    """

    grid: Grid
    from_t1w: NDArray[np.float64]
    thickness_mm: float


def draw_pose(
    random: np.random.Generator,
    settings: PhantomSettings,
    modality: Modality,
    anatomy_grid: Grid,
    brain: NDArray,
) -> Pose:
    """Draw where a scan other than T1w lies.

    The head turns by about 1.5 degrees per axis and moves by about 2 mm; slices are tilted by the
    operator, and cover the brain with a margin, not the face and neck.

    Parameters
    ----------
    random : Generator
        Stream of this modality.
    settings : PhantomSettings
        Resolution and slice thickness.
    modality : str
        What is scanned.
    anatomy_grid : Grid
        Grid of the T1w scan.
    brain : array of bool
        Brain mask on that grid.
    """
    center = _center(anatomy_grid)
    motion = rigid(random.normal(0, 1.5, 3), random.normal(0, 2.0, 3))
    about_center = np.eye(4)
    about_center[:3, 3] = center - motion[:3, :3] @ center
    from_t1w = about_center.copy()
    from_t1w[:3, :3] = motion[:3, :3]
    from_t1w[:3, 3] += motion[:3, 3]
    moved_center = (from_t1w @ [*center, 1])[:3]
    if modality not in SLICED:
        voxel = PET_VOXEL_MM if modality == "PET" else settings.resolution_mm
        voxel = max(voxel, settings.resolution_mm)
        grid = centered_grid(np.array(FIELD_OF_VIEW_MM), np.full(3, voxel), np.eye(3), moved_center)
        return Pose(grid, from_t1w, voxel)
    tilt = Rotation.from_euler("xyz", random.normal((-5, 0, 0), (5, 1.2, 1.2)), degrees=True)
    rotation = tilt.as_matrix()
    in_plane = max(random.uniform(0.65, 0.9) * settings.resolution_mm, 0.9)
    spacing = settings.slice_thickness_mm * (1 + float(random.choice([0.0, 0.1, 0.2])))
    low, high = _extent_along(rotation[:, 2], from_t1w, anatomy_grid, brain)
    low, high = low - random.uniform(5, 12), high + random.uniform(5, 12)
    moved_center = moved_center + rotation[:, 2] * (
        (low + high) / 2 - moved_center @ rotation[:, 2]
    )
    extent = np.array([FIELD_OF_VIEW_MM[0] + 4, FIELD_OF_VIEW_MM[1] - 6, high - low])
    step = np.array([in_plane, in_plane, spacing])
    grid = centered_grid(extent, step, rotation, moved_center)
    return Pose(grid, from_t1w, settings.slice_thickness_mm)


def _center(grid: Grid) -> NDArray[np.float64]:
    return (grid.affine @ [*((np.array(grid.shape) - 1) / 2), 1.0])[:3]


def _extent_along(
    axis: NDArray, from_t1w: NDArray, grid: Grid, brain: NDArray
) -> tuple[float, float]:
    """Lowest and highest position of the brain along `axis`, mm."""
    index = np.argwhere(brain[::3, ::3, ::3]) * 3
    matrix = from_t1w @ grid.affine
    along = (index * (axis @ matrix[:3, :3])).sum(axis=1) + axis @ matrix[:3, 3]
    return float(along.min()), float(along.max())


def sample(clean: NDArray, anatomy_grid: Grid, pose: Pose, outside: float) -> NDArray[np.float32]:
    """Resample the noise-free image on the grid of a scan; slices average over their thickness."""
    spacing = pose.grid.spacing_mm[2]
    count = max(1, int(np.ceil(pose.thickness_mm / anatomy_grid.spacing_mm[2] - 1e-6)))
    matrix = np.linalg.inv(pose.from_t1w @ anatomy_grid.affine) @ pose.grid.affine
    total = np.zeros(pose.grid.shape, dtype=np.float32)
    for k in range(count):
        shift = ((k + 0.5) / count - 0.5) * pose.thickness_mm / spacing
        offset = matrix[:3, 3] + matrix[:3, 2] * shift
        total += affine_transform(
            clean,
            matrix[:3, :3],
            offset,
            output_shape=pose.grid.shape,
            output=np.float32,
            order=1,
            cval=outside,
        )
    total /= np.float32(count)
    return total


def blur(clean: NDArray, fwhm_mm: float, spacing_mm: float) -> NDArray[np.float32]:
    """Gaussian blur of a scanner with poor resolution."""
    return gaussian_filter(clean, fwhm_mm / FWHM_PER_SIGMA / spacing_mm, truncate=3.0)


def record_mri(
    random: np.random.Generator, signal: NDArray, level: float, field_tesla: float
) -> NDArray:
    """Coil shading, Rician noise, and the scanner's own scale as integers.

    Parameters
    ----------
    random : Generator
        Stream of this modality.
    signal : array, shape (X, Y, Z)
        Noise-free signal on the grid of the scan.
    level : float
        Signal that counts as bright (a high percentile in the brain).
    field_tesla : float
        Shading grows with the field.

    Returns
    -------
    array of uint16 or int16
        Stored values; the factor to the signal is arbitrary, as scanners have it.

    Notes
    -----
    The magnitude of a complex signal with independent Gaussian noise in both parts is Rician
    (Gudbjartsson and Patz, Magn Reson Med 34, 1995).
    """
    strength = random.uniform(0.08, 0.16) * (1.4 if field_tesla > 2 else 1.0)
    noise = np.float32(random.uniform(0.012, 0.03) * level)
    bright = float(np.exp(random.uniform(np.log(400), np.log(4000))))
    kind = np.uint16 if random.random() < 0.5 else np.int16
    real = signal * coil_shading(random, signal.shape, strength)
    real += noise * random.standard_normal(signal.shape, dtype=np.float32)
    imaginary = noise * random.standard_normal(signal.shape, dtype=np.float32)
    magnitude = np.hypot(real, imaginary)
    return np.clip(np.rint(magnitude * np.float32(bright / level)), 0, 32767).astype(kind)


def record_ct(random: np.random.Generator, numbers: NDArray) -> NDArray[np.int16]:
    """CT numbers with noise of 5 to 9 HU."""
    noise = np.float32(random.uniform(5, 9))
    noisy = numbers + noise * random.standard_normal(numbers.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), -1024, 3071).astype(np.int16)


def record_pet(random: np.random.Generator, uptake: NDArray) -> NDArray[np.uint16]:
    """Activity in Bq/ml; the noise grows with the square root of the activity."""
    scale = BECQUEREL_PER_SUV * random.uniform(0.8, 1.25)
    white = random.standard_normal(uptake.shape, dtype=np.float32)
    correlated = gaussian_filter(white, 1.0) * np.float32(6.7)
    noisy = uptake + np.float32(0.08) * np.sqrt(np.clip(uptake, 0.02, None)) * correlated
    return np.clip(np.rint(noisy * scale), 0, 65535).astype(np.uint16)


def draw_orientation(random: np.random.Generator, modality: Modality) -> str:
    """Axis codes of the stored file."""
    choices = SLICE_ORIENTATIONS if modality in SLICED else VOLUME_ORIENTATIONS
    return choices[int(random.integers(len(choices)))]


def oriented(data: NDArray, affine: NDArray, codes: str) -> Image:
    """Store along other axes; the place of every voxel in the world stays."""
    change = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    turned = np.ascontiguousarray(apply_orientation(data, change))
    return Image(turned, affine @ inv_ornt_aff(change, data.shape))
