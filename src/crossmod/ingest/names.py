"""What BIDS file names mean: entities, modalities, annotations."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crossmod.settings import Modality

Kind = Literal["brain", "lesion"]

_SUFFIXES: dict[str, Modality] = {
    "T1w": "T1w",
    "T2w": "T2w",
    "FLAIR": "FLAIR",
    "PDw": "PDw",
    "ct": "CT",
    "CT": "CT",
    "pet": "PET",
}
_LESION = re.compile(r"_label-(lesions?|tumou?rs?)(_|$)", re.IGNORECASE)
_BRAIN = re.compile(r"_desc-brain(_|$)")


@dataclass
class Found:
    """What a reader found.

    Attributes
    ----------
    participants : dict of str to dict
        Participant to the row of participants.tsv (possibly empty).
    scans : dict of (session key, modality) to list of path
        More than one path means that the name is ambiguous.
    annotations : list of (session key, kind, path)
        Brain masks and lesion labels made by others.
    """

    participants: dict[str, dict[str, str]] = field(default_factory=dict)
    scans: dict[tuple[str, Modality], list[Path]] = field(default_factory=dict)
    annotations: list[tuple[str, Kind, Path]] = field(default_factory=list)


def stem(name: str) -> str | None:
    """File name without `.nii` or `.nii.gz`; None for other files."""
    for suffix in (".nii.gz", ".nii"):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return None


def modality_of(name: str) -> Modality | None:
    """Modality that a BIDS name says, None if it says none that crossmod knows."""
    base = stem(name)
    if base is None:
        return None
    *entities, suffix = base.split("_")
    modality = _SUFFIXES.get(suffix)
    if modality == "T1w" and any(entity.startswith("ce-") for entity in entities):
        return "T1ce"
    return modality


def annotation_of(name: str) -> Kind | None:
    """Whether a derivative is a brain mask or a lesion label map, by its name."""
    base = stem(name)
    if base is None or not base.endswith(("_mask", "_dseg")):
        return None
    base = base.rsplit("_", 1)[0]
    if _BRAIN.search(base):
        return "brain"
    return "lesion" if _LESION.search(base) else None
