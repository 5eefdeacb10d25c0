"""Brain extraction: a registry of ways to find the brain in the reference scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError
from crossmod.io import Image
from crossmod.preprocess.resampling import Grid, working_copy
from crossmod.preprocess.surface import surface_mask

WORKING_MM = 2.0
# Adult intracranial volume is about 1000 to 1900 ml; partial coverage and disease widen it.
PLAUSIBLE_ML = (400.0, 2600.0)


@dataclass(frozen=True)
class Reference:
    """What a backend may look at.

    Attributes
    ----------
    image : Image
        Reference scan in RAS orientation.
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


Backend = Callable[[Reference], Image]
BACKENDS: dict[str, Backend] = {}


def backend(name: str) -> Callable[[Backend], Backend]:
    """Enter a function in the registry under the name that settings use."""

    def enter(function: Backend) -> Backend:
        BACKENDS[name] = function
        return function

    return enter


@backend("provided")
def provided(reference: Reference) -> Image:
    """Brain mask that lies beside the scan, on the grid of the reference."""
    if reference.provided is None:
        remedy = "add one under derivatives or set preprocess.brain_extraction to auto"
        raise InputError(reference.path, "has no brain mask on its grid", remedy)
    return reference.provided.with_data(reference.provided.data > 0)


@backend("nonzero")
def nonzero(reference: Reference) -> Image:
    """Foreground of a scan that shows nothing but brain."""
    if reference.foreground is None:
        remedy = "set preprocess.brain_extraction to auto or surface"
        raise InputError(reference.path, "shows more than brain", remedy)
    return reference.image.with_data(reference.foreground)


@backend("surface")
def surface(reference: Reference) -> Image:
    """Deformable surface on a copy of 2 mm cubes; needs neither weights nor template."""
    copy = working_copy(reference.image, WORKING_MM)
    return copy.with_data(surface_mask(copy.data, WORKING_MM))


@backend("auto")
def auto(reference: Reference) -> Image:
    """Provided mask, else the foreground of a brain-only scan, else the surface."""
    return BACKENDS[chosen_backend(reference, "auto")](reference)


def chosen_backend(reference: Reference, name: str) -> str:
    """What `name` stands for: `auto` takes what suits the scan."""
    if name != "auto":
        return name
    if reference.provided is not None:
        return "provided"
    return "nonzero" if reference.foreground is not None else "surface"


def extract_brain(reference: Reference, name: str) -> Image:
    """Brain mask by the backend `name`, on a grid of the backend's choice.

    Raises
    ------
    InputError
        If the mask is empty or has not the size of an adult brain.
    """
    mask = BACKENDS[name](reference)
    volume_ml = float(mask.data.sum()) * Grid.of(mask).voxel_ml
    least, most = PLAUSIBLE_ML
    if not least <= volume_ml <= most:
        problem = f"gives a brain of {volume_ml:.0f} ml, not {least:.0f} to {most:.0f} ml"
        remedy = "look at the scan, provide a brain mask or exclude the session"
        raise InputError(reference.path, problem, remedy)
    return mask.with_data(np.ascontiguousarray(mask.data, dtype=bool))
