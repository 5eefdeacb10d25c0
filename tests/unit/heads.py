"""Synthetic heads for tests: ellipsoids with known truth, balls, texture."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from crossmod.io import Image

# Intensities of scalp, skull, CSF, gray matter, white matter.
TISSUES = {
    "T1w": (1200.0, 60.0, 120.0, 420.0, 620.0),
    "T2w": (450.0, 50.0, 900.0, 520.0, 380.0),
    "FLAIR": (300.0, 40.0, 90.0, 480.0, 400.0),
}


def points(shape, affine):
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def inside(where, radii, center=(0, 0, 0)):
    return (((where - np.array(center)) / np.array(radii)) ** 2).sum(axis=-1) <= 1


def make_head(
    modality="T1w", spacing=(3.0, 3.0, 3.0), pose=None, skull=True, noise=8.0, seed=0, cysts=()
):
    """Head about the world's origin and its brain mask (CSF not counted as brain).

    `pose` (4 x 4) takes points of the head to points of the scanner, RAS mm. Without `cysts` (radii
    and center in mm), the head looks much the same after a turn about the y axis.
    """
    pose = np.eye(4) if pose is None else pose
    spacing = np.array(spacing)
    shape = tuple(int(v) for v in np.ceil(np.array([190, 220, 200]) / spacing))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) * spacing / 2
    where = points(shape, np.linalg.inv(pose) @ affine)
    scalp, bone, csf, gray, white = TISSUES[modality]
    brain = inside(where, (65, 80, 62))
    data = np.zeros(shape)
    if skull:
        data[inside(where, (82, 98, 80))] = scalp
        data[inside(where, (75, 90, 72))] = bone
        data[inside(where, (67, 82, 64))] = csf
    data[brain] = gray
    data[inside(where, (55, 68, 50))] = white
    data[inside(where, (8, 25, 12), (14, 0, 8))] = csf
    data[inside(where, (8, 22, 12), (-14, -4, 8))] = csf
    data[inside(where, (9, 9, 9), (30, 30, 15))] = gray
    data[inside(where, (10, 14, 9), (-28, -35, -12))] = gray
    for radii, center in cysts:
        data[inside(where, radii, center)] = csf
    if noise:
        random = np.random.default_rng(seed)
        noisy = np.hypot(data + random.normal(0, noise, shape), random.normal(0, noise, shape))
        data = noisy if skull else np.where(data > 0, noisy, 0)
    return Image(data.astype(np.float32), affine), brain


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def ball(shape, radius=0.8):
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    return sum(a**2 for a in axes) < radius**2


def textured(shape, seed=0, sigma=1.0):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return np.clip(0.5 + 0.15 * noise / noise.std(), 0, 1)
