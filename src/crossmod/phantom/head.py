"""The head around the brain: skull, scalp, eyes, sinuses, face and neck, by simple solids.

The tissue maps hold the brain alone, so everything else is drawn in template space, in mm
(x to the right, y to the front, z up; the anterior commissure is the origin).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from crossmod.phantom.fields import smooth_field
from crossmod.phantom.shape import Grid
from crossmod.phantom.tissues import Tissue

Solid = Callable[[NDArray], NDArray]
Point = tuple[float, float, float]

SKIN_MM = 2.0


def ellipsoid(center: Point, radii: Point) -> Solid:
    """Approximate signed distance to an ellipsoid, mm (Quilez's two-norm bound)."""
    middle, size = _column(center), _column(radii)

    def distance(points: NDArray) -> NDArray:
        offset = (points - middle) / size
        outer = np.sqrt(_dot(offset, offset))
        offset /= size
        return outer * (outer - 1) / np.sqrt(_dot(offset, offset) + np.float32(1e-12))

    return distance


def capsule(start: Point, end: Point, radius: float) -> Solid:
    """Signed distance to a rod with round ends, mm."""
    a, axis = _column(start), _column(end) - _column(start)
    length_squared = float((axis**2).sum())

    def distance(points: NDArray) -> NDArray:
        offset = points - a
        along = np.clip(_dot(offset, axis) / np.float32(length_squared), 0, 1)
        offset -= axis * along
        return np.sqrt(_dot(offset, offset)) - np.float32(radius)

    return distance


def _dot(a: NDArray, b: NDArray) -> NDArray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _column(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32).reshape(3, 1, 1, 1)


def _smooth_union(a: NDArray, b: NDArray, width: float) -> NDArray:
    """Union of two distances, rounded over `width` mm."""
    overlap = np.clip(width - np.abs(a - b), 0, None) / np.float32(width)
    return np.minimum(a, b) - overlap * overlap * np.float32(width / 4)


class HeadBuilder:
    """Draws the tissues outside the brain of one subject.

    Parameters
    ----------
    grid : Grid
        Anatomy grid.
    points : array, shape (3, X, Y, Z)
        Template position of its voxels, mm.
    distance : array, shape (X, Y, Z)
        Distance to the surface of the brain, mm, negative inside.
    random : Generator
        Draws thicknesses and irregularities.
    """

    def __init__(
        self, grid: Grid, points: NDArray, distance: NDArray, random: np.random.Generator
    ) -> None:
        self.grid, self.points, self.distance, self.random = grid, points, distance, random
        self.labels = np.zeros(grid.shape, dtype=np.uint8)
        resolution = float(grid.spacing_mm[0])
        wave = smooth_field(random, grid.shape, max(35 / resolution, 2))
        self.noise = smooth_field(random, grid.shape, max(6 / resolution, 1.5))
        self.fluid_mm = float(random.uniform(0.8, 2.0))
        skull = np.clip(float(random.normal(6.5, 0.8)) + wave, 4.0, 9.5)
        self.skull_outer = np.float32(self.fluid_mm + 0.8) + skull
        self.fat_mm = float(random.uniform(2.5, 5.5))
        self.free = distance > 0
        # Lowest and highest template position of every grid plane, per axis.
        self.planes = [
            np.stack(
                [reduce(points[i][_thinned(i)], axis=_others(i)) for reduce in (np.min, np.max)]
            )
            for i in range(3)
        ]

    def build(self) -> NDArray[np.uint8]:
        """Label of every voxel; inside the brain it is `AIR`, to be filled by others."""
        outside = self._outline()
        self._soft_tissue(outside)
        self._cranium()
        self._face()
        self._airways()
        self._neck()
        self._eyes()
        self._vessels()
        self.labels[outside > 0] = Tissue.AIR
        return self.labels

    def _box(self, low: Point, high: Point) -> tuple[slice, ...]:
        """Part of the grid that can hold template positions from `low` to `high`."""
        slices = []
        for axis in range(3):
            lowest, highest = self.planes[axis]
            where = np.flatnonzero((highest > low[axis] - 2) & (lowest < high[axis] + 2))
            slices.append(slice(where[0], where[-1] + 1) if len(where) else slice(0, 0))
        return tuple(slices)

    def _draw(
        self, tissue: Tissue, solid: Solid, low: Point, high: Point, grow_mm: float = 0.0
    ) -> None:
        """Give `tissue` to the voxels of `solid` outside the brain."""
        box = self._box(low, high)
        region = self.labels[box]
        if region.size:
            hit = (solid(self.points[(slice(None), *box)]) < grow_mm) & self.free[box]
            region[hit] = tissue

    def _ball(self, tissue: Tissue, center: Point, radii: Point, grow_mm: float = 0.0) -> None:
        reach = np.add(radii, grow_mm)
        low, high = np.subtract(center, reach), np.add(center, reach)
        self._draw(tissue, ellipsoid(center, radii), tuple(low), tuple(high), grow_mm)

    def _rod(
        self, tissue: Tissue, start: Point, end: Point, radius: float, grow_mm: float = 0.0
    ) -> None:
        low = np.minimum(start, end) - radius - grow_mm
        high = np.maximum(start, end) + radius + grow_mm
        self._draw(tissue, capsule(start, end, radius), tuple(low), tuple(high), grow_mm)

    def _outline(self) -> NDArray:
        """Signed distance to the skin, mm."""
        outside = self.distance - (self.skull_outer + np.float32(self.fat_mm + SKIN_MM))
        for center, radii, width in (
            ((0, 22, -62), (69, 69, 72), 18.0),
            ((0, -22, -150), (61, 66, 120), 22.0),
            ((0, 72, -108), (30, 18, 16), 22.0),
            ((0, 90, -62), (13, 24, 20), 10.0),
            ((0, 86, -46), (7, 14, 26), 10.0),
            ((83, -22, -40), (8, 16, 30), 5.0),
            ((-83, -22, -40), (8, 16, 30), 5.0),
        ):
            reach = np.add(radii, width)
            box = self._box(tuple(np.subtract(center, reach)), tuple(np.add(center, reach)))
            near = ellipsoid(center, radii)(self.points[(slice(None), *box)])
            outside[box] = _smooth_union(outside[box], near, width)
        return outside

    def _soft_tissue(self, outside: NDArray) -> None:
        """Skin, a layer of fat, and muscle with fatty strands below."""
        self.labels[outside < 0] = Tissue.SKIN
        under = outside < -SKIN_MM
        self.labels[under] = Tissue.FAT
        deep = outside < -np.float32(SKIN_MM + self.fat_mm)
        deep &= self.noise > -1.6
        self.labels[deep] = Tissue.MUSCLE

    def _cranium(self) -> None:
        """Fluid, dura, and a skull of two tables with marrow between."""
        distance = self.distance
        thickness = self.skull_outer - np.float32(self.fluid_mm + 0.8)
        relative = (distance - np.float32(self.fluid_mm + 0.8)) / thickness
        self.labels[relative < 1] = Tissue.BONE
        diploe = (np.abs(relative - 0.5) < 0.22) & (thickness > 4.5)
        diploe &= self.noise > -1.3
        self.labels[diploe] = Tissue.MARROW
        self.labels[distance < self.fluid_mm + 0.8] = Tissue.DURA
        self.labels[distance < self.fluid_mm] = Tissue.CSF
        self.labels[distance < 0] = Tissue.AIR

    def _face(self) -> None:
        """Bone of the upper and lower jaw, cheek bones, teeth and tongue."""
        for side in (-1, 1):
            self._rod(Tissue.BONE, (side * 45, 45, -62), (side * 60, 20, -60), 4.0)
            self._rod(Tissue.BONE, (side * 47, 14, -62), (side * 42, 30, -108), 5.0)
            self._rod(Tissue.BONE, (side * 42, 30, -108), (side * 10, 74, -114), 6.5)
            self._rod(Tissue.MARROW, (side * 42, 30, -108), (side * 10, 74, -114), 3.5)
            self._rod(Tissue.BONE, (side * 26, 46, -82), (side * 8, 74, -84), 7.0)
            self._rod(Tissue.BONE, (side * 26, 46, -94), (side * 8, 73, -97), 4.5)
        self._rod(Tissue.BONE, (-10, 74, -114), (10, 74, -114), 6.5)
        self._rod(Tissue.BONE, (-8, 74, -84), (8, 74, -84), 7.0)
        self._rod(Tissue.BONE, (-8, 73, -97), (8, 73, -97), 4.5)
        self._ball(Tissue.BONE, (0, 50, -76), (26, 28, 3))
        self._ball(Tissue.MUSCLE, (0, 46, -95), (22, 25, 14))

    def _airways(self) -> None:
        """Sinuses in bone, nasal cavity with mucosa, throat, mastoid cells."""
        width = float(self.random.uniform(0.85, 1.15))
        hollows = [((0.0, 18.0, -46.0), (10.0 * width, 9.0, 7.0))]
        for side in (-1, 1):
            hollows += [
                ((side * 27.0, 52.0, -62.0), (11.0 * width, 14.0, 13.0)),
                ((side * 9.0, 46.0, -42.0), (4.5, 14.0, 7.0)),
                ((side * 10.0, 76.0, -22.0), (8.0 * width, 4.0, 8.0)),
            ]
        for center, radii in hollows:
            self._ball(Tissue.BONE, center, radii, grow_mm=1.8)
        for center, radii in hollows:
            self._ball(Tissue.MUCOSA, center, radii, grow_mm=0.3)
            self._ball(Tissue.AIR, center, radii, grow_mm=-1.0)
        for side in (-1, 1):
            self._ball(Tissue.MUCOSA, (side * 7, 58, -60), (8, 30, 15))
            self._ball(Tissue.AIR, (side * 5, 60, -66), (2.0, 30, 5))
            self._ball(Tissue.AIR, (side * 6, 60, -55), (1.8, 28, 6))
            self._ball(Tissue.BONE, (side * 58, -30, -50), (8, 13, 15))
            self._ball(Tissue.AIR, (side * 59, -30, -50), (4, 8, 10))
        self._rod(Tissue.AIR, (0, 26, -64), (0, 12, -84), 7.0)
        self._rod(Tissue.AIR, (0, 12, -84), (0, 8, -150), 7.5)

    def _neck(self) -> None:
        """Vertebrae, spinal canal and cord, which go on where the tissue maps end."""
        top, bottom = (0.0, -44.0, -66.0), (0.0, -40.0, -160.0)
        self._rod(Tissue.BONE, (0, -26, -84), (0, -20, -160), 11.0)
        self._rod(Tissue.MARROW, (0, -26, -84), (0, -20, -160), 9.0)
        for level in range(5):
            self._ball(Tissue.DURA, (0, -25 + level, -92 - 17 * level), (10.5, 10.5, 2.5))
            start, end = (0.0, -52.0, -82.0 - 17 * level), (0.0, -72.0, -88.0 - 17 * level)
            self._rod(Tissue.BONE, start, end, 3.5)
        self._rod(Tissue.BONE, (0, -44, -84), bottom, 12.5)
        self._rod(Tissue.CSF, top, bottom, 9.0)
        self._rod(Tissue.WHITE, top, bottom, 5.5)

    def _eyes(self) -> None:
        """Orbits with fat, globes with lens, optic nerves, two muscles each."""
        for side in (-1, 1):
            globe = (side * 32.0, 61.0, -40.0)
            apex = (side * 13.0, 17.0, -35.0)
            cone = ((side * 28.0, 46.0, -39.0), (17.0, 27.0, 17.0))
            self._ball(Tissue.BONE, *cone, grow_mm=1.8)
            self._ball(Tissue.FAT, *cone)
            self._rod(Tissue.WHITE, (globe[0], 49.0, -40.0), apex, 2.0)
            for lateral in (-1, 1):
                insertion = (globe[0] + lateral * 11.0, 58.0, -40.0)
                self._rod(Tissue.MUSCLE, insertion, (apex[0] + lateral * 3, 20.0, -36.0), 1.8)
            self._ball(Tissue.SKIN, (globe[0], 75.0, -40.0), (13.0, 3.5, 9.0))
            self._ball(Tissue.DURA, globe, (12.3, 12.3, 12.3))
            self._ball(Tissue.VITREOUS, globe, (11.3, 11.3, 11.3))
            self._ball(Tissue.LENS, (globe[0], 70.0, -40.0), (4.5, 2.2, 4.5))

    def _vessels(self) -> None:
        """Superior sagittal sinus and the large arteries below the brain."""
        box = self._box((-6, -130, -10), (6, 80, 110))
        x, y, z = self.points[(slice(None), *box)]
        sinus = (np.abs(x) < 4.0) & ((z > 30) | ((y < -60) & (z > -5)))
        sinus &= (self.distance[box] > -0.5) & (self.distance[box] < 4.5 - np.abs(x) / 2)
        self.labels[box][sinus & self.free[box]] = Tissue.BLOOD
        for side in (-1, 1):
            self._rod(Tissue.BLOOD, (side * 24, 2, -120), (side * 20, -2, -58), 2.8)
            self._rod(Tissue.BLOOD, (side * 20, -2, -58), (side * 13, 6, -34), 2.5)


def _others(axis: int) -> tuple[int, ...]:
    return tuple(i for i in range(3) if i != axis)


def _thinned(axis: int) -> tuple[slice, ...]:
    """Every voxel along `axis`, every fourth along the others."""
    return tuple(slice(None) if i == axis else slice(None, None, 4) for i in range(3))
