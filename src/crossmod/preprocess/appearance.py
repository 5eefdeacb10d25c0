"""Whether a scan looks like what its name says; names are never changed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crossmod.io import Image
from crossmod.preprocess.atlas import TissuePriors, tissue_priors
from crossmod.preprocess.field_of_view import depth_mm
from crossmod.preprocess.resampling import Grid, resample, resample_mask, working_copy
from crossmod.preprocess.tissues import Parenchyma, fit_parenchyma
from crossmod.settings import Modality

Verdict = Literal["agrees", "looks like another", "cannot tell"]

WORKING_MM = 2.0
# What is measured and how far apart the names lie: docs/results/modality-check.md.
LEAST_OVERLAP = 0.88
LEAST_COVER = 0.5
T1_CONTRAST, OTHER_CONTRAST = 1.0, 0.75  # white over gray matter, standard deviations of white
PDW_CONTRAST = -1.5
FLUID_PRIOR, FLUID_DEPTH_MM = 0.4, 4.0  # the rim of a mask holds skull and dura
DEEP_PRIOR, DEEP_MM = 0.3, 8.0
SURELY_INSIDE = 0.95
OUTLYING, LIT = 3.0, 4.0  # standard deviations beyond both tissues
LEAST_FLUID, MOST_NO_FLUID, CLEARER = 0.1, 0.03, 2.0
# Percent of voxels brighter than white matter: choroid plexus, veins, enhancing lesions.
AGENT_PERCENT, NO_AGENT_PERCENT, IMPLAUSIBLE_PERCENT = 0.4, 0.3, 25.0
COPY_CORRELATION = 0.99
# Blood, fluid and edema lie between -5 and 80 HU.
BRAIN_HU, SPREAD_HU, AIR_HU = (10.0, 60.0), 30.0, (-1100.0, -900.0)

SEEN: dict[Modality, str] = {
    "T1w": "white matter is brighter than gray, and no contrast agent shows",
    "T1ce": "white matter is brighter than gray, and vessels or choroid plexus are brighter still",
    "T2w": "fluid is brighter than gray matter, and gray brighter than white",
    "FLAIR": "fluid is darker than both tissues, and white matter no brighter than gray",
    "PDw": "gray matter is brighter than white, and fluid like them",
    "CT": "brain and air lie where Hounsfield units have them",
}


@dataclass(frozen=True)
class Measures:
    """What is seen of one scan; all are free of its scale.

    Attributes
    ----------
    contrast : float
        White minus gray matter, in standard deviations of white matter.
    dark, bright : float
        Share of the fluid spaces that are darker, or brighter, than both tissues.
    agent_percent : float
        Percent of the deep fluid spaces, or of the deep brain where that is more, that are
        (much) brighter than both tissues.
    hounsfield : bool
        Whether brain and air have the values of CT.
    in_hounsfield_range : bool
        Whether the brain alone has.
    """

    contrast: float
    dark: float
    bright: float
    agent_percent: float
    hounsfield: bool
    in_hounsfield_range: bool


@dataclass(frozen=True)
class Appearance:
    """Judgment on the name of one scan.

    Attributes
    ----------
    verdict : str
        `agrees`, `looks like another` or `cannot tell`.
    candidates : tuple of str
        Modalities that look like this; empty if that cannot be told.
    measures : Measures or None
    """

    verdict: Verdict
    candidates: tuple[Modality, ...] = ()
    measures: Measures | None = None

    def details(self) -> dict[str, Any]:
        """Plain JSON values."""
        numbers = asdict(self.measures) if self.measures else {}
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in numbers.items()}
        return {"verdict": self.verdict, "looks_like": list(self.candidates), **rounded}


@dataclass(frozen=True)
class View:
    """One scan on the common grid.

    Attributes
    ----------
    image : Image
        Whole head.
    cover : array of bool, shape (X, Y, Z)
        Voxels of the brain that the scan shows.
    """

    image: Image
    cover: NDArray[np.bool_]


@dataclass(frozen=True)
class Overlay:
    """Scans of a session on a coarse grid, with the tissues of the template laid over them.

    Attributes
    ----------
    views : dict of modality to View
        Registered scans on cubes of 2 mm.
    brain : array of bool, shape (X, Y, Z)
        Brain mask on that grid.
    priors : TissuePriors
        What tissue to expect in the voxels of `brain`.
    tissues : dict of modality to Parenchyma or None
        Gray and white matter; None where they cannot be told apart, the brain does not lie as the
        template has it, or the scan shows too little of it.
    """

    views: Mapping[Modality, View]
    brain: NDArray[np.bool_]
    priors: TissuePriors
    tissues: Mapping[Modality, Parenchyma | None]

    @property
    def grid(self) -> Grid:
        """Grid of everything in it."""
        return Grid.of(next(iter(self.views.values())).image)


def lay_over(
    views: Mapping[Modality, View], brain: NDArray[np.bool_], reference: Modality, placed: bool
) -> Overlay:
    """Lay the template's tissues over the scans of a session.

    Parameters
    ----------
    views : dict of modality to View
        Registered scans; bias field removed.
    brain : array of bool, shape (X, Y, Z)
        Brain mask on their grid.
    reference : str
        The scan that the template is laid over.
    placed : bool
        Whether the grid is the template's.
    """
    coarse = working_copy(views[reference].image.with_data(brain.astype(np.float32)), WORKING_MM)
    grid, mask = Grid.of(coarse), coarse.data >= 0.5
    small = {m: _reduced(view, grid, mask) for m, view in views.items()}
    priors = tissue_priors(small[reference].image, mask, placed)
    tissues = {m: _tissues(view, mask, priors) for m, view in small.items()}
    return Overlay(small, mask, priors, tissues)


def judge_names(overlay: Overlay) -> tuple[dict[Modality, Appearance], list[str]]:
    """Compare the names of a session's scans with what the scans show.

    Returns
    -------
    appearances : dict of modality to Appearance
    notes : list of str
        One line for each name that is contradicted and each copy; none where names agree or
        nothing can be told.
    """
    views, mask = overlay.views, overlay.brain
    depth = depth_mm(mask, overlay.grid)
    measures = {m: _measure(overlay, m, depth) for m in views}
    found = {m: judge(m, measures) for m in measures}
    notes = [_note(m, appearance) for m, appearance in found.items() if _speaks(appearance)]
    return found, notes + _copies({m: view.image.data[mask] for m, view in views.items()})


def _reduced(view: View, grid: Grid, mask: NDArray[np.bool_]) -> View:
    image = resample(view.image, grid, np.eye(4))
    return View(image, resample_mask(view.image.with_data(view.cover), grid, np.eye(4)) & mask)


def _tissues(view: View, mask: NDArray[np.bool_], priors: TissuePriors) -> Parenchyma | None:
    if priors.overlap < LEAST_OVERLAP or view.cover.sum() < LEAST_COVER * mask.sum():
        return None
    seen = view.cover[mask]
    return fit_parenchyma(view.image.data[mask][seen], priors.gray[seen], priors.white[seen])


def _measure(
    overlay: Overlay, modality: Modality, depth_mm: NDArray[np.float64]
) -> Measures | None:
    """Measure one scan where it covers the brain; None if its tissues cannot be told apart."""
    tissues = overlay.tissues[modality]
    if tissues is None:
        return None
    view, mask, priors = overlay.views[modality], overlay.brain, overlay.priors
    seen = view.cover[mask]
    values = view.image.data[mask][seen]
    gray, white, depth_mm = priors.gray[seen], priors.white[seen], depth_mm[seen]
    least, most = _outside(tissues, OUTLYING)
    _, lit = _outside(tissues, LIT)
    fluid = priors.inside[seen] - gray - white
    spaces = values[(fluid > FLUID_PRIOR) & (depth_mm >= FLUID_DEPTH_MM)]
    inside = (depth_mm >= DEEP_MM) & (priors.inside[seen] > SURELY_INSIDE)
    deep = values[(fluid > DEEP_PRIOR) & inside]
    low, median, high = np.percentile(values, (25, 50, 75))
    brain_hu = BRAIN_HU[0] <= median <= BRAIN_HU[1] and high - low <= SPREAD_HU
    # Interpolation overshoots at the skin: a percentile, not the least value.
    air = float(np.percentile(view.image.data, 1))
    return Measures(
        contrast=(tissues.white - tissues.gray) / tissues.white_sd,
        dark=_share(spaces < least),
        bright=_share(spaces > most),
        agent_percent=100 * max(_share(deep > most), _share(values[inside] > lit)),
        hounsfield=bool(brain_hu and AIR_HU[0] <= air <= AIR_HU[1]),
        in_hounsfield_range=bool(brain_hu),
    )


def _outside(tissues: Parenchyma, deviations: float) -> tuple[float, float]:
    """Intensities below and above which a voxel is neither gray nor white matter."""
    sd = float(np.sqrt((tissues.gray_sd**2 + tissues.white_sd**2) / 2))
    low, high = sorted((tissues.gray, tissues.white))
    return low - deviations * sd, high + deviations * sd


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean()) if chosen.size else 0.0


def judge(name: Modality, session: Mapping[Modality, Measures | None]) -> Appearance:
    """Judge one name from the measures of all scans of its session."""
    measures = session[name]
    if measures is None:
        return Appearance("cannot tell")
    candidates = candidates_of(measures)
    if name == "CT" and not measures.in_hounsfield_range:
        candidates = tuple(m for m in candidates if m != "CT")
        return Appearance("looks like another", candidates, measures)
    if name == "CT" and not measures.hounsfield:  # brain extracted already: no air to look at
        return Appearance("cannot tell", (), measures)
    if candidates == ("T1w",) and name == "T1ce":
        # Agent that stays in the blood may not show; but not before the agent was given.
        other = session.get("T1w")
        if other is None or candidates_of(other) != ("T1ce",):
            return Appearance("cannot tell", ("T1w", "T1ce"), measures)
    if not candidates:
        return Appearance("cannot tell", (), measures)
    verdict: Verdict = "agrees" if name in candidates else "looks like another"
    return Appearance(verdict, candidates, measures)


def candidates_of(measures: Measures) -> tuple[Modality, ...]:
    """Modalities that look like this, the likeliest first; none if that cannot be told."""
    if measures.hounsfield:
        return ("CT",)
    if measures.contrast >= T1_CONTRAST:
        return _t1_candidates(measures.agent_percent)
    if measures.contrast > OTHER_CONTRAST:
        return ()
    dark, bright = measures.dark, measures.bright
    if bright >= LEAST_FLUID and bright >= CLEARER * dark:
        return ("T2w",)
    if dark >= LEAST_FLUID and dark >= CLEARER * bright:
        return ("FLAIR", "PET", "PDw")  # fluid is dark in PDw, too, if the repetition time is short
    if measures.contrast <= PDW_CONTRAST and bright <= MOST_NO_FLUID:
        return ("PDw", "PET") if dark <= MOST_NO_FLUID else ("PDw", "PET", "FLAIR")
    return ()


def _t1_candidates(agent_percent: float) -> tuple[Modality, ...]:
    if agent_percent <= NO_AGENT_PERCENT:
        return ("T1w",)
    if AGENT_PERCENT <= agent_percent <= IMPLAUSIBLE_PERCENT:
        return ("T1ce",)
    return ("T1w", "T1ce")


def _speaks(appearance: Appearance) -> bool:
    return appearance.verdict == "looks like another"


def _note(name: Modality, appearance: Appearance) -> str:
    if not appearance.candidates:
        return f"{name} does not look like one, not in Hounsfield units; check the name"
    like = appearance.candidates[0]
    return f"{name} looks like {like}: {SEEN[like]}; check the name"


def _copies(values: Mapping[Modality, NDArray[np.floating]]) -> list[str]:
    """Pairs of scans that are the same up to gain and offset."""
    notes = []
    for first, second in itertools.combinations(values, 2):
        a, b = (values[m].astype(np.float64) - values[m].mean() for m in (first, second))
        size = float(np.sqrt((a**2).sum() * (b**2).sum()))
        correlation = float((a * b).sum()) / size if size > 0 else 0.0
        if abs(correlation) > COPY_CORRELATION:
            notes.append(
                f"{first} and {second} are copies of one another"
                f" (correlation {correlation:.4f} in the brain); check the files"
            )
    return notes
