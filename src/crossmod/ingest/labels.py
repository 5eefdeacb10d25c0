"""Label maps of tumors: the one convention, and what each data set's own numbers become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossmod.errors import InputError

LABELS = {
    1: ("necrotic or non-enhancing core", "NCR"),
    2: ("edema or infiltration", "ED"),
    3: ("enhancing tumor", "ET"),
    4: ("resection cavity", "RC"),
}
"""Number to name and abbreviation, as in BraTS 2023 and 2024."""

CONVENTIONS: dict[str, dict[int, int]] = {
    # From descriptions of the challenge, checked on no file: edema, and the whole core as one.
    "brats-2012": {1: 2, 2: 1},
    # Menze et al., IEEE TMI 34, 2015: necrosis, edema, non-enhancing, enhancing.
    "brats-2013": {1: 1, 2: 2, 3: 1, 4: 3},
    # Bakas et al., arXiv:1811.02629: 1, 2, 4. Copies with the later 3 for 4 carry the same names.
    "brats-2017": {1: 1, 2: 2, 3: 3, 4: 3},
    "brats-2023": {1: 1, 2: 2, 3: 3, 4: 4},
    # Antonelli et al., Nature Communications 13, 2022: edema, non-enhancing, enhancing.
    "msd": {1: 2, 2: 1, 3: 3},
}
"""Convention to its own numbers and what they become; 0 is background in all."""


def to_labels(data: NDArray, convention: str, path: Path) -> NDArray[np.uint8]:
    """Map a data set's own numbers to `LABELS`.

    Parameters
    ----------
    data : array, shape (X, Y, Z)
        Label map as stored.
    convention : str
        Key of `CONVENTIONS`.
    path : path
        File, for the error.

    Raises
    ------
    InputError
        If the map holds a number that the convention does not have.
    """
    known = CONVENTIONS[convention]
    strange = sorted(set(np.unique(data).tolist()) - {0, *known})
    if strange:
        problem = f"holds the label {strange[0]:g}, which the convention {convention} has not"
        raise InputError(path, problem, "check which numbers it uses, or leave it out")
    mapped = np.zeros(data.shape, dtype=np.uint8)
    for own, number in known.items():
        mapped[data == own] = number
    return mapped
