"""What is known of a session while it is preprocessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmod.config import PreprocessSettings
from crossmod.intensity import Normalization
from crossmod.io import Image
from crossmod.paths import TEMPLATE_SPACE, PreprocessedPaths
from crossmod.preprocess.annotations import Placed
from crossmod.preprocess.raw_look import RawLook
from crossmod.preprocess.transforms import Matrix
from crossmod.settings import Modality


@dataclass
class Session:
    """What is known of a session on the way; world coordinates are RAS mm."""

    paths: PreprocessedPaths
    settings: PreprocessSettings
    files: dict[Modality, Path]
    raw: dict[Modality, dict[str, Any]] = field(default_factory=dict)
    scans: dict[Modality, Image] = field(default_factory=dict)
    brain_only: dict[Modality, NDArray[np.bool_] | None] = field(default_factory=dict)
    placed: Placed = field(default_factory=Placed)
    affines: dict[Modality, Matrix] = field(default_factory=dict)
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
        return self.reference if self.settings.space == "native" else TEMPLATE_SPACE

    def drop(self, modality: Modality, reason: str) -> None:
        """Go on without a modality and say why."""
        self.notes.append(f"{modality} left out: {reason}")
        for known in (self.scans, self.raw, self.affines, self.normalizers):
            known.pop(modality, None)  # type: ignore[attr-defined]
