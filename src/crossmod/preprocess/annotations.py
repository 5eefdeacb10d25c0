"""Masks and label maps that come with the scans, and which scan each belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.io import Image, read_image, same_grid, to_ras
from crossmod.settings import Modality

# How data sets write T1ce in a space entity.
SPACE_NAMES = {"ceT1w": "T1ce", "T1Gd": "T1ce", "T1c": "T1ce"}


@dataclass(frozen=True)
class Annotations:
    """Files that say something about a session's scans.

    Attributes
    ----------
    brain_masks, lesions : tuple of path
        Masks, or label maps of which every label above 0 counts, or shares of voxels. Each lies on
        the grid of one of the raw scans.
    """

    brain_masks: tuple[Path, ...] = ()
    lesions: tuple[Path, ...] = ()


@dataclass
class Placed:
    """Annotations read and put to the scans they fit.

    Attributes
    ----------
    brain_masks, lesions : list of (modality, Image)
        In RAS orientation, on the grid of that modality's scan.
    notes : list of str
        Why others were left out.
    """

    brain_masks: list[tuple[Modality, Image]] = field(default_factory=list)
    lesions: list[tuple[Modality, Image]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def place(annotations: Annotations, raw: dict[Modality, Image]) -> Placed:
    """Read the annotations and find the scan that each was drawn on.

    Parameters
    ----------
    annotations : Annotations
        Files.
    raw : dict of modality to Image
        Scans in their files' own orientation, the reference first.
    """
    placed = Placed()
    for paths, into in (
        (annotations.brain_masks, placed.brain_masks),
        (annotations.lesions, placed.lesions),
    ):
        for path in paths:
            try:
                image = read_image(path)
            except InputError as error:
                placed.notes.append(f"annotation left out: {path.name}: {error.problem}")
                continue
            owner = _owner(path, image, raw)
            if owner is None:
                placed.notes.append(f"annotation left out: {path.name} fits the grid of no scan")
                continue
            into.append((owner, to_ras(image.with_data(to_mask(image.data)))))
    return placed


def to_mask(data: NDArray) -> NDArray[np.uint8]:
    """1 where a mask or label map marks a voxel, else 0.

    Whole numbers are labels, all above 0 count; with fractions among them they are shares of
    voxels or probabilities, and count from 0.5 on.
    """
    whole = bool((data == np.round(data)).all())
    marked: NDArray[np.uint8] = (data > 0 if whole else data >= 0.5).astype(np.uint8)
    return marked


def _owner(path: Path, image: Image, raw: dict[Modality, Image]) -> Modality | None:
    """Scan with the same grid: the one the name's space entity says, else the first."""
    entity = re.search(r"_space-([A-Za-z0-9]+)_", path.name)
    named = SPACE_NAMES.get(entity[1], entity[1]) if entity else None
    for modality in sorted(raw, key=lambda m: m != named):
        if same_grid(image, raw[modality]):
            return modality
    return None
