"""What is known of a session while it is preprocessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmod.config import PreprocessSettings
from crossmod.intensity import Normalization
from crossmod.io import Image
from crossmod.paths import SUBJECT_SPACE, TEMPLATE_SPACE, PreprocessedPaths
from crossmod.preprocess.annotations import Placed
from crossmod.preprocess.raw_look import RawLook
from crossmod.settings import Modality
from crossmod.spatial import Field, Matrix, Transform

TransformKind = Literal["identity", "rigid", "affine", "displacement field"]


class FileHash(NamedTuple):
    """A file by its name and content."""

    name: str
    sha256: str


@dataclass(frozen=True)
class StoredTransform:
    """One estimated transform.

    Attributes
    ----------
    name : str
        Output of the status.
    source, target : str
        Spaces: images go from `source` to `target`, points the other way.
    kind : str
        `identity` where nothing was estimated, or nothing better than the headers was found.
    content : array of shape (4, 4), or Field
        Takes points of `target` to points of `source`, RAS mm.
    estimated_on : tuple of FileHash
        Fixed and moving file; empty where nothing was estimated.
    """

    name: str
    source: str
    target: str
    kind: TransformKind
    content: Matrix | Field
    estimated_on: tuple[FileHash, ...] = ()


@dataclass
class Session:
    """What is known of a session on the way; world coordinates are RAS mm.

    `affines` take points of the reference scan to those of each scan, `transforms` points of the
    common grid. `base` is the key of the session whose grid is used, if that is another.
    """

    paths: PreprocessedPaths
    settings: PreprocessSettings
    files: dict[Modality, Path]
    raw: dict[Modality, dict[str, Any]] = field(default_factory=dict)
    scans: dict[Modality, Image] = field(default_factory=dict)
    brain_only: dict[Modality, NDArray[np.bool_] | None] = field(default_factory=dict)
    placed: Placed = field(default_factory=Placed)
    affines: dict[Modality, Matrix] = field(default_factory=dict)
    transforms: dict[Modality, Transform] = field(default_factory=dict)
    steps: dict[Modality, StoredTransform] = field(default_factory=dict)
    corrected: list[Modality] = field(default_factory=list)
    brain_from: str = ""
    brain_voters: list[Modality] = field(default_factory=list)
    base: str = ""
    normalizers: dict[Modality, Normalization] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    looks: dict[Modality, RawLook] = field(default_factory=dict)
    face_shares: dict[Modality, float | None] = field(default_factory=dict)
    appearance: dict[Modality, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)

    @property
    def reference(self) -> Modality:
        """First of the preferred modalities that there is."""
        return next(m for m in self.settings.reference if m in self.scans)

    @property
    def space(self) -> str:
        """Name of the common space."""
        names = {"native": self.reference, "subject": SUBJECT_SPACE, "template": TEMPLATE_SPACE}
        return names[self.settings.space]

    def drop(self, modality: Modality, reason: str) -> None:
        """Go on without a modality and say why."""
        self.notes.append(f"{modality} left out: {reason}")
        for known in (self.scans, self.raw, self.affines, self.steps, self.normalizers):
            known.pop(modality, None)  # type: ignore[attr-defined]
        if any(owner == modality for owner, _ in self.placed.lesions):
            self.notes.append(f"lesion labels left out: they were drawn on {modality}")
