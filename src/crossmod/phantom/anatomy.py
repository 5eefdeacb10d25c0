"""One head: which tissue fills each voxel, and how its properties vary inside the tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmod.config import PhantomSettings
from crossmod.phantom.fields import smooth_field
from crossmod.phantom.head import HeadBuilder
from crossmod.phantom.lesions import BrainMaps, Fractions, draw_lesions
from crossmod.phantom.roster import PlannedSubject, stream
from crossmod.phantom.shape import (
    Grid,
    anatomy_grid,
    displacement,
    draw_shape,
    template_coordinates,
)
from crossmod.phantom.template import Template, load_template
from crossmod.phantom.tissues import LESION_LABELS, Tissue

# Folding varies between subjects by this much (standard deviation of the log odds).
FOLDING = 0.9
FOLDING_STEP_MM = 7.0
# Log odds of CSF per year of age around 45 years: sulci and ventricles widen.
ATROPHY_PER_YEAR = 0.012
# Points at which the distance to the brain is looked up are at most this far apart.
DISTANCE_SAMPLING_MM = 3.0
# Standard deviations of the texture inside a tissue.
TEXTURE_T1, TEXTURE_T2, TEXTURE_DENSITY = 0.05, 0.06, 0.02
# T1w template intensity of pure cortex, white matter and CSF; what is left over tells the deep
# grey matter from cortex.
TEMPLATE_LEVELS = (158.0, 232.0, 60.0)
DEEP_GREY_T1, DEEP_GREY_T2 = -0.006, -0.007


@dataclass(frozen=True)
class Anatomy:
    """One head on the anatomy grid, which is the grid of its T1w scan.

    Attributes
    ----------
    grid : Grid
        Anatomy grid.
    labels : array of uint8, shape (X, Y, Z)
        Tissue that fills most of each voxel, lesions included.
    inside : array of int
        Flat indices of the voxels of the brain.
    fractions : dict of Tissue to array, shape (len(inside),)
        Share of each tissue in the voxels of the brain; they sum to 1.
    t1, t2, density : array, shape (len(inside),)
        Factors on the properties of brain tissue (not of CSF).
    deep_t1, deep_t2 : array, shape (len(inside),)
        Further factors on grey matter alone.
    transmit : array, shape (len(inside),)
        Flip angle relative to the nominal one, at 3 T.
    head_texture : array, shape (X, Y, Z)
        Factor on the signal outside the brain.
    """

    grid: Grid
    labels: NDArray[np.uint8]
    inside: NDArray[np.intp]
    fractions: Fractions
    t1: NDArray[np.float32]
    t2: NDArray[np.float32]
    density: NDArray[np.float32]
    deep_t1: NDArray[np.float32]
    deep_t2: NDArray[np.float32]
    transmit: NDArray[np.float32]
    head_texture: NDArray[np.float32]

    def brain_mask(self) -> NDArray[np.bool_]:
        """Brain with its CSF."""
        mask = np.zeros(self.grid.shape, dtype=bool)
        mask.ravel()[self.inside] = True
        return mask

    def lesion_labels(self) -> NDArray[np.uint8]:
        """Lesion label map; see `LESION_LABELS`."""
        table = np.zeros(len(Tissue), dtype=np.uint8)
        for tissue, label in LESION_LABELS.items():
            table[tissue] = label
        return table[self.labels]


def build_anatomy(settings: PhantomSettings, subject: PlannedSubject) -> Anatomy:
    """Make the head of one subject."""
    template = load_template()
    random = stream(settings, subject.number, "shape")
    shape = draw_shape(random, subject.sex)
    grid = anatomy_grid(shape, settings.resolution_mm)
    points = template_coordinates(shape, grid, displacement(random, grid))
    thinning = max(1, int(DISTANCE_SAMPLING_MM / settings.resolution_mm))
    distance = template.brain_distance(points, thinning)
    head = HeadBuilder(grid, points, distance, stream(settings, subject.number, "head"))
    labels = head.build()
    brain = _Brain(grid, template, points, distance)
    texture = stream(settings, subject.number, "texture")
    fractions, residual = brain.tissues(texture, subject.age)
    maps = brain.maps(fractions, texture)
    lesions = draw_lesions(stream(settings, subject.number, "lesion"), subject.group, maps)
    fractions = brain.with_lesions(fractions, lesions)
    labels.ravel()[brain.inside] = _largest(fractions)
    iron = subject.age / 50
    t1, t2, density = brain.texture(texture)
    return Anatomy(
        grid=grid,
        labels=labels,
        inside=brain.inside,
        fractions=fractions,
        t1=t1,
        t2=t2,
        density=density,
        deep_t1=np.exp(np.float32(DEEP_GREY_T1) * residual),
        deep_t2=np.exp(np.float32(DEEP_GREY_T2 * iron) * residual),
        transmit=1 + brain.field(texture, 60.0) * np.float32(0.07),
        head_texture=np.clip(1 + np.float32(0.09) * head.noise, 0.6, 1.4),
    )


class _Brain:
    """The box of the grid that holds the brain, and fields on it."""

    def __init__(self, grid: Grid, template: Template, points: NDArray, distance: NDArray) -> None:
        mask = distance < 0
        box = []
        for axis in range(3):
            where = np.flatnonzero(mask.any(axis=tuple(i for i in range(3) if i != axis)))
            box.append(slice(where[0], where[-1] + 1))
        self.box = tuple(box)
        self.mask = mask[self.box]
        self.inside = np.flatnonzero(mask)
        self.spacing_mm = float(grid.spacing_mm[0])
        self.template = template
        self.points = points[(slice(None), *self.box)]
        self.depth = -distance[self.box]

    def field(self, random: np.random.Generator, step_mm: float) -> NDArray[np.float32]:
        """Random field of unit variance at the voxels of the brain."""
        step = max(step_mm / self.spacing_mm, 1.2)
        return smooth_field(random, self.mask.shape, step)[self.mask]

    def tissues(self, random: np.random.Generator, age: int) -> tuple[Fractions, NDArray]:
        """Healthy tissue fractions, and how much brighter than cortex grey matter is on T1w.

        Squaring the probabilities of the averaged template makes tissues crisp again; a random
        field in the odds gives every subject sulci of its own.
        """
        grey, white, t1 = self.template.tissue(self.points[:, self.mask])
        fluid = np.clip(1 - grey - white, 0, 1)
        cortex, matter, water = (np.float32(level) for level in TEMPLATE_LEVELS)
        residual = np.clip(t1 - (grey * cortex + white * matter + fluid * water), -10, 40) * grey
        odds = [part**2 for part in (fluid, grey, white)]
        widening = np.float32(ATROPHY_PER_YEAR * (age - 45))
        odds[0] *= np.exp(FOLDING * self.field(random, FOLDING_STEP_MM) + widening)
        odds[2] *= np.exp(np.float32(FOLDING / 2) * self.field(random, FOLDING_STEP_MM))
        total = odds[0] + odds[1] + odds[2]
        # Where the smooth surface reaches past the maps there is fluid only.
        odds[0][total < 1e-4] = 1
        total = odds[0] + odds[1] + odds[2]
        names = (Tissue.CSF, Tissue.GREY, Tissue.WHITE)
        shares: dict[Tissue, NDArray] = {
            name: part / total for name, part in zip(names, odds, strict=True)
        }
        return shares, residual

    def maps(self, fractions: Fractions, random: np.random.Generator) -> BrainMaps:
        """What lesions are placed by."""
        return BrainMaps(
            spacing_mm=self.spacing_mm,
            fluid=self._spread(fractions[Tissue.CSF]),
            white=self._spread(fractions[Tissue.WHITE]),
            depth_mm=self.depth,
            side=self.points[0],
            height=self.points[2],
            noise=smooth_field(random, self.mask.shape, max(9.0 / self.spacing_mm, 1.2)),
        )

    def with_lesions(self, fractions: Fractions, lesions: Fractions) -> Fractions:
        """Lesions take their share; healthy tissues keep their proportions in the rest."""
        taken = {tissue: fraction[self.mask] for tissue, fraction in lesions.items()}
        left = 1 - sum(taken.values()) if taken else np.float32(1)
        return {**{tissue: part * left for tissue, part in fractions.items()}, **taken}

    def texture(self, random: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
        """Factors on T1, T2 and proton density: half of the variance of T1 and T2 is shared."""
        shared, own_t1, own_t2, water = (
            np.float32(0.8) * self.field(random, 16.0) + np.float32(0.6) * self.field(random, 5.0)
            for _ in range(4)
        )
        half = np.float32(np.sqrt(0.5))
        return (
            np.exp(np.float32(TEXTURE_T1) * half * (shared + own_t1)),
            np.exp(np.float32(TEXTURE_T2) * half * (shared + own_t2)),
            np.exp(np.float32(TEXTURE_DENSITY) * np.clip(water, -3, 3)),
        )

    def _spread(self, values: NDArray) -> NDArray[np.float32]:
        volume = np.zeros(self.mask.shape, dtype=np.float32)
        volume[self.mask] = values
        return volume


def _largest(fractions: Fractions) -> NDArray[np.uint8]:
    """Label of the largest fraction."""
    names = list(fractions)
    best = np.argmax(np.stack([fractions[name] for name in names]), axis=0)
    return np.array(names, dtype=np.uint8)[best]
