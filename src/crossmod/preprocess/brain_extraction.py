"""Brain extraction: a registry of ways to find the brain in a scan, and the vote of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.io import Image
from crossmod.preprocess.atlas import template_over
from crossmod.preprocess.brain_programs import PROGRAMS, run_program
from crossmod.preprocess.foreground import largest_component, within
from crossmod.preprocess.resampling import Grid, covered, dice, resample_mask, working_copy
from crossmod.preprocess.surface import surface_mask
from crossmod.spatial import Matrix

WORKING_MM, PROGRAM_MM = 2.0, 1.0
# Brains differ from the template laid over them by less, scalp that a surface leaks into by more.
BEYOND_TEMPLATE_MM = 6.0
LEAST_OVERLAP = 0.75
# Adult intracranial volume is about 1000 to 1900 ml; partial coverage and disease widen it.
PLAUSIBLE_ML = (400.0, 2600.0)


@dataclass(frozen=True)
class Head:
    """What a backend may look at.

    Attributes
    ----------
    image : Image
        Scan in RAS orientation.
    foreground : array of bool or None
        `brain_only_mask` of the scan as it was acquired.
    path : path
        Its file, for messages.
    provided : Image or None
        Brain mask that came with the scan, on its grid.
    """

    image: Image
    path: Path
    foreground: NDArray[np.bool_] | None = None
    provided: Image | None = None


Backend = Callable[[Head], Image]
BACKENDS: dict[str, Backend] = {}


def backend(name: str) -> Callable[[Backend], Backend]:
    """Enter a function in the registry under the name that settings use."""

    def enter(function: Backend) -> Backend:
        BACKENDS[name] = function
        return function

    return enter


@backend("provided")
def provided(head: Head) -> Image:
    """Brain mask that lies beside the scan, on the grid of the head."""
    if head.provided is None:
        remedy = "add one under derivatives or set preprocess.brain_extraction to auto"
        raise InputError(head.path, "has no brain mask on its grid", remedy)
    return head.provided.with_data(head.provided.data > 0)


@backend("nonzero")
def nonzero(head: Head) -> Image:
    """Foreground of a scan that shows nothing but brain."""
    if head.foreground is None:
        remedy = "set preprocess.brain_extraction to auto or surface"
        raise InputError(head.path, "shows more than brain", remedy)
    return head.image.with_data(head.foreground)


@backend("surface")
def surface(head: Head) -> Image:
    """Deformable surface on a copy of 2 mm cubes, cut off far outside of the template's brain.

    Where the template does not fit what the surface found, nothing is cut.
    """
    copy = working_copy(head.image, WORKING_MM)
    mask = surface_mask(copy.data, WORKING_MM)
    if mask.any():
        expected = template_over(copy, copy.with_data(mask))
        if dice(mask, expected) >= LEAST_OVERLAP:
            mask = largest_component(mask & within(expected, copy.spacing_mm, BEYOND_TEMPLATE_MM))
    return copy.with_data(mask)


@backend("template")
def template(head: Head) -> Image:
    """Brain of the ICBM template, turned, shifted and scaled onto the head.

    It starts from what the surface found. A shape of its own (tumor, atrophy, cut field of view)
    is not followed.
    """
    copy = working_copy(head.image, WORKING_MM)
    return copy.with_data(template_over(copy, surface(head)))


@backend("auto")
def auto(head: Head) -> Image:
    """Provided mask, else the foreground of a brain-only scan, else the surface."""
    return BACKENDS[resolve(head, "auto")](head)


def resolve(head: Head, name: str) -> str:
    """Backend that `auto` stands for."""
    if name != "auto":
        return name
    if head.provided is not None:
        return "provided"
    return "nonzero" if head.foreground is not None else "surface"


def _by_program(name: str) -> Backend:
    def extract(head: Head) -> Image:
        return run_program(name, working_copy(head.image, PROGRAM_MM), head.path)

    return extract


BACKENDS |= {name: _by_program(name) for name in PROGRAMS}
ESTIMATES = ("surface", "template", *PROGRAMS)


def extract_brain(head: Head, name: str) -> Image:
    """Brain mask by the backend `name`, on a grid of the backend's choice.

    Raises
    ------
    InputError
        If the mask is empty or has not the size of an adult brain.
    """
    mask = BACKENDS[name](head)
    mask = mask.with_data(np.ascontiguousarray(mask.data > 0))
    check_volume(mask, head.path, "gives")
    return mask


def check_volume(mask: Image, path: Path, gives: str) -> None:
    """Refuse a mask (bool) that has not the size of an adult brain.

    Raises
    ------
    InputError
        That the file at `path` `gives` such a brain.
    """
    volume_ml = float(mask.data.sum()) * Grid.of(mask).voxel_ml
    least, most = PLAUSIBLE_ML
    if not least <= volume_ml <= most:
        problem = f"{gives} a brain of {volume_ml:.0f} ml, not {least:.0f} to {most:.0f} ml"
        remedy = "look at the scan, provide a brain mask or exclude the session"
        raise InputError(path, problem, remedy)


def majority(masks: Iterable[tuple[Image, Matrix]], grid: Grid) -> NDArray[np.bool_]:
    """Voxels that more than half of the masks hold, of those masks whose scan shows them.

    Parameters
    ----------
    masks : iterable of (Image, array of shape (4, 4))
        Brain masks in one piece, each with the world of `grid` to its own world, RAS mm.
    grid : Grid
        Where the vote is taken.

    Returns
    -------
    array of bool, shape of `grid`
        In one piece, without holes. Of two masks both must agree: extraction fails by leaking
        into the scalp more often than by missing brain.
    """
    from scipy import ndimage

    votes, voters = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    for mask, transform in masks:
        votes += resample_mask(mask, grid, transform)
        voters += covered(Grid.of(mask), grid, transform)
    return largest_component(ndimage.binary_fill_holes(2 * votes > voters))
