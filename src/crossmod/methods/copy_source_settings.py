"""Settings of the null model `copy-source`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossmod.methods import Declaration
from crossmod.settings import Modality, Settings

DECLARATION = Declaration(dimensionality=("2D", "2.5D"), fitting="classical", null=True)


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """One source with its intensities fitted by a line."""

    source: Modality | None = None
    """Source modality that is copied; null takes the first source of the task."""
    resolution: Literal["network", "native"] = "network"
    """`network`: slices are padded, halved or resized as a network's are; `native`: the prediction
    is made on the common grid itself."""
