"""Settings of the null model `linear-regression`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossmod.methods import Declaration
from crossmod.settings import Settings

DECLARATION = Declaration(dimensionality=("2D", "2.5D"), fitting="classical", null=True)


@dataclass(frozen=True, kw_only=True)
class MethodSettings(Settings):
    """Voxelwise linear regression on all channels."""

    resolution: Literal["network", "native"] = "network"
    """`network`: slices are padded, halved or resized as a network's are; `native`: the prediction
    is made on the common grid itself."""
