"""Tumours and white-matter plaques as fractions of voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial.transform import Rotation

from crossmod.phantom.tissues import LESIONS, Tissue

# A voxel of CSF this deep inside the brain belongs to a ventricle, not to a sulcus.
VENTRICLE_DEPTH_MM = 20.0


@dataclass(frozen=True)
class BrainMaps:
    """Healthy brain on the box of the anatomy grid that holds it.

    Attributes
    ----------
    spacing_mm : float
        Voxel size.
    fluid, white : array, shape (X, Y, Z)
        Fractions of CSF and white matter.
    depth_mm : array, shape (X, Y, Z)
        Distance to the surface of the brain, positive inside.
    side, height : array, shape (X, Y, Z)
        x and z in template space, mm.
    noise : array, shape (X, Y, Z)
        Field of unit variance that makes lesions irregular.
    """

    spacing_mm: float
    fluid: NDArray[np.float32]
    white: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    side: NDArray[np.float32]
    height: NDArray[np.float32]
    noise: NDArray[np.float32]


Fractions = dict[Tissue, NDArray[np.float32]]


def draw_lesions(random: np.random.Generator, group: str, maps: BrainMaps) -> Fractions:
    """Fraction of every voxel that each kind of lesion takes; empty for healthy subjects."""
    if group == "healthy":
        return {}
    fractions = {tissue: np.zeros_like(maps.white) for tissue in LESIONS}
    if group == "tumour":
        _draw_tumour(random, maps, fractions)
    else:
        _draw_plaques(random, maps, fractions)
    return {tissue: fraction for tissue, fraction in fractions.items() if fraction.any()}


def _draw_tumour(random: np.random.Generator, maps: BrainMaps, fractions: Fractions) -> None:
    """One tumour: necrotic core, enhancing rim, and oedema that spreads along white matter."""
    deep = (maps.white > 0.7) & (maps.depth_mm > 14) & (maps.height > -12)
    deep &= np.abs(maps.side) > 12
    center = _pick(random, deep.astype(np.float32))
    radii = random.uniform(9, 19) * np.exp(random.normal(0, 0.15, 3))
    core_share = random.uniform(0.45, 0.75)
    reach_mm = random.uniform(7, 18)
    radius = float(np.cbrt(np.prod(radii)))

    box, distance = _blob(random, maps, center, radii, reach=1 + (reach_mm + 6) / min(radii))
    edge = radius / maps.spacing_mm
    # Gliomas of one hemisphere seldom cross the midline, and ventricles stay ventricles.
    same_side = np.clip(maps.side[box] * np.sign(maps.side[center]) / 2, 0, 1)
    room = (1 - maps.fluid[box] ** 3) * same_side
    solid = np.clip((1 - distance) * edge + 0.5, 0, 1) * room
    core = np.clip((core_share - distance) * edge + 0.5, 0, 1) * room
    fade = np.clip((1 + reach_mm / radius - distance) * radius / 5, 0, 1)
    oedema = fade * maps.white[box] * same_side * np.clip(1 - solid, 0, 1) * 0.9
    fractions[Tissue.CORE][box] = core
    fractions[Tissue.RIM][box] = np.clip(solid - core, 0, 1)
    fractions[Tissue.OEDEMA][box] = np.minimum(oedema, 1 - solid)


def _draw_plaques(random: np.random.Generator, maps: BrainMaps, fractions: Fractions) -> None:
    """Ovoid white-matter lesions, most of them beside the ventricles."""
    near = np.exp(-_ventricle_distance(maps) / 5) * 0.9 + 0.02
    weight = near * (maps.white > 0.6) * (maps.depth_mm > 3)
    count = int(np.clip(random.lognormal(np.log(18), 0.5), 6, 45))
    total = fractions[Tissue.PLAQUE]
    for _ in range(count):
        center = _pick(random, weight)
        radii = np.clip(random.lognormal(np.log(3.2), 0.4), 1.8, 8) * np.array([1, 1, 1.4])
        severity = random.uniform(0.55, 1.0)
        box, distance = _blob(random, maps, center, radii, reach=1.7)
        soft = np.clip((1 - distance) * min(radii) / (maps.spacing_mm * 1.3) + 0.5, 0, 1)
        plaque = severity * soft * np.clip(1.15 * maps.white[box], 0, 1)
        total[box] = np.maximum(total[box], plaque)


def _pick(random: np.random.Generator, weight: NDArray) -> tuple[int, ...]:
    """Voxel drawn with probability proportional to `weight`."""
    sums = np.cumsum(weight.ravel(), dtype=np.float64)
    index = int(np.searchsorted(sums, random.random() * sums[-1], side="right"))
    return tuple(int(i) for i in np.unravel_index(index, weight.shape))


def _blob(
    random: np.random.Generator,
    maps: BrainMaps,
    center: tuple[int, ...],
    radii: NDArray,
    reach: float,
) -> tuple[tuple[slice, ...], NDArray]:
    """Box around an irregular rotated ellipsoid and the scaled distance in it (1 at its edge)."""
    half = int(np.ceil(max(radii) * reach * 1.3 / maps.spacing_mm))
    box = tuple(
        slice(max(c - half, 0), min(c + half + 1, n))
        for c, n in zip(center, maps.white.shape, strict=True)
    )
    axes = np.ogrid[box]
    offset = np.stack(np.broadcast_arrays(*[a - c for a, c in zip(axes, center, strict=True)]))
    turn = Rotation.random(rng=random).as_matrix() / radii[:, None]
    scaled = np.einsum("ij,j...->i...", turn, offset * maps.spacing_mm)
    distance = np.sqrt((scaled**2).sum(axis=0))
    return box, distance * np.exp(0.16 * maps.noise[box])


def _ventricle_distance(maps: BrainMaps) -> NDArray[np.float32]:
    """Distance to the nearest ventricle in mm."""
    ventricle = (maps.fluid > 0.6) & (maps.depth_mm > VENTRICLE_DEPTH_MM)
    coarse = distance_transform_edt(~ventricle[::2, ::2, ::2], sampling=2 * maps.spacing_mm)
    repeated = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return repeated[tuple(slice(n) for n in ventricle.shape)].astype(np.float32)
